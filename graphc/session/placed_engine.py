"""The engine of runs over several devices: segments in order, values carried from one to the next.

A run writes variables last, when nothing can fail any more: `Segments.deferred` are written after
all segments, and a segment that updates a variable itself is followed by none that can fail.  From
the first of these writes on, Ctrl-C waits for the end of the run, unless the last segment makes
them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.codegen.cache import Built
from graphc.compiler.compile_placed import (
    LoweredPlaced,
    Part,
    PlacedExecutable,
    compile_placed,
)
from graphc.errors import DeviceError, FeedError, GraphError, MemoryLimitError, user_location
from graphc.frontend.tensor import Tensor
from graphc.interrupts import undisturbed
from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array
from graphc.ir.ops.state import RunCounter
from graphc.passes.placement.footprint import check_memory
from graphc.passes.trace import StageTime as Stage
from graphc.runtime.cpu.executable import Executable
from graphc.runtime.device.array import DeviceArray, adopted, device_array
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.protocol import Allocation, MemorySpan, allocated
from graphc.session.bad_index import out_of_range
from graphc.session.engine import Fed, Owner, PartTimer, Signature
from graphc.session.feeds import convert
from graphc.session.host_engine import advance
from graphc.session.placed_parts import DeviceSegment, Held, HostSegment, PlacedPart


class PlacedEngine:
    """An executable over the devices of a session."""

    def __init__(self, session: Owner, executable: PlacedExecutable) -> None:
        self.session, self.executable = session, executable
        self.unified = executable.unified

    @staticmethod
    def compiled(
        session: Owner,
        graph: Graph,
        homes: Mapping[int, str],
        observe: Callable[[LoweredPlaced], None] | None,
    ) -> PlacedEngine:
        """The engine for a graph; `homes` names the device of each input that lives on one.
        Raises what compiling raises, and `DeviceError` with `debug_nan`."""
        if session.options.debug_nan:
            raise DeviceError(
                "Session: debug_nan looks at kernels of the CPU, and this session has devices; run "
                "it without --device, --devices or gc.device, or without debug_nan",
                user_location(),
            )
        built = Built()
        executable = compile_placed(graph, session.options, built, session.devices, homes, observe)
        session.stats.count(built)
        return PlacedEngine(session, executable)

    def converted(self, tensor: Tensor, value: Any) -> Fed:
        """The fed value: an array on a device stays there, all else becomes an array of the
        host.  Raises `FeedError`."""
        if isinstance(value, DeviceArray):
            array = value
        elif holder := self.session.devices.holder(value):
            array = adopted(self.session.devices.open(holder).device, value)
        else:
            return convert("feed_dict", tensor, value)
        if array.dtype != tensor.dtype.numpy:
            raise FeedError(
                f"feed_dict: {tensor.name!r} is {tensor.type}, got elements of type {array.dtype} "
                f"on {array.device.name}; convert them there",
                user_location(),
            )
        return array

    def bind(self, signature: Signature, sizes: dict[str, int]) -> PlacedPlan:
        """A plan for these sizes.  Raises `MemoryLimitError`, and `DeviceError` if a device has too
        little memory."""
        return PlacedPlan(self.session, signature, self.executable, sizes)


class PlacedPlan:
    """A signature bound to sizes over several devices."""

    def __init__(
        self,
        session: Owner,
        signature: Signature,
        executable: PlacedExecutable,
        sizes: dict[str, int],
    ) -> None:
        self.session, self.signature, self.executable = session, signature, executable
        self.sizes, self.devices, self.on_device = sizes, session.devices, signature.on_device
        self.inputs = executable.placed.graph.inputs
        self.place = {p: i for i, p in enumerate(signature.places) if p >= 0}
        self.held: dict[Value, Held] = {}
        self.copies: dict[Value, Array] = {}  # host copies of values on devices, made in this run
        self.made_at = {v: p.segment.device for p in executable.parts for v in p.segment.results}
        self.timed, self.timers = False, list[PartTimer]()
        self._bind()

    def _bind(self) -> None:
        """Binds all parts, after every arena has its full size: an arena that grows moves."""
        check_memory(self.executable.placed, self.sizes)
        self.parts = [self._part(part) for part in self.executable.parts]
        for part in self.parts:
            self._reserve(part)
        built, resident = Built(), self._resident()
        for part in self.parts:
            part.bind(resident, built)
            resident.update(part.results)
        self._look_up()
        stats = self.session.stats
        stats.count(built)
        arenas = [home.arena.span.nbytes for home in self.devices.homes.values()]
        stats.arena_allocated = max([self.session.arena.nbytes, *arenas])
        if self.timed:
            self.time()

    def _part(self, part: Part) -> PlacedPart:
        """The part that runs a segment, chosen by the kind of its code."""
        match part.code:
            case DeviceProgram():
                return DeviceSegment(self, part.segment, part.code)
            case Executable():
                return HostSegment(self, part.segment, part.code)

    def _reserve(self, part: PlacedPart) -> None:
        """Reserves a part's arena.  Raises `MemoryLimitError`."""
        stats, limit = self.session.stats, self.session.options.memory_limit
        need = layout(part.program, self.sizes).arena
        if limit is not None and need > limit:
            raise MemoryLimitError(
                f"memory_limit: what {part.segment.device} runs needs {need} bytes, {limit} "
                "are allowed; on several devices nothing is computed twice to save memory: "
                "raise the limit or feed smaller batches",
                user_location(),
                need,
            )
        part.reserve(need)
        stats.arena_planned = max(stats.arena_planned, need)

    def _look_up(self) -> None:
        """Looks up all that is the same in every run."""
        self.arenas = [(h.arena, h.arena.grown) for h in self.devices.homes.values()]
        tensors = self.signature.staged.inputs
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
        self.stoppable = self._stoppable()
        outputs = self.executable.placed.graph.outputs
        self.shapes = [dim.numbers(v.type.shape, self.sizes) for v in outputs]
        self.memories: dict[str, set[Allocation]] = {}  # that hold results, by device
        for part in self.parts:
            memories = self.memories.setdefault(part.segment.device, set())
            memories.update(s.memory for s in part.results.values())

    def _stoppable(self) -> int:
        """How many parts Ctrl-C may stop: those before the first that updates a variable; or all,
        if only the last part does, because one part runs whole or not at all."""
        updating = [i for i, part in enumerate(self.parts) if part.segment.graph.updates]
        last = len(self.parts) - 1
        alone = updating == [last] and not self.executable.segments.deferred
        return updating[0] if updating and not alone else len(self.parts)

    def _resident(self) -> dict[Value, MemorySpan]:
        """The variables on devices, and where they lie; moves those there that placement wants on
        a device."""
        resident = {}
        for v, tensor in zip(self.inputs, self.signature.staged.inputs, strict=True):
            name = self.device_of(v)
            if tensor not in self.session.values or not self.devices.keeps(name):
                continue
            home = self.devices.open(name)
            if tensor not in home.variables:
                self._outdate_others(
                    tensor
                )  # before the move: outdating a runner in vain is harmless
                home.keep(tensor, self.session.values[tensor])
            resident[v] = home.variables[tensor]
        return resident

    def _outdate_others(self, variable: Tensor) -> None:
        """Outdates the other runners that use a variable, because it moves to a device."""
        for holder in self.session.plan_holders:
            signature = holder.signature
            if signature is not self.signature and variable in signature.staged.inputs:
                holder.outdate()

    # -- the interface `RunPlan`

    @property
    def graph(self) -> Graph:
        """What a run computes."""
        return self.executable.unified.graph

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages of the compilation."""
        return self.executable.spans

    @property
    def devices_used(self) -> Sequence[str]:
        """The devices of the parts, each once."""
        return list(dict.fromkeys(part.segment.device for part in self.parts))

    def time(self) -> None:
        """Times kernels from now on, on every device."""
        self.timed, self.timers = True, [part.timer() for part in self.parts]

    def variable_bytes(self) -> int:
        """Bytes of the variables that a run reads or writes, wherever they live."""
        values, home, fed = self.session.values, self.devices.home, set(self.signature.fed)
        variables = [t for t in self.signature.staged.inputs if t in values and t not in fed]
        return sum((h.variables[t] if (h := home(t)) else values[t]).nbytes for t in variables)

    # -- the interface `Carrier`, for the parts

    def device_of(self, v: Value) -> str:
        """The device that holds a value; segments of views may have moved since placement."""
        return self.made_at.get(v) or self.executable.placed.device[v]

    def wanted(self, device: str) -> set[Value]:
        """The values of a device that must reach the host: fetched, or needed elsewhere."""
        cut = self.executable.segments
        read_elsewhere = {v for s in cut.parts if s.device != device for v in s.sources}
        deferred = {v for _, v in cut.deferred}
        return {*(() if self.on_device else cut.outputs), *read_elsewhere, *deferred}

    def on_host(self, v: Value, held: dict[Value, Held]) -> Array:
        """A value as an array; one on a device is copied to the host once in a run."""
        value = held[v]
        if isinstance(value, DeviceArray):
            return value.numpy()
        if not isinstance(value, MemorySpan):
            return value
        if v not in self.copies:
            shape = dim.numbers(v.type.shape, self.sizes)
            self.copies[v] = np.empty(shape, v.type.dtype.numpy)
            self.devices.open(self.device_of(v)).device.copy(self.copies[v], value)
        return self.copies[v]

    def failed(self, index: int, size: int) -> GraphError:
        """The error for an index out of range."""
        inputs = [self.on_host(v, self.held) for v in self.inputs]
        return out_of_range(self.signature.staged.graph, inputs, index, size)

    # -- a run

    def run(self, arrays: list[Fed]) -> Any:
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
        for part in self.parts[: self.stoppable]:
            part.run(held)
        if self.stoppable == len(self.parts) and not self.executable.segments.deferred:
            return self._finished(held, early)
        with undisturbed():
            return self._finished(held, early)

    def _finished(self, held: dict[Value, Held], early: Mapping[Value, Array]) -> Any:
        """Runs the remaining parts and commits; returns the fetched nest."""
        for part in self.parts[self.stoppable :]:
            part.run(held)
        fetched = [
            early[v] if v in early else self._fetched(v, held)
            for v in self.executable.segments.outputs
        ]
        if self.executable.segments.deferred:
            self._commit(held)
        self.session.stats.runs += 1
        self.session.stats.launches += self.launches
        return self.signature.pack(
            [
                a if isinstance(a, DeviceArray) else a.reshape(s)
                for a, s in zip(_without_aliases(fetched), self.shapes, strict=True)
            ]
        )

    def _fetched(self, v: Value, held: dict[Value, Held]) -> Fed:
        """A result as the caller wants it: on the host, or in memory of its own on its device."""
        value = held[v]
        if not (self.on_device and isinstance(value, MemorySpan)):
            return self.on_host(v, held)
        device = self.devices.open(self.device_of(v)).device
        copy = allocated(device, value.nbytes)
        device.copy(copy, value)
        shape = dim.numbers(v.type.shape, self.sizes)
        return device_array(device, copy, shape, v.type.dtype)

    def _commit(self, held: dict[Value, Held]) -> None:
        """Writes the variables that no segment wrote; reads all new values before that."""
        new = [(old, self.on_host(v, held).copy()) for old, v in self.executable.segments.deferred]
        tensors = dict(zip(self.inputs, self.signature.staged.inputs, strict=True))
        for old, array in new:
            home = self.devices.home(tensors[old])
            if home is not None:
                home.keep(tensors[old], array)
            else:
                np.copyto(self.session.values[tensors[old]], array)


def _without_aliases(arrays: list[Fed]) -> list[Fed]:
    """The arrays, with a copy wherever one stands a second time: callers may write to them."""
    seen: set[int] = set()
    result = []
    for a in arrays:
        result.append(a.copy() if id(a) in seen and isinstance(a, np.ndarray) else a)
        seen.add(id(a))
    return result
