"""Schedules of CUDA kernels in which threads share nothing.

elementwise   a thread makes a few neighbours: loads of 16 bytes, then arithmetic, then stores
serial        a thread makes one step of the parallel axis, like a CPU's chunk of one step
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of, once
from graphc.codegen.cuda.vector import VECTOR_BYTES, Vector, divisible
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.ir import FoldStep, For, IndexValue, Let, Loops, Store
from graphc.codegen.loops.transform import loads, map_sizes
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim
from graphc.ir.dim import Size

BLOCK_THREADS = DEFAULT_THREADS[0]
MAX_RESIDENT_BLOCKS = 8  # fill a multiprocessor with threads, which then have 32 registers each
MAX_ELEMENTS_IN_FLIGHT = 16  # loaded or stored by one thread: so many fit into 32 registers
MAX_UNVECTORED = 1 << 14  # elements: if threads took several of so few, multiprocessors would idle


def elementwise(frame: KernelFrame, nest: Nest, readable: str = "") -> DeviceSource:
    """A map over the outer axes; one thread makes a whole row (a short loop, or no loop)."""
    count = vector_length(frame, nest)
    axes = list(nest.outer)
    if count == 1:
        return _finish(frame, nest, frame.printer.statements(nest.body, 2), axes, readable)
    name, size = axes[-1]
    group = frame.name("group")
    base = variable(group) * count
    if divisible(size, count):
        axes[-1] = (group, dim.floordiv(size, count))
        lines = Vector(frame, f"{name}.", base, count).lines(nest.body, " " * 8)
    else:
        axes[-1] = (group, blocks_of(size, count))
        lines = Vector(frame, f"{name}.", base, count).lines(nest.body, " " * 12)
        lines = _with_tail(frame, nest.body, (name, size), base, count, lines)
    return _finish(frame, nest, lines, axes, readable, count)


def _with_tail(
    frame: KernelFrame,
    body: list[Any],
    axis: tuple[str, Size],
    base: Size,
    count: int,
    lines: list[str],
) -> list[str]:
    """Lines that use vectors where a whole one fits, and single elements at the axis's end."""
    name, size = axis
    printer = frame.printer
    printer.known.clear()
    end = printer.size(size)
    tail = printer.counted(
        name, printer.size(base), end, "1", lambda d: printer.statements(body, d), 3
    )
    test = f"        if {printer.size(base + count)} <= {end}:"
    return [test, *lines, "        else:", *tail]


def _finish(
    frame: KernelFrame,
    nest: Nest,
    lines: list[str],
    axes: list[tuple[str, Size]],
    readable: str,
    count: int = 1,
) -> DeviceSource:
    """The whole kernel: the thread's number, what is done once, the bound, then `lines`.  A thread
    makes `count` neighbours."""
    thread, printer = frame.name("thread"), frame.printer
    total = dim.product(tuple(n for _, n in axes))
    head = [f"    {thread} = {frame.width}(cuda.blockIdx.x*{BLOCK_THREADS} + cuda.threadIdx.x)"]
    head += once(frame, nest)
    places = [f"        {place(frame, let)}" for let in positions(axes, variable(thread))]
    bound = f"    if {thread} < {printer.size(total)}:"
    moved = {(e.buffer, e.offset) for s in nest.body for e in loads(s)}
    moved |= {(s.buffer, s.offset) for s in nest.body if isinstance(s, Store)}
    in_flight = count * len(moved)
    resident = (
        MAX_RESIDENT_BLOCKS
        if in_flight <= MAX_ELEMENTS_IN_FLIGHT
        else MAX_RESIDENT_BLOCKS // 2
        if in_flight <= 2 * MAX_ELEMENTS_IN_FLIGHT
        else 0
    )
    grid = Grid((blocks_of(total, BLOCK_THREADS), 1, 1), DEFAULT_THREADS, resident)
    return frame.source("elementwise", [*head, bound, *places, *lines], grid, readable)


def place(frame: KernelFrame, let: Let) -> str:
    """The line that sets an index, which is a number of the frame's `width`."""
    assert isinstance(let.value, IndexValue)
    return f"{let.name} = {frame.printer.size(let.value.size)}"


def vector_length(frame: KernelFrame, nest: Nest) -> int:
    """How many neighbours a thread makes: 16 bytes of the narrowest elements that lie side by side,
    if the last axis allows it."""
    if not nest.outer or folds(nest.body):
        return 1
    name, size = nest.outer[-1]
    stores = [s for s in nest.body if isinstance(s, Store)]
    moved = [(s.offset, frame.printer.dtypes[s.buffer].size) for s in stores]
    moved += [(e.offset, e.dtype.size) for s in nest.body for e in loads(s)]

    def fits(count: int, offset: Size) -> bool:
        return Vector(frame, f"{name}.", variable("group") * count, count).aligned(offset)

    for count in (8, 4, 2):
        beside = [width for offset, width in moved if fits(count, offset)]
        enough = (
            beside
            and count * max(2, min(beside)) <= VECTOR_BYTES
            and all(fits(count, s.offset) for s in stores)
        )
        if enough and (len(nest.outer) == 1 or divisible(size, count)) and not _small(nest):
            return count
    return 1


def folds(body: Sequence[Any]) -> bool:
    """Whether statements change locals: a loop of one step is only its body, but still a fold."""
    names = [s.name for s in body if isinstance(s, Let)]
    return any(isinstance(s, For | FoldStep) for s in body) or len(set(names)) < len(names)


def _small(nest: Nest) -> bool:
    """Whether a nest has too few elements to keep a GPU busy with several for each thread."""
    total = dim.product(tuple(n for _, n in nest.outer))
    return isinstance(total, int) and total <= MAX_UNVECTORED


def serial(frame: KernelFrame, loops: Loops, readable: str = "") -> DeviceSource:
    """Any loops: one thread for each step of the parallel axis.  Stores outside of it, which every
    chunk would make alike (how many steps a loop made), are left to the first thread."""
    thread, printer = frame.name("thread"), frame.printer
    mine: dict[str, Size] = {"lo.": variable(thread), "hi.": variable(thread) + 1}
    mine |= {f"{name}.": value for name, value in loops.sizes}
    body = [map_sizes(s, lambda size: dim.substitute(size, mine)) for s in loops.body]
    alike = [s for s in body if isinstance(s, Store)]
    own = [s for s in body if not isinstance(s, Store)]
    lines = [
        f"    {thread} = {frame.width}(cuda.blockIdx.x*{BLOCK_THREADS} + cuda.threadIdx.x)",
        *([f"    if {thread} == 0:", *printer.statements(alike, 2)] if alike else []),
        f"    if {thread} < {printer.size(loops.extent)}:",
        *printer.statements(own, 2),
    ]
    count = dim.maximum(loops.extent, 1) if alike else loops.extent
    return frame.source(
        "serial", lines, Grid((blocks_of(count, BLOCK_THREADS), 1, 1), DEFAULT_THREADS), readable
    )
