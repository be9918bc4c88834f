"""Access to the NVIDIA driver: whether there is one, CUDA's Python modules, errors, a card's facts.

libcuda is called through ctypes before cuda-core is imported: without a driver, cuda-core 1.2
raises errors of several kinds, and printing its objects has been seen to deadlock.
Invariant: importing this file imports neither cuda.core nor numba.cuda.
"""

from __future__ import annotations

import ctypes
import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from graphc.errors import DeviceError

DRIVER_LIBRARY = "libcuda.so.1"
MIN_DRIVER_VERSION = 13000  # CUDA 13.0 in the driver's numbers: 1000 * major + 10 * minor
ALTERNATIVES = "or use device='cuda:sim' (slow, for tests) or 'cpu:0'"
GPU_NAME = re.compile(r"cuda(?::(\d+))?")


@dataclass(frozen=True)
class CudaDriver:
    """The driver's CUDA version and the names of its devices."""

    version: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Toolkit:
    """The modules `cuda.core`, `cuda.core.graph` and `cuda.bindings.driver`, and the class of
    cuda-core's errors.  Tests put fakes in their places."""

    core: Any
    graph: Any
    driver: Any
    error: type[Exception]


@dataclass(frozen=True)
class Spec:
    """Facts of a card.  `bandwidth` (bytes a second) and `clock` (Hz) are 0 if unknown."""

    name: str
    memory: int
    multiprocessors: int
    capability: tuple[int, int]
    bandwidth: float
    clock: float
    shared: int  # bytes of shared memory that a block may ask for


def number_of(name: str) -> int:
    """The number in a device's name: `cuda` is `cuda:0`.

    >>> number_of("cuda:2")
    2
    """
    match = GPU_NAME.fullmatch(name)
    if match is None:
        raise DeviceError(f"{name!r} is no GPU; expected cuda:0, cuda:1, ..., or cuda:sim")
    return int(match[1] or 0)


def find_driver(name: str, load: Callable[[str], Any] = ctypes.CDLL) -> CudaDriver:
    """The driver of this machine, which must be new enough.  Imports none of CUDA's modules."""
    try:
        library = load(DRIVER_LIBRARY)
    except OSError as error:
        raise DeviceError(
            f"{name}: no NVIDIA driver ({error}); install one of version 580 or newer, "
            f"{ALTERNATIVES}"
        ) from None
    version = ctypes.c_int(0)
    _ask(library, name, "cuDriverGetVersion", ctypes.byref(version))
    if version.value < MIN_DRIVER_VERSION:
        raise DeviceError(
            f"{name}: the NVIDIA driver is too old: it runs CUDA {_version(version.value)}, graphc "
            f"needs {_version(MIN_DRIVER_VERSION)}; install a driver of version 580 or newer, "
            f"{ALTERNATIVES}"
        )
    _ask(library, name, "cuInit", ctypes.c_uint(0))
    count = ctypes.c_int(0)
    _ask(library, name, "cuDeviceGetCount", ctypes.byref(count))
    return CudaDriver(version.value, tuple(_name(library, name, n) for n in range(count.value)))


def _ask(library: Any, name: str, function: str, *arguments: Any) -> None:
    """Calls libcuda; raises a `DeviceError` with libcuda's own words if the call fails."""
    code = getattr(library, function)(*arguments)
    if not code:
        return
    text = ctypes.c_char_p(None)
    library.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text))
    said = (text.value or b"an unknown error").decode()
    raise DeviceError(
        f"{name}: the NVIDIA driver does not work: {function} says {said!r} ({code}); see whether "
        f"nvidia-smi lists the card and CUDA_VISIBLE_DEVICES hides none, {ALTERNATIVES}"
    )


def _name(library: Any, name: str, number: int) -> str:
    device, text = ctypes.c_int(0), ctypes.create_string_buffer(256)
    _ask(library, name, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
    _ask(library, name, "cuDeviceGetName", text, ctypes.c_int(len(text)), device)
    return text.value.decode()


def _version(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def require_number(name: str, driver: CudaDriver) -> int:
    """The number of a device, which must be there."""
    number = number_of(name)
    if number >= len(driver.names):
        there = ", ".join(f"cuda:{n} ({card})" for n, card in enumerate(driver.names)) or "no GPU"
        raise DeviceError(f"{name}: there is no such device; this machine has {there}")
    return number


def toolkit() -> Toolkit:
    """CUDA's Python modules.  Only a machine with a driver may import them."""
    core, graph, driver, errors = map(
        importlib.import_module,
        ("cuda.core", "cuda.core.graph", "cuda.bindings.driver", "cuda.core._utils.cuda_utils"),
    )
    return Toolkit(core, graph, driver, errors.CUDAError)


@contextmanager
def reported(
    name: str, what: str, error: type[Exception] | tuple[type[Exception], ...]
) -> Iterator[None]:
    """Turns cuda-core's errors into `DeviceError`s; `what` says what was done."""
    try:
        yield
    except error as cause:
        raise failure(name, what, cause) from cause


def failure(name: str, what: str, cause: Exception) -> DeviceError:
    """The `DeviceError` for an error of cuda-core's."""
    lost = any(word in str(cause) for word in ("ILLEGAL", "LAUNCH", "MISALIGNED", "ASSERT"))
    remedy = (
        "; a kernel went wrong, and this process has lost the device: start a new one, and "
        "see what device='cuda:sim' says"
    )
    return DeviceError(f"{name}: {what} failed: {cause}{remedy if lost else ''}")


def check(name: str, what: str, result: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of a call of `cuda.bindings.driver`, of which the first is a status to check."""
    status, *values = result
    if int(status):
        raise failure(name, what, RuntimeError(getattr(status, "name", str(status))))
    return tuple(values)


def spec_of(device: Any, memory: int) -> Spec:
    """The facts that a `cuda.core.Device` has."""
    properties, capability = device.properties, device.compute_capability
    return Spec(
        name=device.name,
        memory=memory,
        multiprocessors=properties.multiprocessor_count,
        capability=(capability[0], capability[1]),
        # kHz, two transfers a clock; bits
        bandwidth=properties.memory_clock_rate * 1e3 * 2 * properties.global_memory_bus_width / 8,
        clock=properties.clock_rate * 1e3,
        shared=properties.max_shared_memory_per_block_optin,
    )
