"""The schedule of kernels that transpose: they read along one axis and write along another.

A block makes a tile of 32 x 32 elements.  Its threads first read each turned operand along the
operand's rows into shared memory (33 columns wide, so that a column lies in 32 banks); after a
barrier they make the results along the results' rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of, once
from graphc.codegen.cuda.printer import keeping, kept, kept_type
from graphc.codegen.cuda.schedules.maps import place
from graphc.codegen.cuda.vector import Key
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.ir import For, Load, Store
from graphc.codegen.loops.transform import loads
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim
from graphc.ir.types import DType

TILE_SIDE = 32  # elements
THREAD_ROWS = 8  # rows of 32 threads: a thread moves TILE_SIDE // THREAD_ROWS elements
MIN_TILED_AXIS = 8  # elements: with a shorter axis, most of a tile would be empty


def turned(nest: Nest) -> tuple[int, dict[Key, Load]] | None:
    """The axis along which turned operands are read, and the loads of these operands (all others
    are read along the last axis); None if there are no such operands, or several such axes."""
    if len(nest.outer) < 2 or any(isinstance(s, For) for s in nest.body) or nest.chunks:
        return None
    last, names = f"{nest.outer[-1][0]}.", {f"{n}." for n, _ in nest.outer}
    turned_loads: dict[Key, Load] = {}
    axes = set()
    for e in [e for s in nest.body for e in loads(s)]:
        if not dim.is_linear(e.offset, names) or dim.symbols(e.offset) - names - _symbols(nest):
            continue
        if dim.coefficient(e.offset, last) in (0, 1):
            continue
        along = [
            a for a, (n, _) in enumerate(nest.outer[:-1]) if dim.coefficient(e.offset, f"{n}.") == 1
        ]
        if along:
            turned_loads[e.buffer, e.offset] = e
            axes.add(along[-1])
    stores = [s for s in nest.body if isinstance(s, Store)]
    whole = all(dim.coefficient(s.offset, last) == 1 for s in stores)
    if len(axes) != 1 or not whole:
        return None
    (axis,) = axes
    long = all(
        not isinstance(n, int) or n >= MIN_TILED_AXIS
        for n in (nest.outer[axis][1], nest.outer[-1][1])
    )
    return (axis, turned_loads) if long else None


def _symbols(nest: Nest) -> set[str]:
    """The names of sizes."""
    return {s for _, n in nest.outer for s in dim.symbols(n)}


@dataclass(frozen=True)
class SharedTile:
    """A tile of an operand in shared memory."""

    name: str
    dtype: DType

    def array(self) -> str:
        """The line that allocates it."""
        side = f"({TILE_SIDE}, {TILE_SIDE + 1})"
        return f"{self.name} = cuda.shared.array({side}, {kept_type(self.dtype)})"

    def keep(self, row: str, column: str, value: str) -> str:
        """The line that stores an element."""
        return f"{self.name}[{row}, {column}] = {keeping(value, self.dtype)}"

    def element(self, row: str, column: str) -> str:
        """An element, as a value."""
        return kept(f"{self.name}[{row}, {column}]", self.dtype)


def by_tiles(
    frame: KernelFrame, nest: Nest, axis: int, found: dict[Key, Load], readable: str = ""
) -> DeviceSource:
    """The kernel; `axis` and `found` are what `turned` returns."""
    printer, width = frame.printer, frame.width
    (a, high), (b, wide) = nest.outer[axis], nest.outer[-1]
    others = [x for n, x in enumerate(nest.outer[:-1]) if n != axis]
    block, down, across = (frame.name(n) for n in ("block", "down", "across"))
    x, y, step = (frame.name(n) for n in ("x", "y", "step"))
    grid = [*others, (down, blocks_of(high, TILE_SIDE)), (across, blocks_of(wide, TILE_SIDE))]
    places = positions(grid, variable(block))
    tiles = {key: SharedTile(frame.name("tile"), printer.dtypes[key[0]]) for key in found}
    lines = [f"    {t.array()}" for t in tiles.values()]
    lines += [
        f"    {block} = {width}(cuda.blockIdx.x)",
        f"    {x} = {width}(cuda.threadIdx.x)",
        f"    {y} = {width}(cuda.threadIdx.y)",
    ]
    lines += [f"    {place(frame, let)}" for let in places]
    lines += once(frame, nest)
    ends = f"{a} < {printer.size(high)} and {b} < {printer.size(wide)}"
    corner = (printer.size(variable(down) * TILE_SIDE), printer.size(variable(across) * TILE_SIDE))
    other = f"{width}({y} + {step}*{THREAD_ROWS})"

    def elements(along_a: str, along_b: str) -> list[str]:
        return [
            f"    for {step} in range({TILE_SIDE // THREAD_ROWS}):",
            f"        {a} = {width}({corner[0]} + {along_a})",
            f"        {b} = {width}({corner[1]} + {along_b})",
            f"        if {ends}:",
        ]

    lines += elements(x, other)
    lines += [
        f"            {t.keep(other, x, printer.load(found[key]))}" for key, t in tiles.items()
    ]
    printer.known.update({key: t.element(x, other) for key, t in tiles.items()})
    lines += ["    cuda.syncthreads()", *elements(other, x), *printer.statements(nest.body, 3)]
    count = dim.product(tuple(n for _, n in grid))
    return frame.source(
        "tiles", lines, Grid((count, 1, 1), (TILE_SIDE, THREAD_ROWS, 1), 8), readable
    )
