"""Thunks: native functions that call Python, one for each kernel of a plan that does so.

A kernel calls the thunk with the address of its arguments; the thunk takes the GIL and gives the op
copies of the operands.  Invariant: no exception passes through native code.  `error` keeps the
exception, the kernel notes status 3, and the runner raises it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.op import Array, Foreign
from graphc.ir.substitute import substitute_fields
from graphc.ir.types import TensorType

CALLBACK_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)
WORD_BYTES = 8
Place = tuple[np.dtype[Any], tuple[int, ...]]


class PythonCall:
    """What a plan calls in Python: the exception that it keeps, and the thread where it runs."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.thread: int | None = None  # where the function is running

    def is_here(self) -> bool:
        """Whether the calling thread is inside the function."""
        return self.thread is not None and self.thread == threading.get_ident()

    def interrupt(self) -> None:
        """Raises `KeyboardInterrupt` in the function, if it is running in another thread."""
        thread = self.thread
        if thread is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
            )

    def taken(self) -> BaseException | None:
        """The exception that the function raised, or None, and forgets it."""
        error, self.error, self.thread = self.error, None, None
        return error


class Thunk(PythonCall):
    """Computes `value` in Python, at these sizes, when a kernel calls the code at `address`."""

    def __init__(self, value: Value, sizes: Mapping[str, int]) -> None:
        super().__init__()
        op = substitute_fields(value.op, sizes)
        assert isinstance(op, Foreign)
        self.op = op
        self.places = [place_of(t, sizes) for t in (*(a.type for a in value.args), value.type)]
        self._native = CALLBACK_TYPE(self._call)
        address = ctypes.cast(self._native, ctypes.c_void_p).value
        assert address is not None
        self.address = address

    def _call(self, args: int, status: int) -> None:
        # Ctrl-C may raise wherever Python looks for signals: at the entry of a function, at a
        # loop's end, after a call.  There is none of these after `done.value = 1`.  If it strikes
        # before or after the `try`, `done` stays 0 and the runner takes that for Ctrl-C.
        try:
            done = ctypes.c_int64.from_address(status + WORD_BYTES)
            self.thread = threading.get_ident()
            words = (ctypes.c_int64 * len(self.places)).from_address(args)
            *operands, out = [view_of(w, *p) for w, p in zip(words, self.places, strict=True)]
            operands = [a.copy() for a in operands]  # no view outlives the call, in a traceback
            out[...] = self.op.call(*operands)
            self.thread = None
            done.value = 1
        except BaseException as error:
            self.thread, trace = None, error.__traceback__
            self.error = error.with_traceback(trace and trace.tb_next)  # without the views


def place_of(type: TensorType, sizes: Mapping[str, int]) -> Place:
    """The element type and the shape of an array."""
    return type.dtype.numpy, dim.numbers(type.shape, sizes)


def view_of(address: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """The array at an address."""
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)
