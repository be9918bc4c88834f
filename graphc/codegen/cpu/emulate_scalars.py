"""The scalars of kernel source as NumPy scalars: conversions, arithmetic, order, random bits.

`emulate.py` adds buffers and calls to them, for CPUs; `codegen.cuda.simulator` has those of a GPU.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.numpy_scalar import twin
from graphc.codegen.status import Status
from graphc.ir.ops.philox import philox
from graphc.ir.types import BY_NAME, NUMBERS


def _type(name: str) -> Callable[[Any], Any]:
    """Conversion by a type's name: integers wrap."""
    dtype = BY_NAME[name].accumulates.numpy
    if dtype.kind == "f":
        return dtype.type
    return lambda x: _wrapped(int(x), dtype)


def _wrapped(value: int, dtype: Any) -> Any:
    bits = 8 * dtype.itemsize
    value &= (1 << bits) - 1
    return dtype.type(value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value)


def _cast(name: str) -> Callable[[Any], Any]:
    dtype = BY_NAME[name].accumulates.numpy

    def to(x: Any) -> Any:
        if dtype.kind == "b":
            return np.bool_(x != 0)
        if dtype.kind == "f":
            narrow = NARROW_CONVERSIONS.get(name)
            return dtype.type(x) if narrow is None else narrow.rounded(dtype.type(x))
        if np.asarray(x).dtype.kind != "f":
            return _wrapped(int(x), dtype)
        info = np.iinfo(dtype)
        if math.isnan(x):
            return dtype.type(0)
        return dtype.type(
            (info.min if x < 0 else info.max)
            if math.isinf(x)
            else min(max(int(x), int(info.min)), int(info.max))
        )

    return to


@dataclass(frozen=True)
class NarrowFloat:
    """A float that is kept as its bits (u16) and computed with as an f32."""

    bits: Callable[[Any], Any]  # of an f32, rounded to nearest even
    value: Callable[[Any], Any]  # the f32 that such bits stand for

    def rounded(self, x: Any) -> Any:
        """An f32 rounded to what the type can hold."""
        return self.value(self.bits(x))


def _bf16_bits(x: Any) -> Any:
    """The upper half of an f32, rounded to nearest even; NaN stays NaN."""
    bits = int(np.float32(x).view(np.uint32))
    if math.isnan(x):
        return np.uint16((bits | 0x400000) >> 16)
    return np.uint16((bits + ((bits >> 16) & 1) + 0x7FFF) >> 16)


NARROW_CONVERSIONS = {
    "f16": NarrowFloat(
        lambda x: np.float16(np.float32(x)).view(np.uint16),
        lambda bits: np.float32(np.uint16(bits).view(np.float16)),
    ),
    "bf16": NarrowFloat(_bf16_bits, lambda bits: np.uint32(int(bits) << 16).view(np.float32)),
}


def _is_float(x: Any) -> bool:
    return isinstance(x, float | np.floating)


def maximum(a: Any, b: Any) -> Any:
    """The greater; NaN wins, and 0.0 is above -0.0."""
    if _is_float(a):
        if a != a or b != b:
            return a if a != a else b
        if a == b:
            return b if np.signbit(a) else a
    return a if a > b else b


def minimum(a: Any, b: Any) -> Any:
    """The lesser; NaN wins, and -0.0 is below 0.0."""
    if _is_float(a):
        if a != a or b != b:
            return a if a != a else b
        if a == b:
            return a if np.signbit(a) else b
    return a if a < b else b


def absolute(x: Any) -> Any:
    """The size of x; of the least integer, itself."""
    return abs(x) if _is_float(x) else type(x)(_wrapped(abs(int(x)), x.dtype))


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN for NaN."""
    return x if x != x else type(x)(1 if x > 0 else -1 if x < 0 else 0)


def floor_divide(x: Any, y: Any) -> Any:
    """Towards minus infinity; integers by 0 give 0."""
    if _is_float(x):
        return np.floor_divide(x, y)
    return _wrapped(int(x) // int(y), x.dtype) if y != 0 else type(x)(0)


def remainder(x: Any, y: Any) -> Any:
    """With the sign of y; integers by 0 give 0."""
    if _is_float(x):
        return np.remainder(x, y)
    return _wrapped(int(x) % int(y), x.dtype) if y != 0 else type(x)(0)


def power(x: Any, y: Any) -> Any:
    """x to the y; integers wrap, and a negative exponent gives the truncated value."""
    if _is_float(x):
        return twin("power")(x, y)
    base, exponent = int(x), int(y)
    if exponent < 0:
        return type(x)(base ** (-exponent % 2) if base in (1, -1) else 0)
    return _wrapped(pow(base, exponent, 1 << 64), x.dtype)


def left_shift(x: Any, n: Any) -> Any:
    """Shifted; 0 if all bits leave."""
    inside = 0 <= int(n) < 8 * x.dtype.itemsize
    return _wrapped(int(x) << int(n), x.dtype) if inside else type(x)(0)


def right_shift(x: Any, n: Any) -> Any:
    """Shifted; 0 or -1 if all bits leave."""
    inside = 0 <= int(n) < 8 * x.dtype.itemsize
    return type(x)(int(x) >> int(n)) if inside else type(x)(-1 if x < 0 else 0)


def where(c: Any, x: Any, y: Any) -> Any:
    """x if c else y."""
    return x if c else y


def random_bits(key: Any, counter: Any, position: Any) -> Any:
    """The first word of Philox4x32-10."""
    return philox(int(key), int(counter), np.array([int(position)], np.uint64))[0]


def check_index(index: Any, size: Any, status: int) -> int:
    """The index made non-negative; out of range, it is noted in `status` and 0 is returned."""
    moved = int(index) + int(size) if index < 0 else int(index)
    if 0 <= moved < size:
        return moved
    words = (ctypes.c_int64 * 3).from_address(status)
    words[:] = [Status.OUT_OF_RANGE, ctypes.c_int64(int(index)).value, int(size)]
    return 0


def _arithmetic(name: str) -> Callable[[Any, Any], Any]:
    """Sums and products; of integers, wrapping."""
    function = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[name]
    return lambda a, b: function(a, b) if _is_float(a) else function(np.int64(a), np.int64(b))


def _positions(beyond: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """x beats y: it is beyond it, or the first NaN."""
    return lambda x, y: bool(beyond(x, y) or (x != x and y == y))


TYPES = tuple(t.name for t in NUMBERS if not t.is_narrow)  # in which kernels compute
SCALARS: dict[str, Any] = {  # the names that mean the same on every machine
    **{name: _type(name) for name in TYPES},
    **{f"cast_{name}": _cast(name) for name in BY_NAME},
    **{f"round_{name}": narrow.rounded for name, narrow in NARROW_CONVERSIONS.items()},
    **{name: twin(name) for name, row in FUNCTIONS.items() if not row.takes_integers},
    **{f"fold_{name}": _arithmetic(name) for name in ("add", "multiply")},
    **{f"wrap_{name}": _arithmetic(name) for name in ("add", "subtract", "multiply")},
    "inf": np.inf,
    "nan": np.nan,
    "where": where,
    "maximum": maximum,
    "minimum": minimum,
    "max": maximum,
    "min": minimum,
    "absolute": absolute,
    "sign": sign,
    "floor_divide": floor_divide,
    "remainder": remainder,
    "power": power,
    "left_shift": left_shift,
    "right_shift": right_shift,
    "logical_not": np.logical_not,
    "greater_or_nan": _positions(np.greater),
    "less_or_nan": _positions(np.less),
    "random_bits": random_bits,
    "check_index": check_index,
}
