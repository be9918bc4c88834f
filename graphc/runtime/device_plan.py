"""A program on a device: code for any batch size, and a plan for one, replayed as one graph.

`DeviceProgram` is shared between sizes.  A `DevicePlan` has a place for every value: variables
where the session keeps them, inputs and results in slots of their own, all else in the device's
arena.  Its launches depend on one another where they share memory, and only there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from graphc.codegen.cuda import device_sources
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.kernels import buffers_of
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.layout import Layout, layout
from graphc.ir.op import Array
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Place, Program, launched, overwritten, storage
from graphc.runtime.device import Copy, Device, Function, Launch, Replay, Span
from graphc.runtime.hazards import Hazards

WIDE = 1 << 31  # elements from which indices need 64 bits
STATUS = 24  # bytes: whether the run failed, the index, the size


@dataclass
class DeviceProgram:
    """A program's code on one device.  `constants` lie there since they were first needed."""

    device: Device
    program: Program
    functions: dict[tuple[Kernel, bool], tuple[Function, ...]] = field(default_factory=dict)
    constants: dict[Value, Span] = field(default_factory=dict)

    def code(self, kernel: Kernel, home: Program, wide: bool) -> tuple[Function, ...]:
        """The functions of a kernel, in order; `wide` ones count with 64 bits."""
        if (kernel, wide) not in self.functions:
            sources = device_sources(kernel, overwritten(home, kernel), wide)
            self.functions[kernel, wide] = tuple(map(self.device.load, sources))
        return self.functions[kernel, wide]

    def load(self) -> None:
        """Compiles every kernel, or finds it in the cache."""
        for home, kernel in launched(self.program):
            self.code(kernel, home, False)

    def constant(self, v: Value) -> Span:
        """Where a constant lies."""
        if v not in self.constants:
            assert isinstance(v.op, Constant)
            array = v.op.value.array
            span = allocated(self.device, array.nbytes)
            self.device.copy(span, array)
            self.constants[v] = span
        return self.constants[v]


def allocated(device: Device, nbytes: int) -> Span:
    """New memory of a device."""
    return Span(device.allocate(max(nbytes, 1)), 0, nbytes)


class DeviceArena:
    """The memory that all plans on a device share: their runs happen one after another."""

    def __init__(self, device: Device) -> None:
        self.device, self.span, self.grown = device, allocated(device, 0), 0

    def reserve(self, nbytes: int) -> Span:
        """Room for a plan; plans that were made for a smaller arena must be made anew (`grown`
        counts these moments)."""
        if nbytes > self.span.nbytes:
            self.device.synchronize()
            self.span = Span(self.device.allocate(1), 0, 0)  # the old one goes before the new comes
            self.span = allocated(self.device, nbytes)
            self.grown += 1
        return self.span


