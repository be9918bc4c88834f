"""Plans of contractions on tensor cores: the tile of a block, and the number of kernels.

Where the result has too few blocks to keep a GPU busy, one kernel makes sums of pieces of k, and
another adds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.codegen.cuda.tensorcores.block import BlockText, Ends, OperandSource, TileShape, side
from graphc.codegen.cuda.tensorcores.epilogue import Epilogue
from graphc.codegen.cuda.tensorcores.matrix_operand import Matrix, width
from graphc.codegen.cuda.tensorcores.window_operand import Formula, WindowOperand
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.lower.contraction import slots_of
from graphc.codegen.lower.emitter import Index
from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.types import f32

BUSY_BLOCKS = 264  # keep a large GPU busy: two for each of an H100's 132 multiprocessors
MAX_PIECES = 64  # into which k is cut
PIECES_IF_K_UNKNOWN = 16  # most pieces where k is known at run time only
MIN_STEPS_PER_PIECE = 4  # steps along k
LARGE_TILE = 128  # rows or columns of a block's tile
MIDDLE_TILE = 64
SMALL_TILE = 16
LEFT = Ends("left", "top", "rows", "row")
RIGHT = Ends("right", "start", "columns", "column")


@dataclass(frozen=True)
class Split:
    """A contraction in two launches: `first` leaves sums of pieces in `scratch` bytes of memory,
    `second` adds them.  Both take the kernel's buffers, that memory, then their sizes."""

    first: DeviceSource
    second: DeviceSource
    scratch: Size


@dataclass(frozen=True)
class Tiling:
    """A block's tile, and the number of pieces of k; with `fast_math`, f32 is multiplied in one
    product of tf32."""

    shape: TileShape
    pieces: int
    fast_math: bool = False


def shape_for(m: Size, n: Size, outer: Size) -> TileShape:
    """The tile of a product: large tiles read less from memory, small tiles make more blocks."""
    if isinstance(n, int) and n <= SMALL_TILE:
        return TileShape(MIDDLE_TILE, SMALL_TILE, 4, 1)
    if isinstance(m, int) and m <= SMALL_TILE:
        return TileShape(SMALL_TILE, MIDDLE_TILE, 1, 4)
    short = any(isinstance(x, int) and x <= MIDDLE_TILE for x in (m, n))
    large = TileShape(LARGE_TILE, LARGE_TILE)
    blocks = blocks_of(large, m, n, outer)
    few = isinstance(blocks, int) and blocks < BUSY_BLOCKS // 2
    return TileShape(MIDDLE_TILE, MIDDLE_TILE, 2, 2) if short or few else large


def blocks_of(shape: TileShape, m: Size, n: Size, outer: Size) -> Size:
    """The number of blocks of a product."""
    down = dim.floordiv(m + (shape.rows - 1), shape.rows)
    across = dim.floordiv(n + (shape.columns - 1), shape.columns)
    return product((down, across, outer))


@dataclass
class ContractionPlan:
    """One contraction, as `outer` products whose rows, columns and depth are `sizes`.  A subclass
    for each kind of contraction says where operands and results lie."""

    kernel: Kernel
    shape: TileShape | None
    fast_math: bool
    sizes: tuple[Size, Size, Size]
    outer: Size
    wide: bool = False  # indices have 64 bits
    literal: bool = False  # sizes are numbers in the text

    def __post_init__(self) -> None:
        self.slots = slots_of(self.kernel)
        self.dtype = contraction_of(self.kernel).type.dtype
        self.tile = self.shape or shape_for(*self.sizes[:2], self.outer)
        self.epilogue = Epilogue(
            self.kernel, self.slots, self.sizes, self.outer, self.literal, self.wide
        )

    def operands(self) -> tuple[OperandSource, OperandSource]:
        """The left and the right operand."""
        raise NotImplementedError

    def place(self) -> Index:
        """The index in the result of the sum at `outer`, `row`, `column`."""
        raise NotImplementedError

    def block(self, pieces: int = 1) -> BlockText:
        """The text of a block's work."""
        kind = "tf32" if self.fast_math and self.dtype == f32 else self.dtype.name
        return BlockText(self.tile, kind, *self.operands(), pieces)

    def source(self, readable: str = "") -> DeviceSource:
        """The contraction in one kernel; with a `readable` name, for people."""
        block = self.block()
        if readable:
            self.epilogue.show(readable, block, self.place())
        return self.epilogue.source(block, self.place())

    def split(self, pieces: int, readable: str = "") -> Split | None:
        """The contraction in two kernels; None if one is faster.  `pieces` says how many pieces, or
        is 0 where sizes decide."""
        count = pieces or self.pieces()
        if count == 1:
            return None
        block, place = self.block(count), self.place()
        if readable:
            self.epilogue.show(readable, block, place)
        first, second = self.epilogue.pieces(block), self.epilogue.combined(count, place)
        return Split(first, second, product((self.outer, *self.sizes[:2], count * 4)))

    def pieces(self) -> int:
        """The number of pieces of k; it depends on sizes alone."""
        return self._pieces(self.tile, (*self.sizes, self.outer))

    def tiling(self, known: Mapping[str, int]) -> Tiling:
        """The best for a run's sizes, where the kernel's are symbolic.  Text depends on the tiling
        and not on the sizes, so runs of many sizes share a few kernels."""
        symbolic = (*self.sizes, self.outer)
        m, n, k, outer = (dim.substitute(x, known) for x in symbolic)
        shape = shape_for(m, n, outer)
        count = self._pieces(shape, (m, n, k, outer))
        fixed = all(isinstance(x, int) for x in symbolic)
        return Tiling(shape, count if fixed else 1 << (count.bit_length() - 1))

    def _pieces(self, shape: TileShape, sizes: tuple[Size, Size, Size, Size]) -> int:
        m, n, k, outer = sizes
        blocks = blocks_of(shape, m, n, outer)
        if not isinstance(blocks, int) or blocks == 0:
            return 1
        most = (
            k * self.dtype.size // (shape.depth * MIN_STEPS_PER_PIECE)
            if isinstance(k, int)
            else PIECES_IF_K_UNKNOWN
        )
        return max(min(BUSY_BLOCKS // blocks, most, MAX_PIECES), 1)

    def gather(self, ends: Ends, slot: int, by_k: bool, formula: Formula) -> WindowOperand:
        """An operand whose elements lie where a formula says."""
        tile = side(self.extent(ends), self.tile, self.dtype.size, by_k)
        return WindowOperand(
            tile,
            ends,
            slot,
            self.tile.threads,
            self.dtype.size,
            formula.changed(self.epilogue.named),
            self.epilogue.printer,
        )

    def matrix(
        self, ends: Ends, slot: int, by_k: bool, length: Size, batched: bool = True
    ) -> Matrix:
        """An operand that is a matrix, with rows of `length` elements."""
        tile = side(self.extent(ends), self.tile, self.dtype.size, by_k)
        return Matrix(tile, ends, slot, self.tile.threads, width(length, self.dtype.size), batched)

    def extent(self, ends: Ends) -> int:
        return self.tile.rows if ends is LEFT else self.tile.columns
