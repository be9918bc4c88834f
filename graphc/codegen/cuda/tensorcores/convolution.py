"""Convolutions and their gradients -> kernel text for GPUs: a matrix product on tensor cores, whose
operands are gathered while they are copied into shared memory (implicit GEMM).

                        rows       columns             depth
    Convolution         outputs    images, positions   inputs, window     Y  = W X
    ConvolutionInput    inputs     images, spatial     outputs, window    dX = W dY
    ConvolutionWeight   outputs    inputs, window      images, positions  dW = dY X

for each group.  Where the window is a point (`Points`), images are a batch of plain products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.codegen.cuda.tensorcores.block import OperandSource, TileShape
from graphc.codegen.cuda.tensorcores.epilogue import MIN_ELEMENTS_FOR_64_BITS
from graphc.codegen.cuda.tensorcores.tiling import LEFT, RIGHT, ContractionPlan, Split, Tiling
from graphc.codegen.cuda.tensorcores.window_operand import Formula, at, depth
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.lower.convolution import MAX_CHANNEL_PAIRS_FOR_LOOPS, ConvolutionFrame
from graphc.codegen.lower.emitter import Index, row_major, variable
from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.index_math import unflatten
from graphc.ir.program import Kernel

GROUP_INDEX = variable("outer")  # variables of the kernel text
ROW_INDEX = variable("row")
COLUMN_INDEX = variable("column")


def convolution_source(
    kernel: Kernel, shape: TileShape | None = None, fast_math: bool = False, readable: str = ""
) -> DeviceSource | None:
    """A convolution's kernel; None where loops make it: for element types that tensor cores do not
    multiply, groups of few channels, symbolic padding or windows, arrays of 2^31 elements."""
    plan = _plan(kernel, shape, fast_math)
    return plan.source(readable) if plan else None


def convolution_split(
    kernel: Kernel,
    shape: TileShape | None = None,
    fast_math: bool = False,
    pieces: int = 0,
    readable: str = "",
) -> Split | None:
    """A convolution's two kernels, if its result is so small that two are faster than one."""
    plan = _plan(kernel, shape, fast_math)
    return plan.split(pieces, readable) if plan else None


def convolution_tiling(kernel: Kernel, known: Mapping[str, int]) -> Tiling | None:
    """The best tile and split for a run's sizes."""
    plan = _plan(kernel, None, False)
    return plan.tiling(known) if plan else None


def _plan(kernel: Kernel, shape: TileShape | None, fast_math: bool) -> Convolved | None:
    frame = ConvolutionFrame(kernel)
    if not _fits(frame):
        return None
    plan = (
        Points
        if _is_point(frame)
        else {Convolution: Forward, ConvolutionInput: InputGradientBlock}.get(
            type(frame.op), Weight
        )
    )
    return plan(kernel, shape, fast_math, *plan.product(frame), literal=True, frame=frame)


def _fits(frame: ConvolutionFrame) -> bool:
    products = product((frame.inputs, frame.outputs))
    thin = (
        frame.groups > 1 and isinstance(products, int) and products <= MAX_CHANNEL_PAIRS_FOR_LOOPS
    )
    counts = [product(t.shape) for t in (frame.x, frame.w, frame.y)]
    large = any(isinstance(n, int) and n >= MIN_ELEMENTS_FOR_64_BITS for n in counts)
    known = all(isinstance(n, int) for n in (*frame.op.before, *frame.window))
    return frame.out.type.dtype.tensor_cores and known and not thin and not large


def _is_point(frame: ConvolutionFrame) -> bool:
    """Whether X and Y, or their gradients, are matrices of channels by positions."""
    op = frame.op
    whole = all(n == 1 for n in (*frame.window, *op.strides)) and not any(
        n != 0 for n in (*op.before, *op.after)
    )
    return whole and frame.groups == 1 and isinstance(op, Convolution | ConvolutionInput)


@dataclass
class Convolved(ContractionPlan):
    """A convolution, or one of its gradients, as a product of matrices."""

    frame: ConvolutionFrame = field(kw_only=True)

    @staticmethod
    def product(f: ConvolutionFrame) -> tuple[tuple[Size, Size, Size], Size]:
        """The sizes of the product, and the number of products."""
        raise NotImplementedError


