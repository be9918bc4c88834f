"""Schedules of CUDA kernels in which threads share nothing.

elementwise   a thread makes a few neighbours: loads of 16 bytes, then arithmetic, then stores
serial        a thread makes one step of the parallel axis, as a CPU's chunk of one would
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of, once
from graphc.codegen.cuda.vector import LANES, Vector, divisible
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.ir import FoldStep, For, IndexValue, Let, Loops, Store
from graphc.codegen.loops.transform import loads, map_sizes
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim
from graphc.ir.dim import Size

BLOCK = DEFAULT_THREADS[0]
RESIDENT = 8  # blocks: all threads that a multiprocessor can hold, each with 32 registers
FEW = 16  # elements in flight that fit into these
MOST = 8  # elements a thread


def elementwise(frame: KernelFrame, nest: Nest, readable: str = "") -> DeviceSource:
    """A map over the outer axes; a row (a short loop, perhaps none) is one thread's."""
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
    """Vectors where a whole one fits, single elements at the end."""
    name, size = axis
    printer = frame.printer
    printer.known.clear()
    end = printer.size(size)
    rest = printer.counted(
        name, printer.size(base), end, "1", lambda d: printer.statements(body, d), 3
    )
    test = f"        if {printer.size(base + count)} <= {end}:"
    return [test, *lines, "        else:", *rest]


def _finish(
    frame: KernelFrame,
    nest: Nest,
    lines: list[str],
    axes: list[tuple[str, Size]],
    readable: str,
    count: int = 1,
) -> DeviceSource:
    """The thread's number, what is done once, the bound, the lines; a thread makes `count`
    neighbours."""
    thread, printer = frame.name("thread"), frame.printer
    total = dim.product(tuple(n for _, n in axes))
    head = [f"    {thread} = {frame.width}(cuda.blockIdx.x*{BLOCK} + cuda.threadIdx.x)"]
    head += once(frame, nest)
    places = [f"        {place(frame, let)}" for let in positions(axes, variable(thread))]
    bound = f"    if {thread} < {printer.size(total)}:"
    moved = {(e.buffer, e.offset) for s in nest.body for e in loads(s)}
    moved |= {(s.buffer, s.offset) for s in nest.body if isinstance(s, Store)}
    flying = count * len(moved)
    resident = RESIDENT if flying <= FEW else RESIDENT // 2 if flying <= 2 * FEW else 0
    grid = Grid((blocks_of(total, BLOCK), 1, 1), DEFAULT_THREADS, resident)
    return frame.source("elementwise", [*head, bound, *places, *lines], grid, readable)


def place(frame: KernelFrame, let: Let) -> str:
    """The line of an index: a `width` number, not a value of the graph."""
    assert isinstance(let.value, IndexValue)
    return f"{let.name} = {frame.printer.size(let.value.size)}"


def vector_length(frame: KernelFrame, nest: Nest) -> int:
    """How many neighbours a thread makes: 16 bytes of the narrowest elements that are moved side by
    side, if the last axis lets it."""
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
            and count * max(2, min(beside)) <= LANES
            and all(fits(count, s.offset) for s in stores)
        )
        if enough and (len(nest.outer) == 1 or divisible(size, count)) and not _small(nest):
            return count
    return 1


def folds(body: Sequence[Any]) -> bool:
    """Whether statements change locals: a loop of one step is its body, and still folds."""
    names = [s.name for s in body if isinstance(s, Let)]
    return any(isinstance(s, For | FoldStep) for s in body) or len(set(names)) < len(names)


def _small(nest: Nest) -> bool:
    """Whether there is too little to do for all multiprocessors with several elements a thread."""
    total = dim.product(tuple(n for _, n in nest.outer))
    return isinstance(total, int) and total <= 1 << 14


def serial(frame: KernelFrame, loops: Loops, readable: str = "") -> DeviceSource:
    """Any loops: a thread for each step of the parallel axis.  What every chunk would store alike
    (how many steps a loop made) is the first thread's."""
    thread, printer = frame.name("thread"), frame.printer
    mine: dict[str, Size] = {"lo.": variable(thread), "hi.": variable(thread) + 1}
    mine |= {f"{name}.": value for name, value in loops.sizes}
    body = [map_sizes(s, lambda size: dim.substitute(size, mine)) for s in loops.body]
    alike = [s for s in body if isinstance(s, Store)]
    rest = [s for s in body if not isinstance(s, Store)]
    lines = [
        f"    {thread} = {frame.width}(cuda.blockIdx.x*{BLOCK} + cuda.threadIdx.x)",
        *([f"    if {thread} == 0:", *printer.statements(alike, 2)] if alike else []),
        f"    if {thread} < {printer.size(loops.extent)}:",
        *printer.statements(rest, 2),
    ]
    count = dim.maximum(loops.extent, 1) if alike else loops.extent
    return frame.source(
        "serial", lines, Grid((blocks_of(count, BLOCK), 1, 1), DEFAULT_THREADS), readable
    )
