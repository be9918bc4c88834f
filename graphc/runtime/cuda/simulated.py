"""A simulated GPU: NumPy memory, and kernels in the warp simulator (`codegen.cuda.simulator`).

It runs the same texts as a GPU's device, slowly, and finds errors that a GPU would ignore: accesses
outside of a buffer, races, reads of memory that nothing has written (fresh memory is full of NaN).
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.codegen.cache import Built
from graphc.codegen.cuda.simulator.simulate import simulate
from graphc.codegen.cuda.target import CUDA
from graphc.codegen.device_source import DeviceSource
from graphc.config import Options
from graphc.errors import DeviceError
from graphc.ir.op import Array
from graphc.runtime.device.protocol import (
    Allocation,
    Call,
    CopyNode,
    LaunchNode,
    LoadedKernel,
    MemorySpan,
    Node,
    Pinned,
)

ALLOCATION_ALIGNMENT_BYTES = 256  # as cudaMalloc's
ELEMENT_TYPES = {
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
    "u64": np.uint64,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}
VECTOR_ALIGNMENT_BYTES = 16
VECTOR_ACCESS = re.compile(r"\b(load|read|store)[248]\(|cp_async")
POISON_BYTE = 0xFF  # fills fresh memory: NaN in every float type


class SimulatedDevice:
    """A device without a GPU.  It has `memory` bytes."""

    def __init__(self, name: str = "cuda:sim", memory: int = 1 << 33) -> None:
        self.name, self.target, self.memory = name, CUDA, memory
        self.next = ALLOCATION_ALIGNMENT_BYTES
        self.launches = 0
        self.memories: weakref.WeakSet[Allocation] = weakref.WeakSet()

    def allocate(self, nbytes: int) -> Allocation:
        """New memory, at an address that means nothing to the host."""
        free = self.memory - sum(m.nbytes for m in self.memories)
        if nbytes > free:
            raise DeviceError(
                f"{self.name}: out of memory: {nbytes} bytes asked for, {free} of {self.memory} "
                "are free; feed smaller batches, or place less on it"
            )
        address = self.next
        self.next += (
            -(-max(nbytes, 1) // ALLOCATION_ALIGNMENT_BYTES) * ALLOCATION_ALIGNMENT_BYTES
            + ALLOCATION_ALIGNMENT_BYTES
        )
        allocation = Allocation(address, nbytes, np.full(max(nbytes, 1), POISON_BYTE, np.uint8))
        self.memories.add(allocation)
        return allocation

    def pinned(self, nbytes: int) -> Pinned:
        """Host memory."""
        return Pinned(np.full(nbytes, POISON_BYTE, np.uint8))

    def copy(
        self, target: MemorySpan | Array | Pinned, source: MemorySpan | Array | Pinned
    ) -> None:
        """Copies bytes."""
        to, data = self._bytes(target), self._bytes(source)
        if to.nbytes != data.nbytes:
            raise DeviceError(f"{self.name}: a copy of {data.nbytes} bytes to {to.nbytes}")
        to[...] = data

    def _bytes(self, place: MemorySpan | Array | Pinned) -> Array:
        """The bytes of a place, as a view."""
        if isinstance(place, Pinned):
            return place.array
        if not isinstance(place, MemorySpan):
            return place.reshape(-1).view(np.uint8)
        if place.memory not in self.memories:
            raise DeviceError(f"{self.name}: address {place.address} is of another device")
        memory: Array = place.memory.handle
        return memory[place.offset : place.offset + place.nbytes]

    def prepare(self, sources: Sequence[DeviceSource], options: Options, built: Built) -> None:
        """Does nothing: the simulator compiles nothing."""

    def load(self, source: DeviceSource) -> LoadedKernel:
        """The text, which is all that the simulator needs."""
        return LoadedKernel(source, None)

    def launch(self, launch: LaunchNode) -> None:
        """Runs one kernel."""
        self.launches += 1
        source = launch.function.source
        arguments: list[Array | int] = []
        for kind, argument in zip(source.parameters, launch.arguments, strict=True):
            if isinstance(argument, MemorySpan):
                if argument.address % VECTOR_ALIGNMENT_BYTES and VECTOR_ACCESS.search(source.text):
                    raise DeviceError(
                        f"{self.name}: vectors begin at {argument.address}, which is no "
                        f"multiple of {VECTOR_ALIGNMENT_BYTES}:\n{source.text}"
                    )
                arguments.append(self._bytes(argument).view(ELEMENT_TYPES[kind.removesuffix("*")]))
            else:
                arguments.append(argument)
        simulate(source, launch.grid, launch.shared, arguments)

    def graph(self, nodes: Sequence[Node]) -> SimulatedGraph:
        """The nodes, to be run in order."""
        known: list[LaunchNode | CopyNode] = []
        for n, node in enumerate(nodes):
            if isinstance(node, Call):
                raise DeviceError(
                    f"{self.name}: a library's work cannot be simulated; leave out "
                    "the method, and graphc uses kernels of its own"
                )
            if any(a >= n for a in node.after):
                raise DeviceError(f"{self.name}: node {n} of a graph waits for a later one")
            known.append(node)
        return SimulatedGraph(self, tuple(known))

    def mark(self) -> Done:
        """A moment that has passed, since all work is done."""
        return Done()

    def synchronize(self) -> None:
        """Does nothing: all work is done when its call returns."""


@dataclass(frozen=True)
class Done:
    """A moment that has passed."""

    def wait(self) -> None:
        """Returns at once."""


@dataclass(frozen=True)
class SimulatedGraph:
    """A graph of a simulated device.  It runs in an order that its edges allow, and in another than
    the given one where they leave a choice, so that a missing edge shows."""

    device: SimulatedDevice
    nodes: tuple[LaunchNode | CopyNode, ...]

    def run(self) -> None:
        """Runs all nodes; of those that wait for no other, always the last one first."""
        waiting = dict(enumerate(self.nodes))
        done: set[int] = set()
        while waiting:
            n = max(k for k, node in waiting.items() if done.issuperset(node.after))
            node = waiting.pop(n)
            done.add(n)
            if isinstance(node, CopyNode):
                self.device.copy(node.target, node.source)
            else:
                self.device.launch(node)
