"""Slices at places that only a run knows, and folds over segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import (
    converted,
    require_equal,
    shape_of,
    size_of,
    tensor,
    typed,
)
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw
from graphc.functions.creation import full, iota, size_tensor
from graphc.functions.indexing import indices_of, scatter_add
from graphc.functions.shaping import reshape
from graphc.ir.dim import Size, product
from graphc.ir.ops.gather import CheckIndex, ScatterSlices, Take
from graphc.ir.ops.reduction import highest, lowest
from graphc.ir.ops.scatter import ScatterMax, ScatterMin, ScatterSet
from graphc.ir.ops.shape import Pad
from graphc.ir.requirement import at_least
from graphc.ir.types import f32, i64

# of f32[1000,1000], a scatter of 49 % took 1.5 times as long as a choice, of 12 % 0.8, of 1 % 0.2
MOST_PER_UPDATE = 4  # elements for each that is updated, if all are gone through

__all__ = [
    "dynamic_slice",
    "dynamic_update_slice",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_sum",
]


def dynamic_slice(x: Any, starts: Any, sizes: Any) -> Tensor:
    """`sizes` elements of each axis from `starts` on: 0-d integer tensors (or ints), one an axis,
    or a vector of them.

    A negative start counts from the end.  A slice that leaves x makes the run fail: nothing is
    clamped.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     at = gc.placeholder(gc.int64, [])
    ...     dynamic_slice(gc.zeros((5, 4)), (at, 0), (2, 4)).type
    f32[2,4]
    """
    what = "dynamic_slice"
    t = tensor(what, x)
    shape = shape_of(what, sizes, "sizes")
    for axis, at in enumerate(_starts(what, t, starts, shape, "sizes")):
        if at is not None:
            place = pw.add(iota((shape[axis],)), at)
            t = build(Take(axis), (t, place))
    return t


def dynamic_update_slice(x: Any, update: Any, starts: Any) -> Tensor:
    """x with `update` (of x's rank) in the place that `starts` says, as for `dynamic_slice`.

    An update that leaves x makes the run fail: nothing is clamped.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     at = gc.placeholder(gc.int64, [])
    ...     dynamic_update_slice(gc.zeros((5, 4)), gc.ones((2, 4)), (at, 0)).type
    f32[5,4]
    """
    what = "dynamic_update_slice"
    t = tensor(what, x)
    new = typed(what, update, t.dtype)
    if new.ndim != t.ndim:
        raise ShapeError(
            f"{what}: update {new.type} has another rank than x {t.type}", user_location()
        )
    places = _starts(what, t, starts, new.shape, "update's shape")
    moved = [axis for axis, at in enumerate(places) if at is not None]
    if any(new.shape[axis] == 0 for axis in moved):
        return t
    known = {a: _known_start(starts, a, t.shape[a], new.shape[a]) for a in moved}
    if None in known.values() and not _fills(t, new, moved):
        return _scattered(t, new, places)
    inside = None
    for axis, before in known.items():
        size, start = new.shape[axis], places[axis]
        assert start is not None and isinstance(size, int)
        place = pw.subtract(iota((t.shape[axis],)), start if before is None else before)
        here = pw.logical_and(pw.greater_equal(place, 0), pw.less(place, size))
        if before is None:
            new = build(Take(axis), (new, pw.clip(place, 0, size - 1)))
        else:  # no index to read and to check: a view, which is vectorised
            new = _padded(new, axis, before, t.shape[axis])
        line = here[(slice(None), *[None] * (t.ndim - axis - 1))]
        inside = line if inside is None else pw.logical_and(inside, line)
    return new if inside is None else pw.where(broadcast_to(inside, t.shape), new, t)


def _fills(t: Tensor, new: Tensor, moved: Sequence[int]) -> bool:
    """Whether an update of several axes fills so much of t that choosing between the two for each
    element of t beats a scatter, which reads an index for each element of the update."""
    count, extent = (product(tuple(v.shape[a] for a in moved)) for v in (new, t))
    if not isinstance(count, int) or not isinstance(extent, int):
        return False
    return len(moved) > 1 and MOST_PER_UPDATE * count >= extent


def _scattered(t: Tensor, new: Tensor, places: Sequence[Tensor | None]) -> Tensor:
    """t with an update at places that only a run knows: a scatter, which where t is not needed any
    more (a carry of a loop) writes the update only.  The axes from the first to the last that the
    update does not fill are taken as one, in which it has a position for each element."""
    moved = [axis for axis, at in enumerate(places) if at is not None]
    first, end = moved[0], moved[-1] + 1
    sizes, lengths = new.shape[first:end], t.shape[first:end]
    extent, count = product(lengths), product(sizes)
    at = None
    for axis in range(first, end):
        steps = iota(sizes, axis - first)
        start = places[axis]
        steps = steps if start is None else pw.add(steps, start)
        steps = pw.multiply(steps, size_tensor(product(t.shape[axis + 1 : end]), i64))
        at = steps if at is None else pw.add(at, steps)
    only = places[first]
    if count == 1 and len(moved) == 1:  # the start is the index, and has been checked
        index = reshape(only, (1,))
    else:  # checked, so that the scatter itself cannot fail
        index = build(CheckIndex(extent), (reshape(at, (count,)),))
    flat, flat_new = (
        reshape(v, (*v.shape[:first], n, *v.shape[end:])) for v, n in ((t, extent), (new, count))
    )
    return reshape(build(ScatterSet(first, unique=True), (flat, index, flat_new)), t.shape)


def _known_start(starts: Any, axis: int, size: Size, length: Size) -> int | None:
    """The start along an axis of known size, if it is a plain number at which the update fits."""
    at = starts[axis] if isinstance(starts, list | tuple) else None
    if not isinstance(size, int) or not isinstance(length, int) or not isinstance(at, int):
        return None
    at = at + size if at < 0 else at
    return at if 0 <= at <= size - length else None


def _padded(new: Tensor, axis: int, before: int, size: Size) -> Tensor:
    """The update with zeros before and after it, up to the size of the axis."""
    low = tuple(before if a == axis else 0 for a in range(new.ndim))
    rest = size - before - new.shape[axis]
    return build(Pad(low, tuple(rest if a == axis else 0 for a in range(new.ndim)), 0), (new,))


def _starts(what: str, t: Tensor, starts: Any, shape: Any, other: str) -> list[Tensor | None]:
    """A checked start for each axis; None where the slice is the whole axis from a plain 0 on."""
    if isinstance(starts, list | tuple):
        given = list(starts)
    else:
        vector = indices_of(what, starts)
        count = vector.shape[0] if vector.ndim == 1 else None
        if not isinstance(count, int):
            raise ShapeError(
                f"{what}: starts {vector.type}: expected one start for each axis", user_location()
            )
        given = [vector[i] for i in range(count)]
    if len(given) != t.ndim or len(shape) != t.ndim:
        raise ShapeError(
            f"{what}: {len(given)} starts and {len(shape)} in {other} for x {t.type}: expected one "
            f"for each of its {t.ndim} axes",
            user_location(),
        )
    checked: list[Tensor | None] = []
    for axis, (start, size) in enumerate(zip(given, shape, strict=True)):
        n = t.shape[axis]
        whole = isinstance(start, int) and start == 0 and not isinstance(start, bool) and n == size
        checked.append(None if whole else _start(what, start, size, n, axis))
    return checked


def _start(what: str, start: Any, size: Size, n: Size, axis: int) -> Tensor:
    """A start made non-negative; the run fails where a slice of `size` does not fit into n."""
    problem = f"{size} elements do not fit into axis {axis}, which has {n}"
    require(what, at_least(n, size, problem))
    at = indices_of(what, start)
    if at.ndim != 0:
        raise ShapeError(
            f"{what}: start {at.type} of axis {axis}: expected a 0-d integer", user_location()
        )
    if at.dtype.kind == "int":
        wide = converted(at, i64)
        wide = pw.where(pw.less(wide, 0), pw.add(wide, size_tensor(n, i64)), wide)
        at = pw.where(pw.less(wide, 0), -(1 << 63), wide)
    return build(CheckIndex(n - size + 1), (at,))


def segment_sum(x: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The sums of the slices of x along axis 0 that have one of 0 .. `num_segments` - 1 for id; of
    none, 0.  Ids are in any order; they count from the end where negative, and one out of range
    makes the run fail.

    >>> import graphc as gc
    >>> segment_sum(gc.ones((4, 2)), [0, 2, 2, 0], 3).type
    f32[3,2]
    """
    t, ids, shape = _segments("segment_sum", x, segment_ids, num_segments)
    wide = _wide(t)
    return converted(scatter_add(full(shape, 0, wide.dtype), ids, wide), t.dtype)


def _wide(t: Tensor) -> Tensor:
    """The tensor in the type of its sum: narrow floats in f32 (semantics 9.1)."""
    return converted(t, t.dtype.accumulates)


def segment_mean(x: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The means of segments (see `segment_sum`); of none, nan.  Integers give f32."""
    t, ids, shape = _segments("segment_mean", x, segment_ids, num_segments)
    t = t if t.dtype.is_float else converted(t, f32)
    wide = _wide(t)
    total = scatter_add(full(shape, 0.0, wide.dtype), ids, wide)
    count = scatter_add(full(shape[:1], 0.0, wide.dtype), ids, full(ids.shape, 1.0, wide.dtype))
    count = count[(slice(None), *[None] * (t.ndim - 1))]
    return converted(pw.divide(total, count), t.dtype)


def segment_max(x: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The largest of segments (see `segment_sum`); of none, the least value of the type (-inf).
    NaN wins; ties share gradients."""
    t, ids, shape = _segments("segment_max", x, segment_ids, num_segments)
    return _extreme(ScatterMax(0), full(shape, lowest(t.dtype), t.dtype), ids, t)


def segment_min(x: Any, segment_ids: Any, num_segments: Any) -> Tensor:
    """The smallest of segments (see `segment_sum`); of none, the greatest value of the type (inf).
    NaN wins; ties share gradients."""
    t, ids, shape = _segments("segment_min", x, segment_ids, num_segments)
    return _extreme(ScatterMin(0), full(shape, highest(t.dtype), t.dtype), ids, t)


def _extreme(op: ScatterSlices, start: Tensor, ids: Tensor, t: Tensor) -> Tensor:
    return build(op, (pw.stop_gradient(start), ids, t))


def _segments(what: str, x: Any, segment_ids: Any, num_segments: Any) -> tuple[Any, Any, Any]:
    t, ids = tensor(what, x), indices_of(what, segment_ids)
    if num_segments is None:
        raise GraphError(
            f"{what}: num_segments is missing: it cannot depend on data", user_location()
        )
    if t.dtype.kind == "bool":
        raise DTypeError(f"{what}: x {t.type} holds no numbers; use gc.astype", user_location())
    if ids.ndim != 1 or t.ndim == 0:
        raise ShapeError(
            f"{what}: segment_ids {ids.type} for x {t.type}: expected a vector, one "
            "id for each slice of x",
            user_location(),
        )
    require_equal(what, ids.shape[0], t.shape[0], f"of segment_ids {ids.type} and x {t.type}")
    return t, ids, (size_of(what, "num_segments", num_segments), *t.shape[1:])
