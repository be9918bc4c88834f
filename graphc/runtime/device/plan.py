"""A program's plan on a device, for one set of sizes, replayed as one graph.

Every value has a place: variables lie where the session keeps them, inputs and results in slots of
their own, all else in the device's arena.  A launch waits for another only if they share memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.ir import dim
from graphc.ir.arena import ArenaLayout, layout
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.program import Place, storage
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.hazards import with_edges
from graphc.runtime.device.launches import Scope
from graphc.runtime.device.protocol import (
    CopyNode,
    Device,
    LaunchNode,
    MemorySpan,
    Node,
    Pinned,
    Replay,
    Ticket,
    allocated,
)

STATUS_BYTES = 24  # three i64: whether the run failed; the bad index; the size that it exceeds


class DeviceArena:
    """The memory that all plans on a device share: their runs happen one after another."""

    def __init__(self, device: Device) -> None:
        self.device, self.span, self.grown = device, allocated(device, 0), 0

    def reserve(self, nbytes: int) -> MemorySpan:
        """Memory for a plan.  When the arena grows, plans for the smaller one must be made anew
        (`grown` counts how often it grew)."""
        if nbytes > self.span.nbytes:
            self.device.synchronize()
            self.grown += 1  # first: if there is no memory, no plan may go on with the old one
            # Frees the old memory before the new is allocated.
            self.span = MemorySpan(self.device.allocate(1), 0, 0)
            self.span = allocated(self.device, nbytes)
        return self.span


@dataclass
class PinnedTurn:
    """Pinned memory of runs, and the graphs that read and write it.  While a run may still read it,
    `ticket` is that run's end."""

    pinned: dict[object, Pinned] = field(default_factory=dict)
    replays: dict[tuple[frozenset[Value], frozenset[int]], Replay] = field(default_factory=dict)
    ticket: Ticket | None = None

    def wait(self) -> None:
        """Waits until the host may write to the memory."""
        if self.ticket is not None:
            self.ticket.wait()
            self.ticket = None


