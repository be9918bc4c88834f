"""x[...]: NumPy's indexing as slices, reshapes and one gather.

Integers and slices are basic: they are a view.  Integer tensors, arrays and lists are advanced:
they broadcast against each other, and their axes stand where they stood, or first if something
other than an integer stands between them, as in NumPy.  Results whose size depends on data (boolean
masks) are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.boundary import require
from graphc.frontend.broadcasting import broadcast_shapes, slice_range
from graphc.frontend.plain_array import plain_array
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.graph import Value
from graphc.ir.ops.gather import CheckIndex, Take
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Constant, Data, Reshape, SizeOf, Slice, Transpose
from graphc.ir.requirement import at_least
from graphc.ir.types import as_dtype, bool_, i64


def index(x: Any, key: Any) -> Any:
    """NumPy's indexing: integers, slices, `...`, `None`, integer tensors (arrays, lists).

    Raises `ShapeError` for an index out of range or too many of them, `GraphError` for a mask.
    """
    keys = [_advanced(x, k) for k in (key if isinstance(key, tuple) else (key,))]
    out, shape, places = _basic(x, _spread(x, keys))
    if tuple(shape) != out.type.shape:
        out = Reshape(tuple(shape))(out)
    if not places:
        return out
    axes, indices = [p for p, _ in places], [k for _, k in places]
    if len(axes) == 1:
        out = Take(axes[0])(out, indices[0])
    else:
        out = _gather(out, axes, indices)
    return _moved(out, axes, indices) if _apart(keys) else out


def _spread(x: Any, keys: list[Any]) -> list[Any]:
    """The keys with `...`, and what is missing at the end, written out."""
    used = sum(k is not None and k is not Ellipsis for k in keys)
    if used > x.type.rank:
        raise ShapeError(f"index: {used} indices for {x.type}", user_location())
    fill = [slice(None)] * (x.type.rank - used)
    where = next((i for i, k in enumerate(keys) if k is Ellipsis), None)
    if where is None:
        return [*keys, *fill]
    if any(k is Ellipsis for k in keys[where + 1 :]):
        raise GraphError("index: `...` stands twice", user_location())
    return [*keys[:where], *fill, *keys[where + 1 :]]


def _advanced(x: Any, k: Any) -> Any:
    """An array or a list of integers as a value; other keys as they are."""
    if isinstance(k, np.ndarray | list):
        try:
            array = plain_array(k)
        except (TypeError, ValueError) as error:
            raise DTypeError(f"index: {error}", user_location()) from None
        if isinstance(k, list) and array.size == 0:
            array = array.astype(np.int64)
        if array.dtype.kind not in "biu":
            raise DTypeError(f"index: {array.dtype} array: expected integers", user_location())
        k = x.apply(Constant(Data(array), as_dtype(array.dtype), array.shape), ())
    if isinstance(k, bool | np.bool_) or (isinstance(k, Value) and k.type.dtype == bool_):
        raise GraphError(
            "index: the size of x[mask] would depend on data; use gc.where(mask, x, 0), "
            "gc.sum(gc.where(...)), or gc.take with positions",
            user_location(),
        )
    if isinstance(k, Value) and not k.type.dtype.is_integer:
        raise DTypeError(f"index: {k.type} holds no integers; use gc.astype", user_location())
    return k


def _basic(x: Any, keys: list[Any]) -> tuple[Any, list[Size], list[tuple[int, Any]]]:
    """x after integers and slices, the shape it then takes, and (axis, index) of what is left."""
    starts: list[Size] = []
    steps: list[int] = []
    sizes: list[Size] = []
    shape: list[Size] = []
    places: list[tuple[int, Any]] = []
    axis = 0
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        start, step, size = _range(x, axis, k)
        starts.append(start)
        steps.append(step)
        sizes.append(size)
        if isinstance(k, Value):
            places.append((len(shape), k))
        if isinstance(k, slice | Value):
            shape.append(size)
        axis += 1
    whole = tuple(sizes) == x.type.shape and set(steps) <= {1}
    out = x if whole else Slice(tuple(starts), tuple(steps), tuple(sizes))(x)
    return out, shape, places


def _range(x: Any, axis: int, k: Any) -> tuple[Size, int, Size]:
    """(start, step, size) of one index."""
    size = x.type.shape[axis]
    if isinstance(k, Value):
        return 0, 1, size
    if isinstance(k, slice):
        return slice_range(size, k)
    if not hasattr(k, "__index__") and not isinstance(k, dim.Dim):
        raise GraphError(
            f"index: {k!r} is no index; use integers, slices, ... or None", user_location()
        )
    at: Size = k if isinstance(k, dim.Dim) else int(k)
    at = at + size if isinstance(at, int) and at < 0 else at
    problem = f"{k} is out of range for axis {axis} of {x.type}"
    require("index", at_least(at, 0, problem), at_least(size, at + 1, problem))
    return at, 1, 1


def _apart(keys: list[Any]) -> bool:
    """Whether something other than integers stands between advanced indices.  Integers count as
    advanced where there are any."""
    basic = (slice, type(None), type(Ellipsis))
    places = [i for i, k in enumerate(keys) if not isinstance(k, basic)]
    return places[-1] - places[0] >= len(places)


def _gather(x: Any, axes: list[int], indices: list[Any]) -> Any:
    """x indexed by several tensors, whose axes come where the first of theirs was."""
    rest = [a for a in range(x.type.rank) if a not in axes]
    first = sum(a < axes[0] for a in rest)
    order = (*rest[:first], *axes, *rest[first:])
    shape = x.type.shape
    moved = Transpose(order)(x) if order != tuple(range(x.type.rank)) else x
    picked = tuple(shape[a] for a in axes)
    lead, tail = (tuple(shape[a] for a in part) for part in (rest[:first], rest[first:]))
    flat = Reshape((*lead, dim.product(picked), *tail))(moved)
    common = broadcast_shapes("index", [k.type.shape for k in indices])
    return Take(first)(flat, merged_place(indices, picked, common))


def merged_place(found: Sequence[Any], sizes: Shape, shape: Shape) -> Any:
    """Positions along the axes `sizes` as positions (i64) along the one that they become."""
    total: Any = None
    for k, size in zip(found, sizes, strict=True):
        place = _repeated(CheckIndex(size)(k), shape)
        total = place if total is None else total * _number(place, size) + place
    return total


def _number(like: Any, size: Size) -> Any:
    """A size as a factor."""
    return size if isinstance(size, int) else like.apply(SizeOf(size, i64), ())


def _repeated(k: Any, shape: Shape) -> Any:
    """k broadcast to a shape that it fits."""
    offset = len(shape) - k.type.rank
    kept = tuple(a for a, n in enumerate(k.type.shape) if n != 1 or shape[a + offset] == 1)
    if len(kept) < k.type.rank:
        k = Reshape(tuple(k.type.shape[a] for a in kept))(k)
    same = k.type.shape == shape
    return k if same else Broadcast(tuple(a + offset for a in kept), shape)(k)


def _moved(out: Any, axes: list[int], indices: list[Any]) -> Any:
    """The axes of the indices moved to the front."""
    rank = len(broadcast_shapes("index", [k.type.shape for k in indices]))
    place = range(axes[0], axes[0] + rank)
    rest = [a for a in range(out.type.rank) if a not in place]
    order = (*place, *rest)
    return Transpose(order)(out) if order != tuple(range(out.type.rank)) else out
