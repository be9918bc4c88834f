"""Products by cublasLt, with no GPU: the calls fit nvmath's signatures, and the layouts that are
asked for mean the product.  None of this has run on a GPU; `make gpu-check` does."""

from __future__ import annotations

import ctypes
import importlib
import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphc.errors import DeviceError
from graphc.ir.types import DType, bf16, f16, f32, f64
from graphc.runtime.cublas import PACKAGES, Library, Plan, Product, library
from graphc.runtime.device import Memory, Span

real = pytest.importorskip(
    "nvmath.bindings.cublasLt",
    reason="nvmath-python is not installed: pip install 'graphc[cuda13-blas]'")


class Fake:
    """cublasLt by NumPy: it knows only what it is told through its attributes."""

    def __init__(self, knows: int = 1) -> None:
        self.knows, self.made, self.kept = knows, 0, {}
        self.MatmulHeuristicResult = real.MatmulHeuristicResult

    def __getattr__(self, name: str) -> Any:
        function = getattr(real, name)
        if not inspect.isroutine(function):
            return function
        if name.endswith("_dtype"):
            return function

        def call(*arguments: Any) -> Any:
            inspect.signature(function).bind(*arguments)
            kind = next(k for k in ("create", "destroy", "set_attribute", "heuristic", "matmul")
                        if k in name.removeprefix("matmul_"))
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
        ctypes.c_int32.from_address(count).value = self.knows
        ctypes.c_uint64.from_address(results + 64).value = 4096

    def operand(self, address: int, layout: int, dtype: Any, turned: int) -> Any:
        kept = self.kept[layout]
        _, rows, columns, ld = kept["about"]
        batch, stride = kept["BATCH_COUNT"], kept["STRIDED_BATCH_OFFSET"]
        whole = ctypes.string_at(address, batch * stride * dtype.itemsize)
        matrices = np.frombuffer(whole, dtype).reshape(batch, columns, ld)[:, :, :rows]
        return matrices if turned else matrices.swapaxes(1, 2)

    def matmul(
        self, handle: int, desc: int, alpha: int, a: int, adesc: int, b: int, bdesc: int,
        beta: int, c: int, cdesc: int, d: int, ddesc: int, algo: int, workspace: int,
        nbytes: int, stream: int,
    ) -> None:
        dtype = np.dtype({0: "f4", 1: "f8", 2: "f2"}[self.kept[adesc]["about"][0]])
        kept = self.kept[desc]
        product = (self.operand(a, adesc, dtype, kept["TRANSA"])
                   @ self.operand(b, bdesc, dtype, kept["TRANSB"]))
        assert (c, cdesc, nbytes, stream) == (d, ddesc, 4096, 77) and workspace % 256 == 0
        by_columns = np.ascontiguousarray(product.swapaxes(1, 2)).astype(dtype)
        ctypes.memmove(d, by_columns.tobytes(), by_columns.nbytes)


DEVICE: Any = SimpleNamespace(name="cuda:0", allocate=lambda nbytes: Memory(0x700, nbytes))


@pytest.mark.parametrize("dtype", [f32, f64, f16])
@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("m, n, k, batch", [(3, 4, 5, 1), (1, 7, 2, 1), (5, 3, 1, 4)])
def test_the_layouts_mean_the_product(
    dtype: DType, ta: bool, tb: bool, m: int, n: int, k: int, batch: int
) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(-4, 5, (batch, *((k, m) if ta else (m, k)))).astype(dtype.numpy)
    b = rng.integers(-4, 5, (batch, *((n, k) if tb else (k, n)))).astype(dtype.numpy)
    c = np.zeros((batch, m, n), dtype.numpy)
    plan = Library(Fake(), 0).plan(DEVICE, Product(m, n, k, dtype, ta, tb, batch))
    spans = [Span(Memory(x.ctypes.data, x.nbytes), 0, x.nbytes) for x in (a, b, c)]
    plan.call(*spans).enqueue(77)
    expected = (a.swapaxes(1, 2) if ta else a) @ (b.swapaxes(1, 2) if tb else b)
    assert np.array_equal(c, expected)


def test_types_are_those_of_the_headers() -> None:
    from nvmath._utils import CudaDataType as Kind
    from nvmath.bindings.cublas import ComputeType, Operation

    made: dict[str, Any] = {}
    for dtype in (f32, f64, f16, bf16):
        fake = Fake()
        plan = Plan(Library(fake, 0), DEVICE, Product(2, 2, 2, dtype))
        made[dtype.name] = (*fake.kept[plan.description]["about"], fake.kept[plan.left]["about"][0])
    assert made == {
        "f32": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_32F),
        "f64": (ComputeType.COMPUTE_64F, Kind.CUDA_R_64F, Kind.CUDA_R_64F),
        "f16": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_16F),
        "bf16": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_16BF),
    }
    assert (Operation.N, Operation.T) == (0, 1)
    assert real.matmul_heuristic_result_dtype.fields["algo"][1] == 0


def test_what_a_plan_made_is_given_back() -> None:
    fake = Fake()
    plan = Plan(Library(fake, 0), DEVICE, Product(2, 2, 2, f32))
    assert len(fake.kept) == 4  # the description and three layouts; the preference is gone
    del plan
    assert fake.kept == {}


def test_no_algorithm_is_an_error() -> None:
    with pytest.raises(DeviceError, match=r"cuda:0: cublasLt knows no way to do Product\(m=2"):
        Plan(Library(Fake(knows=0), 0), DEVICE, Product(2, 2, 2, f32))


def test_where_it_is_not_installed_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert library.__wrapped__() is None


def test_installed_without_a_driver_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def create() -> int:
        raise RuntimeError("CUDA driver is not found")

    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.0")
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(create=create))
    with pytest.raises(DeviceError, match=r"cublasLt does not work: CUDA driver is not found; pip"):
        library.__wrapped__()
    assert PACKAGES == ("nvmath-python", "nvidia-cublas")