class DevicePlan:
    """A program bound to sizes.  `homes` are the places of inputs that live on the device; a run
    copies other inputs into slots."""

    def __init__(
        self,
        code: DeviceProgram,
        sizes: dict[str, int],
        arena: DeviceArena,
        homes: Mapping[Value, MemorySpan],
    ) -> None:
        self.code, self.sizes, self.device = code, sizes, code.device
        program = code.program
        code.load(sizes)
        self.layout: ArenaLayout = layout(program, sizes)
        self.inputs = {v: homes[v] if v in homes else self._slot(v) for v in program.graph.inputs}
        self.slots = {v: s for v, s in self.inputs.items() if v not in homes}
        outputs = {
            w: self._slot(w)
            for k in program.kernels
            for w in k.writes
            if program.buffers[w].place is Place.OUTPUT
        }
        self.status, self.zeros = (
            allocated(self.device, STATUS_BYTES),
            allocated(self.device, STATUS_BYTES),
        )
        self.device.copy(self.zeros, np.zeros(STATUS_BYTES, np.uint8))
        self.device.copy(self.status, self.zeros)
        self.scope = Scope(
            code,
            program,
            sizes,
            self.layout,
            arena.reserve(self.layout.arena),
            self.inputs,
            outputs,
            self.status,
            allocated(self.device, code.scratch(sizes)),
        )
        self.turn, self.next = PinnedTurn(), PinnedTurn()
        self.make: Callable[[Sequence[Node]], Replay] = self.device.graph
        self._schedule()

    def _slot(self, v: Value) -> MemorySpan:
        return allocated(self.device, dim.evaluate(v.type.nbytes, self.sizes))

    # -- what is launched

    def _schedule(self) -> None:
        """Lists all nodes of a run; those that change variables come last."""
        first: list[Node] = []
        last: list[Node] = []
        for number, kernel in enumerate(self.code.program.kernels):
            (last if kernel.commits else first).extend(self.scope.launches(number, kernel))
        before, after = self.scope.commits()
        if self.code.fails:
            after = [self._guarded(x) for x in after if isinstance(x, CopyNode)]
        self.nodes = [*first, *before, *self._results(), *last, *after]
        self.launches = len(self.nodes)

    def _guarded(self, copy: CopyNode) -> LaunchNode:
        """A copy that is left out if the run has failed."""
        target, source = copy.target, copy.source
        assert isinstance(target, MemorySpan) and isinstance(source, MemorySpan)
        function = self.code.copier(target.nbytes)
        x, y, z = function.source.grid
        assert isinstance(x, int) and isinstance(y, int) and isinstance(z, int)
        arguments = (source, target, target.nbytes, self.status)
        return LaunchNode(function, (x, y, z), 0, arguments, frozenset({1}))

    def _results(self) -> list[Node]:
        """Finds where results lie.  Two kinds are copied: results in the arena, which other plans
        use, too, and variables that the run changes, since the result is their value before."""
        program, copies = self.code.program, list[Node]()
        updated = {old for old, _ in program.graph.updates}
        self.results: list[MemorySpan] = []
        for v in program.graph.outputs:
            base = storage(v)
            span = self.scope.place(base, len(program.kernels))
            buffer = program.buffers.get(base)
            if base in updated or (buffer is not None and buffer.place is Place.ARENA):
                own = allocated(self.device, span.nbytes)
                copies.append(CopyNode(own, span))
                span = own
            self.results.append(span)
        return copies

    def _replay(self, fed: frozenset[Value], wanted: frozenset[int]) -> Replay:
        """The graph of a run in which these inputs come from the host and these results go there:
        copies are nodes too, so that they overlap with what does not need them."""
        replays = self.turn.replays
        if (fed, wanted) not in replays:
            copies: list[Node] = [
                CopyNode(self.slots[v], self._pinned(v, s.nbytes))
                for v, s in self.slots.items()
                if v in fed
            ]
            ends: list[Node] = [
                CopyNode(self._pinned(i, x.nbytes), x)
                for i, x in enumerate(self.results)
                if i in wanted
            ]
            if self.code.fails:
                copies.append(CopyNode(self.status, self.zeros))
                ends.append(CopyNode(self._pinned(self.status, STATUS_BYTES), self.status))
            nodes = [x for x in (*copies, *self.nodes, *ends) if not _is_empty(x)]
            replays[fed, wanted] = self.make(with_edges(nodes))
        return replays[fed, wanted]

    def _pinned(self, key: object, nbytes: int) -> Pinned:
        pinned = self.turn.pinned
        if key not in pinned:
            pinned[key] = self.device.pinned(nbytes)
        return pinned[key]

    def replayed_by(self, make: Callable[[Sequence[Node]], Replay]) -> None:
        """From now on, `make` makes a run of its nodes, in place of the device's graphs."""
        self.device.synchronize()
        self.turn, self.next, self.make = PinnedTurn(), PinnedTurn(), make

    # -- a run

    def run(
        self,
        fed: Mapping[Value, Array | MemorySpan],
        wanted: frozenset[int],
        failed: Callable[[int, int], Exception],
    ) -> dict[int, Array]:
        """One run: `fed` are inputs, `wanted` the numbers of results that the host needs.  `failed`
        makes the error for an index that is out of range of a size; then no variable has changed.
        """
        self.turn.wait()
        hosts = frozenset(v for v, x in fed.items() if not isinstance(x, MemorySpan))
        replay = self._replay(hosts, wanted)
        for v, source in fed.items():
            if isinstance(source, MemorySpan):
                self.device.copy(self.slots[v], source)
            else:
                self._pinned(v, source.nbytes).array[...] = _bytes(source)
        replay.run()
        if wanted or self.code.fails:
            self.device.synchronize()
        elif hosts:  # the run goes on: the host fills other memory meanwhile
            self.turn.ticket = self.device.mark()
            self.turn, self.next = self.next, self.turn
        if self.code.fails:
            state = self.turn.pinned[self.status].array.view(np.int64)
            if state[0]:
                raise failed(int(state[1]), int(state[2]))
        return {i: self._result(i) for i in wanted}

    def _result(self, number: int) -> Array:
        """A result, as a new array on the host."""
        v = self.code.program.graph.outputs[number]
        array = np.empty(dim.numbers(v.type.shape, self.sizes), v.type.dtype.numpy)
        _bytes(array)[...] = self._pinned(number, array.nbytes).array
        return array


def _is_empty(node: Node) -> bool:
    """Whether a node moves nothing."""
    return isinstance(node, CopyNode) and any(
        isinstance(x, MemorySpan) and x.nbytes == 0 for x in (node.target, node.source)
    )


def _bytes(array: Array) -> Array:
    """An array's bytes, as a view."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
