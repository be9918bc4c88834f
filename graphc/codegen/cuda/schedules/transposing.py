"""The schedule of CUDA kernels that read rows where they write columns: by tiles.

A block takes 32 x 32 elements.  Its threads first read each turned operand along its own rows into
shared memory (33 columns wide, so that a column of it lies in 32 banks), meet, and then make the
results along theirs.
"""

from __future__ import annotations

from graphc.codegen.cuda.frame import Frame, Grid, Key, blocks_of, loads, once
from graphc.codegen.cuda.printer import keeping, kept, kept_type
from graphc.codegen.cuda.schedules.maps import place
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.ir import For, Load, Store
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim

TILE, ROWS = 32, 8  # elements a side; rows of threads
LEAST = 8  # elements an axis must have


def turned(nest: Nest) -> tuple[int, dict[Key, Load]] | None:
    """The axis along which operands are read that are not read along the last, and those loads;
    None if there are none, or several such axes."""
    if len(nest.outer) < 2 or any(isinstance(s, For) for s in nest.body) or nest.chunks:
        return None
    last, names = f"{nest.outer[-1][0]}.", {f"{n}." for n, _ in nest.outer}
    found: dict[Key, Load] = {}
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
            found[e.buffer, e.offset] = e
            axes.add(along[-1])
    stores = [s for s in nest.body if isinstance(s, Store)]
    whole = all(dim.coefficient(s.offset, last) == 1 for s in stores)
    if len(axes) != 1 or not whole:
        return None
    (axis,) = axes
    long = all(
        not isinstance(n, int) or n >= LEAST for n in (nest.outer[axis][1], nest.outer[-1][1])
    )
    return (axis, found) if long else None


def _symbols(nest: Nest) -> set[str]:
    """The names of sizes."""
    return {s for _, n in nest.outer for s in dim.symbols(n)}


def by_tiles(
    frame: Frame, nest: Nest, axis: int, found: dict[Key, Load], readable: str = ""
) -> DeviceSource:
    """The kernel; `axis` is the one that turned operands are read along."""
    printer, width = frame.printer, frame.width
    (a, high), (b, wide) = nest.outer[axis], nest.outer[-1]
    others = [x for n, x in enumerate(nest.outer[:-1]) if n != axis]
    block, down, across = (frame.name(n) for n in ("block", "down", "across"))
    x, y, step = (frame.name(n) for n in ("x", "y", "step"))
    places = positions(
        [*others, (down, blocks_of(high, TILE)), (across, blocks_of(wide, TILE))], variable(block)
    )
    tiles = {key: frame.name("tile") for key in found}
    dtypes = {key: printer.dtypes[key[0]] for key in found}
    lines = [
        f"    {t} = cuda.shared.array(({TILE}, {TILE + 1}), {kept_type(dtypes[key])})"
        for key, t in tiles.items()
    ]
    lines += [
        f"    {block} = {width}(cuda.blockIdx.x)",
        f"    {x} = {width}(cuda.threadIdx.x)",
        f"    {y} = {width}(cuda.threadIdx.y)",
    ]
    lines += [f"    {place(frame, let)}" for let in places]
    lines += once(frame, nest)
    ends = f"{a} < {printer.size(high)} and {b} < {printer.size(wide)}"
    corner = (printer.size(variable(down) * TILE), printer.size(variable(across) * TILE))
    head = f"    for {step} in range({TILE // ROWS}):"
    other = f"{width}({y} + {step}*{ROWS})"
    lines += [
        head,
        f"        {a} = {width}({corner[0]} + {x})",
        f"        {b} = {width}({corner[1]} + {other})",
        f"        if {ends}:",
    ]
    lines += [
        f"            {t}[{other}, {x}] = {keeping(printer.load(found[key]), dtypes[key])}"
        for key, t in tiles.items()
    ]
    printer.known.update({key: kept(f"{t}[{x}, {other}]", dtypes[key]) for key, t in tiles.items()})
    lines += [
        "    cuda.syncthreads()",
        head,
        f"        {a} = {width}({corner[0]} + {other})",
        f"        {b} = {width}({corner[1]} + {x})",
        f"        if {ends}:",
        *printer.statements(nest.body, 3),
    ]
    count = dim.product((*(n for _, n in others), blocks_of(high, TILE), blocks_of(wide, TILE)))
    grid = Grid((count, 1, 1), (TILE, ROWS, 1), 8)
    return frame.source("tiles", lines, grid, readable)
