"""The devices that a session uses; each is opened when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphc.codegen.cache import Cache
from graphc.errors import DeviceError, user_location
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.machine import HOST, PRESETS, DeviceSpec, declared
from graphc.ir.op import Array
from graphc.runtime.device.plan import DeviceArena
from graphc.runtime.device.protocol import Device, DeviceFamily, MemorySpan, allocated


@dataclass
class Home:
    """What a session has on one device: its arena, and the variables that live there."""

    device: Device
    arena: DeviceArena
    variables: dict[Value, MemorySpan] = field(default_factory=dict)

    def keep(self, v: Value, array: Array) -> MemorySpan:
        """Sets a variable's value; gives it memory on the device if it has none."""
        memory = self.variables.get(v) or allocated(self.device, array.nbytes)
        self.device.copy(memory, np.ascontiguousarray(array))
        self.variables[v] = memory  # only now: a copy that fails leaves the variable where it was
        return memory

    def value(self, v: Value) -> Array:
        """A copy of a variable's value."""
        shape = dim.numbers(v.type.shape, {})
        array = np.empty(shape, v.type.dtype.numpy)
        self.device.copy(array, self.variables[v])
        return array


class Devices:
    """Homes by device name.  `families` open devices, by kind.  A device that is only declared
    (`what-if`), for planning, cannot be opened."""

    def __init__(self, cache_dir: Path, families: Mapping[str, DeviceFamily]) -> None:
        self.cache_dir, self.families = cache_dir, families
        self.homes: dict[str, Home] = {}

    def open(self, name: str) -> Home:
        """The session's home on a device.  Raises `DeviceError` if there is no such device."""
        if name not in self.homes:
            device = self._opened(name)
            self.homes[name] = Home(device, DeviceArena(device))
        return self.homes[name]

    def _opened(self, name: str) -> Device:
        family = family_of(name, self.families)
        if family is None:
            known = [HOST, *(n for f in self.families.values() for n in f.names)]
            raise DeviceError(
                f"no device {name!r} to run on: it exists for planning only, or is another name "
                f"for the host; expected {', '.join(known)}",
                user_location(),
            )
        return family.open(name, Cache(self.cache_dir))

    def spec(self, name: str) -> DeviceSpec:
        """The device as placement sees it; opens the device, unless it is the host."""
        on_host = family_of(name, self.families) is None
        return spec_of(name, self.families, None if on_host else self.open(name).device)

    def keeps(self, name: str) -> bool:
        """Whether variables placed on a device live in its memory: true for all but the host."""
        return family_of(name, self.families) is not None

    def holder(self, array: object) -> str:
        """The name of the device on which another library's array lies; "": on none of these."""
        return next(filter(None, (f.holder(array) for f in self.families.values())), "")

    def home(self, v: Value) -> Home | None:
        """The home in which a variable lives; None if it lives on the host."""
        return next((h for h in self.homes.values() if v in h.variables), None)

    def names(self) -> Mapping[Value, str]:
        """Variables that live on a device, with the name of that device."""
        return {v: name for name, home in self.homes.items() for v in home.variables}

    def close(self) -> None:
        """Frees all memory on devices."""
        self.homes.clear()


def family_of(name: str, families: Mapping[str, DeviceFamily]) -> DeviceFamily | None:
    """The family that opens the device of a name, which begins with its kind; None for names of the
    host, and for specs that are declared for planning only."""
    return families.get(name.partition(":")[0])


def spec_of(
    name: str, families: Mapping[str, DeviceFamily], device: Device | None = None
) -> DeviceSpec:
    """The device as placement sees it: by its own word if it is open, else by its family's word, or
    by its declaration; any other name is the host."""
    family = family_of(name, families)
    if family is not None:
        return family.spec(name, device)
    return declared(name) or DeviceSpec(name, like=PRESETS["CPU"])
