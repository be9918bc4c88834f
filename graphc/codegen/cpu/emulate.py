"""Runs kernel source as plain Python: NumPy twins of every name that `intrinsics.namespace` has.

    run_in_python(source.text, words, 0, extent)

runs a kernel without numba, so that a person can step through it, and checks its indices: compiled
code reads whatever lies before and behind a buffer; here that is an `IndexError`.  Scalars are
NumPy scalars of the kernel's types.  It is slow: for small sizes and for tests.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.codegen.cpu.emulate_checks import CHECK_TWINS
from graphc.codegen.cpu.emulate_scalars import NARROW_CONVERSIONS, SCALARS
from graphc.codegen.cpu.emulate_tiles import TILE_TWINS
from graphc.ir.types import BY_NAME


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

    @property
    def zero(self) -> Any:
        """The element 0, as it is read."""
        bits = np.zeros((), self.stored)[()]
        if self.dtype == "bool":
            return np.False_
        return bits if self.narrow is None else self.narrow.value(bits)

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
        buffer = EmulatedBuffer(name, memory.__array_interface__["data"][0], int(count))
        buffer.memory = memory
        return buffer

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


NAMESPACE: dict[str, Any] = {
    **SCALARS,
    **{f"{name}_buffer": _buffer(name) for name in BY_NAME},
    **{f"{name}_scratch": _scratch(name) for name in BY_NAME},
    **{f"{name}_stack": _scratch(name) for name in ("f32", "f64", "i64")},
    **{f"{name}_memory": _memory(name) for name in ("i32", "i64", "f32", "f64")},
    **TILE_TWINS,
    **CHECK_TWINS,
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
