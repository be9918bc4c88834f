"""The library's boundary: wraps public functions so that all they raise is a `GraphcError` which
names the function and the user's line.

Functions check their arguments themselves.  The wrapper catches what slips through: an object that
fails in the middle of a function still ends in a typed error, with its cause attached.  Errors of
the user's own code, called from within, pass unchanged, and so does Python's `TypeError` for a
wrong number of arguments; a wrong keyword is answered with the right one.
"""

from __future__ import annotations

import functools
import importlib
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

import numpy as np

from graphc.errors import (
    PACKAGE,
    ConformanceError,
    GraphcError,
    GraphError,
    Location,
    MiscompiledError,
    ParseError,
    ShapeError,
    own_frames,
    user_location,
)
from graphc.ir.op import OPS
from graphc.ir.requirement import Requirement
from graphc.public import ANSWERS

UNTYPED_ERRORS = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    SyntaxError,
    DeprecationWarning,  # raised by NumPy where the user makes warnings errors
)
# Their messages show what is at fault, and their lines are those of that.
SPEAKS_FOR_ITSELF = (ParseError, ConformanceError, MiscompiledError)
STARTS_WITH_NAME = re.compile(r"[\w.]+: ")  # a message that names its function
NUMPY_FOLDER = str(Path(np.__file__).parent)


class _Calls(threading.local):
    """The public function that runs in this thread: what it has required of sizes so far."""

    needs: tuple[Requirement, ...] | None = None


_calls = _Calls()


def require(what: str, *requirements: Requirement) -> None:
    """Keeps requirements with every tensor that the running public function builds from here on:
    they are checked when sizes are known.  Raises `ShapeError` for one that no sizes satisfy."""
    for r in requirements:
        known = r.holds()
        if known is False:
            raise ShapeError(f"{what}: {r.failure({})}", user_location())
        if known is None:
            assert _calls.needs is not None, "requirements are stated by public functions"
            _calls.needs = (*_calls.needs, replace(r, reason=f"{what}: {r.reason}"))


def required() -> tuple[Requirement, ...]:
    """What the running public function has required so far."""
    return _calls.needs or ()


def guard(
    namespace: dict[str, Any], home: str, prefix: str = "", *, tells_ops: bool = False
) -> None:
    """Wraps every public function in a module's namespace that comes from the package `home`.
    With `tells_ops` its users name ops themselves, so errors keep the names of ops."""
    for name, f in list(namespace.items()):
        ours = isinstance(f, FunctionType) and f.__module__.startswith(home)
        if ours and name[0] != "_" and not hasattr(f, "guarded"):
            namespace[name] = door(f, prefix + name, tells_ops)


def guard_methods(cls: type, *methods: str) -> None:
    """Wraps methods; their errors name the class."""
    for method in methods:
        setattr(cls, method, door(cls.__dict__[method], cls.__name__))


def door(function: Callable[..., Any], name: str, tells_ops: bool = False) -> Callable[..., Any]:
    """The function, wrapped: it raises only what this module promises."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        outside = _calls.needs
        _calls.needs = outside or ()
        try:
            return function(*args, **kwargs)
        except GraphcError as error:
            message = named(error.message, name)
            message = message if tells_ops else said_by(error, message, name)
            if isinstance(error, SPEAKS_FOR_ITSELF) or (
                error.location is not None and message == error.message
            ):
                raise
            raise type(error)(message, error.location or user_location()) from error.__cause__
        except UNTYPED_ERRORS as error:
            trace = error.__traceback__
            if trace is not None and trace.tb_next is None and kwargs:
                refuse_keywords(function, name, kwargs)
            if trace is None or trace.tb_next is None or not _inside(trace.tb_next):
                raise
            given = ", ".join([*map(short, args), *(f"{k}={short(v)}" for k, v in kwargs.items())])
            raise GraphError(
                f"{name}: cannot use the arguments ({given}): {error}", user_location()
            ) from error
        finally:
            _calls.needs = outside

    call.guarded = True  # type: ignore[attr-defined]
    return call


DOOR = door(len, "").__code__  # type: ignore[attr-defined]  # what all doors run


def with_call(location: Location | None) -> Location | None:
    """A location that knows the public function which its line has called."""
    doors = [frame for frame in own_frames() if frame.f_code is DOOR]
    if location is None or not doors or location.call:
        return location
    return replace(location, call=doors[-1].f_locals["name"])


def said_by(error: GraphcError, message: str, name: str) -> str:
    """The message of an error that a function met: it names the function, not an op that graphc
    makes of it; what the user's own code met, called from within, names what that code called."""
    op, _, fault = message.partition(": ")
    trace = error.__traceback__
    made = OPS.get(op)  # an op of the user's keeps its name
    inner = op == "broadcast_to" or (made is not None and made.__module__.startswith("graphc."))
    if not inner or op == name or trace is None or not _inside(trace.tb_next):
        return message
    return f"{name}: {fault}"


def answers() -> Any:
    """The module that knows what to type instead, loaded when it is needed."""
    return importlib.import_module(ANSWERS)


def refuse_keywords(function: Callable[..., Any], name: str, kwargs: dict[str, Any]) -> None:
    """Raises `ArgumentError` if a call has a keyword that the function does not take."""
    error = answers().refused_keywords(function, name, kwargs)
    if error is not None:
        raise error from None


def named(message: str, name: str) -> str:
    """The message of an error, with the function's name in front unless it names one already."""
    return message if STARTS_WITH_NAME.match(message) else f"{name}: {message}"


def short(x: Any) -> str:
    """An argument's repr for an error message, at most 60 characters."""
    text = " ".join(repr(x).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _inside(trace: TracebackType | None) -> bool:
    """Whether all frames are graphc's or NumPy's, so none is the user's."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((PACKAGE, NUMPY_FOLDER, "<")):
            return False
        trace = trace.tb_next
    return True
