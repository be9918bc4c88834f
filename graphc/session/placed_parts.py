"""The parts of a plan over several devices: segments on the host, and on devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import numpy as np

from graphc.codegen.cache import Built
from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.arena import ArenaLayout
from graphc.ir.graph import Value
from graphc.ir.machine import DeviceSpec
from graphc.ir.op import Array
from graphc.ir.program import Program
from graphc.passes.placement.segments import Segment
from graphc.runtime.cpu.executable import Executable
from graphc.runtime.cpu.threads import execute
from graphc.runtime.cpu.timer import Timing
from graphc.runtime.device.array import DeviceArray
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.plan import DevicePlan
from graphc.runtime.device.protocol import Allocation, MemorySpan
from graphc.runtime.device.timer import DeviceTiming
from graphc.runtime.devices import Devices
from graphc.session.engine import Owner, PartTimer, PlanPart
from graphc.session.host_engine import HostPart, raise_stop

Held: TypeAlias = Array | MemorySpan | DeviceArray  # a value on the host or on a device


class Carrier(Protocol):
    """The plan, as its parts see it: it carries values from part to part.  `memories` are the
    allocations that hold results of parts, by device."""

    session: Owner
    sizes: dict[str, int]
    devices: Devices
    memories: dict[str, set[Allocation]]

    def device_of(self, v: Value) -> str:
        """The device that holds a value."""

    def wanted(self, device: str) -> set[Value]:
        """The values of a device that are fetched, or needed on other devices."""

    def on_host(self, v: Value, held: dict[Value, Held]) -> Array:
        """A value as an array."""

    def failed(self, index: int, size: int) -> GraphError:
        """The error for an index out of range."""


class PlacedPart(PlanPart, Protocol):
    """A segment of a plan.  `results` are the results that stay on a device, and where they lie."""

    segment: Segment
    launches: int

    @property
    def results(self) -> Mapping[Value, MemorySpan]: ...

    def reserve(self, nbytes: int) -> None:
        """Makes room in the arena that the segment runs in."""

    def bind(self, resident: Mapping[Value, MemorySpan], built: Built) -> None:
        """Binds the code; `resident` are the values that lie on devices already.  `built` counts
        what is compiled for the segment, during runs too."""

    def timer(self) -> PartTimer:
        """Times its kernels from now on."""

    def run(self, held: dict[Value, Held]) -> None:
        """One run: takes what it needs from `held`, and puts what it makes there."""


class HostSegment(HostPart):
    """A segment on the host."""

    def __init__(self, plan: Carrier, segment: Segment, code: Executable) -> None:
        self.plan, self.segment, self.code = plan, segment, code
        self.launches = len(code.program.kernels)
        self.results: Mapping[Value, MemorySpan] = {}

    @property
    def program(self) -> Program:
        return self.code.program

    def reserve(self, nbytes: int) -> None:
        """Makes room in the session's arena."""
        self.plan.session.arena.reserve(nbytes)

    def bind(self, resident: Mapping[Value, MemorySpan], built: Built) -> None:
        """Binds the code, which is compiled already."""
        sizes = self.plan.sizes
        self.bound = self.code.bind(sizes, self.plan.session.arena)
        self.shapes = [
            (dim.numbers(v.type.shape, sizes), v.type.dtype.numpy) for v in self.bound.outputs
        ]

    def timer(self) -> Timing:
        """Times its kernels from now on."""
        return Timing(self.bound)

    def run(self, held: dict[Value, Held]) -> None:
        """One run: takes what it needs from `held`, and puts what it makes there."""
        bound, view, session = self.bound, self.bound.view, self.plan.session
        inputs = [self.plan.on_host(v, held) for v in self.segment.sources]
        outputs = [np.empty(shape, dtype) for shape, dtype in self.shapes]
        for i, array in enumerate((*inputs, *outputs)):
            view[bound.externals_at + i] = id(array)
        if bound.thunks:
            session.running = bound
        interrupted = execute(bound, session.options.threads)
        raise_stop(bound)
        if interrupted:
            raise KeyboardInterrupt
        if view[bound.status_at]:
            raise self.plan.failed(view[bound.status_at + 1], view[bound.status_at + 2])
        for v, r in zip(self.segment.results, bound.results, strict=True):
            own = r.external is not None and not r.is_input
            stored = r.array if r.external is None else (*inputs, *outputs)[r.external]
            assert stored is not None
            held[v] = stored.reshape(r.shape) if own else stored.reshape(r.shape).copy()


class DeviceSegment:
    """A segment on a device."""

    def __init__(self, plan: Carrier, segment: Segment, code: DeviceProgram) -> None:
        self.plan, self.segment, self.code = plan, segment, code
        self.home = plan.devices.open(segment.device)

    def reserve(self, nbytes: int) -> None:
        """Makes room in the device's arena."""
        self.home.arena.reserve(nbytes)

    def bind(self, resident: Mapping[Value, MemorySpan], built: Built) -> None:
        """Binds the code, and compiles the kernels that depend on sizes."""
        segment, code, sizes = self.segment, self.code, self.plan.sizes
        code.built = built
        inputs = dict(zip(segment.graph.inputs, code.program.graph.inputs, strict=True))
        sources = dict(zip(segment.graph.inputs, segment.sources, strict=True))
        stays = {
            inputs[own]: resident[v]
            for own, v in sources.items()
            if v in resident and self.plan.device_of(v) == segment.device
        }
        self.bound = DevicePlan(code, sizes, self.home.arena, stays)
        self.fed = [
            (inputs[own], v) for own, v in sources.items() if inputs[own] in self.bound.slots
        ]
        self.results = dict(zip(segment.results, self.bound.results, strict=True))
        self.launches = self.bound.launches
        wanted = self.plan.wanted(segment.device)
        self.wanted = frozenset(i for i, v in enumerate(segment.results) if v in wanted)

    @property
    def program(self) -> Program:
        return self.code.program

    @property
    def layout(self) -> ArenaLayout:
        return self.bound.layout

    @property
    def spec(self) -> DeviceSpec:
        return self.plan.devices.spec(self.segment.device)

    def timer(self) -> DeviceTiming:
        """Times its kernels from now on; timed kernels run one by one."""
        return DeviceTiming(self.bound)

    def run(self, held: dict[Value, Held]) -> None:
        """One run: takes what it needs from `held`, and puts what it makes there."""
        memories = self.plan.memories[self.segment.device]
        fed: dict[Value, Array | MemorySpan] = {}
        for slot, v in self.fed:
            value = held[v]
            if isinstance(value, DeviceArray) and value.device is self.bound.device:
                value = value.span
            elif not (isinstance(value, MemorySpan) and value.memory in memories):
                value = self.plan.on_host(v, held)
            fed[slot] = value
        on_host = self.bound.run(fed, self.wanted, self.plan.failed)
        held.update(self.results)
        held.update({self.segment.results[i]: array for i, array in on_host.items()})
