"""A GPU without a GPU: cuda-core's stand-ins (`cuda.py`) launch the simulator on their memory,
and cublasLt's (`cublas.py`) multiplies there."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from support.cuda import FakeCuda

from graphc.codegen.cache import Cache
from graphc.codegen.cuda.simulator.simulate import simulate
from graphc.codegen.device_source import DeviceSource
from graphc.runtime.cuda.device import CudaDevice, Preparer
from graphc.runtime.cuda.simulated import ELEMENT_TYPES


def has_driver() -> bool:
    """Whether this machine has NVIDIA's driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def fake_gpu(cuda: FakeCuda, preparer: Preparer | None = None) -> Callable[..., CudaDevice]:
    """What opens a device whose machine code is the simulator's."""

    def compiler(
        source: DeviceSource, capability: tuple[int, int], cache: Cache
    ) -> tuple[str, bytes]:
        code = f"{len(cuda.kernels)}".encode()

        def kernel(config: Any, *words: int) -> None:
            assert config.block == source.threads
            simulate(
                source,
                config.grid,
                config.shmem_size,
                [seen(cuda, w, p) for w, p in zip(words, source.parameters, strict=True)],
            )

        cuda.kernels[code] = kernel
        return f"k{code.decode()}", code

    return lambda name, cache: CudaDevice(0, cache, cuda.toolkit(), compiler, preparer)


def seen(cuda: FakeCuda, word: int, parameter: str) -> Any:
    """An argument as the simulator takes it: an address becomes its memory, to the end of the
    allocation."""
    if not parameter.endswith("*"):
        return word - (1 << 64) if parameter == "i64" and word >> 63 else word
    dtype: Any = np.dtype(ELEMENT_TYPES[parameter.removesuffix("*")])
    space = next(m for m in cuda.memory if m.ctypes.data <= word < m.ctypes.data + m.nbytes)
    start = word - space.ctypes.data
    count = (space.nbytes - start) // dtype.itemsize
    return space[start : start + count * dtype.itemsize].view(dtype)
