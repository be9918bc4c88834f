"""The device itself, without a session: its copy bandwidth, its launches, cublasLt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.kernels import per_call
from benchmarks.gpu.report import Figures
from graphc.codegen.cache import Cache
from graphc.config import Options
from graphc.ir.types import DType
from graphc.runtime.cuda.cublas import ProductPlan, ProductSizes
from graphc.runtime.cuda.device import CudaDevice, open_device
from graphc.runtime.device.protocol import CopyNode, MemorySpan

LARGE = 2 << 30  # bytes: far more than a cache holds


def opened(name: str) -> CudaDevice:
    """The device; `DeviceError` says what is missing."""
    return open_device(name, Cache(Options().cache_dir))


def whole(device: CudaDevice, nbytes: int) -> MemorySpan:
    return MemorySpan(device.allocate(nbytes), 0, nbytes)


def bandwidth(device: CudaDevice) -> Figures:
    """Bytes read and written in a second by a copy on the device: what kernels are held to."""
    a, b = whole(device, LARGE), whole(device, LARGE)
    seconds = per_call(lambda: device.copy(b, a), device.synchronize)
    return {"ms": seconds * 1e3, "bytes": 2 * LARGE, "gbs": 2 * LARGE / seconds / 1e9}


def link(device: CudaDevice) -> Figures:
    """Bytes a second from the host's arrays to the device and back."""
    array = np.ones(256 << 20, np.uint8)
    there = whole(device, array.nbytes)
    up = per_call(lambda: device.copy(there, array), device.synchronize)
    down = per_call(lambda: device.copy(array, there), device.synchronize)
    return {"gbs": array.nbytes / up / 1e9, "others": {"down GB/s": array.nbytes / down / 1e9}}


def copies_intact(device: CudaDevice) -> Figures:
    """That what goes to the device comes back the same, in pieces and whole."""
    rng = np.random.default_rng(0)
    for count in (1, 63, 65_537, 50_000_001):
        array = rng.integers(0, 256, count, np.uint8)
        first, second, back = whole(device, count), whole(device, count), np.empty_like(array)
        device.copy(first, array)
        device.copy(second, first)
        device.copy(back, second)
        assert np.array_equal(array, back), f"{count} bytes came back changed"
    return {}


def replay(device: CudaDevice) -> Figures:
    """A graph of two small copies, one after the other: the cost of a launch alone."""
    a, b, c = (whole(device, 1024) for _ in range(3))
    graph = device.graph([CopyNode(b, a), CopyNode(c, b, (0,))])
    return {"us": per_call(graph.run, device.synchronize) * 1e6}


def planned(device: CudaDevice, product: ProductSizes) -> ProductPlan:
    """A product by cublasLt, which must know it."""
    library = device.library()
    assert library is not None
    plan = library.plan(product)
    assert plan is not None, f"cublasLt knows no way to do {product}"
    return plan


def cublas(device: CudaDevice, m: int, n: int, k: int, dtype: DType) -> Callable[[], Any] | None:
    """A product by cublasLt on random matrices, or None where that is not installed."""
    if device.library() is None:
        return None
    rng = np.random.default_rng(0)
    a, b, c = (whole(device, count * dtype.size) for count in (m * k, k * n, m * n))
    for span in (a, b):
        some = rng.standard_normal(min(span.nbytes // dtype.size, 1_000_003), np.float32)
        device.copy(span, np.resize(some.astype(dtype.numpy), span.nbytes // dtype.size))
    return device.graph([planned(device, ProductSizes(m, n, k, dtype)).call(a, b, c)]).run


def cublas_right(device: CudaDevice, dtype: DType, ta: bool, tb: bool) -> Figures:
    """The error of one product by cublasLt, as a node of a graph."""
    if device.library() is None:
        return {"skipped": "nvmath-python and nvidia-cublas are not installed"}
    m, n, k, rng = 129, 65, 257, np.random.default_rng(0)
    a = rng.standard_normal((k, m) if ta else (m, k), np.float32).astype(dtype.numpy)
    b = rng.standard_normal((n, k) if tb else (k, n), np.float32).astype(dtype.numpy)
    c = np.empty((m, n), dtype.numpy)
    spans = [whole(device, x.nbytes) for x in (a, b, c)]
    device.copy(spans[0], a)
    device.copy(spans[1], b)
    plan = planned(device, ProductSizes(m, n, k, dtype, ta, tb))
    device.graph([plan.call(spans[0], spans[1], spans[2])]).run()
    device.copy(c, spans[2])
    left, right = (x.astype(np.float64) for x in (a.T if ta else a, b.T if tb else b))
    wanted = left @ right
    worst = float(np.max(np.abs(c.astype(np.float64) - wanted)) / np.max(np.abs(wanted)))
    bound = 2.0**-7 if dtype.bits == 16 else 1e-5
    assert worst <= bound, f"the error is {worst:.2e}, at most {bound:.2e} is right"
    return {"worst": worst}
