"""Convolutions of 3x3 windows with fewer multiplications: Winograd's scheme.

Winograd's F(2x2, 3x3): a tile of 2x2 results takes 16 products instead of 36, after transforms that
only add and halve.

    result = A^T [ (G w G^T) * (B^T x B) ] A

With channels last, the transforms are maps over runs of channels.  The products are sixteen matrix
products, one for each place of a transformed tile, by the register tiles of `tiles.py`.  Source: A.
Lavin and S. Gray, "Fast algorithms for convolutional neural networks" (arXiv:1509.09308, 2015).

Rounding errors exceed the plain sum's by a small factor.  An element that is not finite may reach
results up to one position beyond its windows (docs/semantics.md).
"""

from __future__ import annotations

import math
from typing import Any

from graphc.codegen.cpu.gemm_library import host_shape
from graphc.codegen.cpu.schedules.conv_columns import PANEL_ELEMENTS
from graphc.codegen.cpu.schedules.conv_direct import Direct, fits_tiles
from graphc.codegen.loops.ir import (
    For,
    IndexValue,
    Loops,
    Scratch,
    Store,
    Tile,
    Transform,
    TransposeMove,
)
from graphc.codegen.lower.convolution import let
from graphc.codegen.lower.emitter import variable
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.index_math import ints
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.types import i64

PLACES_PER_TILE = 16  # a transformed tile is 4x4
MIN_CHANNELS_FOR_WINOGRAD = 16  # fewer do not repay the transforms
MIN_POSITIONS_FOR_WINOGRAD = 150  # of an image; fewer do not repay transformed weights


def fits_winograd(kernel: Kernel) -> bool:
    """Whether a convolution is 3x3 with stride 1 and has enough channels and positions."""
    if not fits_tiles(kernel):
        return False
    out = contraction_of(kernel)
    op = out.op
    assert isinstance(op, Convolving)
    _, w, y = op.parts(*(a.type for a in out.args))
    o, c, *window = ints(w.shape)
    is_3x3 = op.strides == op.dilations == (1, 1) and window == [3, 3]
    large = math.prod(ints(y.shape[2:])) >= MIN_POSITIONS_FOR_WINOGRAD
    return is_3x3 and large and min(o, c) >= MIN_CHANNELS_FOR_WINOGRAD


