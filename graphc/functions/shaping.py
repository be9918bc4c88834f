"""Shapes and the order of axes.  All of these are views: they cost nothing where they fuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ShapeError, user_location
from graphc.frontend.arguments import Axis, axes_of, axis_of, integer, shape_of, tensor
from graphc.frontend.boundary import require
from graphc.frontend.broadcasting import clamped
from graphc.frontend.tensor import Tensor, broadcast_to as _broadcast_to, build
from graphc.ir import dim
from graphc.ir.dim import Dim, Shape, Size
from graphc.ir.ops import shape as views
from graphc.ir.requirement import equal, multiple

__all__ = [
    "broadcast_to",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "reshape",
    "roll",
    "squeeze",
    "swapaxes",
    "transpose",
]


def reshape(x: Any, shape: Any) -> Tensor:
    """The same elements in row-major order.  One size may be -1: what the others leave.

    Raises `ShapeError` where the numbers of elements differ; for symbolic sizes, at feed time.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     x = gc.placeholder(gc.float32, ["n", 4, 3])
    >>> reshape(x, (-1, 12)).type
    f32[n,12]
    """
    t = tensor("reshape", x)
    given = list(shape) if isinstance(shape, list | tuple) else [shape]
    free = [i for i, s in enumerate(given) if not isinstance(s, Dim) and s == -1]
    if len(free) > 1:
        raise ShapeError(f"reshape: shape {given} has more than one -1", user_location())
    kept = shape_of("reshape", [s for i, s in enumerate(given) if i not in free])
    sizes = (*kept[: free[0]], _rest(t, kept, given), *kept[free[0] :]) if free else kept
    count = dim.product(sizes)
    problem = f"{t.type} has {t.type.count} elements, shape {list(sizes)} has {count}"
    require("reshape", equal(t.type.count, count, problem))
    return t if sizes == t.shape else build(views.Reshape(sizes), (t,))


def _rest(t: Tensor, kept: Shape, given: list[Any]) -> Size:
    """The size that -1 stands for."""
    total, known = t.type.count, dim.product(kept)
    if known == 0:
        raise ShapeError(
            f"reshape: -1 in shape {given} beside a size of 0 could be anything", user_location()
        )
    problem = f"{total} elements of {t.type} do not divide into shape {given}"
    require("reshape", multiple(total, known, problem))
    return dim.floordiv(total, known)


def flatten(x: Any) -> Tensor:
    """All elements on one axis."""
    t = tensor("flatten", x)
    return reshape(t, (t.type.count,))


def permute_dims(x: Any, axes: Sequence[int]) -> Tensor:
    """Axis i of the result is axis `axes[i]` of x.

    >>> import graphc as gc
    >>> permute_dims(gc.zeros((2, 3, 4)), (2, 0, 1)).type
    f32[4,2,3]
    """
    t = tensor("permute_dims", x)
    given = tuple(axes) if isinstance(axes, list | tuple) else (axes,)
    order = tuple(axis_of("permute_dims", a, t.ndim, "axes") for a in given)
    if sorted(order) != list(range(t.ndim)):
        raise ShapeError(
            f"permute_dims: axes {given} are no permutation of the {t.ndim} axes of {t.type}",
            user_location(),
        )
    return t if order == tuple(range(t.ndim)) else build(views.Transpose(order), (t,))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """`permute_dims`; without `axes`, the axes in reverse order."""
    t = tensor("transpose", x)
    return permute_dims(t, tuple(reversed(range(t.ndim))) if axes is None else axes)


def matrix_transpose(x: Any) -> Tensor:
    """The matrices in the last two axes transposed."""
    t = tensor("matrix_transpose", x)
    if t.ndim < 2:
        raise ShapeError(
            f"matrix_transpose: {t.type} is no matrix; expected rank 2 or more", user_location()
        )
    return swapaxes(t, -1, -2)


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes `source` moved to positions `destination`; the others keep their order."""
    t = tensor("moveaxis", x)
    froms, tos = (
        [axis_of("moveaxis", a, t.ndim, name) for a in (v if isinstance(v, list | tuple) else (v,))]
        for name, v in (("source", source), ("destination", destination))
    )
    if len(froms) != len(tos) or len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ShapeError(
            f"moveaxis: source {source}, destination {destination}: expected as many distinct axes",
            user_location(),
        )
    order = [a for a in range(t.ndim) if a not in froms]
    for to, axis in sorted(zip(tos, froms, strict=True)):
        order.insert(to, axis)
    return permute_dims(t, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    t = tensor("swapaxes", x)
    a, b = (axis_of("swapaxes", v, t.ndim, n) for n, v in (("axis1", axis1), ("axis2", axis2)))
    order = list(range(t.ndim))
    order[a], order[b] = order[b], order[a]
    return permute_dims(t, order)


def broadcast_to(x: Any, shape: Any) -> Tensor:
    """x repeated to `shape`, by NumPy's rule.  Raises `ShapeError` where it does not fit."""
    return _broadcast_to(tensor("broadcast_to", x), shape_of("broadcast_to", shape))


def expand_dims(x: Any, axis: Any) -> Tensor:
    """Axes of size 1 put in, at positions of the result.

    >>> import graphc as gc
    >>> expand_dims(gc.zeros((3,)), 0).type
    f32[1,3]
    """
    t = tensor("expand_dims", x)
    count = len(axis) if isinstance(axis, list | tuple) else 1
    places = axes_of("expand_dims", axis if count != 1 else _only(axis), t.ndim + count)
    rest = iter(t.shape)
    return reshape(t, tuple(1 if a in places else next(rest) for a in range(t.ndim + count)))


def _only(axis: Any) -> Any:
    return integer("expand_dims", "axis", axis[0] if isinstance(axis, list | tuple) else axis)


def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Axes of size 1 dropped: those named, or all.  Raises `ShapeError` for one of another size."""
    t = tensor("squeeze", x)
    if axis is None:
        gone = tuple(a for a, s in enumerate(t.shape) if s == 1)
    else:
        gone = axes_of("squeeze", axis, t.ndim)
    for a in gone:
        if t.shape[a] != 1:
            raise ShapeError(
                f"squeeze: axis {a} of {t.type} has size {t.shape[a]}; expected 1", user_location()
            )
    return reshape(t, tuple(s for a, s in enumerate(t.shape) if a not in gone))


def flip(x: Any, axis: Axis = None) -> Tensor:
    """The elements in reverse order along axes (None: all)."""
    t = tensor("flip", x)
    axes = axes_of("flip", axis, t.ndim)
    out: Tensor = views.flip(t, tuple(a in axes for a in range(t.ndim)))
    return out if axes else t


def roll(x: Any, shift: Any, axis: Axis = None) -> Tensor:
    """The elements moved `shift` places along an axis; those pushed out come in at the end.

    Of several axes each has its shift (one shift is for all); an axis may be there twice.  Without
    `axis`, x is moved as if it were flat.

    >>> import graphc as gc
    >>> roll(gc.zeros((2, 3)), (1, -1), axis=(0, 1)).type
    f32[2,3]
    """
    t = tensor("roll", x)
    shifts = list(shift) if isinstance(shift, list | tuple) else [shift]
    if axis is None:
        flat = flatten(t)
        for by in shifts:
            flat = _rolled(flat, integer("roll", "shift", by), 0)
        return reshape(flat, t.shape)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    count = max(len(shifts), len(axes))
    if any(len(v) not in (1, count) for v in (shifts, axes)):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes", user_location())
    shifts, axes = (v * count if len(v) == 1 else v for v in (shifts, axes))
    for by, a in zip(shifts, axes, strict=True):
        t = _rolled(t, integer("roll", "shift", by), axis_of("roll", a, t.ndim))
    return t


def _rolled(t: Tensor, by: int, along: int) -> Tensor:
    n = t.shape[along]
    if n == 0 or t.type.count == 0:
        return t
    if not isinstance(n, int) and clamped(by) != by:
        problem = f"roll: shift is {by}; an axis of a symbolic size takes 63 bits"
        raise ShapeError(problem, user_location())
    cut = (-by) % (n if isinstance(n, int) else dim.maximum(n, 1))
    if cut == 0:
        return t
    back, front = part(t, along, cut, n - cut), part(t, along, 0, cut)
    return build(views.Concat(along), (back, front))


def part(t: Tensor, axis: int, start: Size, size: Size) -> Tensor:
    """`size` slices of one axis from `start` on."""
    starts = tuple(start if a == axis else 0 for a in range(t.ndim))
    shape = tuple(size if a == axis else s for a, s in enumerate(t.shape))
    return t if shape == t.shape else build(views.Slice(starts, (1,) * t.ndim, shape), (t,))
