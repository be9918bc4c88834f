"""Every error a user can meet, and how it is rendered.

A user's fault is a `GraphcError`: it names the operation, the argument, what was expected, what
came, the user's own line, and the remedy.  A fault of ours is a `VerifyError`: it names the pass.
Invariant: nothing here imports from graphc.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import FrameType

__all__ = [
    "ArgumentError",
    "CodegenError",
    "ConformanceError",
    "DTypeError",
    "DeviceError",
    "FeedError",
    "FetchError",
    "GradientError",
    "GraphError",
    "GraphcError",
    "Location",
    "MemoryLimitError",
    "MiscompiledError",
    "MissingNameError",
    "NanError",
    "OutOfMemoryError",
    "ParseError",
    "SessionError",
    "ShapeError",
    "StateDictError",
    "VerifyError",
]

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program, the device that what it declares is pinned to, if any, and,
    where a run may have to tell it, the function of graphc's that the line calls."""

    file: str
    line: int
    device: str = ""
    call: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()


class _Here(threading.local):
    """What holds, in this thread, of lines that are declared now."""

    device: str = ""
    standing: tuple[FrameType, Location] | None = None


_here = _Here()


def user_location() -> Location | None:
    """The innermost line on the call stack that is not graphc's own."""
    frame, (holder, location) = sys._getframe(1), _here.standing or (None, None)
    while frame is not None and _ours(frame):
        if frame is holder:
            return location
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, _here.device)


def defined_at(function: object) -> Location | None:
    """The line where a function of the user's begins; None for one that Python did not compile."""
    code = getattr(function, "__code__", None)
    return None if code is None else Location(code.co_filename, code.co_firstlineno)


def own_frames() -> Iterator[FrameType]:
    """graphc's frames below the innermost line of the user's, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _ours(frame):
        yield frame
        frame = frame.f_back


def standing_location() -> Location | None:
    """The line that graphc builds on behalf of, if it is inside `located`."""
    return _here.standing[1] if _here.standing is not None else None


def located(location: Location | None) -> contextlib.AbstractContextManager[None]:
    """Within the `with` block, what graphc builds of its own accord is declared, and pinned, where
    `location` is (a gradient, where its forward op is); code of the user's that it calls keeps its
    own lines."""
    if location is None:
        return contextlib.nullcontext()
    device = location.device or _here.device
    return _standing(sys._getframe(1), replace(location, device=device))


@contextlib.contextmanager
def _standing(frame: FrameType, location: Location) -> Iterator[None]:
    before = _here.standing, _here.device
    _here.standing, _here.device = (frame, location), location.device
    try:
        yield
    finally:
        _here.standing, _here.device = before


@contextlib.contextmanager
def pinned(device: str) -> Iterator[None]:
    """Within the `with` block, what is declared is pinned to a device ("": to none)."""
    before = _here.device
    _here.device = device
    try:
        yield
    finally:
        _here.device = before


def _ours(frame: FrameType) -> bool:
    """Whether a frame runs graphc's code, or what `dataclass` generated for it."""
    file = frame.f_code.co_filename
    return (str(frame.f_globals.get("__file__")) if file == "<string>" else file).startswith(
        PACKAGE
    )


def render(message: str, location: Location | None) -> str:
    """The message, then the guilty line under it."""
    if location is None:
        return message
    source = location.text
    return f"{message}\n  at {location}" + (f"\n    {source}" if source else "")


class GraphcError(Exception):
    """Base of all errors that graphc raises on purpose."""

    def __init__(self, message: str, location: Location | None = None) -> None:
        self.message, self.location = message, location
        super().__init__(render(message, location))


class ShapeError(GraphcError):
    """Sizes, ranks or axes that do not fit."""


class DTypeError(GraphcError):
    """An element type that the operation does not take."""


class GraphError(GraphcError):
    """A value used where it does not belong: another graph, a missing gradient, a duplicate
    name."""


class GradientError(GraphError):
    """A gradient that does not exist."""


class MissingNameError(GraphcError, AttributeError):
    """A name that graphc has not; the message says what to type instead."""


class ArgumentError(GraphcError, TypeError):
    """A call that Python, or a library, cannot make: of an argument that does not exist, or of
    something that a tensor is not."""


class FeedError(GraphcError):
    """A feed that is missing, superfluous or of the wrong type or size."""


class FetchError(GraphcError):
    """A fetch that the session cannot answer."""


class SessionError(GraphcError):
    """A session that is closed or used wrongly."""


class MemoryLimitError(GraphcError):
    """A `memory_limit` that no order and no recomputing meets.  `least` is the number of bytes that
    would do."""

    def __init__(self, message: str, location: Location | None = None, least: int = 0) -> None:
        self.least = least
        super().__init__(message, location)


class NanError(GraphcError, FloatingPointError):
    """A run with `Options(debug_nan=True)` in which a NaN was stored; the message names the op that
    made it, or the feed that had it.  No variable has changed."""


class OutOfMemoryError(GraphcError, MemoryError):
    """The machine has no memory left for what a run needs.  No variable has changed, and the
    session can be used."""


class StateDictError(GraphcError):
    """A state dict whose keys or shapes do not fit the module; the message lists what differs."""


class ParseError(GraphcError):
    """Text that is not graphc IR.  `line` counts from 1; `reason` is what is wrong in `source`."""

    def __init__(self, message: str, line: int, source: str) -> None:
        self.reason, self.line, self.source = message, line, source
        GraphcError.__init__(self, f"line {line}: {message}\n    {source}")


class VerifyError(GraphcError):
    """A broken invariant of the IR: a bug in graphc or in a user's pass, never bad input."""


class CodegenError(GraphcError):
    """A kernel that could not be compiled."""


class DeviceError(GraphcError):
    """A device that is not there, cannot do what is asked, or has no memory left."""


class ConformanceError(GraphcError):
    """An op that is not what it declares (`graphc.testing.check_op`): `check` is what failed, on
    the `sample` of the `op`."""

    def __init__(
        self, op: str, sample: str, check: str, fault: str, location: Location | None = None
    ) -> None:
        self.op, self.sample, self.check, self.fault = op, sample, check, fault
        super().__init__(f"check_op: {op}, on {sample}: {check}: {fault}", location)


class MiscompiledError(GraphcError):
    """A graph that graphc, or an op in it, gets wrong (`graphc.testing.check_graph`); the message
    shows it made smaller."""
