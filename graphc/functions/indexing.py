"""These functions read and write elements at positions that are computed in the graph.

An index outside [-n, n) makes the run fail.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import (
    axis_of,
    choice,
    converted,
    integer,
    known_size,
    require_equal,
    tensor,
    typed,
)
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.indexing import merged_place
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw
from graphc.functions.creation import iota, zeros
from graphc.functions.joining import concat
from graphc.functions.shaping import flatten, reshape
from graphc.ir import dim
from graphc.ir.ops.gather import ScatterAdd, ScatterSlices, Take, TakeAlongAxis
from graphc.ir.ops.scatter import ScatterMax, ScatterMin, ScatterMul, ScatterSet
from graphc.ir.types import i64

__all__ = [
    "gather_nd",
    "put_along_axis",
    "scatter",
    "scatter_add",
    "scatter_nd",
    "take",
    "take_along_axis",
]


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Slices of x along `axis` (None: of x flattened) at `indices`, whose axes replace that axis.

    Raises `DTypeError` for indices that are no integers.

    >>> import graphc as gc
    >>> take(gc.zeros((5, 3)), [[0, 4], [1, 1]], axis=0).type
    f32[2,2,3]
    """
    t = tensor("take", x)
    t, along = (flatten(t), 0) if axis is None else (t, axis_of("take", axis, t.ndim))
    return build(Take(along), (t, indices_of("take", indices)))


def indices_of(what: str, indices: Any) -> Tensor:
    """A tensor of integers.  Raises `DTypeError`."""
    found = tensor(what, indices)
    if not found.dtype.is_integer:
        raise DTypeError(
            f"{what}: indices {found.type} are no integers; use gc.astype", user_location()
        )
    return found


def uncounted(indices: Tensor) -> Tensor:
    """Indices that do not count from the end: negative ones are out of range."""
    wide = converted(indices, i64)
    return pw.where(pw.less(wide, 0), -(1 << 63), wide) if indices.dtype.kind == "int" else wide


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """Elements of x along `axis`, one for each of `indices`; the other axes broadcast.

    >>> import graphc as gc
    >>> take_along_axis(gc.zeros((2, 3)), [[0], [2]], axis=1).type
    f32[2,1]
    """
    t, positions = tensor("take_along_axis", x), indices_of("take_along_axis", indices)
    along = axis_of("take_along_axis", axis, t.ndim)
    if positions.ndim != t.ndim:
        raise ShapeError(
            f"take_along_axis: indices {positions.type} have another rank than {t.type}",
            user_location(),
        )
    t, positions = _side_by_side("take_along_axis", along, t, positions)
    return build(TakeAlongAxis(along), (t, positions))


