"""Matrix products -> kernel text for GPUs: tensor cores, and what follows the product (`cuda_tile.py`
has the loop over k)."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.contraction import operands, slots_of
from graphc.codegen.cuda_epilogue import Epilogue
from graphc.codegen.cuda_tile import BYTES, Block, Side, TileShape, multiplies, side
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.lower import variable
from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.ops.layout import unflatten
from graphc.ir.program import Kernel
from graphc.passes.fuse import storage

ENOUGH = 132  # blocks that keep a large GPU busy
WIDE, NARROW = 128, 64


@dataclass(frozen=True)
class Matrix:
    """An operand that lies as a matrix, for each of `outer` one; its rows are of `length` elements,
    of which a copy moves `width`.  `name` tells its lines apart, `across` is where in its rows or
    columns the block's part begins."""

    side: Side
    name: str
    buffer: int
    top: str  # the first of the block's rows or columns of the result
    extent: str  # how many there are
    here: str  # one of them
    threads: int
    width: int
    batched: bool = True  # or there is one for all of `outer`

    def setup(self) -> list[str]:
        """Where the operand's matrix begins."""
        if not self.batched:
            return [f"{self.name} = u64(0)"]
        return [f"{self.name} = u64(u64(u64(outer) * u64({self.extent})) * u64(depth))"]

    def copy(self) -> list[str]:
        tile = self.side
        length = self.extent if tile.by_k else "depth"
        line, column = ("first", self.top) if tile.by_k else (self.top, "first")
        lines, columns = ("depth", self.extent) if tile.by_k else (self.extent, "depth")
        corner = f"u64(u64(u64({line}) * u64({length})) + u64({column}))"
        shape = f"{tile.lines}, {tile.length}, {tile.pitch}, {self.threads}, {self.width}"
        return [
            f"copy_tile(to, @{self.buffer}, u64({self.name} + {corner}), {length}, "
            f"u32({lines} - {line}),",
            f"          u32({columns} - {column}), thread, {shape})",
        ]


    def element(self, name: str) -> list[str]:
        line, column, length = (
            ("first", self.here, self.extent) if self.side.by_k else (self.here, "first", "depth"))
        at = f"u64({self.name} + u64(u64(u64({line}) * u64({length})) + u64({column})))"
        return [f"{name} = load(@{self.buffer}, {at})"]


def shape_for(m: Size, n: Size, batch: Size) -> TileShape:
    """The tile of a product: large ones need less of memory, small ones make more blocks."""
    few = [isinstance(x, int) and x <= 64 for x in (m, n)]
    if isinstance(n, int) and n <= 16:
        return TileShape(64, 16, 4, 1)
    if isinstance(m, int) and m <= 16:
        return TileShape(16, 64, 1, 4)
    sizes = (m, n, batch)
    if not any(few) and not (
        all(isinstance(x, int) for x in sizes) and _blocks(m, n, batch, WIDE) < ENOUGH
    ):
        return TileShape(WIDE, WIDE)
    return TileShape(NARROW, NARROW, 2, 2)


def _blocks(m: Size, n: Size, batch: Size, tile: int) -> int:
    count = dim.floordiv(m + (tile - 1), tile) * dim.floordiv(n + (tile - 1), tile) * batch
    return count if isinstance(count, int) else 0


def width(length: Size, size: int) -> int:
    """How many elements one copy may move: rows of `length` elements begin at multiples of it."""
    for count in (16 // size, 8 // size, 4 // size):
        if dim.modulo(length, count) == 0:
            return count
    return 1


def gemm_source(
    kernel: Kernel, shape: TileShape | None = None, fast_math: bool = False
) -> DeviceSource | None:
    """A product's kernel; None for element types that tensor cores do not multiply."""
    op, a, b, out = operands(kernel)
    dtype = out.type.dtype
    if not multiplies(dtype):
        return None
    m, k, _, n = op.sizes(a.type, b.type)
    batch = out.type.shape[:-2]
    shape = shape or shape_for(m, n, product(batch))
    slots, size = slots_of(kernel), BYTES[dtype.name]
    left = Matrix(side(shape.rows, shape, size, op.ta), "left", slots[storage(a)], "top", "rows", "row",
                  shape.threads, width(m if op.ta else k, size))
    right = Matrix(side(shape.columns, shape, size, not op.tb), "right", slots[storage(b)],
                   "start", "columns", "column", shape.threads, width(k if op.tb else n, size))
    block = Block(shape, "tf32" if fast_math and dtype.name == "f32" else dtype.name, left, right)
    place = (*unflatten(variable("outer"), batch), variable("row"), variable("column"))
    return Epilogue(kernel, slots, (m, n, k), product(batch)).source(block, place)
