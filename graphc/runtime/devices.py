"""The devices that a session uses, opened when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphc.codegen.cache import Cache
from graphc.errors import DeviceError, user_location
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.machine import HOST, PRESETS, DeviceSpec
from graphc.ir.op import Array
from graphc.runtime.cuda.device import open_device
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.plan import DeviceArena
from graphc.runtime.device.protocol import Device, Span, allocated


@dataclass
class Home:
    """What a session has on one device: its arena, and the variables that live there."""

    device: Device
    arena: DeviceArena
    variables: dict[Value, Span] = field(default_factory=dict)

    def keep(self, v: Value, array: Array) -> Span:
        """Gives a variable a place and a value."""
        if v not in self.variables:
            self.variables[v] = allocated(self.device, array.nbytes)
        self.device.copy(self.variables[v], np.ascontiguousarray(array))
        return self.variables[v]

    def value(self, v: Value) -> Array:
        """A copy of a variable's value."""
        shape = dim.numbers(v.type.shape, {})
        array = np.empty(shape, v.type.dtype.numpy)
        self.device.copy(array, self.variables[v])
        return array


class Devices:
    """Homes by device name.  A device whose spec is declared (`what-if`) but which is not there
    cannot be opened."""

    def __init__(self, cache_dir: Path) -> None:
        self.cache_dir = cache_dir
        self.homes: dict[str, Home] = {}

    def open(self, name: str) -> Home:
        """The session's home on a device.  Raises `DeviceError` if there is no such device."""
        if name not in self.homes:
            device = _opened(name, Cache(self.cache_dir))
            self.homes[name] = Home(device, DeviceArena(device))
        return self.homes[name]

    def spec(self, name: str) -> DeviceSpec:
        """What placement takes a device to be, which is opened for it."""
        return spec_of(name, self.open(name).device if name.startswith("cuda:") else None)

    def home(self, v: Value) -> Home | None:
        """Where a variable lives, if not on the host."""
        return next((h for h in self.homes.values() if v in h.variables), None)

    def names(self) -> Mapping[Value, str]:
        """Variables that live on a device, and its name."""
        return {v: name for name, home in self.homes.items() for v in home.variables}

    def close(self) -> None:
        """Gives everything back."""
        self.homes.clear()


def _opened(name: str, cache: Cache) -> Device:
    if name.startswith("cuda:sim"):
        return SimulatedDevice(name)
    if name.startswith("cuda:"):
        return open_device(name, cache)
    raise DeviceError(
        f"no device {name!r} to run on: it exists for planning only, or is another name for the "
        f"host; expected {HOST}, cuda:N or cuda:sim",
        user_location(),
    )


def spec_of(name: str, device: Any = None) -> DeviceSpec:
    """What placement takes a device to be: what it says of itself, else an H100."""
    if name.startswith("cpu:"):
        return DeviceSpec(name, like=PRESETS["CPU"])
    found = getattr(device, "spec", None)  # of a GPU
    if found is None:
        return DeviceSpec(name, like=PRESETS["H100"])
    return DeviceSpec(
        name, memory=found.memory, bandwidth=found.bandwidth or None, like=PRESETS["H100"]
    )
