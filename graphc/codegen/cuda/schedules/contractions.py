"""Contractions with one thread for each element of the result: for element types and shapes that
tensor cores do not take.  The epilogue of the contraction is a launch of its own.

    for every element: total = 0; for every product: total += left * right
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    BufferArgument,
    Const,
    FoldStep,
    For,
    Guard,
    Let,
    Load,
    Ref,
    Store,
)
from graphc.codegen.lower.contraction import operands
from graphc.codegen.lower.emitter import Emitter, row_major, variable
from graphc.codegen.lower.fused import Nest
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.graph import Value
from graphc.ir.ops.conv import Convolution, ConvolutionInput, Convolving
from graphc.ir.program import Kernel, accumulator, contraction_of, storage

ADD = "({0} + {1})"
TIMES = "({0} * {1})"
Bounds = tuple[tuple[Size, Size, Size], ...]  # low <= index < high, as (index, low, high)
FoldedAxes = list[tuple[str, Size]]  # the loops over products: variables and lengths


def contraction_nest(kernel: Kernel) -> tuple[Nest, Emitter]:
    """The loops of the contraction alone; they store into the accumulator, which its epilogue
    reads."""
    out = contraction_of(kernel)
    emit = Emitter({})
    names = [emit.name(v.name or v.op.name) for v in (*kernel.reads, *kernel.writes)]
    into = accumulator(kernel)
    buffers = tuple(
        BufferArgument(n, v.type.dtype, v is into, v.type.count)
        for n, v in zip(names, (*kernel.reads, *kernel.writes), strict=True)
    )
    slots = {v: i for i, v in enumerate((*kernel.reads, *kernel.writes))}
    slots[out] = slots[into]
    outer = [(f"i{n}", size) for n, size in enumerate(out.type.shape)]
    index = tuple(variable(n) for n, _ in outer)
    folded, pair, bounds = (
        _windows(out, index) if isinstance(out.op, Convolving) else (_matrices(kernel, index))
    )
    dtype = out.type.dtype.accumulates
    left, right = (
        Load(slots[storage(a)], at, a.type.dtype) for a, at in zip(out.args, pair, strict=True)
    )
    zero = Const(0.0 if dtype.is_float else 0, dtype)
    step: Any = Apply(TIMES, (left, right), dtype)
    step = Guard(bounds, step, zero, dtype) if bounds else step
    body: list[Any] = [FoldStep("total", ADD, step, dtype)]
    for name, size in reversed(folded):
        body = [For(f"{name}.", 0, size, tuple(body))]
    store = Store(slots[out], row_major(index, out.type.shape), Ref("total", dtype))
    return Nest(buffers, [], [], outer, [Let("total", zero), *body, store], [], 0), emit


def _matrices(kernel: Kernel, index: Shape) -> tuple[FoldedAxes, tuple[Size, Size], Bounds]:
    """The products of a matrix product, and where their factors lie."""
    op, a, b, _ = operands(kernel)
    k = variable("k")
    left = (*index[:-2], k, index[-2]) if op.ta else (*index[:-2], index[-2], k)
    right = (*index[:-2], index[-1], k) if op.tb else (*index[:-2], k, index[-1])
    inner = op.sizes(a.type, b.type)[1]
    return [("k", inner)], (row_major(left, a.type.shape), row_major(right, b.type.shape)), ()


def _windows(out: Value, index: Shape) -> tuple[FoldedAxes, tuple[Size, Size], Bounds]:
    """The products of a convolution or of one of its gradients."""
    op = out.op
    assert isinstance(op, Convolving)
    x, w, y = (t.shape for t in op.parts(*(a.type for a in out.args)))
    axes = range(len(op.strides))
    if isinstance(op, Convolution):
        return _forward(op, x, w, y, index)
    if isinstance(op, ConvolutionInput):
        return _input(op, x, w, y, index)
    o, c, *k = index
    image, place = variable("image"), [variable(f"j{a}") for a in axes]
    at = [_at(op, a, place[a], k[a]) for a in axes]
    channel = dim.floordiv(o, dim.floordiv(w[0], op.groups)) * w[1] + c
    loops = [("image", x[0]), *((f"j{a}", y[2 + a]) for a in axes)]
    pair = row_major((image, channel, *at), x), row_major((image, o, *place), y)
    return loops, pair, _inside(at, x[2:])


def _forward(
    op: Convolving, x: Shape, w: Shape, y: Shape, index: Shape
) -> tuple[FoldedAxes, tuple[Size, Size], Bounds]:
    n, o, *place = index
    axes = range(len(op.strides))
    c, k = variable("c"), [variable(f"j{a}") for a in axes]
    at = [_at(op, a, place[a], k[a]) for a in axes]
    channel = dim.floordiv(o, dim.floordiv(w[0], op.groups)) * w[1] + c
    loops = [("c", w[1]), *((f"j{a}", w[2 + a]) for a in axes)]
    return loops, (row_major((n, channel, *at), x), row_major((o, c, *k), w)), _inside(at, x[2:])


def _input(
    op: Convolving, x: Shape, w: Shape, y: Shape, index: Shape
) -> tuple[FoldedAxes, tuple[Size, Size], Bounds]:
    n, channel, *at = index
    axes = range(len(op.strides))
    c, k = variable("c"), [variable(f"j{a}") for a in axes]
    outputs = dim.floordiv(w[0], op.groups)
    group, inner = dim.floordiv(channel, w[1]), dim.modulo(channel, w[1])
    bounds: list[tuple[Size, Size, Size]] = []
    place: list[Size] = []
    for a in axes:
        start = at[a] + op.before[a] - k[a] * op.dilations[a]  # of the window, in padded X
        if op.strides[a] != 1:
            bounds.append((dim.modulo(start, op.strides[a]), 0, 1))
        place.append(dim.floordiv(start, op.strides[a]))
        bounds.append((place[a], 0, y[2 + a]))
    loops = [("c", outputs), *((f"j{a}", w[2 + a]) for a in axes)]
    o = group * outputs + c
    pair = row_major((n, o, *place), y), row_major((o, inner, *k), w)
    return loops, pair, tuple(bounds)


def _at(op: Convolving, axis: int, place: Size, k: Size) -> Size:
    """The index in X, on one axis, of element `k` of the window at position `place`."""
    return place * op.strides[axis] + k * op.dilations[axis] - op.before[axis]


def _inside(at: list[Size], spatial: Shape) -> Bounds:
    return tuple((i, 0, size) for i, size in zip(at, spatial, strict=True))
