"""What is said on a machine that lacks something a GPU needs.  No package of CUDA's is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.gpu import has_driver

from graphc.errors import DeviceError
from graphc.runtime.cuda.driver import CudaDriver, find_driver, number_of, require_number


class Library:
    """libcuda, of some version, with some cards, of which one function may fail."""

    def __init__(self, version: int, cards: tuple[str, ...] = (), failing: str = "") -> None:
        self.version, self.cards, self.failing = version, cards, failing
        self.asked: list[str] = []

    def __getattr__(self, function: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.asked.append(function)
            if function == self.failing:
                return 100
            match function:
                case "cuDriverGetVersion":
                    arguments[0]._obj.value = self.version
                case "cuDeviceGetCount":
                    arguments[0]._obj.value = len(self.cards)
                case "cuDeviceGet":
                    arguments[0]._obj.value = arguments[1].value
                case "cuDeviceGetName":
                    arguments[0].value = self.cards[arguments[2].value].encode()
                case "cuGetErrorString":
                    arguments[1]._obj.value = b"no CUDA-capable device is detected"
            return 0

        return call


def test_no_driver() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(
        DeviceError,
        match=r"cuda:0: no NVIDIA driver \(libcuda.so.1: cannot open.*"
        r"install one of version 580 or newer, or use device=",
    ):
        find_driver("cuda:0", load)


def test_an_old_driver() -> None:
    library = Library(12040, ("old",))
    with pytest.raises(DeviceError, match=r"it runs CUDA 12\.4, graphc needs 13\.0; install a dri"):
        find_driver("cuda:0", lambda name: library)
    assert library.asked == ["cuDriverGetVersion"]


@pytest.mark.parametrize("failing", ["cuInit", "cuDeviceGetCount"])
def test_a_driver_that_does_not_work(failing: str) -> None:
    with pytest.raises(
        DeviceError,
        match=rf"{failing} says 'no CUDA-capable device is detected' "
        r"\(100\); see whether nvidia-smi lists",
    ):
        find_driver("cuda:0", lambda name: Library(13000, failing=failing))


def test_cards_are_found_and_named() -> None:
    driver = find_driver("cuda:0", lambda name: Library(13010, ("NVIDIA H200", "NVIDIA L4")))
    assert driver == CudaDriver(13010, ("NVIDIA H200", "NVIDIA L4"))
    assert require_number("cuda:1", driver) == 1 and require_number("cuda", driver) == 0
    with pytest.raises(
        DeviceError,
        match=r"cuda:2: there is no such device; this machine has "
        r"cuda:0 \(NVIDIA H200\), cuda:1 \(NVIDIA L4\)$",
    ):
        require_number("cuda:2", driver)
    with pytest.raises(DeviceError, match="this machine has no GPU"):
        require_number("cuda:0", CudaDriver(13000, ()))


@pytest.mark.parametrize("name", ["gpu:0", "cuda:", "cuda:-1", "cuda:x", "CUDA:0", ""])
def test_names_that_are_no_gpu(name: str) -> None:
    with pytest.raises(DeviceError, match="is no GPU; expected cuda:0, cuda:1"):
        number_of(name)


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_this_machine_has_no_driver() -> None:
    from graphc.codegen.cache import Cache
    from graphc.config import Options
    from graphc.runtime.cuda.device import open_device

    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        open_device("cuda:0", Cache(Options().cache_dir))
