"""Results that stay on their device.

y = ...                    # a DeviceArray
torch.from_dlpack(y)       # the same memory (a GPU's only)
np.asarray(y)              # a copy on the host
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from graphc.errors import DeviceError, user_location
from graphc.ir.op import Array
from graphc.ir.types import BY_NAME, DType
from graphc.runtime.device.protocol import Device, Span

CUDA = 2  # kDLCUDA


@runtime_checkable
class Exporter(Protocol):
    """A device whose memory other libraries can use."""

    number: int

    def export(self, span: Span, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A view of finished memory that has `__dlpack__` and keeps the memory."""


@runtime_checkable
class Adopter(Protocol):
    """A device that can use other libraries' memory."""

    def adopt(self, array: Any) -> tuple[Span, tuple[int, ...], str]:
        """An array of another library on this device, without a copy."""


def device_array(device: Device, span: Span, shape: tuple[int, ...], dtype: DType) -> DeviceArray:
    """An array over a span; on a GPU it can be shared."""
    kind = SharedArray if isinstance(device, Exporter) else DeviceArray
    return kind(device, span, shape, dtype)


def foreign_device(array: Any) -> str | None:
    """The GPU on which another library's array lies; None for anything else."""
    if isinstance(array, np.ndarray | np.generic) or not hasattr(array, "__dlpack_device__"):
        return "cuda:0" if hasattr(array, "__cuda_array_interface__") else None
    kind, number = array.__dlpack_device__()
    return f"cuda:{number}" if kind == CUDA else None


def adopted(device: Device, array: Any) -> DeviceArray:
    """Another library's array on a device, without a copy."""
    if not isinstance(device, Adopter):
        raise DeviceError(f"{device.name}: takes no arrays of other libraries", user_location())
    span, shape, dtype = device.adopt(array)
    return device_array(device, span, shape, BY_NAME[dtype])  # type: ignore[arg-type]


class DeviceArray:
    """An array in a device's memory, which it keeps alive.  Contiguous."""

    def __init__(self, device: Device, span: Span, shape: tuple[int, ...], dtype: DType) -> None:
        self.device, self.span, self.shape, self.type = device, span, shape, dtype

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.numpy

    def numpy(self) -> Array:
        """A copy on the host."""
        found = np.empty(self.shape, self.dtype)
        self.device.copy(found, self.span)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"an array on {self.device.name} cannot be seen without a copy")
        return self.numpy().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type}{list(self.shape)} on {self.device.name})"


class SharedArray(DeviceArray):
    """One that other libraries can take without a copy: all work on it is done by then."""

    device: Any  # an `Exporter`, too

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, **given: Any) -> Any:
        view = self.device.export(self.span, self.shape, self.dtype)
        return view.__dlpack__(stream=stream, max_version=max_version, **given)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.device.number

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.dtype.isbuiltin != 1:  # it is none of NumPy's own
            raise AttributeError(f"__cuda_array_interface__ has no {self.type}; use __dlpack__")
        self.device.synchronize()
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.span.address, False),
            "strides": None,
            "version": 3,
        }
