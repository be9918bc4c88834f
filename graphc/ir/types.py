"""Element types and tensor types.  A tensor type prints as it is written: `f32[n,784]`.

>>> print(f32["n", 784], f32[()])
f32[n,784] f32[]
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import dim
from graphc.ir.dim import Shape, Size

Kind = Literal["bool", "int", "uint", "float"]


@dataclass(frozen=True)
class DType:
    """An element type: a row of the table below.  `f32["n", 784]` makes a tensor type of it."""

    name: str
    kind: Kind
    bits: int
    significand: int = field(default=0, compare=False)  # bits, the hidden one counted
    tiled: bool = field(default=False, compare=False)  # CPUs multiply it in register tiles
    tensor_cores: bool = field(default=False, compare=False)  # GPUs multiply it on tensor cores

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype (for `bf16`, that of ml_dtypes)."""
        if self.name == "bf16":
            import ml_dtypes

            narrow: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return narrow
        return NUMPY[self.name]

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint")

    @property
    def largest(self) -> float:
        """The greatest finite number of a float type."""
        exponent_bits = self.bits - self.significand  # the sign takes the hidden bit's place
        return math.ldexp(2.0 - math.ldexp(2.0, -self.significand), (1 << exponent_bits - 1) - 1)

    @property
    def is_narrow(self) -> bool:
        """Whether it is a float for storage only, computed with in f32: f16 and bf16."""
        return self.is_float and self.bits < 32

    @property
    def accumulates(self) -> DType:
        """The type in which elements are computed with and summed: f32 for narrow floats, else the
        type itself (semantics 9.1)."""
        return f32 if self.is_narrow else self

    @property
    def stored(self) -> DType:
        """The type that an element has in memory, as its bits: u8 for bool, u16 for narrow floats,
        else the type itself."""
        if self.kind == "bool":
            return u8
        return u16 if self.is_narrow else self

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    # Python would iterate by calling `__getitem__` with 0, 1, ..., which never ends.
    __iter__ = __contains__ = None

    def __getitem__(self, shape: Any) -> TensorType:
        sizes = shape if isinstance(shape, tuple) else (shape,)
        return TensorType(self, tuple(dim.symbol(s) if isinstance(s, str) else s for s in sizes))


bool_ = DType("bool", "bool", 8)
i8, i16, i32, i64 = (DType(f"i{b}", "int", b) for b in (8, 16, 32, 64))
u8, u16, u32, u64 = (DType(f"u{b}", "uint", b) for b in (8, 16, 32, 64))
f16 = DType("f16", "float", 16, significand=11, tensor_cores=True)
bf16 = DType("bf16", "float", 16, significand=8, tensor_cores=True)
f32 = DType("f32", "float", 32, significand=24, tensor_cores=True, tiled=True)
f64 = DType("f64", "float", 64, significand=53, tiled=True)

BOOLS = (bool_,)
SIGNED = (i8, i16, i32, i64)
UNSIGNED = (u8, u16, u32, u64)
INTS = SIGNED + UNSIGNED
FLOATS = (f16, bf16, f32, f64)
NARROW_FLOATS = tuple(t for t in FLOATS if t.is_narrow)
TILED_FLOATS = tuple(t for t in FLOATS if t.tiled)
NUMBERS = INTS + FLOATS
ALL = BOOLS + NUMBERS
BY_NAME = {t.name: t for t in ALL}
NUMPY: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    **{f"i{b}": np.dtype(f"int{b}") for b in (8, 16, 32, 64)},
    **{f"u{b}": np.dtype(f"uint{b}") for b in (8, 16, 32, 64)},
}
_FROM_NUMPY = {v: BY_NAME[k] for k, v in NUMPY.items()}


def as_dtype(x: Any) -> DType:
    """A `DType` from one, from its name (`"f32"`, `"float32"`) or from a NumPy dtype.

    >>> as_dtype("float32"), as_dtype(np.int64)
    (f32, i64)
    """
    if isinstance(x, DType):
        return x
    if isinstance(x, str) and x in BY_NAME:
        return BY_NAME[x]
    if str(x) == "bfloat16" or getattr(x, "__name__", "") == "bfloat16":
        return bf16
    try:
        dtype = np.dtype(x).newbyteorder("=")
    except (TypeError, ValueError, SyntaxError):
        raise DTypeError(f"{x!r} is not an element type; use one of {', '.join(BY_NAME)}") from None
    if dtype not in _FROM_NUMPY:
        raise DTypeError(f"element type {dtype} is not supported; use one of {', '.join(BY_NAME)}")
    return _FROM_NUMPY[dtype]


def promote(a: DType, b: DType) -> DType:
    """The common type of two arrays (docs/semantics.md, table 1): NumPy's, but no integer type and
    float type ever meet in a wider float than the float, and u64 with a signed type is an error.

    >>> promote(i32, f32), promote(u8, i8), promote(f16, bf16)
    (f32, i16, f32)
    """
    if a == b:
        return a
    if a.kind == "bool" or b.kind == "bool":
        return b if a.kind == "bool" else a
    if a.is_float or b.is_float:
        if a.is_float and b.is_float:
            return f32 if a.bits == b.bits else max(a, b, key=lambda t: t.bits)
        return a if a.is_float else b
    if a.kind == b.kind:
        return max(a, b, key=lambda t: t.bits)
    unsigned, signed = (a, b) if a.kind == "uint" else (b, a)
    if signed.bits > unsigned.bits:
        return signed
    if unsigned.bits == 64:
        raise DTypeError(f"{a} and {b} have no common integer type; cast one of them")
    return BY_NAME[f"i{unsigned.bits * 2}"]


@dataclass(frozen=True)
class TensorType:
    """An element type and a shape."""

    dtype: DType
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def count(self) -> Size:
        """The number of elements."""
        return dim.product(self.shape)

    @property
    def nbytes(self) -> Size:
        return self.count * self.dtype.size

    def without(self, axes: tuple[int, ...]) -> TensorType:
        """The type with these axes dropped."""
        return TensorType(self.dtype, tuple(s for a, s in enumerate(self.shape) if a not in axes))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


TUPLE = DType("tuple", "bool", 0)  # the type of no array: only `Item` takes a value of it


@dataclass(frozen=True)
class TupleType(TensorType):
    """The type of an op with several results; `Item` takes one of them out."""

    items: tuple[TensorType, ...] = ()

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"

    __repr__ = __str__


def tuple_of(items: Iterable[TensorType]) -> TupleType:
    """The type of several results.

    >>> tuple_of([f32[2], i64[()]])
    (f32[2], i64[])
    """
    return TupleType(TUPLE, (), tuple(items))


def each(type: TensorType) -> tuple[TensorType, ...]:
    """The types of several results, or the one.

    >>> each(tuple_of([f32[2], i64[()]])), each(f32[2])
    ((f32[2], i64[]), (f32[2],))
    """
    return type.items if isinstance(type, TupleType) else (type,)
