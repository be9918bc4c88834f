"""Convolutions -> Loops without columns: register tiles walk over the image itself.

The image (for the gradient of the input: the result's gradient) is transposed to channels-last and
padded in scratch memory, band by band.  There, each place of an output position's window is a run
of channels, and neighbouring positions lie a fixed number of elements apart.  So the rows of a tile
are positions of one output row, its columns are output channels, and it sums over the places of the
window ("taps") through a table of offsets: no element is copied more than once.  The weights are
transposed so that output channels are contiguous; results are transposed back, band by band.

This is the scheme of "indirect convolution" (M. Dukhan, "The indirect convolution algorithm",
arXiv:1907.02129, 2019) with offsets in place of pointers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.codegen.cpu.gemm_library import host_shape
from graphc.codegen.cpu.schedules.conv_columns import PANEL_ELEMENTS
from graphc.codegen.loops.ir import (
    For,
    IndexValue,
    Loops,
    RowMove,
    Scratch,
    Store,
    Tile,
    TransposeMove,
)
from graphc.codegen.lower.convolution import ConvolutionFrame, let
from graphc.codegen.lower.emitter import variable
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.index_math import ints
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.types import i64

MIN_CHANNELS_FOR_TILES = 8  # with fewer, a tap is too short
MIN_POSITIONS_FOR_TILES = 64  # fewer do not repay the transposed weights
MAX_SMALL_IMAGE_POSITIONS = 256  # threads share such images by output channels


def fits_tiles(kernel: Kernel) -> bool:
    """Whether register tiles can walk over the image: one or two dimensions, one group, a window
    of more than one place, enough channels; gradients of the input need stride 1."""
    out = contraction_of(kernel)
    op = out.op
    if not isinstance(op, Convolution | ConvolutionInput) or op.groups != 1:
        return False
    x, w, y = op.parts(*(a.type for a in out.args))
    sizes = (*w.shape, *x.shape[1:], *y.shape[1:], *op.before)
    if len(w.shape) > 4 or not all(isinstance(s, int) for s in sizes):
        return False
    if isinstance(op, ConvolutionInput) and any(s != 1 for s in op.strides):
        return False
    channels, window = ints(w.shape[:2]), ints(w.shape[2:])
    wide = min(channels) >= MIN_CHANNELS_FOR_TILES and math.prod(window) > 1
    return wide and math.prod(ints(y.shape[2:])) >= MIN_POSITIONS_FOR_TILES


class Direct(ConvolutionFrame):
    """Lowers one convolution.  Tiles walk over the `source` and compute the `result`."""

    grain = 96  # positions of a chunk that repay the work before its first band

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.dtype = self.out.type.dtype
        self.lanes = host_shape(self.dtype.name).columns
        self.forward = not isinstance(self.op, ConvolutionInput)
        kh, kw = _two(self.window, 1)
        sh, sw = _two(self.op.strides, 1)
        dh, dw = _two(self.op.dilations, 1)
        bh, bw = _two(self.op.before, 0)
        source, result = (self.x, self.y) if self.forward else (self.y, self.x)
        self.height, self.line_in = _two(source.shape[2:], 1)
        self.rows_out, self.cols_out = _two(result.shape[2:], 1)
        self.kernel_size, self.strides, self.dilation = (kh, kw), (sh, sw), (dh, dw)
        spans = ((kh - 1) * dh, (kw - 1) * dw)
        self.spans = spans
        self.pads = (bh, bw) if self.forward else (spans[0] - bh, spans[1] - bw)
        self.depth, self.width = ints((source.shape[1], result.shape[1]))  # channels in and out
        self.source_slot, self.result_slot = (
            (self.slot_x, self.slot_y) if self.forward else (self.slot_y, self.slot_x)
        )
        self.w_elements = self.depth * self.width * kh * kw
        self.pitch = self.depth + 16 if self.depth % 128 == 0 else self.depth
        self.padded = (self.cols_out - 1) * sw + spans[1] + 1  # pixels of a row of the band
        self.strips = -(-self.width // self.lanes)
        small = self.rows_out * self.cols_out <= MAX_SMALL_IMAGE_POSITIONS
        self.parts = min(8, self.strips // 2) if small and self.strips >= 4 else 1
        whole = self.parts == 1
        self.low: Size = 0 if whole else variable("low")  # strips of output channels to compute
        self.high: Size = self.strips if whole else variable("high")
        self.column: Size = 0 if whole else variable("column")  # their channels
        self.columns: Size = self.width if whole else variable("columns")
        self.choose_bands()

    def choose_bands(self) -> None:
        """Chooses the output rows of a band: its pixels and sums stay in the second-level cache."""
        row = self.padded * self.pitch * self.strides[0] + self.cols_out * self.width  # elements
        max_rows = max(1, min(self.rows_out, PANEL_ELEMENTS // max(row, 1)))
        self.bands = -(-self.rows_out // max_rows)
        self.band = -(-self.rows_out // self.bands)
        self.bands = -(-self.rows_out // self.band)
        self.lines = (self.band - 1) * self.strides[0] + self.spans[0] + 1
        first = len(self.kernel.reads) + len(self.kernel.writes)
        self.weights, self.image, self.sums, self.table = range(first, first + 4)

    def lower(self) -> Loops:
        """The loops of the kernel."""
        turned = () if self.forward else (Scratch("turned", self.dtype, self.w_elements),)
        memory = (*self.memory(), *turned)
        if self.parts > 1:
            loops = self.loops(self.parts, self._by_channels(), 0, self.dtype)
            return Loops(loops.name, loops.buffers, loops.sizes, loops.extent, loops.body, memory)
        lets, extent = self.split(("image", self.x.shape[0]), ("block", self.bands))
        loops = self.loops(extent, [*lets, *self._band()], 0, self.dtype)
        grain = min(self.grain, self.rows_out * self.cols_out // 2)  # one image may use two threads
        least = max(1, grain // (self.band * self.cols_out))
        return Loops(
            loops.name,
            loops.buffers,
            loops.sizes,
            loops.extent,
            (*self.before(), *loops.body),
            memory,
            least,
        )

    def _by_channels(self) -> list[Any]:
        """The body of a parallel axis over parts of the output channels, each with its own
        weights."""
        part, last = variable("r"), dim.minimum(self.width, variable("high") * self.lanes)
        cuts = [dim.floordiv(self.strips * p, self.parts) for p in (part, part + 1)]
        lets = [
            let("low", cuts[0]),
            let("high", cuts[1]),
            let("column", variable("low") * self.lanes),
            let("columns", last - variable("column")),
        ]
        bands = For("block.", 0, self.bands, tuple(self._band()))
        return [*lets, *self.before(), For("image.", 0, self.x.shape[0], (bands,))]

    def _band(self) -> list[Any]:
        """One band and its part of the epilogue."""
        first: Size = variable("first")
        count = dim.minimum(self.band, self.rows_out - first)
        lines = (first, variable("count")), (0, self.cols_out)
        channels = (self.column, self.columns)
        region = (variable("image"), 1), channels, *lines[4 - len(self.w.shape) :]
        return [
            let("first", variable("block") * self.band),
            let("count", count),
            *self.fill(),
            *self.work(),
            *self.result(),
            *self.epilogue(*region),
        ]

    def memory(self) -> tuple[Scratch, ...]:
        """The scratch buffers, in the order of their slots."""
        places = math.prod(self.kernel_size)
        return (
            Scratch("weights", self.dtype, self.strips * self.lanes * self.depth * places),
            Scratch("padded", self.dtype, self.lines * self.padded * self.pitch),
            Scratch("sums", self.dtype, self.band * self.cols_out * self.width),
            Scratch("table", i64, 2 * places),
        )

    def before(self) -> list[Any]:
        """Statements that run once, before all bands."""
        return [*self.turn_weights(), *self._offsets()]

    # -- weights

    def turn_weights(self) -> list[Any]:
        """Transposes the weights into strips of output channels; a strip holds the rows of all its
        products."""
        s, taps = variable("i0"), math.prod(self.kernel_size)
        line, lanes = self.depth * taps, self.lanes
        columns = dim.minimum(lanes, self.width - s * lanes)
        to = s * (lanes * line)
        if self.forward:  # [o][c, tap] -> [c, tap][o]
            turn = TransposeMove(
                self.dtype,
                columns,
                line,
                (self.slot_w, s * (lanes * line)),
                line,
                (self.weights, to),
                lanes,
            )
            return [For("i0.", self.low, self.high, (turn,))]
        turned = len(self.kernel.reads) + len(self.kernel.writes) + len(self.memory())
        every, tap = self.width * taps, variable("i1")  # [o][c, tap] -> [c, tap][o]
        start = self.column * taps
        first = TransposeMove(
            self.dtype,
            self.depth,
            self.columns * taps,
            (self.slot_w, start),
            every,
            (turned, start * self.depth),
            self.depth,
        )
        place = s * (lanes * taps * self.depth) + tap * self.depth  # [c][o] of a tap -> [o][c]
        turn = TransposeMove(
            self.dtype,
            columns,
            self.depth,
            (turned, place),
            taps * self.depth,
            (self.weights, to + tap * (self.depth * lanes)),
            lanes,
        )
        return [first, For("i0.", self.low, self.high, (For("i1.", 0, taps, (turn,)),))]

    def _offsets(self) -> list[Any]:
        """Fills the table of taps: the offsets of each in the image and in a strip of weights."""
        stores = []
        kh, kw = self.kernel_size
        for i in range(kh):
            for j in range(kw):
                y, x = (i, j) if self.forward else (kh - 1 - i, kw - 1 - j)
                y, x, tap = y * self.dilation[0], x * self.dilation[1], i * kw + j
                step = self.lanes if self.forward else self.depth * self.lanes
                for half, at in enumerate(((y * self.padded + x) * self.pitch, tap * step)):
                    stores.append(Store(self.table, 2 * tap + half, IndexValue(at, i64)))
        return stores

    # -- images

    def fill(self) -> list[Any]:
        """Fills the band: a part of the image, channels last, zeros around it."""
        dtype, c, w = self.dtype, self.depth, self.line_in
        pad_y, pad_x = self.pads
        top = variable("first") * self.strides[0] - pad_y  # in the image
        high = dim.maximum(dim.minimum(self.lines, self.height - variable("top")), 0)
        low = dim.minimum(dim.maximum(0 - variable("top"), 0), variable("bottom"))
        skipped = max(0, -pad_x)
        shown = max(0, min(w - skipped, self.padded - max(0, pad_x)))
        cells = self.lines * self.padded * self.pitch
        row, image = variable("i0"), variable("image") * (c * self.height * w)
        source = image + (variable("top") + row) * w + skipped
        target = (row * self.padded + max(0, pad_x)) * self.pitch
        turn = TransposeMove(
            dtype,
            c,
            shown,
            (self.source_slot, source),
            self.height * w,
            (self.image, target),
            self.pitch,
        )
        zeros = RowMove((self.image, 0), (self.image, 0), dtype, cells, 0, 0)
        return [
            let("top", top),
            let("bottom", high),
            let("above", low),
            zeros,
            For("i0.", variable("above"), variable("bottom"), (turn,)),
        ]

    def work(self) -> list[Any]:
        """Multiplies the band's rows with the weights, tile by tile."""
        sh, sw = self.strides
        taps, n, width = math.prod(self.kernel_size), self.cols_out, self.width
        y, s, t = variable("i0"), variable("i1"), variable("i2")
        tiles = -(-n // host_shape(self.dtype.name).rows)
        at, end = dim.floordiv(n * t, tiles), dim.floordiv(n * (t + 1), tiles)
        column = s * self.lanes
        rows: Size = variable("rows")
        tile = Tile(
            self.dtype,
            (rows, dim.minimum(self.lanes, width - column), self.depth),
            (self.image, (y * (sh * self.padded) + variable("at") * sw) * self.pitch),
            sw * self.pitch,
            1,
            (self.weights, s * (self.lanes * self.depth * taps)),
            self.lanes * taps if self.forward else self.lanes,
            (self.sums, (y * n + variable("at")) * width + column),
            width,
            taps,
            (self.table, 0),
        )
        walk = For("i2.", 0, tiles, (let("at", at), let("rows", end - variable("at")), tile))
        strips = For("i1.", self.low, self.high, (walk,))
        return [For("i0.", 0, variable("count"), (strips,))]

    def result(self) -> list[Any]:
        """Transposes the band's sums into the result, channel by channel."""
        n, plane = self.cols_out, self.rows_out * self.cols_out
        place = (variable("image") * self.width + self.column) * plane + variable("first") * n
        return [
            TransposeMove(
                self.dtype,
                variable("count") * n,
                self.columns,
                (self.sums, self.column),
                self.width,
                (self.result_slot, place),
                plane,
            )
        ]


def _two(sizes: Sequence[Size], first: int) -> tuple[int, int]:
    """Sizes along rows and columns; with one dimension, `first` is the size along rows."""
    y, x = ints((*(first,) * (2 - len(sizes)), *sizes))
    return y, x


def lower_direct(kernel: Kernel) -> Loops:
    """The loops of a convolution whose tiles walk over the image."""
    return Direct(kernel).lower()
