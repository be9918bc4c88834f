"""Arrays in a GPU's memory that graphc shares with other libraries, without a copy.

torch.from_dlpack(y)       # the same memory
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from graphc.runtime.device.array import DeviceArray
from graphc.runtime.device.protocol import Device, MemorySpan

DLPACK_CUDA = 2  # kDLCUDA


class Exporting(Device, Protocol):
    """A GPU, whose memory other libraries can use."""

    number: int

    def export(self, span: MemorySpan, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A view with `__dlpack__` of memory that no work writes any more; it keeps the memory."""


class SharedArray(DeviceArray):
    """A `DeviceArray` that other libraries can take without a copy, after all work on it."""

    device: Exporting

    def __dlpack__(self, **wishes: Any) -> Any:
        """A DLPack capsule; `wishes` (stream, max_version, ...) are the consumer's, as the array
        API has them."""
        return self.device.export(self.span, self.shape, self.dtype).__dlpack__(**wishes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLPACK_CUDA, self.device.number

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.dtype.isbuiltin != 1:  # not a type of NumPy's own
            raise AttributeError(f"__cuda_array_interface__ has no {self.type}; use __dlpack__")
        self.device.synchronize()
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.span.address, False),
            "strides": None,
            "version": 3,
        }


def holder(array: Any) -> str:
    """The GPU on which another library's array lies; "" for anything else."""
    if isinstance(array, np.ndarray | np.generic) or not hasattr(array, "__dlpack_device__"):
        return "cuda:0" if hasattr(array, "__cuda_array_interface__") else ""
    kind, number = array.__dlpack_device__()
    return f"cuda:{number}" if kind == DLPACK_CUDA else ""
