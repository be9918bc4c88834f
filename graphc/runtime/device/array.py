"""Results that stay on their device.

y = ...                    # a DeviceArray
np.asarray(y)              # a copy on the host
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from graphc.errors import DeviceError, user_location
from graphc.ir.op import Array
from graphc.ir.types import BY_NAME, DType
from graphc.runtime.device.protocol import Device, MemorySpan


@runtime_checkable
class Exporter(Protocol):
    """A device whose memory other libraries can use."""

    def shared(self, span: MemorySpan, shape: tuple[int, ...], dtype: DType) -> DeviceArray:
        """An array over a span that other libraries can take without a copy."""


@runtime_checkable
class Adopter(Protocol):
    """A device that can use other libraries' memory."""

    def adopt(self, array: Any) -> tuple[MemorySpan, tuple[int, ...], str]:
        """An array of another library on this device, without a copy."""


def device_array(
    device: Device, span: MemorySpan, shape: tuple[int, ...], dtype: DType
) -> DeviceArray:
    """An array over a span; other libraries can use it if the device is an `Exporter`."""
    if isinstance(device, Exporter):
        return device.shared(span, shape, dtype)
    return DeviceArray(device, span, shape, dtype)


def adopted(device: Device, array: Any) -> DeviceArray:
    """Another library's array on a device, without a copy."""
    if not isinstance(device, Adopter):
        raise DeviceError(f"{device.name}: takes no arrays of other libraries", user_location())
    span, shape, dtype = device.adopt(array)
    return device_array(device, span, shape, BY_NAME[dtype])  # type: ignore[arg-type]


class DeviceArray:
    """An array in a device's memory, which it keeps alive.  Contiguous."""

    def __init__(
        self, device: Device, span: MemorySpan, shape: tuple[int, ...], dtype: DType
    ) -> None:
        self.device, self.span, self.shape, self.type = device, span, shape, dtype

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.numpy

    def numpy(self) -> Array:
        """A copy on the host."""
        array = np.empty(self.shape, self.dtype)
        self.device.copy(array, self.span)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"an array on {self.device.name} cannot be seen without a copy")
        return self.numpy().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type}{list(self.shape)} on {self.device.name})"
