"""Options, and the only place that reads environment variables.

GRAPHC_CACHE_DIR   where compiled kernels are kept      (default: ~/.cache/graphc)
GRAPHC_DATA        where examples look for data sets
GRAPHC_THREADS     threads that a session uses          (default: the CPUs this process may use)
GRAPHC_BLAS_CORE   OpenBLAS core type                   (default: the best for this CPU)
GRAPHC_CHECK       "passes": the oracle checks every pass; "bounds": kernels check every access,
                   and kernels written by hand that they write every element of their result
GRAPHC_DEBUG_NAN   1: a run fails at the first op that makes a NaN
"""

from __future__ import annotations

import contextlib
import enum
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from graphc.errors import GraphcError, user_location
from graphc.ir.units import BYTES_PER_UNIT

if TYPE_CHECKING:
    from graphc.ir.graph import Graph
    from graphc.ir.machine import DeviceSpec


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    given = os.environ.get("GRAPHC_THREADS", "")
    if not given:
        return cpus()
    if not given.isdecimal() or int(given) < 1:
        raise GraphcError(f"GRAPHC_THREADS is {given!r}; expected a positive integer")
    return int(given)


def _debug_nan() -> bool:
    given = os.environ.get("GRAPHC_DEBUG_NAN", "")
    if given not in ("", "0", "1"):
        raise GraphcError(f"GRAPHC_DEBUG_NAN is {given!r}; expected 0 or 1")
    return given == "1"


def _cache_dir() -> Path:
    given = os.environ.get("GRAPHC_CACHE_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "graphc"


def blas_core() -> str | None:
    """The OpenBLAS core type that the user wants, if any."""
    return os.environ.get("GRAPHC_BLAS_CORE")


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables within the block, for a library that reads them when loaded."""
    before = {k: os.environ.get(k) for k in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for k, old in before.items():
            if old is None:
                del os.environ[k]
            else:
                os.environ[k] = old


def data_dir() -> Path | None:
    """The folder of data sets that GRAPHC_DATA names; None without it."""
    given = os.environ.get("GRAPHC_DATA")
    return Path(given) if given else None


class Method(enum.Enum):
    """How a matrix product or a convolution is computed."""

    TILES = "register tiles"
    BLAS = "OpenBLAS"
    WINOGRAD = "Winograd's F(2x2, 3x3) and register tiles"
    DIRECT = "register tiles over a channels-last band of the image"
    COLUMNS = "register tiles over columns of windows (implicit im2col)"
    LOOPS = "plain loops"


CHECKS = ("passes", "bounds")  # what can be checked beside the run
T = TypeVar("T")
_given: dict[str, Any] = {}


@contextlib.contextmanager
def defaults(**given: Any) -> Iterator[None]:
    """Within the block, in every thread, `Options()` and `Hooks()` have these values where their
    caller gives none.

    It is how the command line reaches the sessions of a model file.

    >>> with defaults(threads=3):
    ...     Options().threads, Options(threads=1).threads
    (3, 1)
    """
    before = dict(_given)
    _given.update(given)
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def default(name: str, otherwise: Callable[[], T]) -> Callable[[], T]:
    """A function that makes a field's default: the value set by `defaults`, else `otherwise()`."""
    return lambda: _given[name] if name in _given else otherwise()


def parse_bytes(given: object) -> int:
    """A number of bytes: an int, or text with a unit.  Raises `GraphcError`.

    >>> parse_bytes("1.5 GiB"), parse_bytes("200MB"), parse_bytes(4096)
    (1610612736, 200000000, 4096)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(given).strip().lower())
    whole = isinstance(given, str) or (hasattr(given, "__index__") and not isinstance(given, bool))
    if match is None or match[2] not in BYTES_PER_UNIT or not whole or float(match[1]) <= 0:
        raise GraphcError(
            f"memory_limit is {given!r}; expected a positive number of bytes, or text like "
            "'1.5 GiB', '200MB'",
            user_location(),
        )
    return int(float(match[1]) * BYTES_PER_UNIT[match[2]]) if match[2] else int(float(match[1]))


@dataclass(frozen=True)
class Options:
    """How a session compiles and runs.

    `memory_limit` is the most bytes that a run's arena may take.  `check` is "passes" if the oracle
    shall check every pass, "bounds" if kernels shall check every access.  With `debug_nan`, a run
    fails at the first kernel that stores a NaN, and names what made it.  `passes` are the user's
    own, run between graphc's.  `disable` names passes to leave out (for tests and bisection).
    `method` is how contractions are computed, where it can do them (on a GPU `Method.BLAS` is
    cublasLt); `autotune` is for how many seconds a compilation may try which is fastest.  `devices`
    are those that placement chooses from, `device` the one on which all runs that can; `strict`
    refuses what a device cannot do, instead of moving it.  Who watches a session is no option: see
    `graphc.session.hooks`.
    """

    threads: int = field(default_factory=default("threads", _threads))
    cache_dir: Path = field(default_factory=default("cache_dir", _cache_dir))
    memory_limit: int | None = field(default_factory=default("memory_limit", lambda: None))
    seed: int = field(default_factory=default("seed", lambda: 0))
    check: str = field(default_factory=default("check", lambda: os.environ.get("GRAPHC_CHECK", "")))
    debug_nan: bool = field(default_factory=default("debug_nan", _debug_nan))
    passes: tuple[Callable[[Graph], Graph], ...] = field(default_factory=default("passes", tuple))
    disable: frozenset[str] = field(default_factory=default("disable", frozenset))
    fast_math: bool = field(default_factory=default("fast_math", lambda: False))
    progress: bool = field(default_factory=default("progress", lambda: True))
    method: Method | None = field(default_factory=default("method", lambda: None))
    autotune: float = field(default_factory=default("autotune", lambda: 0.0))
    device: str = field(default_factory=default("device", str))
    devices: tuple[DeviceSpec, ...] = field(default_factory=default("devices", tuple))
    strict: bool = field(default_factory=default("strict", lambda: False))

    def __post_init__(self) -> None:
        if self.check not in ("", *CHECKS):
            raise GraphcError(
                f"check (or GRAPHC_CHECK) is {self.check!r}; expected one of {', '.join(CHECKS)}",
                user_location(),
            )
