"""Convolutions and their gradients -> kernel text for GPUs: a product of matrices on tensor cores,
whose operands are gathered on their way into shared memory (implicit GEMM).

                        rows       columns             depth
    Convolution         outputs    images, positions   inputs, window     Y  = W X
    ConvolutionInput    inputs     images, spatial     outputs, window    dX = W dY
    ConvolutionWeight   outputs    inputs, window      images, positions  dW = dY X

for each group.  Where the window is a point, images are a batch of plain products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.codegen.convolution import FEW, Frame
from graphc.codegen.cuda_epilogue import SMALL, Epilogue
from graphc.codegen.cuda_gather import Formula, Gather, at, depth
from graphc.codegen.cuda_gemm import Matrix, shape_for, width
from graphc.codegen.cuda_tile import BYTES, Block, Source, TileShape, multiplies, side
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.lower import Index, row_major, variable
from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.layout import unflatten
from graphc.ir.program import Kernel

LEFT, RIGHT = "left", "right"
GROUP = variable("outer")
ROW, COLUMN = variable("row"), variable("column")


def convolution_source(
    kernel: Kernel, shape: TileShape | None = None, fast_math: bool = False
) -> DeviceSource | None:
    """A convolution's kernel; None where plain loops are the way: element types that tensor cores
    do not multiply, groups of few channels, padding or arrays of unusual size."""
    frame = Frame(kernel)
    if not _fits(frame):
        return None
    make = Points if _is_point(frame) else {
        Convolution: Forward, ConvolutionInput: Input}.get(type(frame.op), Weight)
    return make(frame, shape, fast_math).source()


def _fits(frame: Frame) -> bool:
    products = product((frame.inputs, frame.outputs))
    thin = frame.groups > 1 and isinstance(products, int) and products <= FEW
    counts = [product(t.shape) for t in (frame.x, frame.w, frame.y)]
    large = any(isinstance(n, int) and n >= SMALL for n in counts)
    known = all(isinstance(n, int) for n in (*frame.op.before, *frame.window))
    return multiplies(frame.out.type.dtype) and known and not thin and not large


def _is_point(frame: Frame) -> bool:
    """Whether X and Y, or their gradients, are matrices of channels by positions."""
    op = frame.op
    whole = all(n == 1 for n in (*frame.window, *op.strides)) and not any(
        n != 0 for n in (*op.before, *op.after))
    return whole and frame.groups == 1 and isinstance(op, Convolution | ConvolutionInput)


@dataclass
class Plan:
    """What each kind of convolution has in common."""

    frame: Frame
    shape: TileShape | None
    fast_math: bool

    def __post_init__(self) -> None:
        frame = self.frame
        self.size = BYTES[frame.out.type.dtype.name]
        self.tile = self.shape or shape_for(*self.sizes()[:2], self.outer())
        self.made = Epilogue(
            frame.kernel, frame.slots, self.sizes(), self.outer(), literal=True)

    def sizes(self) -> tuple[Size, Size, Size]:
        """Rows, columns and depth of the product."""
        raise NotImplementedError

    def outer(self) -> Size:
        """How many products there are."""
        return self.frame.groups

    def operands(self) -> tuple[Source, Source]:
        """The left and the right operand."""
        raise NotImplementedError

    def place(self) -> Index:
        """The index of a sum."""
        raise NotImplementedError

    def source(self) -> DeviceSource:
        """The kernel."""
        name = self.frame.out.type.dtype.name
        block = Block(self.tile, "tf32" if self.fast_math and name == "f32" else name,
                      *self.operands())
        return self.made.source(block, self.place())

    def gather(self, name: str, slot: int, by_k: bool, formula: Formula) -> Gather:
        """An operand that lies as a formula says."""
        left = name == LEFT
        extent = self.tile.rows if left else self.tile.columns
        ends = ("top", "rows", "row") if left else ("start", "columns", "column")
        change = self.made.named
        return Gather(side(extent, self.tile, self.size, by_k), name, slot, *ends,
                      self.tile.threads, self.size, formula.changed(change), self.made.printer)

    def matrix(self, name: str, slot: int, by_k: bool, length: Size, batched: bool) -> Matrix:
        """An operand that lies as a matrix."""
        left = name == LEFT
        extent = self.tile.rows if left else self.tile.columns
        ends = ("top", "rows", "row") if left else ("start", "columns", "column")
        return Matrix(side(extent, self.tile, self.size, by_k), name, slot, *ends,
                      self.tile.threads, width(length, self.size), batched)


def named(name: str, what: str, index: list[Size]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Variables for the parts of an index: (variable, value), and the variables alone."""
    names = tuple(variable(f"{name}_{what}{n}") for n in range(len(index)))
    return tuple(zip(names, index, strict=True)), names


class Forward(Plan):
    """Y = W X."""

    def sizes(self) -> tuple[Size, Size, Size]:
        f = self.frame
        columns = product((f.x.shape[0], *f.positions))
        return f.outputs, columns, f.inputs * f.taps

    def operands(self) -> tuple[Source, Source]:
        f, op = self.frame, self.frame.op
        at_parts, (image, *position) = named(
            RIGHT, "p", unflatten(at(RIGHT), (f.x.shape[0], *f.positions)))
        k_parts, (channel, *tap) = named(RIGHT, "q", unflatten(depth(RIGHT), (f.inputs, *f.window)))
        index = [p * s + t * d - b for p, s, t, d, b in zip(
            position, op.strides, tap, op.dilations, op.before, strict=True)]
        offset = row_major((image, GROUP * f.inputs + channel, *index), f.x.shape)
        bounds = tuple((i, 0, n) for a, (i, n) in enumerate(zip(index, f.spatial, strict=True))
                       if not f.safe(a))
        left = self.matrix(LEFT, f.slot_w, False, self.sizes()[2], True)
        return left, self.gather(
            RIGHT, f.slot_x, True, Formula(at_parts, k_parts, offset, bounds))

    def place(self) -> Index:
        f = self.frame
        image, *position = unflatten(COLUMN, (f.x.shape[0], *f.positions))
        return (image, GROUP * f.outputs + ROW, *position)


