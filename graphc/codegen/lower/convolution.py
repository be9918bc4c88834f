"""What every schedule of a convolution shares: its sizes, axes and windows."""

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

FEW = 16  # products of input and output channels of a group up to which loops beat a product


ADD, TIMES = "({0} + {1})", "({0} * {1})"


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
        buffers = own_buffers(self.kernel, lower_fused(self.after, self.slots).buffers)
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
