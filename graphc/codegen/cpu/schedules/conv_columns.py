"""Convolutions -> Loops: blocks of columns in scratch memory, multiplied by matrix products.

For an image and a group, `pack` copies the elements that each position's window sees into one
column of a panel that stays in the second-level cache; a product with the weights follows
(implicit im2col).  A block is several rows of positions, or a piece of one long row.  Element types
without register tiles, and groups of few channels, go to `lower/conv_loops.py`.  The cuts depend on
sizes alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    Const,
    For,
    Gemm,
    Load,
    Loops,
    RowMove,
    Store,
)
from graphc.codegen.lower.convolution import ADD, MAX_CHANNEL_PAIRS_FOR_LOOPS, ConvolutionFrame, let
from graphc.codegen.lower.emitter import row_major, variable
from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.ops.conv import Convolution, ConvolutionInput, Convolving
from graphc.ir.program import Kernel, contraction_of

PANEL_ELEMENTS = 1 << 16  # of a block of columns: 256 KB of f32
PANEL_ROWS_PER_PART = 256  # input channels are shared among parts of about so many panel rows
MAX_ROW_MOVE_STRIDE = 2  # `RowMove` moves rows by vectors up to this stride


def uses_columns(kernel: Kernel) -> bool:
    """Whether a convolution is computed as matrix products."""
    out = contraction_of(kernel)
    assert isinstance(out.op, Convolving)
    _, w, _ = out.op.parts(*(a.type for a in out.args))
    channel_pairs = dim.floordiv(w.shape[0], out.op.groups) * w.shape[1]
    few = (
        out.op.groups > 1
        and isinstance(channel_pairs, int)
        and channel_pairs <= MAX_CHANNEL_PAIRS_FOR_LOOPS
    )
    return out.type.dtype.tiled and not few


def lower_columns(kernel: Kernel) -> Loops:
    """The loops of a convolution as columns and matrix products."""
    return _Columns(kernel).lower()


class _Columns(ConvolutionFrame):
    """Lowers one convolution; `channel` is the first input channel in the panel, `channels` their
    number."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        op = self.op
        self.direct = all(n == 1 for n in (*self.window, *op.strides)) and all(
            n == 0 for n in (*op.before, *op.after)
        )  # the input is its own panel
        parts = dim.maximum(dim.floordiv(self.inputs * self.taps, PANEL_ROWS_PER_PART), 1)
        if isinstance(op, Convolution):
            parts = 1
        self.share = self.named("share", -dim.floordiv(-self.inputs, parts))
        self.parts = self.named("parts", parts)
        depth = self.share * self.taps
        line = dim.maximum(depth * self.row, 1)
        block_rows = dim.maximum(dim.minimum(self.rows, dim.floordiv(PANEL_ELEMENTS, line)), 1)
        self.block = self.named("rows", block_rows)
        piece = dim.minimum(
            self.row, dim.maximum(dim.floordiv(PANEL_ELEMENTS, dim.maximum(depth, 1)), 1)
        )
        self.piece = self.named("piece", piece)
        self.pieces = -dim.floordiv(-self.row, dim.maximum(piece, 1))  # of a row; or
        bands = -dim.floordiv(-self.rows, block_rows)  # blocks of rows
        self.blocks = self.named("blocks", bands * self.pieces)
        self.width = self.block * self.piece  # of a panel's row
        if self.pieces != 1:
            self.left, self.length = variable("left"), variable("length")
        self.plane = self.rows * self.row
        self.scratch = 0 if self.direct else dim.maximum(depth * block_rows * piece, 1)
        self.count = variable("count")
        self.first: Size = variable("first")
        self.channel: Size = variable("channel")
        self.channels: Size = variable("channels")

    def lower(self) -> Loops:
        if isinstance(self.op, Convolution):
            body, extent = self.forward()
        elif isinstance(self.op, ConvolutionInput):
            body, extent = self.input()
        else:
            body, extent = self.weight()
        return self.loops(extent, body, self.scratch, self.out.type.dtype)

    # -- offsets

    def at_x(self, image: Size) -> Size:
        """The offset of the current channels of an image."""
        channel = variable("group") * self.inputs + self.channel
        return (image * self.x.shape[1] + channel) * product(self.spatial)

    def at_y(self) -> Size:
        """The offset of the current block's first position, in the first channel of the group."""
        channel = variable("image") * self.y.shape[1] + variable("group") * self.outputs
        return channel * self.plane + self.first * self.row + self.left

    def at_w(self) -> Size:
        line = self.inputs * self.taps
        return variable("group") * self.outputs * line + self.channel * self.taps

    def panel(self) -> tuple[int, Size, Size]:
        """(buffer, offset, row length) of the columns of the current block."""
        if self.direct:
            at = self.at_x(variable("image")) + self.first * self.row + self.left
            return self.slot_x, at, self.plane
        return self.scratch_slot, 0, self.width

    # -- the convolution and its two gradients

    def cut_channels(self) -> list[Any]:
        left = self.inputs - self.channel
        return [
            let("channel", variable("part") * self.share),
            let("channels", dim.maximum(dim.minimum(self.share, left), 0)),
        ]

    def over_blocks(self, body: list[Any]) -> For:
        return For("block.", 0, self.blocks, (*self.cut_rows(), *body))

    def cut_rows(self) -> list[Any]:
        band: Size = variable("block")
        lets = []
        if self.pieces != 1:
            pieces = self.named("pieces", self.pieces)
            lets = [
                let("left", dim.modulo(band, pieces) * self.piece),
                let("length", dim.minimum(self.piece, self.row - self.left)),
            ]
            band = dim.floordiv(band, pieces)
        return [
            *lets,
            let("first", band * self.block),
            let("count", dim.minimum(self.block, self.rows - self.first)),
        ]

    def forward(self) -> tuple[list[Any], Size]:
        lets, extent = self.split(
            ("image", self.x.shape[0]), ("group", self.groups), ("block", self.blocks)
        )
        self.channel, self.channels = 0, self.inputs
        line, (buffer, at, width) = self.inputs * self.taps, self.panel()
        gemm = Gemm(
            False,
            False,
            (self.outputs, self.count * self.length, line),
            (self.slot_w, buffer, self.slot_y),
            (self.at_w(), at, self.at_y()),
            (line, width, self.plane),
        )
        pack = [] if self.direct else self.pack()
        place = self.group_channels(self.outputs)
        rows = (
            ((self.left, self.length),)
            if len(self.window) == 1
            else ((self.first, self.count), (self.left, self.length))
        )
        after = self.epilogue((variable("image"), 1), place, *rows)
        return [*lets, *self.cut_rows(), *pack, gemm, *after], extent

    def weight(self) -> tuple[list[Any], Size]:
        lets, extent = self.split(("group", self.groups), ("part", self.parts))
        line, (buffer, at, width) = self.inputs * self.taps, self.panel()
        gemm = Gemm(
            False,
            True,
            (self.outputs, self.channels * self.taps, self.count * self.length),
            (self.slot_y, buffer, self.slot_w),
            (self.at_y(), at, self.at_w()),
            (self.plane, width, line),
            adds=True,
        )
        pack = [] if self.direct else self.pack()
        images = For("image.", 0, self.x.shape[0], (self.over_blocks([*pack, gemm]),))
        zero = Const(0.0, self.out.type.dtype)
        place = self.at_w() + variable("i0") * line + variable("i1")
        clear = For("i1.", 0, self.channels * self.taps, (Store(self.slot_w, place, zero),))
        clears = For("i0.", 0, self.outputs, (clear,))
        return [*lets, *self.cut_channels(), clears, images], extent

    def input(self) -> tuple[list[Any], Size]:
        lets, extent = self.split(
            ("image", self.x.shape[0]), ("group", self.groups), ("part", self.parts)
        )
        line, (buffer, at, width) = self.inputs * self.taps, self.panel()
        gemm = Gemm(
            True,
            False,
            (self.channels * self.taps, self.count * self.length, self.outputs),
            (self.slot_w, self.slot_y, buffer),
            (self.at_w(), self.at_y(), at),
            (line, self.plane, width),
        )
        low, _ = self.group_channels(self.inputs)
        channels = (low + self.channel, self.channels)
        every = tuple((0, size) for size in self.spatial)
        after = self.epilogue((variable("image"), 1), channels, *every)
        if self.direct:
            return [*lets, *self.cut_channels(), self.over_blocks([gemm]), *after], extent
        place = self.at_x(variable("image")) + variable("i0")
        cells = self.channels * product(self.spatial)
        clear = For("i0.", 0, cells, (Store(self.slot_x, place, Const(0.0, self.out.type.dtype)),))
        blocks = self.over_blocks([gemm, *self.spread()])
        return [*lets, *self.cut_channels(), clear, blocks, *after], extent

    def group_channels(self, count: Size) -> tuple[Size, Size]:
        """The first channel of the current group, and the number of its channels."""
        return variable("group") * count, count

    # -- between panel and input

    def lines(self, row_of: Any) -> list[Any]:
        """Loops over channels, window places and rows of a block.  `row_of` gives the statements of
        one row, from its offset in the panel and its offset in the input."""
        c, row, last = variable("i0"), variable("i1"), len(self.window) - 1
        index, bounds = self.input_row(self.first + row)
        plane = self.at_x(variable("image")) + c * product(self.spatial)
        source = plane + row_major((*index, self.shift(last)), self.spatial)
        source = source + self.left * self.op.strides[last]
        depth = row_major(self.k, self.window) + c * self.taps
        lets = [*self.span(bounds), let("to", depth * self.width + row * self.length)]
        body = [*lets, let("base", source), *row_of(variable("to"), variable("base"))]
        rows = For("i1.", 0, self.count, tuple(body))
        return [For("i0.", 0, self.channels, tuple(self.over_window([rows])))]

    def pack(self) -> list[Any]:
        """Copies columns into the panel; zeros where a window leaves the input."""
        dtype, stride = self.out.type.dtype, self.op.strides[-1]
        q, start, stop = variable("j0"), variable("start"), variable("stop")

        def row_of(to: Size, base: Size) -> list[Any]:
            if stride <= MAX_ROW_MOVE_STRIDE:
                places = (self.slot_x, base), (self.scratch_slot, to)
                bounds = (self.length, variable("start"), variable("stop"))
                return [RowMove(*places, dtype, *bounds, stride)]
            zero = Store(self.scratch_slot, to + q, Const(0.0, dtype))
            copied = Store(self.scratch_slot, to + q, Load(self.slot_x, base + q * stride, dtype))
            inside = For("j0.", start, stop, (copied,))
            if all(map(self.safe, range(len(self.window)))):
                return [inside]
            return [For("j0.", 0, start, (zero,)), inside, For("j0.", stop, self.length, (zero,))]

        return self.lines(row_of)

    def spread(self) -> list[Any]:
        """Adds the panel's columns to the input elements that they belong to."""
        dtype, stride = self.out.type.dtype, self.op.strides[-1]
        q = variable("j0")

        def row_of(to: Size, base: Size) -> list[Any]:
            if stride == 1:
                places = (self.scratch_slot, to), (self.slot_x, base)
                stop = variable("stop")
                return [RowMove(*places, dtype, stop, variable("start"), stop, adds=True)]
            at = base + q * stride
            total, term = Load(self.slot_x, at, dtype), Load(self.scratch_slot, to + q, dtype)
            added = Store(self.slot_x, at, Apply(ADD, (total, term), dtype))
            return [For("j0.", variable("start"), variable("stop"), (added,))]

        return self.lines(row_of)