def named(name: str, what: str, index: list[Size]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Variables for the parts of an index: pairs (variable, value), and the variables alone."""
    names = tuple(variable(f"{name}_{what}{n}") for n in range(len(index)))
    return tuple(zip(names, index, strict=True)), names


class Forward(Convolved):
    """Y = W X."""

    @staticmethod
    def product(f: ConvolutionFrame) -> tuple[tuple[Size, Size, Size], Size]:
        columns = product((f.x.shape[0], *f.positions))
        return (f.outputs, columns, f.inputs * f.taps), f.groups

    def operands(self) -> tuple[OperandSource, OperandSource]:
        f, op = self.frame, self.frame.op
        at_parts, (image, *position) = named(
            RIGHT.name, "p", unflatten(at(RIGHT.name), (f.x.shape[0], *f.positions))
        )
        k_parts, (channel, *tap) = named(
            RIGHT.name, "q", unflatten(depth(RIGHT.name), (f.inputs, *f.window))
        )
        index = [
            p * s + t * d - b
            for p, s, t, d, b in zip(
                position, op.strides, tap, op.dilations, op.before, strict=True
            )
        ]
        offset = row_major((image, GROUP_INDEX * f.inputs + channel, *index), f.x.shape)
        bounds = tuple(
            (i, 0, n)
            for a, (i, n) in enumerate(zip(index, f.spatial, strict=True))
            if not f.safe(a)
        )
        left = self.matrix(LEFT, f.slot_w, False, self.sizes[2])
        return left, self.gather(RIGHT, f.slot_x, True, Formula(at_parts, k_parts, offset, bounds))

    def place(self) -> Index:
        f = self.frame
        image, *position = unflatten(COLUMN_INDEX, (f.x.shape[0], *f.positions))
        return (image, GROUP_INDEX * f.outputs + ROW_INDEX, *position)


class InputGradientBlock(Convolved):
    """dX = W dY: an element of X sums, over all places in the window, dY of the position in whose
    window it has that place."""

    @staticmethod
    def product(f: ConvolutionFrame) -> tuple[tuple[Size, Size, Size], Size]:
        columns = product((f.x.shape[0], *f.spatial))
        return (f.inputs, columns, f.outputs * f.taps), f.groups

    def operands(self) -> tuple[OperandSource, OperandSource]:
        f = self.frame
        k_parts, (channel, tap) = named(
            LEFT.name, "q", unflatten(depth(LEFT.name), (f.outputs, f.taps))
        )
        offset = ((GROUP_INDEX * f.outputs + channel) * f.inputs + at(LEFT.name)) * f.taps + tap
        left = self.gather(LEFT, f.slot_w, False, Formula((), k_parts, offset))
        return left, self.gather(RIGHT, f.slot_y, True, self.served())

    def served(self) -> Formula:
        """Where dY lies, for the position whose window has the element of X at a given place."""
        f, op = self.frame, self.frame.op
        at_parts, (image, *place) = named(
            RIGHT.name, "p", unflatten(at(RIGHT.name), (f.x.shape[0], *f.spatial))
        )
        k_parts, (channel, *tap) = named(
            RIGHT.name, "q", unflatten(depth(RIGHT.name), (f.outputs, *f.window))
        )
        index: list[Size] = []
        bounds: list[tuple[Size, Size, Size]] = []
        for a, (x, t) in enumerate(zip(place, tap, strict=True)):
            stride, last = op.strides[a], (f.window[a] - 1) * op.dilations[a]
            back = variable(f"{RIGHT.name}_r{a}")  # counted from the window's end, so not negative
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
        offset = row_major((image, GROUP_INDEX * f.outputs + channel, *index), f.y.shape)
        return Formula(at_parts, k_parts, offset, tuple(bounds))

    def place(self) -> Index:
        f = self.frame
        image, *position = unflatten(COLUMN_INDEX, (f.x.shape[0], *f.spatial))
        return (image, GROUP_INDEX * f.inputs + ROW_INDEX, *position)


class Weight(Convolved):
    """dW = dY X, over all images and positions."""

    @staticmethod
    def product(f: ConvolutionFrame) -> tuple[tuple[Size, Size, Size], Size]:
        count = product((f.x.shape[0], *f.positions))
        return (f.outputs, f.inputs * f.taps, count), f.groups

    def operands(self) -> tuple[OperandSource, OperandSource]:
        f, op = self.frame, self.frame.op
        count = product(f.positions)
        k_parts, (image, position) = named(
            LEFT.name, "q", unflatten(depth(LEFT.name), (f.x.shape[0], count))
        )
        offset = (image * f.y.shape[1] + GROUP_INDEX * f.outputs + at(LEFT.name)) * count + position
        left = self.gather(LEFT, f.slot_y, False, Formula((), k_parts, offset))
        at_parts, (channel, *tap) = named(
            RIGHT.name, "p", unflatten(at(RIGHT.name), (f.inputs, *f.window))
        )
        k_parts, (image, *places) = named(
            RIGHT.name, "q", unflatten(depth(RIGHT.name), (f.x.shape[0], *f.positions))
        )
        index = [
            p * s + t * d - b
            for p, s, t, d, b in zip(places, op.strides, tap, op.dilations, op.before, strict=True)
        ]
        offset = row_major((image, GROUP_INDEX * f.inputs + channel, *index), f.x.shape)
        bounds = tuple(
            (i, 0, n)
            for a, (i, n) in enumerate(zip(index, f.spatial, strict=True))
            if not f.safe(a)
        )
        return left, self.gather(RIGHT, f.slot_x, False, Formula(at_parts, k_parts, offset, bounds))

    def place(self) -> Index:
        f = self.frame
        return (
            GROUP_INDEX * f.outputs + ROW_INDEX,
            *unflatten(COLUMN_INDEX, (f.inputs, *f.window)),
        )


class Points(Convolved):
    """Y = W X or dX = W' dY for each image, where a window has one element."""

    @staticmethod
    def product(f: ConvolutionFrame) -> tuple[tuple[Size, Size, Size], Size]:
        forward = isinstance(f.op, Convolution)
        rows, count = (f.outputs, f.inputs) if forward else (f.inputs, f.outputs)
        return (rows, product(f.positions), count), f.x.shape[0]

    def operands(self) -> tuple[OperandSource, OperandSource]:
        f = self.frame
        forward = isinstance(f.op, Convolution)
        _, columns, _ = self.sizes
        left = self.matrix(LEFT, f.slot_w, not forward, f.inputs, False)
        slot = f.slot_x if forward else f.slot_y
        return left, self.matrix(RIGHT, slot, True, columns)

    def place(self) -> Index:
        spatial: Shape = self.frame.positions
        return (variable("outer"), ROW_INDEX, *unflatten(COLUMN_INDEX, spatial))
