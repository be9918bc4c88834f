"""Gradients of a convolution's weights without columns: register tiles walk over two images.

The image is made channels-last and padded, band by band, as in `conv_direct.py`; so is the gradient
of the result, a strip of output channels at a time.  For each place of the window, a tile's rows
are input channels, its columns are output channels, and it sums over the positions of a band, row
after row ("taps").  Sums over all images stay in the second-level cache; at the end they are
transposed into the result.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.codegen.cpu.gemm_library import host_shape
from graphc.codegen.cpu.schedules.conv_direct import (
    MIN_CHANNELS_FOR_TILES,
    MIN_POSITIONS_FOR_TILES,
    Direct,
)
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
from graphc.codegen.lower.convolution import let
from graphc.codegen.lower.emitter import variable
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.conv import ConvolutionWeight
from graphc.ir.ops.index_math import ints
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.types import i64


def fits_weight_tiles(kernel: Kernel) -> bool:
    """Whether tiles can walk over the images: one or two dimensions of known sizes, one group, a
    window of more than one place, enough channels."""
    out = contraction_of(kernel)
    op = out.op
    if not isinstance(op, ConvolutionWeight) or op.groups != 1 or out.type.rank > 4:
        return False
    x, w, y = op.parts(*(a.type for a in out.args))
    sizes = (*w.shape, *x.shape[1:], *y.shape[1:], *op.before)
    if not all(isinstance(s, int) for s in sizes):
        return False
    wide = min(ints(w.shape[:2])) >= MIN_CHANNELS_FOR_TILES and math.prod(ints(w.shape[2:])) > 1
    return wide and math.prod(ints(y.shape[2:])) >= MIN_POSITIONS_FOR_TILES


class WeightDirect(Direct):
    """Lowers one gradient; the parallel axis runs over strips of output channels."""

    def lower(self) -> Loops:
        """The loops of the kernel."""
        first = len(self.kernel.reads) + len(self.kernel.writes)
        self.image, self.steps, self.sums, self.turned, self.table = range(first, first + 5)
        places = self.depth * math.prod(self.kernel_size)
        columns = dim.minimum(self.lanes, self.width - variable("r") * self.lanes)
        zero = RowMove((self.sums, 0), (self.sums, 0), self.dtype, places * self.lanes, 0, 0)
        bands = For("block.", 0, self.bands, tuple(self._one_band()))
        images = For("image.", 0, self.x.shape[0], (bands,))
        body = [let("columns", columns), zero, images, *self._result()]
        loops = self.loops(-(-self.width // self.lanes), body, 0, self.dtype)
        memory = (
            Scratch("padded", self.dtype, self.lines * self.padded * self.pitch),
            Scratch("steps", self.dtype, self.band * self.cols_out * self.lanes),
            Scratch("sums", self.dtype, places * self.lanes),
            Scratch("turned", self.dtype, places * self.lanes),
            Scratch("table", i64, 2 * self.band),
        )
        return Loops(
            loops.name,
            loops.buffers,
            loops.sizes,
            loops.extent,
            (*self._rows(), *loops.body),
            memory,
        )

    def _rows(self) -> list[Any]:
        """Fills the table of taps: the offsets of each row of positions in both images."""
        y = variable("i0")
        across = self.strides[0] * self.padded * self.pitch
        places = (y * across, y * (self.cols_out * self.lanes))
        stores = [Store(self.table, 2 * y + i, IndexValue(p, i64)) for i, p in enumerate(places)]
        return [For("i0.", 0, self.band, tuple(stores))]

    def _one_band(self) -> list[Any]:
        """One band of one image: transposes both, then multiplies for each place of the window."""
        n, plane = self.cols_out, self.rows_out * self.cols_out
        first: Size = variable("first")
        place = (variable("image") * self.width + variable("r") * self.lanes) * plane + first * n
        turn = TransposeMove(
            self.dtype,
            variable("columns"),
            variable("count") * n,
            (self.slot_y, place),
            plane,
            (self.steps, 0),
            self.lanes,
        )
        count = dim.minimum(self.band, self.rows_out - first)
        return [
            let("first", variable("block") * self.band),
            let("count", count),
            *self.fill(),
            turn,
            *self._products(),
        ]

    def _products(self) -> list[Any]:
        i, j, t = variable("i0"), variable("i1"), variable("i2")
        tiles = -(-self.depth // host_shape(self.dtype.name).rows)
        at, end = (dim.floordiv(self.depth * x, tiles) for x in (t, t + 1))
        kh, kw = self.kernel_size
        pixel = (i * self.dilation[0] * self.padded + j * self.dilation[1]) * self.pitch
        here = variable("at")
        tile = Tile(
            self.dtype,
            (variable("rows"), variable("columns"), self.cols_out),
            (self.image, pixel + here),
            1,
            self.strides[1] * self.pitch,
            (self.steps, 0),
            self.lanes,
            (self.sums, ((i * kw + j) * self.depth + here) * self.lanes),
            self.lanes,
            variable("count"),
            (self.table, 0),
            adds=1,
        )
        walk = For("i2.", 0, tiles, (let("at", at), let("rows", end - here), tile))
        return [For("i0.", 0, kh, (For("i1.", 0, kw, (walk,)),))]

    def _result(self) -> list[Any]:
        """Transposes the sums into the result: [tap, c][o] -> [o][tap][c] -> [o][c][tap]."""
        o, taps = variable("i0"), math.prod(self.kernel_size)
        line = taps * self.depth
        first = TransposeMove(
            self.dtype,
            line,
            variable("columns"),
            (self.sums, 0),
            self.lanes,
            (self.turned, 0),
            line,
        )
        place = (variable("r") * self.lanes + o) * line
        last = TransposeMove(
            self.dtype,
            taps,
            self.depth,
            (self.turned, o * line),
            self.depth,
            (self.slot_w, place),
            taps,
        )
        return [first, For("i0.", 0, variable("columns"), (last,))]


def lower_weight_direct(kernel: Kernel) -> Loops:
    """The loops of a gradient of weights whose tiles walk over the images."""
    return WeightDirect(kernel).lower()
