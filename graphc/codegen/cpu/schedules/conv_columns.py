"""Convolutions -> Loops: blocks of columns in scratch memory, multiplied by `gemm.py`.

For an image and a group, the elements that a window sees are packed as columns, one for each
position, into a panel that stays in the second-level cache; a product with the weights follows
(implicit im2col).  Blocks are whole rows of positions, or pieces of one long row.  What has no
register tiles, or where a group has few channels, goes to `windows.py`.  All cuts depend on sizes
alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    Const,
    For,
    Gemm,
    Guard,
    IndexValue,
    Let,
    Load,
    Loops,
    Row,
    Scratch,
    Store,
)
from graphc.codegen.lower.contraction import TILED, map_after, shown, slots_of
from graphc.codegen.lower.emitter import row_major, variable
from graphc.codegen.lower.fused import lower_fused, lower_region
from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product
from graphc.ir.ops.conv import Convolution, ConvolutionInput, Convolving
from graphc.ir.ops.index_math import unflatten
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.types import i64
from graphc.passes.fusion.fuse import storage

PANEL = 1 << 16  # elements; 256 KB of f32
COLUMNS = 256  # rows of a panel from which the channels of its input are cut
FEW = 16  # products of input and output channels of a group up to which loops beat a product
MOVED = 2  # the longest stride at which rows are moved by vectors
ADD, TIMES = "({0} + {1})", "({0} * {1})"


class Frame:
    """One convolution's sizes, buffers and names."""

    def __init__(self, kernel: Kernel) -> None:
        self.out = contraction_of(kernel)
        op = self.out.op
        assert isinstance(op, Convolving)
        self.kernel, self.op = kernel, op
        a, b = self.out.args
        self.x, self.w, self.y = op.parts(a.type, b.type)
        self.slots = slots = slots_of(kernel)
        given = [slots[storage(a)], slots[storage(b)]]
        if isinstance(op, ConvolutionInput):  # (Y, W)
            given.reverse()
        given.insert(op.result, slots[self.out])
        self.slot_x, self.slot_w, self.slot_y = given
        self.scratch_slot = len(kernel.reads) + len(kernel.writes)
        self.after = map_after(kernel)
        self.spatial, self.window = self.x.shape[2:], self.w.shape[2:]
        self.positions = self.y.shape[2:]
        self.groups = op.groups
        self.inputs = self.w.shape[1]  # channels of a group
        self.outputs = dim.floordiv(self.w.shape[0], op.groups)
        self.taps = product(self.window)
        self.k = tuple(variable(f"k{a}") for a in range(len(self.window)))
        self.given: dict[Size, str] = {}
        self.rows = self.named("lines", product(self.positions[:-1]))
        self.row = self.named("line", self.positions[-1])
        self.left: Size = 0  # the piece of a row that is being worked on
        self.length: Size = self.row

    def named(self, name: str, size: Size) -> Size:
        """A size that the kernel gets as an argument, unless it is a number."""
        size = self.resolved(size)
        return size if isinstance(size, int) else variable(self.given.setdefault(size, name))

    def resolved(self, size: Size) -> Size:
        """A size without the names that `named` gave."""
        return dim.substitute(size, {f"{name}.": value for value, name in self.given.items()})

    def loops(self, extent: Size, body: list[Any], scratch: Size, dtype: Any) -> Loops:
        """The kernel of a parallel axis over `extent`, with `scratch` elements (0: none) of its
        own."""
        buffers = shown(self.kernel, self.slots, lower_fused(self.after, self.slots))
        own = (Scratch("panel", dtype, scratch),) if scratch != 0 else ()
        sizes = tuple((name, size) for size, name in self.given.items())
        loop = For("r.", variable("lo"), variable("hi"), tuple(body))
        return Loops(self.kernel.name, buffers, sizes, self.resolved(extent), (loop,), own)

    def epilogue(self, *region: tuple[Size, Size]) -> list[Any]:
        """What follows the convolution on a part of its result: for each axis, (low, count)."""
        return lower_region(self.after, self.slots, region) if self.after.body else []

    def split(self, *parts: tuple[str, Size]) -> tuple[list[Any], Size]:
        """The parallel axis as named indices, the last one fastest; and its size."""
        sizes = tuple(size for _, size in parts)
        found = unflatten(variable("r"), sizes)
        return [let(n, i) for (n, _), i in zip(parts, found, strict=True)], product(sizes)

    # -- where windows meet the input

    def safe(self, axis: int) -> bool:
        """Whether no window leaves the input along an axis."""
        after = self.op.after[axis]
        return self.op.before[axis] == 0 and isinstance(after, int) and after <= 0

    def shift(self, axis: int) -> Size:
        """Where the input element of position 0 is, for the current place of the window."""
        return self.k[axis] * self.op.dilations[axis] - self.op.before[axis]

    def span(self, outside: tuple[tuple[Size, Size, Size], ...]) -> list[Any]:
        """`start` and `stop`: the positions of the piece of a row whose element exists; none where
        one of the bounds on the other axes does not hold."""
        last = len(self.window) - 1
        stride, size, length = self.op.strides[last], self.spatial[last], self.length
        start: Size = 0
        stop: Size = length
        if not self.safe(last):
            shift = self.shift(last)
            stop = dim.floordiv(size - shift + (stride - 1), stride) - self.left
            stop = dim.maximum(dim.minimum(stop, length), 0)
            start = dim.floordiv((stride - 1) - shift, stride) - self.left
            start = dim.maximum(start, 0)
        end: Any = IndexValue(stop, i64)
        if outside:
            end = Guard(outside, end, IndexValue(0, i64), i64)
        return [Let("stop", end), let("start", dim.minimum(start, variable("stop")))]

    def input_row(self, row: Size) -> tuple[Shape, tuple[tuple[Size, Size, Size], ...]]:
        """The index of the input's row under a row of positions, and the bounds it must keep."""
        index = unflatten(row, self.positions[:-1])
        found, bounds = [], []
        for a, o in enumerate(index):
            at = o * self.op.strides[a] + self.shift(a)
            found.append(at)
            if not self.safe(a):
                bounds.append((at, 0, self.spatial[a]))
        return tuple(found), tuple(bounds)

    def over_window(self, body: list[Any]) -> list[Any]:
        """Loops over the places of the window."""
        for a, size in reversed(list(enumerate(self.window))):
            body = [For(f"k{a}.", 0, size, tuple(body))]
        return body


