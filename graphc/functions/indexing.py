"""Elements by computed position.  An index outside [-n, n) makes the run fail."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.functions.common import axis_of, converted, tensor
from graphc.functions.shaping import flatten
from graphc.ir.ops.index import ScatterAdd, Take, TakeAlongAxis
from graphc.shapes import broadcast_shapes
from graphc.tensor import Tensor, broadcast_to, build


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Slices of x along `axis` (None: of x flattened) at `indices`, whose axes replace that axis.

    Raises `DTypeError` for indices that are no integers.

    >>> import graphc as gc
    >>> take(gc.zeros((5, 3)), [[0, 4], [1, 1]], axis=0).type
    f32[2,2,3]
    """
    t = tensor("take", x)
    t, along = (flatten(t), 0) if axis is None else (t, axis_of("take", axis, t.ndim))
    return build(Take(along), (t, _indices("take", indices)))


def _indices(what: str, indices: Any) -> Tensor:
    found = tensor(what, indices)
    if not found.dtype.is_integer:
        raise DTypeError(
            f"{what}: indices {found.type} are no integers; use gc.astype", user_location())
    return found


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """Elements of x along `axis`, one for each of `indices`; the other axes broadcast.

    >>> import graphc as gc
    >>> take_along_axis(gc.zeros((2, 3)), [[0], [2]], axis=1).type
    f32[2,1]
    """
    t, found = tensor("take_along_axis", x), _indices("take_along_axis", indices)
    along = axis_of("take_along_axis", axis, t.ndim)
    if found.ndim != t.ndim:
        raise ShapeError(
            f"take_along_axis: indices {found.type} have another rank than {t.type}",
            user_location(),
        )
    rest = broadcast_shapes(
        "take_along_axis", [s.type.without((along,)).shape for s in (t, found)])
    t = broadcast_to(t, (*rest[:along], t.shape[along], *rest[along:]))
    found = broadcast_to(found, (*rest[:along], found.shape[along], *rest[along:]))
    return build(TakeAlongAxis(along), (t, found))


def scatter_add(x: Any, indices: Any, updates: Any, axis: int = 0) -> Tensor:
    """x with `updates` added to its slices along `axis` at `indices`; repeated indices add up.

    `updates` broadcast to the shape of `take(x, indices, axis)`.

    >>> import graphc as gc
    >>> scatter_add(gc.zeros((5, 3)), [0, 0, 4], gc.ones((3, 3))).type
    f32[5,3]
    """
    t, found = tensor("scatter_add", x), _indices("scatter_add", indices)
    along = axis_of("scatter_add", axis, t.ndim)
    added = converted(tensor("scatter_add", updates, None), t.dtype)
    shape = (*t.shape[:along], *found.shape, *t.shape[along + 1 :])
    return build(ScatterAdd(along), (t, found, broadcast_to(added, shape)))
