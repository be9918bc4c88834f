"""Small functions that NumPy has: each is a few lines of others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import (
    Axis,
    axis_of,
    converted,
    same_type,
    sequence,
    shape_of,
    tensor,
)
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.indexing import merged_place
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw, reductions as folds
from graphc.functions.creation import size_tensor
from graphc.functions.elementary import isnan, sin
from graphc.functions.indexing import indices_of
from graphc.functions.linear import matmul
from graphc.functions.numeric import quantile
from graphc.functions.shaping import expand_dims, part, reshape, transpose
from graphc.ir import dim
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.types import bool_, f32, i64

__all__ = [
    "cov",
    "fmax",
    "fmin",
    "heaviside",
    "percentile",
    "polyval",
    "ravel_multi_index",
    "select",
    "signbit",
    "sinc",
    "trapezoid",
    "unravel_index",
]


def percentile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of q / 100."""
    try:
        shares = np.asarray(q, np.float64) / 100
    except (TypeError, ValueError):
        raise GraphError(
            f"percentile: q must hold numbers in [0, 100], got {q!r}", user_location()
        ) from None
    return quantile(tensor("percentile", x), shares, axis, method, keepdims)


def fmax(x1: Any, x2: Any) -> Tensor:
    """The larger; NaN only where both are."""
    return _known("fmax", pw.maximum, x1, x2)


def fmin(x1: Any, x2: Any) -> Tensor:
    """The smaller; NaN only where both are."""
    return _known("fmin", pw.minimum, x1, x2)


def _known(what: str, choose: Any, x1: Any, x2: Any) -> Tensor:
    a, b = same_type(what, tensor(what, x1), tensor(what, x2))
    out: Tensor = choose(a, b)
    return pw.where(isnan(a), b, pw.where(isnan(b), a, out)) if a.dtype.is_float else out


def signbit(x: Any) -> Tensor:
    """Whether the sign is minus, that of -0.0 too (of NaN: no)."""
    t = tensor("signbit", x)
    below = pw.less(t, 0)
    return pw.logical_or(below, pw.less(pw.divide(1.0, t), 0.0)) if t.dtype.is_float else below


def heaviside(x1: Any, x2: Any) -> Tensor:
    """0 below 0, 1 above it, x2 at 0; NaN for NaN."""
    a, b = same_type("heaviside", tensor("heaviside", x1), tensor("heaviside", x2))
    a, b = (t if t.dtype.is_float else converted(t, f32) for t in (a, b))
    step = converted(pw.greater(a, 0.0), a.dtype)
    return pw.where(isnan(a), a, pw.where(pw.equal(a, 0.0), b, step))


def sinc(x: Any) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    t = tensor("sinc", x)
    t = t if t.dtype.is_float else converted(t, f32)
    turns = pw.multiply(pw.round(pw.multiply(t, 0.5)), 2.0)
    y = pw.multiply(pw.subtract(t, turns), math.pi)  # exact but for pi, and never overflows
    near = pw.less(pw.abs(t), 0.25)  # there the derivatives of a quotient would cancel
    far = pw.divide(pw.divide(sin(y), math.pi), pw.where(near, 1.0, t))
    return pw.where(near, _sinc_series(pw.square(y)), far)


def _sinc_series(square: Tensor) -> Tensor:
    """sin(y) / y and its derivatives, for the square of a y below 1, to the last place of f64."""
    out: Any = 0.0
    for k in reversed(range(10)):
        out = pw.add(pw.multiply(square, out), (-1) ** k / math.factorial(2 * k + 1))
    return tensor("sinc", out)


