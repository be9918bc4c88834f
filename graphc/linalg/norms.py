"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import Axis, axes_of, axis_of, tensor
from graphc.frontend.boundary import short
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.creation import number
from graphc.functions.reductions import max, min, sum
from graphc.functions.shaping import expand_dims, moveaxis
from graphc.linalg.arguments import matrix
from graphc.linalg.factorizations import svdvals

__all__ = ["matrix_norm", "norm", "vector_norm"]


def vector_norm(x: Any, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of all elements of x along axes (None: all): `ord` is a number other than 0 for
    sum(|x|**ord)**(1/ord), inf or -inf for the largest or least |x|, or 0 for the number of
    elements that are not 0.

    The derivative at 0 is 0.  Raises `ShapeError`, `DTypeError`, `GraphError`.

    >>> import graphc as gc
    >>> gc.linalg.vector_norm(gc.zeros((2, 3)), axis=1).type
    f32[2]
    """
    return _vector("vector_norm", x, ord, axis, keepdims)


def _floats(what: str, x: Any) -> Tensor:
    t = tensor(f"linalg.{what}", x)
    if not t.dtype.is_float:
        raise DTypeError(
            f"linalg.{what}: x is {t.type}, which holds no floats; use gc.astype", user_location()
        )
    return t


def _vector(what: str, x: Any, ord: Any, axis: Axis, keepdims: bool) -> Tensor:
    t = _floats(what, x)
    axes = axes_of(f"linalg.{what}", axis, t.ndim)
    if isinstance(ord, bool) or not isinstance(ord, int | float) or ord != ord:
        raise GraphError(f"linalg.{what}: ord must be a number, got {short(ord)}", user_location())
    if ord == 0:
        nonzero = pw.astype(pw.not_equal(t, 0.0), t.dtype)
        return sum(nonzero, axes, keepdims=keepdims)
    if ord == 2:
        return _root(sum(pw.square(t), axes, keepdims=keepdims), 2.0)
    size = pw.abs(t)
    if ord == math.inf:
        return _not_negative(max(size, axes, keepdims=keepdims))
    if ord == -math.inf:
        return min(size, axes, keepdims=keepdims)
    if ord == 1:
        return sum(size, axes, keepdims=keepdims)
    return _root(sum(_powers(size, float(ord)), axes, keepdims=keepdims), float(ord))


def _powers(size: Tensor, degree: float) -> Tensor:
    """size ** degree, with derivative 0 where the size is 0, also of the powers that are steep."""
    if degree >= 1:
        return pw.pow(size, degree)
    zero = pw.equal(size, 0.0)
    return pw.where(zero, 0.0 if degree > 0 else math.inf, pw.pow(size, degree))


def _root(total: Tensor, degree: float) -> Tensor:
    """total ** (1 / degree), with derivative 0 where the total is 0."""
    zero = pw.equal(total, 0.0)
    safe = pw.where(zero, 1.0, total)
    root = el.sqrt(safe) if degree == 2 else pw.pow(safe, 1 / degree)
    return pw.where(zero, number(0.0 if degree > 0 else math.inf, total.dtype), root)


def _not_negative(top: Tensor) -> Tensor:
    """The largest of some sizes, 0 if there are none."""
    return pw.where(pw.less(top, 0.0), 0.0, top)


def matrix_norm(x: Any, *, keepdims: bool = False, ord: float | str = "fro") -> Tensor:
    """The norm of the matrices in the last two axes of x: "fro" (Frobenius), "nuc" (the sum of the
    singular values), 1 or -1 (the largest or least sum of |x| over a column), inf or -inf (over a
    row), 2 or -2 (the largest or least singular value).

    Raises `ShapeError`, `DTypeError`, `GraphError`.

    >>> import graphc as gc
    >>> gc.linalg.matrix_norm(gc.zeros((5, 2, 3)), ord=2).type
    f32[5]
    """
    return _matrix("matrix_norm", x, ord, keepdims)


def _matrix(what: str, x: Any, ord: Any, keepdims: bool) -> Tensor:
    t = matrix(what, "x", x)
    if isinstance(ord, bool) or not isinstance(ord, int | float | str):
        raise _unknown(what, ord)
    if ord == "fro":
        return _vector(what, t, 2, (-2, -1), keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = (-2, -1) if abs(float(ord)) == 1 else (-1, -2)
        sums = sum(pw.abs(t), inner, keepdims=True)
        found = (
            _not_negative(max(sums, outer, keepdims=True))
            if float(ord) > 0
            else min(sums, outer, keepdims=True)
        )
        return found if keepdims else found[..., 0, 0]
    if ord not in ("nuc", 2, -2):
        raise _unknown(what, ord)
    values = svdvals(t)
    found = (
        sum(values, -1)
        if ord == "nuc"
        else (_not_negative(max(values, -1)) if ord == 2 else min(values, -1))
    )
    return expand_dims(found, (found.ndim, found.ndim + 1)) if keepdims else found


def _unknown(what: str, ord: Any) -> GraphError:
    return GraphError(
        f"linalg.{what}: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, "
        f"got {short(ord)}",
        user_location(),
    )


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """NumPy's: of one axis the norm of vectors, of two that of matrices; without `axis`, that of
    the vector or matrix x, and without `ord` either, the root of the sum of all squares.

    Raises `ShapeError`, `DTypeError`, `GraphError`.

    >>> import graphc as gc
    >>> gc.linalg.norm(gc.zeros((2, 3)), axis=-1).type
    f32[2]
    """
    t = _floats("norm", x)
    if axis is None and (ord is None or t.ndim == 1):
        return _vector("norm", t, 2 if ord is None else ord, None, keepdims)
    given = axis if isinstance(axis, list | tuple) else (axis,)
    places = (
        (0, 1)[: t.ndim]
        if axis is None
        else tuple(axis_of("linalg.norm", a, t.ndim) for a in given)
    )
    if (axis is None and t.ndim != 2) or len(places) not in (1, 2):
        raise ShapeError(
            f"linalg.norm: ord {short(ord)} of {t.type} along axis {short(axis)}: expected one or "
            "two axes",
            user_location(),
        )
    if len(places) == 1:
        return _vector("norm", t, 2 if ord is None else ord, places, keepdims)
    axes_of("linalg.norm", places, t.ndim)  # raises for one named twice
    found = _matrix("norm", moveaxis(t, places, (-2, -1)), "fro" if ord is None else ord, False)
    return expand_dims(found, tuple(sorted(places))) if keepdims else found
