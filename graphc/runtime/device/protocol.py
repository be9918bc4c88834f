"""What a device must be able to do: five methods.  `cuda.py` is a GPU, `simulated.py` a fake one.

    allocate   memory (`pinned`: of the host)    load    a kernel's code
    copy       host <-> device, at once          graph   work, to be replayed
    launch     one kernel, now

A `Span` is a place in a device's memory; it knows its end, so that a simulated device can tell an
access outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.codegen.cache import Built
from graphc.codegen.cuda.source import DeviceSource
from graphc.config import Options
from graphc.ir.op import Array
from graphc.ir.program import Kernel


@dataclass(frozen=True, eq=False)
class Memory:
    """An allocation: `handle` is the device's own object, which frees it when it goes."""

    address: int
    nbytes: int
    handle: Any = None


@dataclass(frozen=True)
class Span:
    """`nbytes` of device memory, `offset` bytes into an allocation."""

    memory: Memory
    offset: int
    nbytes: int

    @property
    def address(self) -> int:
        return self.memory.address + self.offset

    def part(self, offset: int, nbytes: int) -> Span:
        """A piece of it."""
        return Span(self.memory, self.offset + offset, nbytes)


@dataclass(frozen=True)
class Function:
    """Loaded code; `handle` is the device's own object."""

    source: DeviceSource
    handle: Any


@dataclass(frozen=True)
class Launch:
    """A kernel on a grid.  `arguments` fit `function.source.parameters`; those with the numbers
    `written` it writes.  In a graph, `after` are the numbers of earlier nodes that must be done
    first.  `kernel` is whose work it is."""

    function: Function
    grid: tuple[int, int, int]
    shared: int
    arguments: tuple[Span | int, ...]
    written: frozenset[int] = frozenset()
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


@dataclass(frozen=True, eq=False)
class Pinned:
    """Bytes of host memory that the device reads and writes by itself; `handle` keeps them."""

    array: Array
    handle: Any = None


@dataclass(frozen=True)
class Copy:
    """Bytes from one place to another, at least one of them on the device."""

    target: Span | Pinned
    source: Span | Pinned
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Call:
    """A library's work: `enqueue` puts it on the stream with this handle, which may be capturing.
    It reads and writes these places."""

    enqueue: Callable[[int], None]
    read: tuple[Span, ...]
    written: tuple[Span, ...]
    after: tuple[int, ...] = ()
    kernel: Kernel | None = None


Node = Launch | Copy | Call


class Replay(Protocol):
    """A graph of launches, ready to run."""

    def run(self) -> None:
        """Runs it; `Device.synchronize` waits for its end."""


class Ticket(Protocol):
    """A moment in a device's work."""

    def wait(self) -> None:
        """Waits until all work before it is done."""


class Device(Protocol):
    """A device.  What fails raises `DeviceError` with what to change."""

    name: str  # cuda:0

    def allocate(self, nbytes: int) -> Memory:
        """Memory, aligned to 256 bytes."""

    def pinned(self, nbytes: int) -> Pinned:
        """Host memory for copies in graphs."""

    def copy(self, target: Span | Array, source: Span | Array) -> None:
        """Copies bytes, after all work so far; done when it returns if the target is an array."""

    def prepare(self, sources: Sequence[DeviceSource], options: Options, built: Built) -> None:
        """Compiles what is in no cache, several at once; `built` counts."""

    def load(self, source: DeviceSource) -> Function:
        """Machine code, from the cache or compiled."""

    def launch(self, launch: Launch) -> None:
        """Runs one kernel, after all work so far."""

    def graph(self, nodes: Sequence[Node]) -> Replay:
        """Nodes with their dependencies, to be run often."""

    def mark(self) -> Ticket:
        """The end of all work so far."""

    def synchronize(self) -> None:
        """Waits for all work."""


def allocated(device: Device, nbytes: int) -> Span:
    """New memory of a device."""
    return Span(device.allocate(max(nbytes, 1)), 0, nbytes)


def uploaded(device: Device, array: Array) -> Span:
    """New memory of a device, with the bytes of an array."""
    span = allocated(device, array.nbytes)
    device.copy(span, array)
    return span