def _side_by_side(what: str, along: int, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors broadcast against each other along all axes but one."""
    rest = broadcast_shapes(what, [t.type.without((along,)).shape for t in tensors])
    return tuple(broadcast_to(t, (*rest[:along], t.shape[along], *rest[along:])) for t in tensors)


def gather_nd(x: Any, indices: Any, batch_dims: int = 0) -> Tensor:
    """Slices of x at positions that the last axis of `indices` spells out (TensorFlow, ONNX).

    The result has the shape indices.shape[:-1] + x.shape[batch_dims + indices.shape[-1]:]; the
    first `batch_dims` axes of both go together.  Raises `ShapeError` for positions of more numbers
    than x has axes.

    >>> import graphc as gc
    >>> gather_nd(gc.zeros((4, 5, 6)), [[0, 1], [3, -1]]).type
    f32[2,6]
    """
    what = "gather_nd"
    t, positions = tensor(what, x), indices_of(what, indices)
    batch = integer(what, "batch_dims", batch_dims)
    if not 0 <= batch < max(positions.ndim, 1):
        raise ShapeError(
            f"{what}: batch_dims {batch} does not fit indices {positions.type}", user_location()
        )
    t, positions = _with_batch(what, t, positions, batch)
    flat, place = _flat_place(what, t, positions)
    return build(Take(0), (flat, place))


def _with_batch(what: str, t: Tensor, positions: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """The positions with those along the first `batch` axes written in front of them."""
    if batch > t.ndim:
        raise ShapeError(f"{what}: batch_dims {batch} does not fit x {t.type}", user_location())
    for axis in range(batch):
        require_equal(what, t.shape[axis], positions.shape[axis], f"along batch axis {axis}")
    shape = (*positions.shape[:-1], 1)
    own = [iota(shape, axis, positions.dtype) for axis in range(batch)]
    return t, concat([*own, positions], -1) if own else positions


def _flat_place(what: str, t: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """t with the axes that are indexed merged into its first, and positions along that."""
    depth = known_size(what, positions, positions.ndim - 1) if positions.ndim else 0
    if not positions.ndim or depth > t.ndim:
        raise ShapeError(
            f"{what}: indices {positions.type} do not fit x {t.type}: expected positions "
            f"of at most {t.ndim} numbers in the last axis",
            user_location(),
        )
    flat = reshape(t, (dim.product(t.shape[:depth]), *t.shape[depth:]))
    shape = positions.shape[:-1]
    if depth == 0:
        return flat, zeros(shape, i64)
    return flat, merged_place([positions[..., i] for i in range(depth)], t.shape[:depth], shape)


def scatter(x: Any, indices: Any, updates: Any, axis: int = 0, mode: str = "set") -> Tensor:
    """x with `updates` combined into its slices along `axis` at `indices`, in their order.

    `mode`: "set" (of several for one place the last stays), "add", "mul", "min" or "max" (NaN
    wins).  `updates` broadcast to the shape of `take(x, indices, axis)`.  Gradients: what is
    overwritten gets none; products are exact where factors are 0; extremes that tie share.

    >>> import graphc as gc
    >>> scatter(gc.zeros((5, 3)), [0, 4], gc.ones((2, 3)), mode="max").type
    f32[5,3]
    """
    return _scatter("scatter", mode, x, indices, updates, axis)


def scatter_add(x: Any, indices: Any, updates: Any, axis: int = 0) -> Tensor:
    """x with `updates` added to its slices along `axis` at `indices`; repeated indices add up.

    `updates` broadcast to the shape of `take(x, indices, axis)`.

    >>> import graphc as gc
    >>> scatter_add(gc.zeros((5, 3)), [0, 0, 4], gc.ones((3, 3))).type
    f32[5,3]
    """
    return _scatter("scatter_add", "add", x, indices, updates, axis)


SCATTER_OPS: dict[str, type[ScatterSlices]] = {
    "set": ScatterSet,
    "add": ScatterAdd,
    "mul": ScatterMul,
    "min": ScatterMin,
    "max": ScatterMax,
}


def _scatter(what: str, mode: Any, x: Any, indices: Any, updates: Any, axis: Any) -> Tensor:
    kind = choice(what, "mode", mode, SCATTER_OPS)
    t, found = tensor(what, x), indices_of(what, indices)
    along = axis_of(what, axis, t.ndim)
    new = typed(what, updates, t.dtype)
    shape = (*t.shape[:along], *found.shape, *t.shape[along + 1 :])
    return build(kind(along), (t, found, broadcast_to(new, shape)))


def scatter_nd(x: Any, indices: Any, updates: Any, mode: str = "set") -> Tensor:
    """x with `updates` combined into its slices at positions that the last axis of `indices` spells
    out (ONNX's ScatterND); modes and gradients as for `scatter`.

    `updates` broadcast to the shape of `gather_nd(x, indices)`.

    >>> import graphc as gc
    >>> scatter_nd(gc.zeros((4, 5)), [[0, 1], [3, 4]], gc.ones((2,)), mode="add").type
    f32[4,5]
    """
    what = "scatter_nd"
    t = tensor(what, x)
    flat, place = _flat_place(what, t, indices_of(what, indices))
    return reshape(_scatter(what, mode, flat, place, updates, 0), t.shape)


def put_along_axis(x: Any, indices: Any, values: Any, axis: int = -1, mode: str = "set") -> Tensor:
    """x with `values` combined into its elements along `axis`, one for each of `indices`; modes and
    gradients as for `scatter`.  The other axes broadcast, and so do `values` to `indices`.

    >>> import graphc as gc
    >>> put_along_axis(gc.zeros((2, 3)), [[0], [2]], 1.0, axis=1).type
    f32[2,3]
    """
    what = "put_along_axis"
    t, positions = tensor(what, x), indices_of(what, indices)
    along = axis_of(what, axis, t.ndim)
    if positions.ndim != t.ndim:
        raise ShapeError(
            f"{what}: indices {positions.type} have another rank than {t.type}", user_location()
        )
    shape = (*t.shape[:along], positions.shape[along], *t.shape[along + 1 :])
    positions = broadcast_to(positions, shape)
    places = [positions if a == along else iota(shape, a) for a in range(t.ndim)]
    place = merged_place(places, t.shape, shape)
    flat = reshape(t, (t.type.count,))
    new = broadcast_to(typed(what, values, t.dtype), shape)
    return reshape(_scatter(what, mode, flat, place, new, 0), t.shape)