class Input(Plan):
    """dX = W dY: each element asks every place of the window which position it served there."""

    def sizes(self) -> tuple[Size, Size, Size]:
        f = self.frame
        return f.inputs, product((f.x.shape[0], *f.spatial)), f.outputs * f.taps

    def operands(self) -> tuple[Source, Source]:
        f = self.frame
        k_parts, (channel, tap) = named(LEFT, "q", unflatten(depth(LEFT), (f.outputs, f.taps)))
        offset = ((GROUP * f.outputs + channel) * f.inputs + at(LEFT)) * f.taps + tap
        left = self.gather(LEFT, f.slot_w, False, Formula((), k_parts, offset))
        return left, self.gather(RIGHT, f.slot_y, True, self.served())

    def served(self) -> Formula:
        """dY at the position whose window has an element of dX at one of its places."""
        f, op = self.frame, self.frame.op
        at_parts, (image, *place) = named(
            RIGHT, "p", unflatten(at(RIGHT), (f.x.shape[0], *f.spatial)))
        k_parts, (channel, *tap) = named(
            RIGHT, "q", unflatten(depth(RIGHT), (f.outputs, *f.window)))
        index: list[Size] = []
        bounds: list[tuple[Size, Size, Size]] = []
        for a, (x, t) in enumerate(zip(place, tap, strict=True)):
            stride, last = op.strides[a], (f.window[a] - 1) * op.dilations[a]
            back = variable(f"{RIGHT}_r{a}")  # the window's places in reverse: nothing is negative
            k_parts += ((back, last - t * op.dilations[a]),)
            shift = op.before[a] - last
            assert isinstance(shift, int)
            extra = max(-(shift // stride), 0)  # positions before the first
            moved = x + back + (shift + extra * stride)
            if stride > 1:
                bounds.append((dim.modulo(moved, stride), 0, 1))
            position = dim.floordiv(moved, stride)
            bounds.append((position, extra, extra + f.positions[a]))
            index.append(position - extra)
        offset = row_major((image, GROUP * f.outputs + channel, *index), f.y.shape)
        return Formula(at_parts, k_parts, offset, tuple(bounds))

    def place(self) -> Index:
        f = self.frame
        image, *position = unflatten(COLUMN, (f.x.shape[0], *f.spatial))
        return (image, GROUP * f.inputs + ROW, *position)


class Weight(Plan):
    """dW = dY X, over all images and positions."""

    def sizes(self) -> tuple[Size, Size, Size]:
        f = self.frame
        return f.outputs, f.inputs * f.taps, product((f.x.shape[0], *f.positions))

    def operands(self) -> tuple[Source, Source]:
        f, op = self.frame, self.frame.op
        count = product(f.positions)
        k_parts, (image, position) = named(LEFT, "q", unflatten(
            depth(LEFT), (f.x.shape[0], count)))
        offset = (image * f.y.shape[1] + GROUP * f.outputs + at(LEFT)) * count + position
        left = self.gather(LEFT, f.slot_y, False, Formula((), k_parts, offset))
        at_parts, (channel, *tap) = named(RIGHT, "p", unflatten(at(RIGHT), (f.inputs, *f.window)))
        k_parts, (image, *places) = named(
            RIGHT, "q", unflatten(depth(RIGHT), (f.x.shape[0], *f.positions)))
        index = [p * s + t * d - b for p, s, t, d, b in zip(
            places, op.strides, tap, op.dilations, op.before, strict=True)]
        offset = row_major((image, GROUP * f.inputs + channel, *index), f.x.shape)
        bounds = tuple((i, 0, n) for a, (i, n) in enumerate(zip(index, f.spatial, strict=True))
                       if not f.safe(a))
        return left, self.gather(
            RIGHT, f.slot_x, False, Formula(at_parts, k_parts, offset, bounds))

    def place(self) -> Index:
        f = self.frame
        return (GROUP * f.outputs + ROW, *unflatten(COLUMN, (f.inputs, *f.window)))


class Points(Plan):
    """Y = W X or dX = W' dY for each image, where a window has one element."""

    def sizes(self) -> tuple[Size, Size, Size]:
        f = self.frame
        channels = f.outputs, f.inputs
        rows, count = channels if isinstance(f.op, Convolution) else channels[::-1]
        return rows, product(f.positions), count

    def outer(self) -> Size:
        return self.frame.x.shape[0]

    def operands(self) -> tuple[Source, Source]:
        f = self.frame
        forward = isinstance(f.op, Convolution)
        _, columns, _ = self.sizes()
        left = self.matrix(LEFT, f.slot_w, not forward, f.inputs, False)
        slot = f.slot_x if forward else f.slot_y
        return left, self.matrix(RIGHT, slot, True, columns, True)

    def place(self) -> Index:
        spatial: Shape = self.frame.positions
        return (variable("outer"), ROW, *unflatten(COLUMN, spatial))
