"""cublasLt without a GPU: NumPy in its place, which takes only what fits nvmath's signatures."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.types import bf16, f16, f32, f64

real = pytest.importorskip(
    "nvmath.bindings.cublasLt",
    reason="nvmath-python is not installed: pip install 'graphc[cuda13-blas]'",
)
DTYPES = {0: f32, 1: f64, 2: f16, 14: bf16}


class Refusal(real.cuBLASLtError):
    """cublasLt's error; the real one asks the driver for its words."""

    def __init__(self, status: int) -> None:
        Exception.__init__(self, f"status {status}")
        self.status = status


def at_once(stream: int, work: Callable[[], None]) -> None:
    """A stream that is done with what is put on it."""
    work()


class FakeLt:
    """cublasLt by NumPy: it knows only what it is told through its attributes.  `put` takes a
    product and the stream that it is put on."""

    def __init__(
        self, put: Callable[[int, Callable[[], None]], None] = at_once, knows: int = 1
    ) -> None:
        self.put, self.knows, self.made, self.kept = put, knows, 0, {}
        self.MatmulHeuristicResult, self.products = real.MatmulHeuristicResult, 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(real, name)  # AttributeError if nvmath has none
        if not inspect.isroutine(function):
            return function
        if name.endswith("_dtype"):
            return function

        def call(*arguments: Any) -> Any:
            inspect.signature(function).bind(*arguments)
            kind = next(
                k
                for k in ("create", "destroy", "set_attribute", "heuristic", "matmul")
                if k in name.removeprefix("matmul_")
            )
            return getattr(self, kind)(*arguments)

        return call

    def create(self, *about: Any) -> int:
        self.made += 1
        self.kept[self.made] = {"about": about}
        return self.made

    def destroy(self, handle: int) -> None:
        del self.kept[handle]

    def set_attribute(self, handle: int, kind: Any, address: int, nbytes: int) -> None:
        self.kept[handle][kind.name] = int.from_bytes(ctypes.string_at(address, nbytes), "little")

    def heuristic(self, *arguments: Any) -> None:
        *_, limit, results, count = arguments
        assert limit == 1
        if self.knows < 0:
            raise Refusal(-self.knows)
        ctypes.c_int32.from_address(count).value = self.knows
        ctypes.c_uint64.from_address(results + 64).value = 4096

    def operand(self, address: int, kept: dict[str, Any], dtype: Any, turned: int) -> Any:
        _, rows, columns, ld = kept["about"]
        batch, stride = kept["BATCH_COUNT"], kept["STRIDED_BATCH_OFFSET"]
        whole = ctypes.string_at(address, batch * stride * dtype.itemsize)
        matrices = np.frombuffer(whole, dtype).reshape(batch, columns, ld)[:, :, :rows]
        return matrices if turned else matrices.swapaxes(1, 2)

    def matmul(
        self,
        handle: int,
        desc: int,
        alpha: int,
        a: int,
        adesc: int,
        b: int,
        bdesc: int,
        beta: int,
        c: int,
        cdesc: int,
        d: int,
        ddesc: int,
        algo: int,
        workspace: int,
        nbytes: int,
        stream: int,
    ) -> None:
        dtype = DTYPES[self.kept[adesc]["about"][0]].numpy
        kept, left, right = (dict(self.kept[x]) for x in (desc, adesc, bdesc))
        assert (c, cdesc, nbytes) == (d, ddesc, 4096) and workspace % 256 == 0

        def multiply() -> None:
            self.products += 1
            wide = self.operand(a, left, dtype, kept["TRANSA"]).astype(np.float64) @ self.operand(
                b, right, dtype, kept["TRANSB"]
            ).astype(np.float64)
            by_columns = np.ascontiguousarray(wide.swapaxes(1, 2)).astype(dtype)
            ctypes.memmove(d, by_columns.tobytes(), by_columns.nbytes)

        self.put(stream, multiply)
