"""NVIDIA GPUs, `cuda:N`, and simulated ones, `cuda:sim`: opened, described, listed."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from graphc.codegen.cache import Cache
from graphc.codegen.cuda.toolchain.cubin import require
from graphc.errors import DeviceError
from graphc.ir.machine import PRESETS, DeviceSpec
from graphc.passes.placement.placed import show_bytes
from graphc.runtime.cuda.device import CudaDevice, open_device
from graphc.runtime.cuda.driver import find_driver
from graphc.runtime.cuda.shared_array import holder
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.protocol import Device

SIMULATED = "cuda:sim"
DEFAULT_SPEC = PRESETS["H100"]  # stands for whatever a GPU does not say of itself


@dataclass(frozen=True)
class CudaFamily:
    """GPUs and their simulator."""

    names: tuple[str, ...] = ("cuda:N", SIMULATED)

    def open(self, name: str, cache: Cache) -> Device:
        """A GPU, or a simulated one."""
        if re.fullmatch(rf"{SIMULATED}(:\d+)?", name):
            return SimulatedDevice(name)
        return open_device(name, cache)

    def spec(self, name: str, device: Device | None) -> DeviceSpec:
        """The spec of an open card, by its own word; of any other GPU, an H100's."""
        if not isinstance(device, CudaDevice):
            return DeviceSpec(name, like=DEFAULT_SPEC)
        card = device.spec
        bandwidth = card.bandwidth or None
        return DeviceSpec(name, memory=card.memory, bandwidth=bandwidth, like=DEFAULT_SPEC)

    def holder(self, array: object) -> str:
        """The GPU on which another library's array lies."""
        return holder(array)

    def listed(self, cache: Cache) -> tuple[tuple[str, str], ...]:
        """The GPUs that the driver lists, the simulator, and the compiler's packages."""
        return *_gpus(cache), (SIMULATED, _simulated()), ("compiler", _compiler())


def _gpus(cache: Cache) -> list[tuple[str, str]]:
    """The GPUs that the driver lists, and a line about each."""
    try:
        cards = find_driver("cuda:0").names
    except DeviceError as error:
        return [("cuda:0", _line(error).removeprefix("cuda:0: "))]
    return [(f"cuda:{n}", _gpu(f"cuda:{n}", card, cache)) for n, card in enumerate(cards)]


def _gpu(name: str, card: str, cache: Cache) -> str:
    try:
        spec = open_device(name, cache).spec
    except DeviceError as error:
        return f"{card}; {_line(error).removeprefix(f'{name}: ')}"
    return (
        f"{card}, {show_bytes(spec.memory)}, {spec.multiprocessors} multiprocessors, "
        f"compute capability {'.'.join(map(str, spec.capability))}"
    )


def _simulated() -> str:
    if importlib.util.find_spec("greenlet") is None:
        return "a simulated GPU, for tests; threads that meet need greenlet: " + (
            "pip install 'graphc[sim]'"
        )
    return "a simulated GPU, for tests"


def _compiler() -> str:
    """Whether kernels for GPUs can be compiled here."""
    try:
        versions = require()
    except DeviceError as error:
        return _line(error)
    return ", ".join(f"{package} {version}" for package, version in versions.items())


def _line(error: DeviceError) -> str:
    return error.message.replace("\n", " ")
