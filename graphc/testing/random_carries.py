"""Updates of carries for random loops: scatters of scatters, under branches, in loops inside."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.control import COUNTER, Loop, Switch
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.op import Item, Op
from graphc.ir.ops.pointwise import remainder
from graphc.ir.ops.scatter import ScatterSet
from graphc.ir.ops.shape import Reshape
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import NUMBERS
from graphc.testing.random_graphs import Builder
from graphc.testing.random_ordered import SCATTERS

MAX_EXTENT = 250  # indices may be u8


def updated(b: Builder, x: Value) -> Value | None:
    """x after one update or two of some slices; None if it has no axis for that."""
    axes = [a for a, n in enumerate(x.type.shape) if not isinstance(n, int) or 0 < n <= MAX_EXTENT]
    if not axes:
        return None
    count = x.type.count
    if isinstance(count, int) and 0 < count <= MAX_EXTENT and b.chance(0.2):  # as one axis
        flat = make(Reshape((count,)), (x,), b.name())
        return make(Reshape(x.type.shape), (_scattered(b, flat, 0),), b.name())
    for _ in range(b.pick([1, 1, 2])):
        x = b.pick([_scattered, _scattered, _in_branches, _in_a_loop])(b, x, b.pick(axes))
    return x


def _update(b: Builder, x: Value, axis: int) -> tuple[Op, Value, Value]:
    """A scatter along an axis, its indices and its updates."""
    extent = x.type.shape[axis]
    shapes: Sequence[tuple[Size, ...]] = [(extent,)]
    if isinstance(extent, int):
        shapes = [(extent,), (2,), (1,), (1,), ()]
    shape = b.pick(shapes)
    wanted = x.type.with_shape((*x.type.shape[:axis], *shape, *x.type.shape[axis + 1 :]))
    dtype = x.type.dtype
    plain = dtype not in NUMBERS or (b.exact and not dtype.is_integer)
    kind = ScatterSet if plain or b.chance(0.5) else b.pick(SCATTERS)
    op = ScatterSet(axis, unique=True) if kind is ScatterSet and shape == (1,) else kind(axis)
    return op, b.indices(shape, extent), b.like(wanted)


def _scattered(b: Builder, x: Value, axis: int) -> Value:
    op, at, new = _update(b, x, axis)
    return make(op, (x, at, new), b.name())


def _in_branches(b: Builder, x: Value, axis: int) -> Value:
    """x, updated in some branches."""
    op, at, new = _update(b, x, axis)
    branches = []
    for number in range(2):
        inputs = tuple(make(Placeholder(v.type.dtype, v.type.shape), ()) for v in (new, x, at))
        out = make(op, (inputs[1], inputs[2], inputs[0])) if number or b.chance(0.3) else inputs[1]
        branches.append(Graph(f"branch.{number}", inputs, (out,)))
    index = make(remainder, (b.like(COUNTER), full(2, COUNTER)))
    switch = make(Switch(tuple(branches)), (index, new, x, at), b.name())
    return make(Item(0), (switch,))


def _in_a_loop(b: Builder, x: Value, axis: int) -> Value:
    """x, updated in each step of a loop."""
    op, at, new = _update(b, x, axis)
    inputs = tuple(make(Placeholder(v.type.dtype, v.type.shape), ()) for v in (x, at, new))
    body = Graph("updates", inputs, (make(op, inputs),))
    loop = make(Loop(body, 1, 0, 2), (full(2, COUNTER), x, at, new), b.name())
    return make(Item(1), (loop,))
