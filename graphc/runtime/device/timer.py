"""Timed plans of devices: every node of a run is launched by itself, with a wait after it.

Nodes that overlap in a plain run do not overlap here, and a node's time includes its launch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.ir.program import Kernel, Kind, Program
from graphc.runtime.cpu.plan_words import Event
from graphc.runtime.cpu.timer import Timed, Times
from graphc.runtime.device.hazards import touched
from graphc.runtime.device.plan import DevicePlan
from graphc.runtime.device.protocol import CopyNode, Device, Node, Pinned, Replay

# The kinds of copies, as reports name them.
FROM_HOST = "from the host"
TO_HOST = "to the host"
WITHIN = "on the device"
NoteTimes = Callable[[Node, int, int], None]  # is told a node, its start and its end in ns


class DeviceTiming:
    """The times of a plan's nodes; the plan runs node by node from now on.  `places` are what is
    timed: the program's kernels, those in loops, and the three kinds of copies."""

    def __init__(self, plan: DevicePlan) -> None:
        self.plan = plan
        self.places = _places(plan.code.program, None)
        self.places += [Timed(None, None, 0, name) for name in (FROM_HOST, TO_HOST, WITHIN)]
        self.number: dict[object, int] = {p.kernel or p.name: n for n, p in enumerate(self.places)}
        self.around = {
            n: self.number[p.within] for n, p in enumerate(self.places) if p.within is not None
        }
        self.log: list[tuple[int, int, int]] = []
        self.moved = dict.fromkeys((FROM_HOST, TO_HOST, WITHIN), 0)
        plan.replayed_by(lambda nodes: NodeByNode.of(plan.device, nodes, self._note))

    def _note(self, node: Node, start: int, end: int) -> None:
        kind = kind_of(node)
        self.log.append((self.number[node.kernel or kind], start, end))
        if node.kernel is None:
            self.moved[kind] += _moved(node)

    def reset(self) -> None:
        """Forgets the last run."""
        self.log.clear()
        self.moved = dict.fromkeys(self.moved, 0)

    def taken(self) -> Times:
        """The times of the last run.  A loop's time is the sum of its steps'."""
        calls, spent = np.zeros((2, len(self.places)), np.int64)
        rows = np.zeros((len(self.log), Event.SIZE), np.int64)
        for row, (number, start, end) in zip(rows, self.log, strict=True):
            row[[Event.NUMBER, Event.START, Event.END]] = number, start, end
            if self.places[number].within is not None or not calls[number]:
                calls[number] += 1  # the launches of a kernel outside of loops are one
            place: int | None = number
            while place is not None:
                spent[place] += end - start
                calls[place] = max(calls[place], 1)
                place = self.around.get(place)
        for kind, nbytes in self.moved.items():
            number = self.number[kind]
            self.places[number] = replace(self.places[number], nbytes=nbytes)
        return Times(calls, spent, rows, 0)


@dataclass(frozen=True)
class NodeByNode:
    """A graph's nodes, each run by itself; `note` is called with each node's start and end."""

    device: Device
    nodes: tuple[Node, ...]
    replays: tuple[Replay, ...]
    note: NoteTimes

    @staticmethod
    def of(device: Device, nodes: Sequence[Node], note: NoteTimes) -> NodeByNode:
        """The nodes, which come in an order that their edges allow."""
        alone = tuple(device.graph([replace(node, after=())]) for node in nodes)
        return NodeByNode(device, tuple(nodes), alone, note)

    def run(self) -> None:
        """Runs every node and waits for it."""
        self.device.synchronize()
        for node, alone in zip(self.nodes, self.replays, strict=True):
            start = time.perf_counter_ns()
            alone.run()
            self.device.synchronize()
            self.note(node, start, time.perf_counter_ns())


def kind_of(node: Node) -> str:
    """The kind of copy of a node that belongs to no kernel (a launch is a copy within the device
    that a failed run leaves out)."""
    match node:
        case CopyNode(source=Pinned()):
            return FROM_HOST
        case CopyNode(target=Pinned()):
            return TO_HOST
    return WITHIN


def _moved(node: Node) -> int:
    """The bytes that a copy moves."""
    read, written = touched(node)
    return max(span.nbytes for span in (*read, *written))


def _places(program: Program, within: Kernel | None) -> list[Timed]:
    """The kernels of a program and of its loops, each once."""
    places = []
    for kernel in dict.fromkeys(program.kernels):
        places.append(Timed(kernel, within, 0))
        if kernel.kind is Kind.CONTROL:
            for inner in kernel.programs:
                places += _places(inner, kernel)
    return places
