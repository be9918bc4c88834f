"""A run over several devices: segments in order, values carried from one to the next.

What a run writes to variables it writes last, when nothing can fail any more (`Segments.deferred`;
a segment that updates a variable itself is one after which nothing fails).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.codegen.cache import Built
from graphc.compiler.compile_placed import Part, PlacedExecutable
from graphc.errors import FeedError, GraphError, MemoryLimitError, user_location
from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.ops.state import RunCounter
from graphc.passes.placement.footprint import check_memory
from graphc.runtime.cpu.executable import Bound, Executable
from graphc.runtime.cpu.threads import execute
from graphc.runtime.cpu.timer import Timing
from graphc.runtime.device.array import DeviceArray, adopted, device_array, foreign_device
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.plan import DevicePlan
from graphc.runtime.device.protocol import Span, allocated
from graphc.runtime.device.timer import DeviceTiming
from graphc.runtime.devices import Devices, Home
from graphc.session.runner import Runner, Runs, advance, raise_stop

Held = Array | Span | DeviceArray  # a value on the host or on a device


class HostPart:
    """A segment on the host."""

    def __init__(self, run: PlacedReady, part: Part, code: Executable) -> None:
        self.segment = part.segment
        self.bound: Bound = code.bind(run.sizes, run.session.arena)
        self.first = len(self.segment.graph.inputs)
        self.shapes = [
            (dim.numbers(v.type.shape, run.sizes), v.type.dtype.numpy) for v in self.bound.outputs
        ]
        self.launches = len(code.program.kernels)

    def time(self) -> Timing:
        """Times its kernels from now on."""
        return Timing(self.bound)

    def run(self, ready: PlacedReady, held: dict[Value, Held]) -> None:
        """One run: takes what it needs from `held`, and puts what it makes there."""
        bound, view = self.bound, self.bound.view
        inputs = [ready.on_host(v, held) for v in self.segment.sources]
        made = [np.empty(shape, dtype) for shape, dtype in self.shapes]
        for i, array in enumerate((*inputs, *made)):
            view[bound.externals_at + i] = id(array)
        session = ready.session
        if bound.thunks:
            session.running = bound
        interrupted = execute(bound, session.options.threads)
        raise_stop(bound)
        if interrupted:
            raise KeyboardInterrupt
        if view[bound.status_at]:
            raise ready.failed(view[bound.status_at + 1], view[bound.status_at + 2])
        for v, r in zip(self.segment.results, bound.results, strict=True):
            own = r.external is not None and not r.is_input
            found = r.array if r.external is None else (*inputs, *made)[r.external]
            assert found is not None
            held[v] = found.reshape(r.shape) if own else found.reshape(r.shape).copy()


class DevicePart:
    """A segment on a device."""

    def __init__(
        self,
        run: PlacedReady,
        part: Part,
        code: DeviceProgram,
        home: Home,
        resident: Mapping[Value, Span],
    ) -> None:
        self.segment = part.segment
        stays = {
            own: resident[v]
            for own, v in zip(self.segment.graph.inputs, self.segment.sources, strict=True)
            if v in resident
        }
        inputs = dict(zip(self.segment.graph.inputs, code.program.graph.inputs, strict=True))
        self.plan = DevicePlan(
            code, run.sizes, home.arena, {inputs[v]: span for v, span in stays.items()}
        )
        self.fed = [
            (inputs[own], v)
            for own, v in zip(self.segment.graph.inputs, self.segment.sources, strict=True)
            if inputs[own] in self.plan.slots
        ]
        self.results = dict(zip(self.segment.results, self.plan.results, strict=True))
        self.launches = self.plan.launches
        self.memories: set[Any] = set()
        self.wanted = frozenset(
            i for i, v in enumerate(self.segment.results) if v in run.wanted(part.segment.device)
        )

    def time(self) -> DeviceTiming:
        """Times its kernels from now on: they run one by one."""
        return DeviceTiming(self.plan)

    def run(self, ready: PlacedReady, held: dict[Value, Held]) -> None:
        """One run: takes what it needs from `held`, and puts what it makes there."""
        fed: dict[Value, Array | Span] = {}
        for own, v in self.fed:
            given = held[v]
            if isinstance(given, DeviceArray) and given.device is self.plan.device:
                given = given.span
            elif not (isinstance(given, Span) and given.memory in self.memories):
                given = ready.on_host(v, held)
            fed[own] = given
        made = self.plan.run(fed, self.wanted, ready.failed)
        held.update(self.results)
        held.update({self.segment.results[i]: array for i, array in made.items()})


class PlacedReady:
    """A plan of a runner over several devices, for one set of shapes."""

    def __init__(
        self,
        runner: Runner,
        executable: PlacedExecutable,
        sizes: dict[str, int],
        devices: Devices,
    ) -> None:
        self.runner, self.executable, self.sizes = runner, executable, sizes
        self.session, self.devices = runner.session, devices
        self.inputs = executable.placed.graph.inputs
        self.place = {p: i for i, p in enumerate(runner.places) if p >= 0}
        self.held: dict[Value, Held] = {}
        self.copies: dict[Value, Array] = {}  # of what lies on devices, made in this run
        self.made_at = {v: p.segment.device for p in executable.parts for v in p.segment.results}
        self.on_device = isinstance(runner, PlacedRunner) and runner.on_device
        self.timed, self.timings = False, list[Timing | DeviceTiming]()
        self._bind()

    def _bind(self) -> None:
        """Makes the plan; arenas have their full size first, because growing moves them."""
        stats, limit = self.session.stats, self.session.options.memory_limit
        check_memory(self.executable.placed, self.sizes)
        for part in self.executable.parts:
            need = layout(part.code.program, self.sizes).arena
            if limit is not None and need > limit:
                raise MemoryLimitError(
                    f"memory_limit: what {part.segment.device} runs needs {need} bytes, {limit} "
                    "are allowed; on several devices nothing is computed twice to save memory: "
                    "raise the limit or feed smaller batches",
                    user_location(),
                    need,
                )
            if isinstance(part.code, DeviceProgram):
                self.devices.open(part.segment.device).arena.reserve(need)
            else:
                self.session.arena.reserve(need)
            stats.arena_planned = max(stats.arena_planned, need)
        built = Built()
        for part in self.executable.parts:
            if isinstance(part.code, DeviceProgram):
                part.code.built = built
        resident = self._resident()
        self.parts: list[HostPart | DevicePart] = []
        for part in self.executable.parts:
            if isinstance(part.code, DeviceProgram):
                home = self.devices.open(part.segment.device)
                made = DevicePart(
                    self,
                    part,
                    part.code,
                    home,
                    {v: s for v, s in resident.items() if self._at(v) == part.segment.device},
                )
                resident |= made.results
                self.parts.append(made)
            else:
                self.parts.append(HostPart(self, part, part.code))
        stats.compilations += built.compilations
        stats.cache_hits += built.cache_hits
        self._look_up()
        arenas = [home.arena.span.nbytes for home in self.devices.homes.values()]
        stats.arena_allocated = max(self.session.arena.nbytes, *arenas)
        if self.timed:
            self.time()

    def time(self) -> None:
        """Times kernels from now on, on every device."""
        self.timed, self.timings = True, [part.time() for part in self.parts]

    def _at(self, v: Value) -> str:
        """The device that has a value: segments of views may have moved since placement."""
        return self.made_at.get(v) or self.executable.placed.device[v]

    def _look_up(self) -> None:
        """All that is the same in every run: a run should do nothing twice."""
        self.arenas = [(h.arena, h.arena.grown) for h in self.devices.homes.values()]
        tensors = self.runner.staged.inputs
        self.draws = any(isinstance(t.op, RunCounter) for t in tensors)
        self.feeds = [(v, self.place[i]) for i, v in enumerate(self.inputs) if i in self.place]
        self.fixed: dict[Value, Held] = {}
        for i, (v, tensor) in enumerate(zip(self.inputs, tensors, strict=True)):
            if i not in self.place:
                home = self.devices.home(tensor)
                self.fixed[v] = (
                    self.session.counter
                    if isinstance(tensor.op, RunCounter)
                    else (home.variables[tensor] if home else self.session.values[tensor])
                )
        self.early = [v for v in self.executable.segments.outputs if v in set(self.inputs)]
        self.launches = sum(p.launches for p in self.parts)
        outputs = self.executable.placed.graph.outputs
        self.shapes = [dim.numbers(v.type.shape, self.sizes) for v in outputs]
        for part in self.parts:
            if isinstance(part, DevicePart):
                part.memories = self.memories(part.segment)

    def _resident(self) -> dict[Value, Span]:
        """The variables that live on a device; those that shall are brought there."""
        found = {}
        for v, tensor in zip(self.inputs, self.runner.staged.inputs, strict=True):
            name = self._at(v)
            if tensor not in self.session.values or not name.startswith("cuda:"):
                continue
            home = self.devices.open(name)
            if tensor not in home.variables:
                home.keep(tensor, self.session.values[tensor])
                self._tell(tensor)
            found[v] = home.variables[tensor]
        return found

    def _tell(self, variable: Value) -> None:
        """What else uses a variable finds it on the host no more."""
        for runner in self.session.arena.holders:
            if runner is not self.runner and variable in runner.staged.inputs:
                runner.stale = True
                runner.bounds.clear()

    def wanted(self, device: str) -> set[Value]:
        """The values of a device that are fetched, or needed on other devices."""
        cut = self.executable.segments
        taken = {v for s in cut.parts if s.device != device for v in s.sources}
        deferred = {v for _, v in cut.deferred}
        return {*(() if self.on_device else cut.outputs), *taken, *deferred}

    def memories(self, segment: Any) -> set[Any]:
        """The allocations of the device of a segment that hold results."""
        return {
            s.memory
            for p in self.parts
            if isinstance(p, DevicePart) and p.segment.device == segment.device
            for s in p.results.values()
        }

    # -- a run

    def run(self, arrays: list[Array]) -> Any:
        """One run on converted feeds of this plan's shapes."""
        if any(arena.grown != before for arena, before in self.arenas):
            self._bind()
        session = self.session
        if self.draws:
            advance(session)
        held, self.copies = dict(self.fixed), {}
        for v, i in self.feeds:
            held[v] = arrays[i]
        self.held = dict(held)
        early = {v: np.array(self.on_host(v, held)) for v in self.early}
        for part in self.parts:
            part.run(self, held)
        fetched = [
            early[v] if v in early else self._fetched(v, held)
            for v in self.executable.segments.outputs
        ]
        if self.executable.segments.deferred:
            self._commit(held)
        session.stats.runs += 1
        session.stats.launches += self.launches
        return self.runner.pack(
            [
                a if isinstance(a, DeviceArray) else a.reshape(s)
                for a, s in zip(_own(fetched), self.shapes, strict=True)
            ]
        )

    def _fetched(self, v: Value, held: dict[Value, Held]) -> Any:
        """A result as the caller wants it: on the host, or in memory of its own on its device."""
        given = held[v]
        if not (self.on_device and isinstance(given, Span)):
            return self.on_host(v, held)
        device = self.devices.open(self._at(v)).device
        own = allocated(device, given.nbytes)
        device.copy(own, given)
        shape = dim.numbers(v.type.shape, self.sizes)
        return device_array(device, own, shape, v.type.dtype)

    def kept(self) -> list[Array | Span]:
        """The variables that a run reads or writes, wherever they live."""
        values, home = self.session.values, self.devices.home
        return [
            h.variables[t] if (h := home(t)) else values[t]
            for t in self.runner.staged.inputs
            if t in values and t not in self.runner.fed
        ]

    def on_host(self, v: Value, held: dict[Value, Held]) -> Array:
        """A value as an array; one that lies on a device is fetched once."""
        given = held[v]
        if isinstance(given, DeviceArray):
            return given.numpy()
        if not isinstance(given, Span):
            return given
        if v not in self.copies:
            shape = dim.numbers(v.type.shape, self.sizes)
            self.copies[v] = np.empty(shape, v.type.dtype.numpy)
            self.devices.open(self._at(v)).device.copy(self.copies[v], given)
        return self.copies[v]

    def _commit(self, held: dict[Value, Held]) -> None:
        """The new values of variables that no segment wrote: all are read before any is written."""
        new = [(old, self.on_host(v, held).copy()) for old, v in self.executable.segments.deferred]
        tensors = dict(zip(self.inputs, self.runner.staged.inputs, strict=True))
        for old, array in new:
            home = self.devices.home(tensors[old])
            if home is not None:
                home.keep(tensors[old], array)
            else:
                np.copyto(self.session.values[tensors[old]], array)

    def failed(self, index: int, size: int) -> GraphError:
        """The error for an index out of range."""
        inputs = [self.on_host(v, self.held) for v in self.inputs]
        return self.runner.out_of_range(index, size, inputs)