class Winograd(Direct):
    """Lowers one convolution."""

    grain = 392

    def choose_bands(self) -> None:
        """Chooses the output rows of a band, an even number: its transformed tiles stay in the
        second-level cache."""
        self.across = -(-self.cols_out // 2)  # tiles of a row
        row = PLACES_PER_TILE * self.across * (self.depth + self.width)  # elements
        down = -(-self.rows_out // 2)
        max_rows = max(1, min(down, 2 * PANEL_ELEMENTS // row))  # of tiles
        self.bands = -(-down // max_rows)
        self.band = 2 * -(-down // self.bands)
        self.bands = -(-self.rows_out // self.band)
        self.lines, self.padded = self.band + 2, 2 * self.across + 2
        self.most_tiles = self.band // 2 * self.across
        first = len(self.kernel.reads) + len(self.kernel.writes)
        self.weights, self.image, self.sums, self.table = range(first, first + 4)
        self.kernels, self.inputs_at, self.products = range(first + 4, first + 7)

    def memory(self) -> tuple[Scratch, ...]:
        """The scratch buffers, in the order of their slots."""
        strips = self.strips * self.lanes
        dtype, tiles = self.dtype, self.most_tiles
        return (
            Scratch("weights", dtype, 9 * strips * self.depth),
            Scratch("padded", dtype, self.lines * self.padded * self.pitch),
            Scratch("sums", dtype, self.band * 2 * self.across * self.width),
            Scratch("table", i64, 2),
            Scratch("kernels", dtype, PLACES_PER_TILE * strips * self.depth),
            Scratch("transformed", dtype, PLACES_PER_TILE * tiles * self.depth),
            Scratch("products", dtype, PLACES_PER_TILE * tiles * self.width),
        )

    def before(self) -> list[Any]:
        """Statements that run once: transposed and transformed weights, a table of one tap."""
        zeros = [Store(self.table, i, IndexValue(0, i64)) for i in range(2)]
        return [*self.turn_weights(), *self._kernels(), *zeros]

    def work(self) -> list[Any]:
        """One band, from its padded image to its sums."""
        down = dim.floordiv(variable("count") + 1, 2)
        return [
            let("tiles", down * self.across),
            *self._inputs(down),
            *self._products(),
            *self._results(down),
        ]

    # -- transforms

    def _kernels(self) -> list[Any]:
        """Transforms the transposed weights into [strip][place][input channel][lanes]; gradients of
        the input use the window turned by half a circle."""
        s, strip = variable("i0"), self.depth * self.lanes
        tap, channel = (self.lanes, 9 * self.lanes) if self.forward else (strip, self.lanes)
        sign, first = (1, 0) if self.forward else (-1, 8)
        turned = Transform(
            self.dtype,
            "wkernel",
            self.lanes,
            self.depth,
            (self.weights, s * (9 * strip) + first * tap),
            (3 * sign * tap, sign * tap, channel),
            (self.kernels, s * (PLACES_PER_TILE * strip)),
            (4 * strip, strip, self.lanes),
        )
        return [For("i0.", self.low, self.high, (turned,))]

    def _inputs(self, down: Size) -> list[Any]:
        """Transforms the padded image into [place][tile][input channel]."""
        y, plane, row = variable("i0"), variable("tiles") * self.depth, self.padded * self.pitch
        turned = Transform(
            self.dtype,
            "winput",
            self.depth,
            self.across,
            (self.image, y * (2 * row)),
            (row, self.pitch, 2 * self.pitch),
            (self.inputs_at, y * (self.across * self.depth)),
            (4 * plane, plane, self.depth),
        )
        return [For("i0.", 0, down, (turned,))]

    def _results(self, down: Size) -> list[Any]:
        """Transforms the products into [row][column][output channel]."""
        y, plane, row = variable("i0"), variable("tiles") * self.width, 2 * self.across * self.width
        turned = Transform(
            self.dtype,
            "wresult",
            self.columns,
            self.across,
            (self.products, y * (self.across * self.width) + self.column),
            (4 * plane, plane, self.width),
            (self.sums, y * (2 * row) + self.column),
            (row, self.width, 2 * self.width),
        )
        return [For("i0.", 0, down, (turned,))]

    # -- products

    def _products(self) -> list[Any]:
        """For each place of a tile, multiplies [tile][input channel] by [input][output channel]."""
        p, s, t = variable("i0"), variable("i1"), variable("i2")
        tiles: Size = variable("tiles")
        heights = -dim.floordiv(0 - tiles, host_shape(self.dtype.name).rows)
        at, end = (
            dim.floordiv(tiles * t, variable("heights")),
            dim.floordiv(tiles * (t + 1), variable("heights")),
        )
        column, strip = s * self.lanes, self.depth * self.lanes
        here: Size = variable("at")
        tile = Tile(
            self.dtype,
            (variable("rows"), dim.minimum(self.lanes, self.width - column), self.depth),
            (self.inputs_at, (p * tiles + here) * self.depth),
            self.depth,
            1,
            (self.kernels, s * (PLACES_PER_TILE * strip) + p * strip),
            self.lanes,
            (self.products, (p * tiles + here) * self.width + column),
            self.width,
            1,
            (self.table, 0),
        )
        walk = For("i2.", 0, variable("heights"), (let("at", at), let("rows", end - here), tile))
        strips = For("i1.", self.low, self.high, (walk,))
        return [let("heights", heights), For("i0.", 0, PLACES_PER_TILE, (strips,))]

    def result(self) -> list[Any]:
        """Transposes the sums into the result, channel by channel; row by row if a row ends with a
        spare column."""
        n = self.cols_out
        if n % 2 == 0:
            return super().result()
        row, plane = variable("i0"), self.rows_out * n
        line = variable("first") + row
        place = (variable("image") * self.width + self.column) * plane + line * n
        source = row * (n + 1) * self.width + self.column
        turn = TransposeMove(
            self.dtype,
            n,
            self.columns,
            (self.sums, source),
            self.width,
            (self.result_slot, place),
            plane,
        )
        return [For("i0.", 0, variable("count"), (turn,))]


def lower_winograd(kernel: Kernel) -> Loops:
    """The loops of a 3x3 convolution by Winograd's scheme."""
    return Winograd(kernel).lower()
