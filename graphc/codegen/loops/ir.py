"""The third IR, loops and index arithmetic: frozen dataclasses, printed as Python.

Sizes, loop bounds and offsets are `Size`s (integer polynomials over loop variables and symbols).
Everything else is a typed scalar expression.  A kernel is a function `kernel(args, lo, hi)`: `args`
holds buffer addresses and then sizes, [lo, hi) is its share of the parallel axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from graphc.ir.dim import Size
from graphc.ir.op import Number
from graphc.ir.types import DType


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
    """An index or a size as an i64; one cut out of a linear index is known to be in [0, below)."""

    size: Size
    dtype: DType
    below: Size | None = None


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
    args: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True)
class Guard:
    """`then` where low <= e < high for each bound, else `other`; only one of them is evaluated."""

    bounds: tuple[tuple[Size, Size, Size], ...]
    then: Expr
    other: Expr
    dtype: DType


@dataclass(frozen=True)
class Let:
    """A new local variable."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Store:
    """Writes an element."""

    buffer: int
    offset: Size
    value: Expr


@dataclass(frozen=True)
class FoldStep:
    """One step of a fold: `name = combine(name, value)`."""

    name: str
    combine: str
    value: Expr
    dtype: DType


@dataclass(frozen=True)
class For:
    """`for var in range(low, high)`."""

    var: str
    low: Size
    high: Size
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Gemm:
    """A matrix product: c = op(a) op(b), row-major, each operand at an offset with a row
    length; with `adds`, it is added to c."""

    ta: bool
    tb: bool
    sizes: tuple[Size, Size, Size]  # m, n, k
    buffers: tuple[int, int, int]
    offsets: tuple[Size, Size, Size]
    strides: tuple[Size, Size, Size]
    adds: bool = False


@dataclass(frozen=True)
class RowMove:
    """A row of elements, moved by vectors: for i < count, target[i] = source[i * stride] where
    start <= i < stop, else 0.  With `adds`, target[i * stride] += source[i] there."""

    source: tuple[int, Size]  # a buffer and an offset
    target: tuple[int, Size]
    dtype: DType
    count: Size
    start: Size
    stop: Size
    stride: int = 1
    adds: bool = False


@dataclass(frozen=True)
class Tile:
    """A register tile of rows x cols sums of k products for each tap (`tiles.py`): c = a b, where
    each tap moves a and b by a pair of a table of i64."""

    dtype: DType
    sizes: tuple[Size, Size, Size]  # rows, cols, k
    a: tuple[int, Size]
    rs: Size
    cs: Size
    b: tuple[int, Size]
    ldb: Size
    c: tuple[int, Size]
    ldc: Size
    taps: Size
    table: tuple[int, Size]
    adds: int = 0  # 1: c += a b


@dataclass(frozen=True)
class TransposeMove:
    """A matrix of rows x cols, transposed: target[j * ldt + i] = source[i * lds + j]."""

    dtype: DType
    rows: Size
    cols: Size
    source: tuple[int, Size]
    lds: Size
    target: tuple[int, Size]
    ldt: Size


@dataclass(frozen=True)
class Transform:
    """A Winograd transform (`winograd_transforms.py`) of `squares` squares of `channels` channels;
    steps lead to the next row of a square, its next column, and the next square."""

    dtype: DType
    name: str
    channels: Size
    squares: Size
    source: tuple[int, Size]
    source_steps: tuple[Size, Size, Size]
    target: tuple[int, Size]
    target_steps: tuple[Size, Size, Size]


@dataclass(frozen=True)
class BufferArgument:
    """A buffer that an address argument points at."""

    name: str
    dtype: DType
    written: bool
    count: Size  # of its elements


NOWHERE: Mapping[int, int] = MappingProxyType({})  # no buffer lies where another does


@dataclass(frozen=True)
class Scratch:
    """A kernel's own memory while it runs on its share; as a buffer, its number follows those of
    the arguments."""

    name: str
    dtype: DType
    count: Size


@dataclass(frozen=True)
class Loops:
    """A kernel: its buffers, named size arguments, the size of its parallel axis, its body."""

    name: str
    buffers: tuple[BufferArgument, ...]
    sizes: tuple[tuple[str, Size], ...]
    extent: Size
    body: tuple[Stmt, ...]
    scratch: tuple[Scratch, ...] = ()
    least: Size = 1  # steps of the parallel axis that repay what a chunk does first


Memory = BufferArgument | Scratch
Expr = Const | Ref | IndexValue | Load | Apply | Guard
Stmt = Let | Store | FoldStep | For | Gemm | RowMove | Tile | TransposeMove | Transform