class PlacedRunner(Runner):
    """Runs one signature over several devices.  With `on_device`, results stay where they are
    made."""

    on_device = False

    def converted(self, number: int, value: Any) -> Any:
        """An array of a device as it is; anything else as an array of the host."""
        tensor, devices = self.fed[number], self.session.devices
        if not isinstance(value, DeviceArray):
            found = foreign_device(value)
            if found is None:
                return super().converted(number, value)
            value = adopted(devices.open(found).device, value)
        if value.dtype != tensor.dtype.numpy:
            raise FeedError(
                f"feed_dict: {tensor.name!r} is {tensor.type}, got elements of type {value.dtype} "
                f"on {value.device.name}; convert them there",
                user_location(),
            )
        return value

    def _ready(self, sizes: dict[str, int]) -> Runs:
        assert isinstance(self.executable, PlacedExecutable)
        made = PlacedReady(self, self.executable, sizes, self.session.devices)
        return self.watch(made) if self.watch is not None else made


def _own(arrays: list[Any]) -> list[Any]:
    """The arrays, each the caller's own: one that is there twice is copied."""
    seen: set[int] = set()
    result = []
    for a in arrays:
        result.append(a.copy() if id(a) in seen and isinstance(a, np.ndarray) else a)
        seen.add(id(a))
    return result