def let(name: str, size: Size) -> Let:
    """A named index."""
    return Let(name, IndexValue(size, i64))


def uses_columns(kernel: Kernel) -> bool:
    """Whether a convolution is matrix products."""
    out = contraction_of(kernel)
    assert isinstance(out.op, Convolving)
    _, w, _ = out.op.parts(*(a.type for a in out.args))
    each = dim.floordiv(w.shape[0], out.op.groups) * w.shape[1]
    few = out.op.groups > 1 and isinstance(each, int) and each <= FEW
    return out.type.dtype.name in TILED and not few


def lower_columns(kernel: Kernel) -> Loops:
    """A convolution by way of columns and matrix products."""
    return _Columns(kernel).lower()


class _Columns(Frame):
    """Lowers one convolution; `channel` and `channels` tell which input channels a panel holds."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        op = self.op
        self.direct = all(n == 1 for n in (*self.window, *op.strides)) and all(
            n == 0 for n in (*op.before, *op.after)
        )  # the input is its own panel
        parts = dim.maximum(dim.floordiv(self.inputs * self.taps, COLUMNS), 1)
        if isinstance(op, Convolution):
            parts = 1
        self.share = self.named("share", -dim.floordiv(-self.inputs, parts))
        self.parts = self.named("parts", parts)
        depth = self.share * self.taps
        line = dim.maximum(depth * self.row, 1)
        most = dim.maximum(dim.minimum(self.rows, dim.floordiv(PANEL, line)), 1)
        self.block = self.named("rows", most)
        piece = dim.minimum(self.row, dim.maximum(dim.floordiv(PANEL, dim.maximum(depth, 1)), 1))
        self.piece = self.named("piece", piece)
        self.pieces = -dim.floordiv(-self.row, dim.maximum(piece, 1))  # of a row; or
        bands = -dim.floordiv(-self.rows, most)  # blocks of rows
        self.blocks = self.named("blocks", bands * self.pieces)
        self.width = self.block * self.piece  # of a panel's row
        if self.pieces != 1:
            self.left, self.length = variable("left"), variable("length")
        self.plane = self.rows * self.row
        self.scratch = 0 if self.direct else dim.maximum(depth * most * piece, 1)
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
        """The first element of the current channels of an image."""
        channel = variable("group") * self.inputs + self.channel
        return (image * self.x.shape[1] + channel) * product(self.spatial)

    def at_y(self) -> Size:
        """The first position of the current block, in the first channel of the group."""
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

    # -- the three

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
        """The channels of the current group: the first, and how many."""
        return variable("group") * count, count

    # -- between panel and input

    def lines(self, row_of: Any) -> list[Any]:
        """Loops over channels, window places and rows of a block, around what `row_of` makes of
        (offset in the panel's row, offset in the input's row)."""
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
        """Columns into the panel; zeros where a window leaves the input."""
        dtype, stride = self.out.type.dtype, self.op.strides[-1]
        q, start, stop = variable("j0"), variable("start"), variable("stop")

        def row_of(to: Size, base: Size) -> list[Any]:
            if stride <= MOVED:
                places = (self.slot_x, base), (self.scratch_slot, to)
                bounds = (self.length, variable("start"), variable("stop"))
                return [Row(*places, dtype, *bounds, stride)]
            zero = Store(self.scratch_slot, to + q, Const(0.0, dtype))
            copied = Store(self.scratch_slot, to + q, Load(self.slot_x, base + q * stride, dtype))
            inside = For("j0.", start, stop, (copied,))
            if all(map(self.safe, range(len(self.window)))):
                return [inside]
            return [For("j0.", 0, start, (zero,)), inside, For("j0.", stop, self.length, (zero,))]

        return self.lines(row_of)

    def spread(self) -> list[Any]:
        """Columns of the panel added to where they come from."""
        dtype, stride = self.out.type.dtype, self.op.strides[-1]
        q = variable("j0")

        def row_of(to: Size, base: Size) -> list[Any]:
            if stride == 1:
                places = (self.scratch_slot, to), (self.slot_x, base)
                stop = variable("stop")
                return [Row(*places, dtype, stop, variable("start"), stop, adds=True)]
            at = base + q * stride
            have, more = Load(self.slot_x, at, dtype), Load(self.scratch_slot, to + q, dtype)
            added = Store(self.slot_x, at, Apply(ADD, (have, more), dtype))
            return [For("j0.", variable("start"), variable("stop"), (added,))]

        return self.lines(row_of)
