"""Diagonals, grids and products of arrays: NumPy's names, all of them compositions."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError, user_location
from graphc.frontend.arguments import axis_of, choice, integer, same_type, tensor
from graphc.frontend.broadcasting import broadcast_shapes, clamped
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw
from graphc.functions.joining import stack
from graphc.functions.linear import tensordot
from graphc.functions.reductions import sum
from graphc.functions.shaping import broadcast_to, flatten, moveaxis, reshape
from graphc.ir.ops.diagonal import Diagonal, OnDiagonal

__all__ = ["cross", "diag", "diagonal", "inner", "kron", "meshgrid", "trace"]


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonals of the matrices in two axes, along a new last axis: a view.

    >>> import graphc as gc
    >>> diagonal(gc.zeros((3, 4, 5)), offset=1, axis1=1, axis2=2).type
    f32[3,4]
    """
    what = "diagonal"
    t = tensor(what, x)
    if t.ndim < 2:
        raise ShapeError(f"{what}: {t.type} is no matrix; expected rank 2 or more", user_location())
    a, b = axis_of(what, axis1, t.ndim, "axis1"), axis_of(what, axis2, t.ndim, "axis2")
    if a == b:
        raise ShapeError(f"{what}: axis1 and axis2 are both {a}", user_location())
    shift = clamped(integer(what, "offset", offset))
    return build(Diagonal(shift), (moveaxis(t, (a, b), (-2, -1)),))


def diag(x: Any, k: int = 0) -> Tensor:
    """The diagonal `k` of a matrix, or the matrix with the vector x on its diagonal `k`.

    >>> import graphc as gc
    >>> diag(gc.ones((3,)), k=-1).type, diag(gc.zeros((3, 5))).type
    (f32[4,4], f32[3])
    """
    what = "diag"
    t, shift = tensor(what, x), integer(what, "k", k)
    if t.ndim not in (1, 2):
        raise ShapeError(f"{what}: {t.type}: expected a vector or a matrix", user_location())
    if t.ndim == 2:
        return build(Diagonal(shift), (t,))
    n = t.shape[0] + (shift if shift > 0 else -shift)
    return build(OnDiagonal(shift, (n, n)), (t,))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    """The sums of the diagonals of the matrices in two axes; element types as for `sum`.

    >>> import graphc as gc
    >>> trace(gc.zeros((3, 3))).type
    f32[]
    """
    return sum(diagonal(tensor("trace", x), offset, axis1, axis2), axis=-1, dtype=dtype)


def kron(a: Any, b: Any) -> Tensor:
    """The Kronecker product: blocks b * a[i, j]; the one of lesser rank gets axes of size 1.

    >>> import graphc as gc
    >>> kron(gc.zeros((2, 3)), gc.zeros((4, 5))).type
    f32[8,15]
    """
    x, y = same_type("kron", tensor("kron", a), tensor("kron", b))
    rank = x.ndim if x.ndim > y.ndim else y.ndim
    left, right = ((1,) * (rank - t.ndim) + t.shape for t in (x, y))
    wide = reshape(x, tuple(s for n in left for s in (n, 1)))
    tall = reshape(y, tuple(s for n in right for s in (1, n)))
    return reshape(pw.multiply(wide, tall), tuple(m * n for m, n in zip(left, right, strict=True)))


def inner(a: Any, b: Any) -> Tensor:
    """The sums of products along the last axes; with a number, the product.

    >>> import graphc as gc
    >>> inner(gc.zeros((2, 3)), gc.zeros((4, 3))).type
    f32[2,4]
    """
    x, y = same_type("inner", tensor("inner", a), tensor("inner", b))
    if x.ndim == 0 or y.ndim == 0:
        return pw.multiply(x, y)
    return tensordot(x, y, ((-1,), (-1,)))


def cross(a: Any, b: Any, axis: int = -1) -> Tensor:
    """The cross products of vectors of three numbers along an axis; the other axes broadcast.

    >>> import graphc as gc
    >>> cross(gc.zeros((5, 3)), gc.zeros((3,))).type
    f32[5,3]
    """
    what = "cross"
    x, y = same_type(what, tensor(what, a), tensor(what, b))
    for t in (x, y):
        if t.ndim == 0 or t.shape[axis_of(what, axis, t.ndim)] != 3:
            raise ShapeError(
                f"{what}: {t.type}: expected size 3 along axis {axis}", user_location()
            )
    x, y = moveaxis(x, axis, -1), moveaxis(y, axis, -1)
    (x0, x1, x2), (y0, y1, y2) = ([t[..., i] for i in range(3)] for t in (x, y))
    parts = [
        pw.subtract(pw.multiply(p, q), pw.multiply(r, s))
        for p, q, r, s in ((x1, y2, x2, y1), (x2, y0, x0, y2), (x0, y1, x1, y0))
    ]
    return moveaxis(stack(parts, -1), -1, axis)


def meshgrid(*xi: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The vectors broadcast against each other, one axis for each; with "xy" the first two axes are
    exchanged.

    >>> import graphc as gc
    >>> [v.type for v in meshgrid(gc.zeros((2,)), gc.zeros((3,)))]
    [f32[3,2], f32[3,2]]
    """
    swap = choice("meshgrid", "indexing", indexing, {"xy": True, "ij": False})
    lines = [flatten(tensor("meshgrid", x)) for x in xi]
    count = len(lines)
    axes = list(range(count))
    if swap and count > 1:
        axes[0], axes[1] = 1, 0
    placed = [
        reshape(t, tuple(t.shape[0] if a == axis else 1 for a in range(count)))
        for axis, t in zip(axes, lines, strict=True)
    ]
    shape = broadcast_shapes("meshgrid", [t.shape for t in placed])
    return tuple(broadcast_to(t, shape) for t in placed)
