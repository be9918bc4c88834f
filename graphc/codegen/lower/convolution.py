"""The sizes, axes and windows of a convolution, which all of its schedules share."""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import For, Guard, IndexValue, Let, Loops, Scratch
from graphc.codegen.lower.contraction import map_after, own_buffers, slots_of
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import lower_fused, lower_region
from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product
from graphc.ir.ops.conv import ConvolutionInput, Convolving
from graphc.ir.ops.index_math import unflatten
from graphc.ir.program import Kernel, contraction_of, storage
from graphc.ir.types import i64

# Input times output channels of a group: up to here plain loops beat a matrix product.
MAX_CHANNEL_PAIRS_FOR_LOOPS = 16
ADD = "({0} + {1})"  # spellings of `Apply`
TIMES = "({0} * {1})"


class ConvolutionFrame:
    """One convolution's sizes, buffers and names."""

    def __init__(self, kernel: Kernel) -> None:
        self.out = contraction_of(kernel)
        op = self.out.op
        assert isinstance(op, Convolving)
        self.kernel, self.op = kernel, op
        a, b = self.out.args
        self.x, self.w, self.y = op.parts(a.type, b.type)
        self.slots = slots = slots_of(kernel)
        operand_slots = [slots[storage(a)], slots[storage(b)]]
        if isinstance(op, ConvolutionInput):  # (Y, W)
            operand_slots.reverse()
        operand_slots.insert(op.result, slots[self.out])
        self.slot_x, self.slot_w, self.slot_y = operand_slots
        self.scratch_slot = len(kernel.reads) + len(kernel.writes)
        self.after = map_after(kernel)
        self.spatial, self.window = self.x.shape[2:], self.w.shape[2:]
        self.positions = self.y.shape[2:]
        self.groups = op.groups
        self.inputs = self.w.shape[1]  # channels of a group
        self.outputs = dim.floordiv(self.w.shape[0], op.groups)
        self.taps = product(self.window)
        self.k = tuple(variable(f"k{a}") for a in range(len(self.window)))
        self.arguments: dict[Size, str] = {}
        self.rows = self.named("lines", product(self.positions[:-1]))
        self.row = self.named("line", self.positions[-1])
        self.left: Size = 0  # the current piece of a row
        self.length: Size = self.row

    def named(self, name: str, size: Size) -> Size:
        """A size that the kernel gets as an argument, unless it is a number."""
        size = self.resolved(size)
        return size if isinstance(size, int) else variable(self.arguments.setdefault(size, name))

    def resolved(self, size: Size) -> Size:
        """A size without the names that `named` gave."""
        return dim.substitute(size, {f"{name}.": value for value, name in self.arguments.items()})

    def loops(self, extent: Size, body: list[Any], scratch: Size, dtype: Any) -> Loops:
        """The kernel whose parallel axis has `extent` steps, with a scratch buffer of `scratch`
        elements (0: none)."""
        buffers = own_buffers(self.kernel, lower_fused(self.after, self.slots).buffers)
        own = (Scratch("panel", dtype, scratch),) if scratch != 0 else ()
        sizes = tuple((name, size) for size, name in self.arguments.items())
        loop = For("r.", variable("lo"), variable("hi"), tuple(body))
        return Loops(self.kernel.name, buffers, sizes, self.resolved(extent), (loop,), own)

    def epilogue(self, *region: tuple[Size, Size]) -> list[Any]:
        """The statements that follow the convolution on a part of its result: for each axis, (low,
        count)."""
        return lower_region(self.after, self.slots, region) if self.after.body else []

    def split(self, *parts: tuple[str, Size]) -> tuple[list[Any], Size]:
        """Named indices that the parallel axis splits into, the last one fastest; and its size."""
        sizes = tuple(size for _, size in parts)
        indices = unflatten(variable("r"), sizes)
        return [let(n, i) for (n, _), i in zip(parts, indices, strict=True)], product(sizes)

    # -- where windows meet the input

    def safe(self, axis: int) -> bool:
        """Whether all windows stay inside the input along an axis."""
        after = self.op.after[axis]
        return self.op.before[axis] == 0 and isinstance(after, int) and after <= 0

    def shift(self, axis: int) -> Size:
        """The input index under position 0, for the current place of the window."""
        return self.k[axis] * self.op.dilations[axis] - self.op.before[axis]

    def span(self, outside: tuple[tuple[Size, Size, Size], ...]) -> list[Any]:
        """Defines `start` and `stop`: the positions of a row's piece that see an element of the
        input.  There are none if a bound on another axis fails."""
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
        """The index of the input's row under a row of positions, and the bounds within which it
        exists."""
        index = unflatten(row, self.positions[:-1])
        input_index, bounds = [], []
        for a, o in enumerate(index):
            at = o * self.op.strides[a] + self.shift(a)
            input_index.append(at)
            if not self.safe(a):
                bounds.append((at, 0, self.spatial[a]))
        return tuple(input_index), tuple(bounds)

    def over_window(self, body: list[Any]) -> list[Any]:
        """Loops over the places of the window."""
        for a, size in reversed(list(enumerate(self.window))):
            body = [For(f"k{a}.", 0, size, tuple(body))]
        return body


def let(name: str, size: Size) -> Let:
    """A named index."""
    return Let(name, IndexValue(size, i64))
