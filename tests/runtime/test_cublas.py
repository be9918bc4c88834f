"""Products by cublasLt, with no GPU: the calls fit nvmath's signatures, and the layouts that are
asked for mean the product.  None of this has run on a GPU; `make gpu-check` does."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.cublas import FakeLt, Refusal, real

from graphc.errors import DeviceError
from graphc.ir.types import DType, bf16, f16, f32, f64
from graphc.runtime.cuda.cublas import (
    CUBLAS_NOT_SUPPORTED,
    PACKAGES,
    Library,
    ProductPlan,
    ProductSizes,
    library,
)
from graphc.runtime.device.protocol import Allocation, MemorySpan

WORKSPACE = MemorySpan(Allocation(0x700, 1 << 20), 0, 1 << 20)
DEVICE: Any = SimpleNamespace(name="cuda:0", allocate=lambda nbytes: Allocation(0x700, nbytes))


def library_of(fake: FakeLt) -> Library:
    return Library(fake, fake.create(), "cuda:0", WORKSPACE)


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
    plan = library_of(FakeLt()).plan(ProductSizes(m, n, k, dtype, ta, tb, batch))
    assert plan is not None
    spans = [MemorySpan(Allocation(x.ctypes.data, x.nbytes), 0, x.nbytes) for x in (a, b, c)]
    made = plan.call(*spans)
    assert (made.read, made.written) == (tuple(spans[:2]), (spans[2], WORKSPACE.part(0, 4096)))
    made.enqueue(77)
    expected = (a.swapaxes(1, 2) if ta else a) @ (b.swapaxes(1, 2) if tb else b)
    assert np.array_equal(c, expected)


def test_types_are_those_of_the_headers() -> None:
    from nvmath._utils import CudaDataType as Kind
    from nvmath.bindings.cublas import ComputeType, Operation, Status

    made: dict[str, Any] = {}
    for dtype in (f32, f64, f16, bf16):
        fake = FakeLt()
        plan = ProductPlan(library_of(fake), ProductSizes(2, 2, 2, dtype))
        made[dtype.name] = (*fake.kept[plan.description]["about"], fake.kept[plan.left]["about"][0])
    assert made == {
        "f32": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_32F),
        "f64": (ComputeType.COMPUTE_64F, Kind.CUDA_R_64F, Kind.CUDA_R_64F),
        "f16": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_16F),
        "bf16": (ComputeType.COMPUTE_32F, Kind.CUDA_R_32F, Kind.CUDA_R_16BF),
    }
    assert (Operation.N, Operation.T) == (0, 1)
    assert Status.NOT_SUPPORTED == CUBLAS_NOT_SUPPORTED
    assert Refusal(3).__reduce__() == (Refusal, (3,))  # the real one keeps its status there, too
    assert real.matmul_heuristic_result_dtype.fields["algo"][1] == 0


def test_what_a_plan_made_is_given_back() -> None:
    fake = FakeLt()
    plan = ProductPlan(library_of(fake), ProductSizes(2, 2, 2, f32))
    assert len(fake.kept) == 5  # context, description, three layouts; the preference is gone
    del plan
    assert fake.kept == {}


@pytest.mark.parametrize("knows", [0, -CUBLAS_NOT_SUPPORTED])
def test_no_algorithm_is_no_plan(knows: int) -> None:
    fake = FakeLt(knows=knows)
    assert library_of(fake).plan(ProductSizes(2, 2, 2, f32)) is None
    assert fake.kept == {}


def test_what_cublas_refuses_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match=r"cuda:0: cublasLt fails at Product\(m=2.*status 1; lea"):
        library_of(FakeLt(knows=-1)).plan(ProductSizes(2, 2, 2, f32))


def test_where_it_is_not_installed_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert library(DEVICE) is None


def test_installed_without_a_driver_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def create() -> int:
        raise RuntimeError("CUDA driver is not found")

    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.0")
    monkeypatch.setattr(
        importlib,
        "import_module",
        lambda name: SimpleNamespace(create=create, cuBLASLtError=real.cuBLASLtError),
    )
    with pytest.raises(DeviceError, match=r"cublasLt does not work: CUDA driver is not found; pip"):
        library(DEVICE)
    assert PACKAGES == ("nvmath-python", "nvidia-cublas")
