"""The third IR: index arithmetic.  One screen of frozen dataclasses, printed as Python.

Sizes, loop bounds and offsets are `Size`s (integer polynomials over loop variables and symbols).
Everything else is a typed scalar expression.  A kernel is a function `kernel(args, lo, hi)`: `args` holds
buffer addresses and then sizes, [lo, hi) is its share of the parallel axis.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.dim import Size
from graphc.ir.op import Number
from graphc.ir.types import DType

Expr = "Const | Ref | IndexValue | Load | Apply | Guard"
Stmt = "Let | Store | Accumulate | For"


@dataclass(frozen=True)
class Const:
    """A literal."""

    value: Number
    dtype: DType


@dataclass(frozen=True)
class Ref:
    """A local variable."""

    name: str
    dtype: DType


@dataclass(frozen=True)
class IndexValue:
    """An index or a size as an i64."""

    size: Size
    dtype: DType


@dataclass(frozen=True)
class Load:
    """An element of a buffer."""

    buffer: int
    offset: Size
    dtype: DType


@dataclass(frozen=True)
class Apply:
    """Source text over operands."""

    spelling: str
    args: tuple[Expr, ...]  # type: ignore[valid-type]
    dtype: DType


@dataclass(frozen=True)
class Guard:
    """`then` where low <= e < high for each bound, else `other`; only one of them is evaluated."""

    bounds: tuple[tuple[Size, Size, Size], ...]
    then: Expr  # type: ignore[valid-type]
    other: Expr  # type: ignore[valid-type]
    dtype: DType


@dataclass(frozen=True)
class Let:
    """A new local variable."""

    name: str
    value: Expr  # type: ignore[valid-type]


@dataclass(frozen=True)
class Store:
    """Writes an element."""

    buffer: int
    offset: Size
    value: Expr  # type: ignore[valid-type]


@dataclass(frozen=True)
class Accumulate:
    """One step of a fold: `name = combine(name, value)`."""

    name: str
    combine: str
    value: Expr  # type: ignore[valid-type]
    dtype: DType


@dataclass(frozen=True)
class For:
    """`for var in range(low, high)`."""

    var: str
    low: Size
    high: Size
    body: tuple[Stmt, ...]  # type: ignore[valid-type]


@dataclass(frozen=True)
class Buffer:
    """What an address argument points at."""

    name: str
    dtype: DType
    written: bool


@dataclass(frozen=True)
class Loops:
    """A kernel: its buffers, its size arguments, the size of its parallel axis, its body."""

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[Size, ...]
    extent: Size
    body: tuple[Stmt, ...]  # type: ignore[valid-type]