def polyval(p: Any, x: Any) -> Tensor:
    """The polynomial with coefficients p, the highest first, at x (Horner's rule).

    >>> import graphc as gc
    >>> polyval([1.0, 0.0, -2.0], gc.zeros((3,))).type
    f32[3]
    """
    what = "polyval"
    a, t = same_type(what, tensor(what, p), tensor(what, x))
    if a.ndim != 1 or not isinstance(a.shape[0], int):
        raise ShapeError(f"{what}: p {a.type}: expected a vector of known size", user_location())
    out = pw.multiply(t, 0)
    for i in range(a.shape[0]):
        out = pw.add(pw.multiply(out, t), a[i])
    return out


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule, at places x or `dx` apart."""
    what = "trapezoid"
    t = tensor(what, y)
    t = t if t.dtype.is_float else converted(t, f32)
    along = axis_of(what, axis, t.ndim)
    width: Any = dx
    if x is not None:
        places = tensor(what, x)
        if places.ndim == 1 and t.ndim > 1:
            places = places[(slice(None), *[None] * (t.ndim - along - 1))]
        width = _steps(places, places.ndim - t.ndim + along, pw.subtract)
    elif isinstance(dx, bool) or not isinstance(dx, int | float):
        raise GraphError(f"{what}: dx must be a number, got {dx!r}", user_location())
    return folds.sum(pw.multiply(_steps(t, along, pw.add), pw.multiply(width, 0.5)), along)


def _steps(t: Tensor, along: int, combine: Any) -> Tensor:
    """Neighbours along an axis, combined."""
    size = t.shape[along]
    less = max(size - 1, 0) if isinstance(size, int) else dim.maximum(size - 1, 0)
    result: Tensor = combine(part(t, along, size - less, less), part(t, along, 0, less))
    return result


def cov(m: Any, correction: float = 1.0) -> Tensor:
    """The covariances of the rows of a matrix, over n - `correction` (at least 0).  Of one row, or
    of a vector, it is a number: the variance.

    >>> import graphc as gc
    >>> cov(gc.zeros((3, 9))).type, cov(gc.zeros((9,))).type
    (f32[3,3], f32[])
    """
    t = tensor("cov", m)
    t = t if t.dtype.is_float else converted(t, f32)
    if t.ndim == 1:
        t = expand_dims(t, 0)
    if t.ndim != 2:
        raise ShapeError(
            f"cov: m is {t.type}; expected a matrix, or a vector for one row", user_location()
        )
    if isinstance(correction, bool) or not isinstance(correction, int | float):
        raise GraphError(f"cov: correction must be a number, got {correction!r}", user_location())
    off = pw.subtract(t, folds.mean(t, 1, keepdims=True))
    count = pw.maximum(pw.subtract(size_tensor(t.shape[1], t.dtype), float(correction)), 0.0)
    found = pw.divide(matmul(off, transpose(off)), count)
    return reshape(found, ()) if t.shape[0] == 1 else found


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """The first choice whose condition holds, else `default`."""
    what = "select"
    conditions = sequence(what, "condlist", condlist)
    choices = same_type(what, *sequence(what, "choicelist", choicelist))
    if len(conditions) != len(choices):
        raise GraphError(
            f"{what}: {len(conditions)} conditions for {len(choices)} choices", user_location()
        )
    if any(c.dtype != bool_ for c in conditions):
        raise DTypeError(f"{what}: condlist must hold truth values", user_location())
    out: Any = default
    for c, v in reversed(list(zip(conditions, choices, strict=True))):
        out = pw.where(c, v, out)
    return out  # type: ignore[no-any-return]


def ravel_multi_index(multi_index: Any, dims: Any) -> Tensor:
    """Positions in a flattened array of shape `dims` (i64), from those along each axis.

    >>> import graphc as gc
    >>> ravel_multi_index(([0, 1], [2, 0]), (2, 3)).type
    i64[2]
    """
    what = "ravel_multi_index"
    positions = [indices_of(what, k) for k in sequence(what, "multi_index", multi_index)]
    sizes = shape_of(what, dims, "dims")
    if len(positions) != len(sizes):
        raise ShapeError(
            f"{what}: {len(positions)} positions for {len(sizes)} axes", user_location()
        )
    shape = broadcast_shapes(what, [k.shape for k in positions])
    return broadcast_to(merged_place(positions, sizes, shape), shape)


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Positions (i64) along each axis of an array of `shape`, from those in it flattened."""
    what = "unravel_index"
    sizes = shape_of(what, shape)
    place = build(CheckIndex(dim.product(sizes)), (indices_of(what, indices),))
    positions: list[Tensor] = []
    for n in reversed(sizes):
        size = size_tensor(n, i64)
        positions.append(pw.remainder(place, size))
        place = pw.floor_divide(place, size)
    return tuple(reversed(positions))
