"""Convolutions -> plain loops: for element types without register tiles, and for groups of few
channels (depthwise convolution), whose matrix products would be too thin.

The innermost loop walks a row of positions, so it vectorises.  A scratch row holds the sums; for
narrow floats they are f32.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    Const,
    FoldStep,
    For,
    Let,
    Load,
    Loops,
    Ref,
    Store,
)
from graphc.codegen.lower.convolution import ADD, TIMES, ConvolutionFrame, let
from graphc.codegen.lower.emitter import row_major, variable
from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.index_math import unflatten
from graphc.ir.program import Kernel

POSITION = variable("j0")


def lower_windows(kernel: Kernel) -> Loops:
    """The loops of a convolution over rows of positions."""
    return _Windows(kernel).lower()


class _Windows(ConvolutionFrame):
    """Lowers one convolution."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        dtype = self.out.type.dtype
        self.dtype, self.sum = dtype, dtype.accumulates
        self.last = len(self.window) - 1

    def lower(self) -> Loops:
        if isinstance(self.op, Convolution):
            return self.forward()
        return self.input() if isinstance(self.op, ConvolutionInput) else self.weight()

    def load(self, slot: int, offset: Size) -> Any:
        """An element, loaded in the type of the sums."""
        return Load(slot, offset, self.sum)

    def place(self, slot: int, channel: Size, row: Size, plane: Size, length: Size) -> Size:
        """The offset of a row of a channel of the current image."""
        count = (self.x if slot == self.slot_x else self.y).shape[1]
        return (variable("image") * count + channel) * plane + row * length

    def forward(self) -> Loops:
        image_channel = (("image", self.x.shape[0]), ("channel", self.y.shape[1]))
        lets, extent = self.split(*image_channel)
        c, row, panel = variable("i0"), variable("i1"), self.scratch_slot
        index, bounds = self.input_row(row)
        channel = let("group", dim.floordiv(variable("channel"), self.outputs))
        inner = variable("group") * self.inputs + c
        plane = (variable("image") * self.x.shape[1] + inner) * product(self.spatial)
        base = plane + row_major((*index, self.shift(self.last)), self.spatial)
        at_w = (variable("channel") * self.inputs + c) * self.taps + row_major(self.k, self.window)
        element = self.load(self.slot_x, variable("base") + POSITION * self.op.strides[-1])
        body = self.add_row(bounds, base, at_w, POSITION, element)
        work = For("i0.", 0, self.inputs, tuple(self.over_window(body)))
        to = (variable("image") * self.y.shape[1] + variable("channel")) * self.rows + row
        return self.by_rows(
            [*lets, channel], extent, self.rows, self.row, work, (self.slot_y, to * self.row), panel
        )

    def add_row(self, bounds: Any, base: Size, at_w: Size, to: Size, element: Any) -> list[Any]:
        """Adds a weight times a row of elements to the scratch row."""
        panel = self.scratch_slot
        weighed = Apply(TIMES, (Ref("weight", self.sum), element), self.sum)
        step = Apply(ADD, (self.load(panel, to), weighed), self.sum)
        loop = For("j0.", variable("start"), variable("stop"), (Store(panel, to, step),))
        weight = Let("weight", self.load(self.slot_w, at_w))
        return [*self.span(bounds), let("base", base), weight, loop]

    def by_rows(
        self,
        lets: list[Any],
        extent: Size,
        rows: Size,
        length: Size,
        work: Any,
        to: tuple[int, Size],
        panel: int,
    ) -> Loops:
        """For each row: clears the scratch row, runs `work`, stores the row."""
        zero = Const(0.0 if self.dtype.is_float else 0, self.sum)
        clear = For("j0.", 0, length, (Store(panel, POSITION, zero),))
        store = For("j0.", 0, length, (Store(to[0], to[1] + POSITION, self.load(panel, POSITION)),))
        body = [*lets, For("i1.", 0, rows, (clear, work, store))]
        return self.loops(extent, body, dim.maximum(length, 1), self.sum)

    def input(self) -> Loops:
        lets, extent = self.split(("image", self.x.shape[0]), ("channel", self.x.shape[1]))
        o, row, panel = variable("i0"), variable("i1"), self.scratch_slot
        group = let("group", dim.floordiv(variable("channel"), self.inputs))
        index, bounds = self.position_row(row)
        channel = variable("group") * self.outputs + o
        plane = (variable("image") * self.y.shape[1] + channel) * self.rows * self.row
        base = plane + row_major((*index, 0), self.positions)
        inner = variable("channel") - variable("group") * self.inputs
        at_w = (channel * self.inputs + inner) * self.taps + row_major(self.k, self.window)
        to = POSITION * self.op.strides[-1] + self.shift(self.last)
        element = self.load(self.slot_y, variable("base") + POSITION)
        body = self.add_row(bounds, base, at_w, to, element)
        work = For("i0.", 0, self.outputs, tuple(self.over_window(body)))
        rows, length = product(self.spatial[:-1]), self.spatial[-1]
        at = (variable("image") * self.x.shape[1] + variable("channel")) * rows + row
        return self.by_rows(
            [*lets, group], extent, rows, length, work, (self.slot_x, at * length), panel
        )

    def position_row(self, row: Size) -> tuple[tuple[Size, ...], tuple[Any, ...]]:
        """The index of the row of positions that sees a row of the input at the current place of
        the window, and the bounds that make it exist."""
        position_index: list[Size] = []
        bounds: list[tuple[Size, Size, Size]] = []
        for a, h in enumerate(unflatten(row, self.spatial[:-1])):
            at, stride = h - self.shift(a), self.op.strides[a]
            if stride != 1:
                bounds.append((dim.modulo(at, stride), 0, 1))
            at = dim.floordiv(at, stride)
            position_index.append(at)
            bounds.append((at, 0, self.positions[a]))
        return tuple(position_index), tuple(bounds)

    def weight(self) -> Loops:
        lets, extent = self.split(("channel", self.w.shape[0]), ("part", self.inputs))
        row = variable("i1")
        group = let("group", dim.floordiv(variable("channel"), self.outputs))
        index, bounds = self.input_row(row)
        inner = variable("group") * self.inputs + variable("part")
        plane = (variable("image") * self.x.shape[1] + inner) * product(self.spatial)
        base = plane + row_major((*index, self.shift(self.last)), self.spatial)
        x = self.load(self.slot_x, variable("base") + POSITION * self.op.strides[-1])
        line = (variable("image") * self.y.shape[1] + variable("channel")) * self.rows + row
        y = self.load(self.slot_y, line * self.row + POSITION)
        step = FoldStep("total", ADD, Apply(TIMES, (x, y), self.sum), self.sum)
        fold = For("j0.", variable("start"), variable("stop"), (step,))
        rows = For("i1.", 0, self.rows, (*self.span(bounds), let("base", base), fold))
        zero = Const(0.0 if self.dtype.is_float else 0, self.sum)
        at_w = (variable("channel") * self.inputs + variable("part")) * self.taps
        at_w = at_w + row_major(self.k, self.window)
        images = For("image.", 0, self.x.shape[0], (rows,))
        store = Store(self.slot_w, at_w, Ref("total", self.sum))
        body = self.over_window([Let("total", zero), images, store])
        return self.loops(extent, [*lets, group, *body], 0, self.sum)
