"""A block's part of a product on tensor cores, as kernel text, for matrix products and convolutions
alike.

    for each step of k:   tiles of both operands are copied into shared memory (several stages)
                          each warp multiplies its part of the tiles into sums in registers
    then:                 sums go through shared memory to the epilogue, element by element

A product has `rows` x `columns` sums over `depth` products, for each of `outer` (a batch, groups).
An `OperandSource` says how an operand gets into shared memory.  k grows in steps of a tile and in
the fixed order of the instruction, so a result's bits do not depend on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

F32_PRODUCTS = ("f32", "tf32")  # kinds of product whose operands have 4 bytes an element
WARP_THREADS = 32
BAND_BLOCKS = 8  # rows of blocks that run side by side, so that they share columns in the L2 cache


@dataclass(frozen=True)
class TileShape:
    """A block's tile of `rows` x `columns` elements, and how its warps share it.  `depth` is what a
    step takes of k, in bytes."""

    rows: int
    columns: int
    down: int = 2  # warps along rows
    across: int = 4  # warps along columns
    depth: int = 64
    stages: int = 4

    @property
    def threads(self) -> int:
        return self.down * self.across * WARP_THREADS

    @property
    def warp(self) -> tuple[int, int]:
        """Rows and columns of a warp's part."""
        return self.rows // self.down, self.columns // self.across


@dataclass(frozen=True)
class Side:
    """An operand's tile in shared memory: `lines` of `length` elements, `pitch` bytes apart.
    A line is for one k (`by_k`), or lies along k."""

    lines: int
    length: int
    pitch: int
    by_k: bool

    @property
    def nbytes(self) -> int:
        return self.lines * self.pitch


def side(extent: int, shape: TileShape, size: int, by_k: bool) -> Side:
    """The tile of an operand of which a block needs `extent` rows or columns, of elements of `size`
    bytes.  Its pitch keeps two lanes of a warp from reading the same bank."""
    depth = shape.depth // size
    lines, length = (depth, extent) if by_k else (extent, depth)
    gap = 32 if by_k and size == 4 else 16
    return Side(lines, length, length * size + gap, by_k)


@dataclass(frozen=True)
class Ends:
    """Names in kernel text: of an operand; of the block's first row (or column) of the result, of
    the number of rows, and of the current row."""

    name: str
    first: str
    extent: str
    here: str


class OperandSource(Protocol):
    """How an operand gets into shared memory."""

    @property
    def side(self) -> Side:
        """The operand's tile."""

    def setup(self) -> list[str]:
        """Lines before the loop over k."""

    def copy(self) -> list[str]:
        """Lines that start to copy the tile whose k begins at `first` to the address `to`."""

    def element(self, name: str) -> list[str]:
        """Lines that load the operand's element for `row` or `column` and k = `first`."""


