"""A program's plan for one batch size on a device, replayed as one graph.

Every value has a place: variables where the session keeps them, inputs and results in slots of
their own, all else in the device's arena.  Launches depend on one another where they share memory,
and only there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.layout import Layout, layout
from graphc.ir.op import Array
from graphc.ir.program import Place, storage
from graphc.runtime.device import Copy, Device, Launch, Replay, Span
from graphc.runtime.device_code import DeviceProgram, allocated
from graphc.runtime.device_scope import Node, Scope
from graphc.runtime.hazards import Hazards

STATUS = 24  # bytes: whether the run failed, the index, the size


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
        self.inputs = {v: homes[v] if v in homes else self._slot(v) for v in program.graph.inputs}
        self.slots = {v: s for v, s in self.inputs.items() if v not in homes}
        outputs = {
            w: self._slot(w) for k in program.kernels for w in k.writes
            if program.buffers[w].place is Place.OUTPUT
        }
        self.status, self.zeros = allocated(self.device, STATUS), allocated(self.device, STATUS)
        self.device.copy(self.zeros, np.zeros(STATUS, np.uint8))
        self.device.copy(self.status, self.zeros)
        self.scope = Scope(code, program, sizes, self.layout, arena.reserve(self.layout.arena),
                           self.inputs, outputs, self.status)
        self._schedule()

    def _slot(self, v: Value) -> Span:
        return allocated(self.device, dim.evaluate(v.type.nbytes, self.sizes))

    # -- what is launched

    def _schedule(self) -> None:
        """All launches; what changes variables in a graph of its own if a kernel can fail."""
        first: list[Node] = []
        last: list[Node] = []
        for number, kernel in enumerate(self.code.program.kernels):
            made = self.scope.launches(number, kernel)
            (last if kernel.commits else first).extend(made)
        before, after = self.scope.commits()
        first += [*before, *self._results()]
        last += after
        self.fails = any(
            isinstance(x, Launch) and x.function.source.uses_status for x in (*first, *last))
        if self.fails:
            self.first = self._graph([Copy(self.status, self.zeros), *first])
            self.last = self._graph(last)
        else:
            self.first, self.last = self._graph([*first, *last]), None
        self.launches = len(first) + len(last)

    def _results(self) -> list[Node]:
        """Finds where results lie; copies those that lie in the arena, which other plans use
        too, and variables that the run changes, for a result is what they were before."""
        program, copies = self.code.program, list[Node]()
        updated = {old for old, _ in program.graph.updates}
        self.results: list[Span] = []
        for v in program.graph.outputs:
            base = storage(v)
            span = self.scope.place(base, len(program.kernels))
            buffer = program.buffers.get(base)
            if base in updated or (buffer is not None and buffer.place is Place.ARENA):
                own = allocated(self.device, span.nbytes)
                copies.append(Copy(own, span))
                span = own
            self.results.append(span)
        return copies

    def _graph(self, nodes: Sequence[Node]) -> Replay | None:
        """Nodes as one graph, in which each waits for those that it shares memory with."""
        hazards = Hazards()
        placed: list[Node] = []
        for n, node in enumerate(nodes):
            read, written = touched(node)
            placed.append(replace(node, after=hazards.after(n, read, written)))
        return self.device.graph(placed) if placed else None

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
        shape = tuple(dim.evaluate(n, self.sizes) for n in v.type.shape)
        array = np.empty(shape, v.type.dtype.numpy)
        self.device.copy(array, span)
        return array


def touched(node: Launch | Copy) -> tuple[list[Span], list[Span]]:
    """What a node reads and what it writes."""
    if isinstance(node, Copy):
        return [node.source], [node.target]
    spans = [(n, a) for n, a in enumerate(node.arguments) if isinstance(a, Span)]
    return [a for _, a in spans], [a for n, a in spans if n in node.written]
