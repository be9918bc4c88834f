"""Kernel source as plain Python: every name that it may call, in NumPy (the twins of
`intrinsics.namespace`).

    run_in_python(source.text, words, 0, extent)

runs a kernel without numba, so that a person can step through it, and checks its indices: compiled
code reads whatever lies before and behind a buffer; here that is an `IndexError`.  Scalars are
NumPy scalars, so types are those of the kernel.  It is slow: for small sizes and for tests.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.codegen.cpu.emulate_tiles import TILE_TWINS
from graphc.codegen.mathlib.functions import FUNCTIONS
from graphc.codegen.mathlib.numpy_scalar import twin
from graphc.ir.ops.philox import philox
from graphc.ir.types import BY_NAME, NUMBERS


class EmulatedBuffer:
    """Elements at an address; `count` of them, if that is known."""

    def __init__(self, dtype: str, address: int, count: int | None) -> None:
        self.dtype, self.address, self.count = dtype, address, count
        self.memory: Any = None  # what keeps a scratch buffer alive
        self.stored, self.narrow = BY_NAME[dtype].stored.numpy, NARROW_CONVERSIONS.get(dtype)

    def _cell(self, i: Any) -> Any:
        """An array of the one element."""
        if i < 0 or (self.count is not None and i >= self.count):
            raise IndexError(f"index {i} of a buffer of {self.count} {self.dtype}")
        size = self.stored.itemsize
        memory: Any = (ctypes.c_char * size).from_address(self.address + int(i) * size)
        return np.frombuffer(memory, self.stored)

    def __getitem__(self, i: Any) -> Any:
        cell = self._cell(i)
        if self.dtype == "bool":
            return cell[0] != 0
        return cell[0].copy() if self.narrow is None else self.narrow.value(cell[0])

    def __setitem__(self, i: Any, value: Any) -> None:
        self._cell(i)[0] = value if self.narrow is None else self.narrow.bits(value)


class Arguments:
    """The words of a kernel, and how many elements each buffer among them has."""

    def __init__(self, words: Sequence[int], counts: Sequence[int] | None) -> None:
        self.words, self.counts = [int(w) for w in words], counts

    def __getitem__(self, i: int) -> int:
        return self.words[i]


def run_in_python(
    text: str, words: Sequence[int], low: int, high: int, counts: Sequence[int] | None = None
) -> None:
    """Runs [low, high) of a kernel.  Raises `IndexError` for an access outside of a buffer: below
    it, and above it if `counts` holds the buffers' sizes."""
    scope: dict[str, Any] = dict(NAMESPACE)
    exec(compile(text, "<kernel>", "exec"), scope)
    (kernel,) = [v for k, v in scope.items() if k not in NAMESPACE and k != "__builtins__"]
    with np.errstate(all="ignore"):
        kernel(Arguments(words, counts), low, high)


def _buffer(name: str) -> Callable[[Arguments, int], EmulatedBuffer]:
    def make(args: Arguments, slot: int) -> EmulatedBuffer:
        return EmulatedBuffer(
            name, args[slot], args.counts[slot] if args.counts is not None else None
        )

    return make


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
    words[:] = [1, ctypes.c_int64(int(index)).value, int(size)]
    return 0


def cblas_gemm(
    function: Any,
    ta: int,
    tb: int,
    m: int,
    n: int,
    k: int,
    a: EmulatedBuffer,
    a_at: int,
    lda: int,
    b: EmulatedBuffer,
    b_at: int,
    ldb: int,
    c: EmulatedBuffer,
    c_at: int,
    ldc: int,
    adds: bool = False,
) -> None:
    """c = op(a) @ op(b), row by row; 112 stands for a transposed operand."""
    for i in range(m):
        for j in range(n):
            total = c.stored.type(0)
            for s in range(k):
                left = a[a_at + (s * lda + i if ta == 112 else i * lda + s)]
                total += left * b[b_at + (j * ldb + s if tb == 112 else s * ldb + j)]
            at = c_at + i * ldc + j
            c[at] = c[at] + total if adds else total


def _scratch(name: str) -> Callable[[int, int], EmulatedBuffer]:
    def make(count: int, slot: int) -> EmulatedBuffer:
        stored = BY_NAME[name].stored.numpy
        memory = np.full(int(count) * stored.itemsize + 1, 0xA5, np.uint8)
        made = EmulatedBuffer(name, memory.__array_interface__["data"][0], int(count))
        made.memory = memory
        return made

    return make


def free_scratch(buffer: EmulatedBuffer) -> None:
    """Gives the memory of a scratch buffer back."""
    buffer.memory = None


def call_python(function: int, args: Arguments, status: int) -> None:
    """Calls a Python function by the address of its native door (`runtime/cpu/python_calls.py`)."""
    words = (ctypes.c_int64 * len(args.words))(*args.words)
    state = (ctypes.c_int64 * 3).from_address(status)
    state[1] = 0
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(function)(
        ctypes.addressof(words), status
    )
    if state[1] != 1:
        state[0] = 3


def routine(address: int, *args: Any) -> int:
    """The whole number that a routine at an address returns."""
    return int(_call(ctypes.c_int32, address, args))


def procedure(address: int, *args: Any) -> None:
    """Calls a routine that returns nothing."""
    _call(None, address, args)


def _call(result: Any, address: int, args: tuple[Any, ...]) -> Any:
    ready = [_operand(a) for a in args]
    return ctypes.CFUNCTYPE(result, *map(type, ready))(int(address))(*ready)


def _operand(a: Any) -> Any:
    if isinstance(a, EmulatedBuffer):
        return ctypes.c_void_p(a.address)
    if isinstance(a, np.float32):
        return ctypes.c_float(float(a))
    return ctypes.c_double(float(a)) if isinstance(a, float) else ctypes.c_int32(int(a))


def acquire(malloc: int, size: int) -> int:
    """The address of memory from `malloc`; 0 if there is none."""
    function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(int(malloc))
    return int(function(int(size)) or 0)


def release(free: int, address: int) -> None:
    """Gives memory back."""
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(int(free))(int(address))


def at(buffer: EmulatedBuffer, offset: Any) -> EmulatedBuffer:
    """The buffer from element `offset` on."""
    count = None if buffer.count is None else buffer.count - int(offset)
    if offset < 0 or (count is not None and count < 0):
        raise IndexError(f"offset {offset} of a buffer of {buffer.count} {buffer.dtype}")
    step = int(offset) * buffer.stored.itemsize
    return EmulatedBuffer(buffer.dtype, buffer.address + step, count)


def _memory(name: str) -> Callable[[int], EmulatedBuffer]:
    return lambda address: EmulatedBuffer(name, int(address), None)


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
NAMESPACE: dict[str, Any] = {
    **SCALARS,
    **{f"{name}_buffer": _buffer(name) for name in BY_NAME},
    **{f"{name}_scratch": _scratch(name) for name in BY_NAME},
    **{f"{name}_stack": _scratch(name) for name in ("f32", "f64", "i64")},
    **{f"{name}_memory": _memory(name) for name in ("i32", "i64", "f32", "f64")},
    **TILE_TWINS,
    "cblas_gemm": cblas_gemm,
    "cblas_gemm_add": functools.partial(cblas_gemm, adds=True),
    "free_scratch": free_scratch,
    "call_python": call_python,
    "routine": routine,
    "procedure": procedure,
    "acquire": acquire,
    "release": release,
    "at": at,
}
