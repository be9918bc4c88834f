"""The protocol of devices: `Device`, nine methods.  `cuda/device.py` has GPUs, `cuda/simulated.py`
simulated ones.  A `DeviceFamily` opens the devices of one kind.

A `MemorySpan` is a place in a device's memory; it knows its end, so that a simulated device can
detect accesses outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from graphc.codegen.cache import Built, Cache
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.target import DeviceTarget
from graphc.config import Options
from graphc.ir.dim import Size
from graphc.ir.machine import DeviceSpec
from graphc.ir.op import Array
from graphc.ir.program import Kernel


@dataclass(frozen=True, eq=False)
class Allocation:
    """An allocation: `handle` is the device's own object, which frees the memory at its end."""

    address: int
    nbytes: int
    handle: Any = None


@dataclass(frozen=True)
class MemorySpan:
    """`nbytes` of device memory, `offset` bytes into an allocation."""

    memory: Allocation
    offset: int
    nbytes: int

    @property
    def address(self) -> int:
        return self.memory.address + self.offset

    def part(self, offset: int, nbytes: int) -> MemorySpan:
        """A piece of the span."""
        return MemorySpan(self.memory, self.offset + offset, nbytes)


@dataclass(frozen=True)
class LoadedKernel:
    """Loaded code; `handle` is the device's own object."""

    source: DeviceSource
    handle: Any


@dataclass(frozen=True)
class LaunchNode:
    """A launch of a function on a grid.  `arguments` fit `function.source.parameters`; `written`
    are the numbers of the arguments that it writes.  In a graph, `after` are the numbers of earlier
    nodes that must be done first.  `kernel` is the program's kernel that it belongs to."""

    function: LoadedKernel
    grid: tuple[int, int, int]
    shared: int
    arguments: tuple[MemorySpan | int, ...]
    written: frozenset[int] = frozenset()
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


@dataclass(frozen=True, eq=False)
class Pinned:
    """Host memory that the device reads and writes by itself; `handle` keeps it alive."""

    array: Array
    handle: Any = None


@dataclass(frozen=True)
class CopyNode:
    """A copy of bytes; its source, its target, or both are on the device."""

    target: MemorySpan | Pinned
    source: MemorySpan | Pinned
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Call:
    """A library's work: `enqueue` puts it on the stream with that handle, which may be capturing.
    The work reads `read` and writes `written`."""

    enqueue: Callable[[int], None]
    read: tuple[MemorySpan, ...]
    written: tuple[MemorySpan, ...]
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


Node = LaunchNode | CopyNode | Call


class Replay(Protocol):
    """A graph of launches, ready to run."""

    def run(self) -> None:
        """Runs it; `Device.synchronize` waits for its end."""


class Ticket(Protocol):
    """A moment in a device's work."""

    def wait(self) -> None:
        """Waits until all work before it is done."""


class Device(Protocol):
    """A device: a name, a target, and nine methods.  Methods that fail raise a `DeviceError` that
    says what to change.

    memory     `allocate`, `pinned`, `copy`
    kernels    `prepare`, `load`, `launch`
    runs       `graph`, `mark`, `synchronize`
    """

    name: str  # cuda:0

    @property
    def target(self) -> DeviceTarget:
        """The target that prints the device's kernels."""

    def allocate(self, nbytes: int) -> Allocation:
        """New memory, aligned to 256 bytes."""

    def pinned(self, nbytes: int) -> Pinned:
        """Host memory for copies in graphs."""

    def copy(self, target: MemorySpan | Array, source: MemorySpan | Array) -> None:
        """Copies bytes, after all work so far; waits for the copy if the target is an array."""

    def prepare(self, sources: Sequence[DeviceSource], options: Options, built: Built) -> None:
        """Compiles the sources that no cache has, several at once; `built` counts them."""

    def load(self, source: DeviceSource) -> LoadedKernel:
        """Loads machine code, from the cache or compiled."""

    def launch(self, launch: LaunchNode) -> None:
        """Runs one kernel, after all work so far."""

    def graph(self, nodes: Sequence[Node]) -> Replay:
        """A graph of nodes and their dependencies, to be run many times."""

    def mark(self) -> Ticket:
        """The end of all work so far."""

    def synchronize(self) -> None:
        """Waits for all work."""


NodeMaker = Callable[[Sequence[MemorySpan]], list[Node]]  # a kernel's nodes, for given buffers


class ProductLibrary(Protocol):
    """A library that may make the products of one program on one device."""

    @property
    def forced(self) -> bool:
        """Whether the library makes all products that it can; else trials find the faster way."""

    def may_make(self, kernel: Kernel) -> bool:
        """Whether the library can make a kernel's contraction."""

    def nodes(
        self,
        kernel: Kernel,
        number: Callable[[Size], int],
        places: Sequence[MemorySpan],
        own: NodeMaker,
        after: NodeMaker,
    ) -> list[Node]:
        """The nodes of a product's kernel at a run's sizes: graphc's `own`, or the library's and
        those of the epilogue, `after`."""


@runtime_checkable
class Multiplies(Protocol):
    """A device for which a library may make products."""

    def products(self, options: Options) -> ProductLibrary | None:
        """The library for one program; None where graphc's kernels make all products.  Raises
        `DeviceError` if the options ask for a library that is not installed."""


class DeviceFamily(Protocol):
    """The devices of one kind; this machine may have none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The devices' names, for messages: `cuda:N`."""

    def open(self, name: str, cache: Cache) -> Device:
        """The device of that name.  Raises `DeviceError` if it is not there, and says why."""

    def spec(self, name: str, device: Device | None) -> DeviceSpec:
        """The device as placement sees it; a typical one, if the device is not open."""

    def holder(self, array: object) -> str:
        """The name of the device on which another library's array lies; "" for other devices."""

    def listed(self, cache: Cache) -> tuple[tuple[str, str], ...]:
        """The lines of `graphc devices`: names, and what is there or what is missing."""


def allocated(device: Device, nbytes: int) -> MemorySpan:
    """New memory on a device."""
    return MemorySpan(device.allocate(max(nbytes, 1)), 0, nbytes)


def uploaded(device: Device, array: Array) -> MemorySpan:
    """New memory on a device, with the bytes of an array."""
    span = allocated(device, array.nbytes)
    device.copy(span, array)
    return span