class DevicePlan:
    """A program bound to sizes.  `homes` are the places of inputs that live on the device; other
    inputs get slots, into which `copy_in` puts arrays."""

    def __init__(
        self, code: DeviceProgram, sizes: dict[str, int], arena: DeviceArena,
        homes: Mapping[Value, Span],
    ) -> None:
        self.code, self.sizes, self.device = code, sizes, code.device
        program = code.program
        self.layout: Layout = layout(program, sizes)
        self.arena = arena.reserve(self.layout.arena)
        self.inputs = {v: homes[v] if v in homes else self._slot(v) for v in program.graph.inputs}
        self.slots = {v: s for v, s in self.inputs.items() if v not in homes}
        self.outputs = {
            w: self._slot(w) for k in program.kernels for w in k.writes
            if program.buffers[w].place is Place.OUTPUT
        }
        self.status = allocated(self.device, STATUS)
        self.zeros = allocated(self.device, STATUS)
        self.device.copy(self.zeros, np.zeros(STATUS, np.uint8))
        self.device.copy(self.status, self.zeros)
        self._schedule()
        end = len(program.kernels)
        self.results = [self.place(storage(v), end) for v in program.graph.outputs]

    def number(self, size: dim.Size) -> int:
        """A size as a number."""
        return dim.evaluate(size, self.sizes)

    def nbytes(self, v: Value) -> int:
        """Bytes of a value."""
        return self.number(v.type.nbytes)

    def _slot(self, v: Value) -> Span:
        return allocated(self.device, self.nbytes(v))

    def place(self, v: Value, number: int) -> Span:
        """Where a stored value lies while kernel `number` runs."""
        program = self.code.program
        if isinstance(v.op, Constant):
            return self.code.constant(v)
        if v not in program.buffers:
            return self.inputs[v]
        buffer = program.buffers[v]
        if buffer.place is Place.ARENA:
            return self.arena.part(self.layout.at(v, number), self.nbytes(v))
        if buffer.place is Place.VARIABLE:
            assert buffer.over is not None
            return self.inputs[buffer.over]
        return self.outputs[v] if v in self.outputs else self.inputs[v]

    # -- what is launched

    def _schedule(self) -> None:
        """All launches; what changes variables in a graph of its own if a kernel can fail."""
        first: list[Launch | Copy] = []
        last: list[Launch | Copy] = []
        self.fails = False
        for number, kernel in enumerate(self.code.program.kernels):
            made = self._launches(number, kernel)
            self.fails |= any(x.function.source.uses_status for x in made)
            (last if kernel.commits else first).extend(made)
        before, after = self._commits()
        first += before
        last += after
        if self.fails:
            self.first = self._graph([Copy(self.status, self.zeros), *first])
            self.last = self._graph(last)
        else:
            self.first, self.last = self._graph([*first, *last]), None
        self.launches = len(first) + len(last)

    def _graph(self, nodes: Sequence[Launch | Copy]) -> Replay | None:
        """Nodes as one graph, in which each waits for those that it shares memory with."""
        hazards = Hazards()
        placed: list[Launch | Copy] = []
        for n, node in enumerate(nodes):
            read, written = touched(node)
            placed.append(replace(node, after=hazards.after(n, read, written)))
        return self.device.graph(placed) if placed else None

    def _launches(self, number: int, kernel: Kernel) -> list[Launch]:
        """The launches of a kernel: none where there is nothing to do."""
        places = [self.place(v, number) for v in buffers_of(kernel)]
        most = max((self.number(v.type.count) for v in buffers_of(kernel)), default=0)
        functions = self.code.code(kernel, self.code.program, most >= WIDE)
        found = []
        for function in functions:
            source = function.source
            grid = tuple(map(self.number, source.grid))
            words: list[Span | int] = [*places, *map(self.number, source.sizes)]
            words += [self.status] * source.uses_status
            if min(grid) > 0:
                found.append(Launch(function, grid, self.number(source.shared), tuple(words)))  # type: ignore[arg-type]
        return found

    def _commits(self) -> tuple[list[Copy], list[Copy]]:
        """Copies to variables of new values that no kernel writes in place; what is itself an input
        goes by way of a temporary, because all are read before any is written."""
        program, before, after = self.code.program, [], []
        end = len(program.kernels)
        for old, new in program.graph.updates:
            base = storage(new)
            in_place = base in program.buffers and (
                program.buffers[base].place is Place.VARIABLE)
            if base is old or in_place:
                continue
            source = self.place(base, end)
            if base in self.inputs:
                temporary = self._slot(base)
                before.append(Copy(temporary, source))
                source = temporary
            after.append(Copy(self.inputs[old], source))
        return before, after

    # -- a run

    def copy_in(self, v: Value, array: Array | Span) -> None:
        """Gives an input its value."""
        self.device.copy(self.slots[v], array)

    def run(self, failed: Callable[[int, int], Exception]) -> None:
        """One run; `failed` makes the error for an index that is out of range of a size.  Then no
        variable has changed."""
        if self.first is not None:
            self.first.run()
        if self.fails:
            state = np.empty(3, np.int64)
            self.device.copy(state, self.status)
            if state[0]:
                raise failed(int(state[1]), int(state[2]))
        if self.last is not None:
            self.last.run()

    def copy_out(self, span: Span, v: Value) -> Array:
        """A result on the host."""
        shape = tuple(map(self.number, v.type.shape))
        array = np.empty(shape, v.type.dtype.numpy)
        self.device.copy(array, span)
        return array


def touched(node: Launch | Copy) -> tuple[list[Span], list[Span]]:
    """What a node reads and what it writes."""
    if isinstance(node, Copy):
        return [node.source], [node.target]
    source: DeviceSource = node.function.source
    written = {*source.written, *({len(node.arguments) - 1} if source.uses_status else ())}
    spans = [(n, a) for n, a in enumerate(node.arguments) if isinstance(a, Span)]
    return [a for _, a in spans], [a for n, a in spans if n in written]
