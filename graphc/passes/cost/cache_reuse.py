"""Estimates where a kernel's data lies: how many bytes were touched since the last use of each
buffer.

Data touched a few kilobytes ago is in a near cache; data touched megabytes ago is not, and no
kernel can be blamed for that.  Runs follow one another, and so do the steps of a loop: a buffer not
touched before in this run was touched in the last one.

Invariant: the estimate uses the sizes of a plan only.  It is the best that a cache can do which
keeps the data used last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from graphc.ir.arena import ArenaLayout
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.program import Kernel, Place, Program, home, scatters_in_place, storage
from graphc.passes.cost.kernel import cost_of, touched


@dataclass(frozen=True)
class Touch:
    """Bytes of one buffer that a kernel reads and writes; `distance` is the number of bytes touched
    since the buffer's last use, the kernel's own included."""

    read: int
    written: int
    distance: int


def touches(
    program: Program, number: Callable[[Size], int], places: ArenaLayout
) -> dict[Kernel, tuple[Touch, ...]]:
    """The buffers that each kernel touches, kernels of inner programs too; `number` evaluates
    sizes."""
    by_kernel: dict[Kernel, tuple[Touch, ...]] = {}
    used = {
        k: _used(program, k, number, partial(_place, program, i, places))
        for i, k in enumerate(program.kernels)
    }
    extent: dict[Hashable, int] = {}
    for place, read, written in (u for buffers in used.values() for u in buffers):
        extent[place] = max(extent.get(place, 0), read, written)
    everything, clock, last = sum(extent.values()), 0, dict.fromkeys(extent, 0)
    for _ in range(2):  # the second turn sees the state that the first one left
        for k in program.kernels:
            cost = cost_of(k, scatters_in_place(program, k))
            before, clock = clock, clock + number(cost.moved)
            kernel_bytes = sum(max(read, written) for _, read, written in used[k])
            by_kernel[k] = tuple(
                Touch(
                    read,
                    written,
                    max(kernel_bytes, min(everything, before - last[place] + kernel_bytes)),
                )
                for place, read, written in used[k]
            )
            last.update((place, clock) for place, _, _ in used[k])
    for inner in (p for k in program.kernels for p in k.programs):
        by_kernel |= touches(inner, number, places.inner[inner])
    return by_kernel


def _used(
    program: Program,
    kernel: Kernel,
    number: Callable[[Size], int],
    place_of: Callable[[Value], Hashable],
) -> list[tuple[Hashable, int, int]]:
    """(place, bytes read, bytes written) of each buffer of a kernel."""
    read, written = touched(kernel, scatters_in_place(program, kernel))
    buffers: dict[Hashable, tuple[int, int]] = {}
    for v, count in read.items():
        r, w = buffers.get(place := place_of(v), (0, 0))
        buffers[place] = r + number(count) * v.type.dtype.size, w
    for v, count in written.items():
        r, w = buffers.get(place := place_of(v), (0, 0))
        buffers[place] = r, w + number(count) * v.type.dtype.size
    return [(place, r, w) for place, (r, w) in buffers.items()]


def _place(program: Program, kernel: int, places: ArenaLayout, v: Value) -> Hashable:
    """A key for the place of v while a kernel runs: values that begin at one place share it."""
    v = storage(v)
    buffer = program.buffers.get(v)
    if buffer is not None and buffer.place is Place.ARENA:
        return places.at(v, kernel)
    return home(program, v) if buffer is not None and buffer.place is Place.VARIABLE else v