@dataclass(frozen=True)
class BlockText:
    """The text of a block's work.  `multiply` is the kind of product: an element type, or tf32.
    Where k is cut into `pieces`, a block makes the sums of one piece."""

    shape: TileShape
    multiply: str
    left: OperandSource
    right: OperandSource
    pieces: int = 1

    @property
    def depth(self) -> int:
        """Elements of k in one tile."""
        return self.shape.depth // (4 if self.multiply in F32_PRODUCTS else 2)

    @property
    def stage(self) -> int:
        """Bytes of the tiles of one stage."""
        return self.left.side.nbytes + self.right.side.nbytes

    @property
    def pitch(self) -> int:
        """Bytes between rows of sums in shared memory."""
        return self.shape.columns * 4 + 32

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        return max(self.stage * self.shape.stages, self.shape.rows * self.pitch)

    def head(self) -> list[str]:
        """Lines that find the block's part of the result; `rows`, `columns` and `depth` are set."""
        shape = self.shape
        return [
            "thread = u32(cuda.threadIdx.x)",
            "lane = u32(thread & 31)",
            f"warp_row = u32(u32(u32(thread >> 5) // {shape.across}) * {shape.warp[0]})",
            f"warp_column = u32(u32(u32(thread >> 5) % {shape.across}) * {shape.warp[1]})",
            f"blocks_down = u32(u32(rows + {shape.rows - 1}) // {shape.rows})",
            f"blocks_across = u32(u32(columns + {shape.columns - 1}) // {shape.columns})",
            "place = u32(cuda.blockIdx.x)",
            "outer = u32(place // u32(blocks_down * blocks_across))",
            "place = u32(place % u32(blocks_down * blocks_across))",
            f"part = u32(outer % {self.pieces})",
            f"outer = u32(outer // {self.pieces})",
            f"band = u32(u32(place // u32(blocks_across * {BAND_BLOCKS})) * {BAND_BLOCKS})",
            f"place = u32(place % u32(blocks_across * {BAND_BLOCKS}))",
            f"height = minimum(u32(blocks_down - band), u32({BAND_BLOCKS}))",
            f"top = u32(u32(band + u32(place % height)) * {shape.rows})",
            f"start = u32(u32(place // height) * {shape.columns})",
        ]

    def product(self) -> list[str]:
        """Lines that make a block's sums; its threads hold them in `sums`."""
        left, right, depth = self.left.side, self.right.side, self.depth
        size = 4 if self.multiply in F32_PRODUCTS else 2
        kind = "f32" if self.multiply in F32_PRODUCTS else "u16"
        count = self.shape.warp[0] * self.shape.warp[1] // WARP_THREADS
        return [
            f"base = shared_address(dynamic_shared({kind}))",
            f"from_left = {_corner('warp_row', left, size)}",
            f"from_right = u32({left.nbytes} + {_corner('warp_column', right, size)})",
            *self.left.setup(),
            *self.right.setup(),
            f"sums = zero_sums({count})",
            f"turns = u32(u32(depth + {depth - 1}) // {depth})",
            f"begin = u32(u32(turns * part) // {self.pieces})",
            f"turns = u32(u32(u32(turns * u32(part + 1)) // {self.pieces}) - begin)",
            "turn = u32(0)",
            "put = u32(0)",
            "get = u32(0)",
            f"while turn < u32(turns + {self.shape.stages - 1}):",
            *indented(self.turn(), 1),
        ]

    def turn(self) -> list[str]:
        """Lines of one step of k: wait for the oldest stage, start to fill another, multiply."""
        left, right, shape = self.left.side, self.right.side, self.shape
        behind, end = shape.stages - 1, self.stage * shape.stages
        literals = ", ".join(
            map(
                str,
                (
                    *shape.warp,
                    self.depth,
                    left.pitch,
                    right.pitch,
                    int(left.by_k),
                    int(not right.by_k),
                ),
            )
        )
        return [
            f"if turn >= {behind}:",
            f"    cp_async_wait({behind - 1})",
            "    cuda.syncthreads()",
            "if turn < turns:",
            f"    first = u32(u32(begin + turn) * {self.depth})",
            "    to = u32(base + put)",
            *indented(self.left.copy(), 1),
            f"    to = u32(to + {left.nbytes})",
            *indented(self.right.copy(), 1),
            f"    put = u32(put + {self.stage})",
            f"    put = u32(0) if put == {end} else put",
            "cp_async_commit()",
            f"if turn >= {behind}:",
            "    at = u32(base + get)",
            f"    sums = multiply_tiles_{self.multiply}(",
            f"        sums, u32(at + from_left), u32(at + from_right), lane, {literals})",
            f"    get = u32(get + {self.stage})",
            f"    get = u32(0) if get == {end} else get",
            "turn = u32(turn + 1)",
        ]

    def epilogue(self, body: Sequence[str]) -> list[str]:
        """Lines that put the sums into shared memory, by rows, and do `body` for each element:
        `total` at `row` and `column`."""
        shape = self.shape
        return [
            "cp_async_wait(0)",
            "cuda.syncthreads()",
            f"corner = u32(u32(base + u32(warp_row * {self.pitch})) + u32(warp_column * 4))",
            f"store_sums(sums, corner, lane, {shape.warp[0]}, {shape.warp[1]}, {self.pitch})",
            "cuda.syncthreads()",
            "shared = dynamic_shared(f32)",
            f"for number in range({shape.rows * shape.columns // shape.threads}):",
            f"    piece = u32(u32(u32(number) * {shape.threads}) + thread)",
            f"    line = u32(piece // {shape.columns})",
            f"    place = u32(piece % {shape.columns})",
            "    row = u32(top + line)",
            "    column = u32(start + place)",
            "    if row < rows and column < columns:",
            f"        total = shared[u32(u32(line * {self.pitch // 4}) + place)]",
            *indented(self.again() if self.multiply == "f32" else [], 2),
            *indented(body, 2),
        ]

    def again(self) -> list[str]:
        """Lines that make a sum again, of f32 products, if it is NaN: splitting an f32 into two
        tf32 makes NaN of an infinity, and of a number that rounds to one."""
        return [
            "if total != total:",
            "    total = f32(0.0)",
            f"    first = u32(begin * {self.depth})",
            f"    end = minimum(u32(u32(begin + turns) * {self.depth}), depth)",
            "    while first < end:",
            *indented([*self.left.element("of_left"), *self.right.element("of_right")], 2),
            "        total = total + of_left * of_right",
            "        first = u32(first + 1)",
        ]


def _corner(name: str, tile: Side, size: int) -> str:
    """The byte in an operand's tile at which a warp's part begins."""
    return f"u32({name} * {size if tile.by_k else tile.pitch})"


def indented(lines: Sequence[str], depth: int) -> list[str]:
    """The lines, `depth` levels deeper."""
    return ["    " * depth + line for line in lines]
