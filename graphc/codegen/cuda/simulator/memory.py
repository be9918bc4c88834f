"""Memory of the simulator: pointers, shared and local arrays, and a record of accesses.

Invariant: every access is checked: bounds at both ends, alignment of vectors, and races.  Memory
that nothing has written holds bytes of 0xFF: NaN in every float type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import DeviceError
from graphc.ir.op import Array

POISON_BYTE = 0xFF  # fills memory that nothing has written: NaN in every float type
MAX_ACCESS_BYTES = 16
SEVERAL = -1  # in an `Access`, in place of a number: several blocks, threads or warps


class SimulatorError(DeviceError):
    """A kernel that would go wrong on a GPU."""


class Access(NamedTuple):
    """Who touched an element, and when: how many barriers block and warp had passed.  `SEVERAL`
    stands for several blocks, threads or warps."""

    block: int
    thread: int
    epoch: int
    warp: int
    warp_epoch: int


def ordered(before: Access, now: Access) -> bool:
    """Whether a barrier lies between two accesses, or one thread makes both."""
    if before.block != now.block:
        return False
    if before.thread == now.thread or before.epoch != now.epoch:
        return True
    return before.warp == now.warp and before.warp_epoch < now.warp_epoch


def merged(before: Access, now: Access) -> Access:
    """Two reads as one record: an access is ordered after it only if it is after both."""
    if before.block != now.block:
        return Access(SEVERAL, SEVERAL, now.epoch, SEVERAL, 0)
    if ordered(before, now):
        return now
    if before.warp == now.warp:
        return now._replace(thread=SEVERAL)
    return now._replace(thread=SEVERAL, warp=SEVERAL)


class Races:
    """The last accesses to every element, by a number (`key`) that stands for the element.

    >>> races, first, second = Races(), Access(0, 0, 0, 0, 0), Access(0, 1, 0, 0, 0)
    >>> races.write(8, first), races.write(8, second)
    (None, 'writes what thread 0 of block 0 wrote')
    """

    def __init__(self) -> None:
        self.written: dict[int, Access] = {}
        self.seen: dict[int, Access] = {}

    def write(self, key: int, now: Access) -> str | None:
        """Notes a write, and returns what is wrong with it, if anything."""
        for records, done in ((self.written, "wrote"), (self.seen, "read")):
            before = records.get(key)
            if before is not None and before is not now and not ordered(before, now):
                return f"writes what {_who(before)} {done}"
        self.written[key] = now
        return None

    def read(self, key: int, now: Access) -> str | None:
        """Notes a read, and returns what is wrong with it, if anything."""
        before = self.written.get(key)
        if before is not None and before is not now and not ordered(before, now):
            return f"reads what {_who(before)} wrote"
        seen = self.seen.get(key)
        self.seen[key] = now if seen is None or seen is now else merged(seen, now)
        return None


def _who(access: Access) -> str:
    if access.block == SEVERAL:
        return "threads of several blocks"
    who = "several threads" if access.thread == SEVERAL else f"thread {access.thread}"
    return f"{who} of block {access.block}"


class Index(NamedTuple):
    """`threadIdx`, `blockIdx` and the like."""

    x: int
    y: int
    z: int


class Thread:
    """One thread.  `now` is the record that its accesses leave; `request` is the collective that it
    waits in, `result` what that returns; `copies` are its groups of asynchronous copies."""

    __slots__ = ("copies", "coroutine", "index", "now", "request", "result")

    def __init__(self, number: int, place: Index, block: int) -> None:
        self.index, self.now = place, Access(block, number, 0, number // 32, 0)
        self.coroutine: Any = None
        self.request: tuple[Any, ...] | None = None
        self.result: Any = None
        self.copies: list[list[Callable[[], None]]] = [[]]


class LaunchState:
    """State that all memory of a launch shares: the running thread, and its line for messages."""

    def __init__(self) -> None:
        self.thread = Thread(0, Index(0, 0, 0), 0)
        self.block = Index(0, 0, 0)
        self.where: Callable[[], str] = lambda: ""

    def fail(self, message: str) -> SimulatorError:
        """An error that names thread, block and line."""
        place, block = tuple(self.thread.index), tuple(self.block)
        return SimulatorError(f"thread {place} of block {block} {message}{self.where()}")


class Pointer:
    """Elements in global memory.  Reads are noted only if the launch writes here (`watched`)."""

    def __init__(
        self, machine: LaunchState, races: Races, name: str, elements: Array, watched: bool
    ) -> None:
        self.machine, self.races, self.name, self.elements = machine, races, name, elements
        self.watched, self.count, self.size = watched, len(elements), elements.itemsize
        self.address = int(elements.__array_interface__["data"][0])

    def _inside(self, i: Any, n: int = 1) -> int:
        k = index(i)
        if not 0 <= k <= self.count - n:
            what = f"[{k}]" if n == 1 else f"[{k}:{k + n}]"
            raise self.machine.fail(f"is out of bounds at {self.name}{what} of {self.count}")
        return k

    def _note(self, note: Callable[[int, Access], str | None], k: int) -> None:
        wrong = note(self.address + k * self.size, self.machine.thread.now)
        if wrong:
            raise self.machine.fail(f"{wrong} at {self.name}[{k}], with no barrier between: a race")

    def __getitem__(self, i: Any) -> Any:
        k = index(i)
        if not 0 <= k < self.count:
            self._inside(k)
        if self.watched:
            self._note(self.races.read, k)
        return self.elements[k]

    def __setitem__(self, i: Any, value: Any) -> None:
        k = self._inside(i)
        self._note(self.races.write, k)
        self.elements[k] = value

    def _vector(self, i: Any, n: int) -> int:
        k, nbytes = self._inside(i, n), min(n * self.size, MAX_ACCESS_BYTES)
        if (self.address + k * self.size) % nbytes:
            raise self.machine.fail(
                f"is misaligned at {self.name}[{k}:{k + n}]: not at a multiple of {nbytes} bytes"
            )
        return k

    def read(self, i: Any, n: int) -> tuple[Any, ...]:
        """A vector, of memory that this launch may write."""
        k = self._vector(i, n)
        if self.watched:
            for each in range(k, k + n):
                self._note(self.races.read, each)
        return tuple(self.elements[k : k + n])

    def constant(self, i: Any, n: int) -> tuple[Any, ...]:
        """A vector, of memory that this launch does not write."""
        values = self.read(i, n)
        if self.watched:
            for each in range(index(i), index(i) + n):
                if self.address + each * self.size in self.races.written:
                    raise self.machine.fail(
                        f"loads {self.name}[{each}], which this launch wrote, as constant: use read"
                    )
        return values

    def write(self, i: Any, values: tuple[Any, ...]) -> None:
        """Stores a vector."""
        k, n = self._vector(i, len(values)), len(values)
        for each in range(k, k + n):
            self._note(self.races.write, each)
        self.elements[k : k + n] = values

    def bytes_at(self, i: Any, nbytes: int) -> Array:
        """`nbytes` bytes from element `i` on, for copies of 16 bytes."""
        n = -(-nbytes // self.size)
        k = self._inside(i, n) if n else index(i)
        if n and (self.address + k * self.size) % MAX_ACCESS_BYTES:
            raise self.machine.fail(f"copies from {self.name}[{k}], not at a multiple of 16 bytes")
        for each in range(k, k + n) if self.watched else ():
            self._note(self.races.read, each)
        return self.elements[k : k + n].view(np.uint8)[:nbytes]


class SimulatedBlock:
    """Shared memory of a block: its bytes, its arrays, and races among pieces of `unit` bytes."""

    def __init__(self, machine: LaunchState, static: int, dynamic: int, unit: int) -> None:
        self.machine, self.unit, self.races = machine, unit, Races()
        self.bytes = np.full(static + dynamic, POISON_BYTE, np.uint8)
        self.static, self.dynamic, self.top = static, dynamic, 0
        self.arrays: dict[Any, Shared] = {}

    def array(self, site: Any, shape: Any, dtype: Any, alignment: int | None) -> Shared:
        """The array that a place in the text (`site`) allocates: the same for all threads."""
        if site not in self.arrays:
            sizes = tuple(map(int, shape)) if isinstance(shape, tuple) else (int(shape),)
            step = alignment or dtype.itemsize
            base = -(-self.top // step) * step
            if alignment is None and base % MAX_ACCESS_BYTES == 0:
                # Else a text could rely on alignment that it did not ask for.
                base += step % MAX_ACCESS_BYTES
            self.top = base + math.prod(sizes) * dtype.itemsize
            if self.top > self.static:
                raise self.machine.fail(
                    f"wants {self.top} bytes of static shared memory; there are {self.static}"
                )
            self.arrays[site] = Shared(self, base, sizes, dtype)
        return self.arrays[site]

    def dynamic_array(self, dtype: Any) -> Shared:
        """All dynamic shared memory, as an array."""
        if dtype not in self.arrays:
            count = self.dynamic // dtype.itemsize
            self.arrays[dtype] = Shared(self, self.static, (count,), dtype)
        return self.arrays[dtype]

    def note(self, note: Callable[[int, Access], str | None], at: int, nbytes: int) -> None:
        """Notes an access to bytes."""
        now = self.machine.thread.now
        for key in range(at // self.unit, -(-(at + nbytes) // self.unit)):
            wrong = note(key, now)
            if wrong:
                raise self.machine.fail(
                    f"{wrong} in shared memory, byte {at}, with no barrier between: a race"
                )

    def row(self, address: Any) -> int:
        """The address of an access to 16 bytes, which must be inside and aligned."""
        at = index(address)
        inside = 0 <= at <= self.top - MAX_ACCESS_BYTES or (
            self.static <= at <= self.static + self.dynamic - MAX_ACCESS_BYTES
        )
        if not inside:
            raise self.machine.fail(f"is out of bounds of shared memory at byte {at}")
        if at % MAX_ACCESS_BYTES:
            raise self.machine.fail(
                f"is misaligned in shared memory at byte {at}: not at a multiple of 16 bytes"
            )
        return at


class Shared:
    """An array in shared memory."""

    def __init__(
        self, block: SimulatedBlock, base: int, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.block, self.base, self.shape, self.step = block, base, shape, dtype.itemsize
        nbytes = math.prod(shape) * self.step
        self.elements = block.bytes[base : base + nbytes].view(dtype)

    def __getitem__(self, i: Any) -> Any:
        k = flat(self.block.machine, i, self.shape, "shared")
        self.block.note(self.block.races.read, self.base + k * self.step, self.step)
        return self.elements[k]

    def __setitem__(self, i: Any, value: Any) -> None:
        k = flat(self.block.machine, i, self.shape, "shared")
        self.block.note(self.block.races.write, self.base + k * self.step, self.step)
        self.elements[k] = value


class Local:
    """A thread's own array."""

    def __init__(self, machine: LaunchState, shape: Any, dtype: Any) -> None:
        self.machine = machine
        self.shape = tuple(shape) if isinstance(shape, tuple) else (int(shape),)
        nbytes = math.prod(self.shape) * dtype.itemsize
        self.elements = np.full(nbytes, POISON_BYTE, np.uint8).view(dtype)

    def __getitem__(self, i: Any) -> Any:
        return self.elements[flat(self.machine, i, self.shape, "local")]

    def __setitem__(self, i: Any, value: Any) -> None:
        self.elements[flat(self.machine, i, self.shape, "local")] = value


def flat(machine: LaunchState, i: Any, shape: tuple[int, ...], what: str) -> int:
    """The number of an element, whose index must be inside on every axis."""
    at, places = 0, i if isinstance(i, tuple) else (i,)
    if len(places) != len(shape):
        raise machine.fail(f"indexes a {what} array of shape {shape} by {len(places)} numbers")
    for place, size in zip(places, shape, strict=True):
        k = index(place)
        if not 0 <= k < size:
            raise machine.fail(
                f"is out of bounds at {tuple(map(int, places))} of a {what} array of shape {shape}"
            )
        at = at * size + k
    return at
