"""Tensors joined, cut up, padded and repeated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import (
    axis_of,
    integer,
    known_size,
    require_equal,
    same_type,
    sequence,
    size_of,
    tensor,
)
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions.shaping import expand_dims, flatten, part, reshape
from graphc.ir import dim
from graphc.ir.bounds import never_negative
from graphc.ir.dim import Dim, Size
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Concat, Pad
from graphc.ir.requirement import multiple

__all__ = ["concat", "pad", "repeat", "split", "stack", "tile", "unstack"]


def concat(arrays: Any, axis: int | None = 0) -> Tensor:
    """The tensors one after the other along an axis (None: flattened first), in their common type.

    Raises `ShapeError` where ranks or other sizes differ.

    >>> import graphc as gc
    >>> concat([gc.zeros((2, 3)), gc.ones((1, 3))]).type
    f32[3,3]
    """
    parts = sequence("concat", "arrays", arrays)
    if axis is None:
        parts, axis = [flatten(p) for p in parts], 0
    first = parts[0]
    along = axis_of("concat", axis, first.ndim)
    for p in parts[1:]:
        if p.ndim != first.ndim:
            raise ShapeError(f"concat: ranks differ: {first.type} and {p.type}", user_location())
        for a in range(first.ndim):
            if a != along:
                require_equal(
                    "concat",
                    first.shape[a],
                    p.shape[a],
                    f"along axis {a} of {first.type} and {p.type}",
                )
    return build(Concat(along), same_type("concat", *parts)) if len(parts) > 1 else first


def stack(arrays: Any, axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis.

    >>> import graphc as gc
    >>> stack([gc.zeros((2,)), gc.ones((2,))], axis=1).type
    f32[2,2]
    """
    parts = sequence("stack", "arrays", arrays)
    along = axis_of("stack", axis, parts[0].ndim + 1)
    return concat([expand_dims(p, along) if p.ndim == parts[0].ndim else p for p in parts], along)


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis of known size, without that axis."""
    t = tensor("unstack", x)
    along = axis_of("unstack", axis, t.ndim)
    shape = tuple(s for a, s in enumerate(t.shape) if a != along)
    count = known_size("unstack", t, along)
    return tuple(reshape(part(t, along, i, 1), shape) for i in range(count))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """Equal sections (an int), or the parts between cuts at given positions (a sequence).

    Raises `ShapeError` where the sections cannot be equal.
    """
    t = tensor("split", x)
    along = axis_of("split", axis, t.ndim)
    if isinstance(indices_or_sections, list | tuple):
        return _cut(t, along, indices_or_sections)
    sections = integer("split", "indices_or_sections", indices_or_sections)
    size = t.shape[along]
    problem = f"axis {along} of {t.type} does not split into {sections} equal sections"
    if sections <= 0:
        raise ShapeError(f"split: {problem}", user_location())
    require("split", multiple(size, sections, problem))
    each = dim.floordiv(size, sections)
    return tuple(part(t, along, each * i, each) for i in range(sections))


def _cut(t: Tensor, axis: int, places: Sequence[Any]) -> tuple[Tensor, ...]:
    size = t.shape[axis]
    cuts: list[Size] = [0]
    for p in places:
        at: Size = p if isinstance(p, Dim) else integer("split", "indices_or_sections", p)
        if isinstance(at, int):
            at = dim.maximum(at + size, 0) if at < 0 else dim.minimum(at, size)
        cuts.append(at)
    cuts.append(size)
    gaps = [(a, b - a) for a, b in itertools.pairwise(cuts)]
    return tuple(part(t, axis, a, g if never_negative(g) else dim.maximum(g, 0)) for a, g in gaps)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """`constant_values` put before and after along each axis.  `pad_width`: n, (before, after) for
    all axes, or one such pair for each.

    >>> import graphc as gc
    >>> pad(gc.zeros((2, 3)), ((0, 1), (2, 2))).type
    f32[3,7]
    """
    t = tensor("pad", x)
    if mode != "constant":
        raise GraphError(
            f"pad: mode {mode!r} is not supported; expected 'constant'", user_location()
        )
    if not isinstance(constant_values, bool | int | float):
        raise GraphError(
            f"pad: constant_values must be a number, got {constant_values!r}", user_location()
        )
    tensor("pad", constant_values, t.dtype)  # refuses what is none of the type
    pairs = _widths(t, pad_width)
    value = float(constant_values) if t.dtype.is_float else constant_values
    low, high = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    return build(Pad(low, high, value), (t,)) if any(s != 0 for s in low + high) else t


def _widths(t: Tensor, given: Any) -> list[tuple[Size, Size]]:
    if not isinstance(given, list | tuple):
        width = size_of("pad", "pad_width", given)
        return [(width, width)] * t.ndim
    items = list(given)
    if len(items) == 2 and not any(isinstance(i, list | tuple) for i in items):
        items = [items] * t.ndim
    if len(items) != t.ndim or any(not isinstance(i, list | tuple) or len(i) != 2 for i in items):
        raise ShapeError(
            f"pad: pad_width {given} does not fit {t.type}; expected one (before, after) an axis",
            user_location(),
        )
    sizes = [tuple(size_of("pad", "pad_width", w) for w in i) for i in items]
    return [(before, after) for before, after in sizes]


def tile(x: Any, repetitions: Any) -> Tensor:
    """x laid side by side `repetitions` times along each axis; fewer are for the last axes.

    >>> import graphc as gc
    >>> tile(gc.zeros((2, 3)), (2, 1)).type
    f32[4,3]
    """
    t = tensor("tile", x)
    given = repetitions if isinstance(repetitions, list | tuple) else (repetitions,)
    rank = max(t.ndim, len(given))
    times = [size_of("tile", "repetitions", r) for r in (1,) * (rank - len(given)) + tuple(given)]
    t = reshape(t, (1,) * (rank - t.ndim) + t.shape)
    shape = tuple(s for pair in zip(times, t.shape, strict=True) for s in pair)
    grown = build(Broadcast(tuple(range(1, 2 * rank, 2)), shape), (t,))
    return reshape(grown, tuple(r * s for r, s in zip(times, t.shape, strict=True)))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element `repeats` times in place, along an axis (None: flattened first).

    >>> import graphc as gc
    >>> repeat(gc.zeros((2, 3)), 2, axis=1).type
    f32[2,6]
    """
    t = tensor("repeat", x)
    if axis is None:
        t, axis = flatten(t), 0
    along = axis_of("repeat", axis, t.ndim)
    times = size_of("repeat", "repeats", repeats)
    shape = (*t.shape[: along + 1], times, *t.shape[along + 1 :])
    kept = tuple(a for a in range(t.ndim + 1) if a != along + 1)
    grown = build(Broadcast(kept, shape), (t,))
    return reshape(grown, tuple(s * times if a == along else s for a, s in enumerate(t.shape)))
