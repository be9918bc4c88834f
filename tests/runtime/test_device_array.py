"""Results that stay on a device.  Sharing with other libraries has not run on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError
from graphc.ir.types import DType, bf16, f32
from graphc.runtime.cuda.shared_array import SharedArray
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.array import DeviceArray, device_array
from graphc.runtime.device.protocol import Allocation, MemorySpan


def filled(device: Any) -> tuple[MemorySpan, np.ndarray[Any, Any]]:
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    span = MemorySpan(device.allocate(32), 8, 24)
    device.copy(span, data)
    return span, data


def test_on_a_simulated_device_it_can_only_be_copied() -> None:
    device = SimulatedDevice()
    span, data = filled(device)
    array = device_array(device, span, (2, 3), f32)
    assert type(array) is DeviceArray and repr(array) == "DeviceArray(f32[2, 3] on cuda:sim)"
    assert np.array_equal(array.numpy(), data) and array.dtype == np.float32
    assert np.array_equal(np.asarray(array), data)
    assert np.asarray(array, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="cuda:sim cannot be seen without a copy"):
        np.asarray(array, copy=False)
    for attribute in ("__dlpack__", "__cuda_array_interface__"):
        assert not hasattr(array, attribute)


class Sharing(SimulatedDevice):
    """One that shares, and notes what it was asked for."""

    number = 3

    def __init__(self) -> None:
        super().__init__("cuda:3")
        self.asked: list[str] = []

    def synchronize(self) -> None:
        self.asked.append("synchronize")

    def shared(self, span: MemorySpan, shape: tuple[int, ...], dtype: DType) -> SharedArray:
        return SharedArray(self, span, shape, dtype)

    def export(self, span: MemorySpan, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        self.asked.append("export")
        memory: np.ndarray[Any, Any] = span.memory.handle
        return memory[span.offset : span.offset + span.nbytes].view(dtype).reshape(shape)


def test_on_a_gpu_it_is_shared() -> None:
    device = Sharing()
    span, _ = filled(device)
    array: Any = device_array(device, span, (2, 3), f32)
    assert type(array) is SharedArray and array.__dlpack_device__() == (2, 3)
    assert "dltensor" in repr(array.__dlpack__()) and device.asked == ["export"]
    assert array.__cuda_array_interface__ == {
        "shape": (2, 3),
        "typestr": "<f4",
        "data": (span.address, False),
        "strides": None,
        "version": 3,
    }
    assert device.asked == ["export", "synchronize"]


def test_bf16_has_no_array_interface() -> None:
    pytest.importorskip("ml_dtypes")
    array = device_array(Sharing(), MemorySpan(Allocation(0, 4), 0, 4), (2,), bf16)
    assert not hasattr(array, "__cuda_array_interface__")


def test_results_that_stay_are_the_callers_own() -> None:
    """semantics 19.6"""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 4])
        y, n = gc.tanh(x), gc.placeholder(gc.int64, [4])
    ones = np.ones((3, 4), np.float32)
    with gc.Session(graph, device="cuda:sim") as sess:
        first = sess.run(y, {x: ones}, on_device=True)
        again = sess.run(y, {x: first}, on_device=True)
        assert isinstance(first, DeviceArray) and first.shape == (3, 4)
        np.testing.assert_allclose(again.numpy(), np.tanh(np.tanh(ones)), rtol=1e-6)
        np.testing.assert_allclose(first.numpy(), np.tanh(ones), rtol=1e-6)
        host, there = sess.run([x, y], {x: first}, on_device=True)
        assert np.array_equal(host, first.numpy()) and isinstance(there, DeviceArray)
        with pytest.raises(FeedError, match="got elements of type float32 on cuda:sim"):
            sess.run(n * 2, {n: first})
    with gc.Session(graph) as sess:  # on the host, an array of a device is an array
        np.testing.assert_allclose(sess.run(y, {x: first}), np.tanh(np.tanh(ones)), rtol=1e-6)
