"""More of NumPy: differences, order statistics, NaN-aware folds, stacking.  All compositions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import (
    Axis,
    axes_of,
    axis_of,
    choice,
    converted,
    flag,
    integer,
    known_size,
    same_type,
    sequence,
    tensor,
)
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw, reductions as folds
from graphc.functions.creation import full_like, number
from graphc.functions.elementary import isinf, isnan
from graphc.functions.indexing import take
from graphc.functions.joining import concat
from graphc.functions.shaping import (
    broadcast_to,
    expand_dims,
    flatten,
    flip,
    part,
    permute_dims,
    reshape,
    swapaxes,
)
from graphc.functions.sorting import searchsorted, sort
from graphc.ir import dim
from graphc.ir.ops.reduction import highest, lowest
from graphc.ir.types import bool_, f32

__all__ = [
    "allclose",
    "array_equal",
    "atleast_1d",
    "atleast_2d",
    "average",
    "copysign",
    "deg2rad",
    "diff",
    "hstack",
    "interp",
    "isin",
    "median",
    "nan_to_num",
    "nanmax",
    "nanmean",
    "nanmin",
    "nansum",
    "ptp",
    "quantile",
    "rad2deg",
    "rot90",
    "vstack",
]

MAX_DIFFERENCES = 64  # the most often that one call of `diff` takes differences


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours along an axis, `n` times over; of truth values, whether they
    differ.  With n = 0 it is x itself, to which nothing is joined.

    >>> import graphc as gc
    >>> diff(gc.zeros((2, 5)), n=2).type
    f32[2,3]
    """
    t = tensor("diff", x)
    along = axis_of("diff", axis, t.ndim)
    times = integer("diff", "n", n)
    if not 0 <= times <= MAX_DIFFERENCES:
        raise ShapeError(
            f"diff: n is {times}; expected one in [0, {MAX_DIFFERENCES}]", user_location()
        )
    if times == 0:
        return t
    ends = [v if v is None else _end(t, tensor("diff", v), along) for v in (prepend, append)]
    parts = [v for v in (ends[0], t, ends[1]) if v is not None]
    t = concat(parts, along) if len(parts) > 1 else t
    for _ in range(times):
        size = t.shape[along]
        less = max(size - 1, 0) if isinstance(size, int) else dim.maximum(size - 1, 0)
        above, below = part(t, along, size - less, less), part(t, along, 0, less)
        t = pw.not_equal(above, below) if t.dtype == bool_ else pw.subtract(above, below)
    return t


def _end(t: Tensor, v: Tensor, along: int) -> Tensor:
    if v.ndim:
        return v
    return broadcast_to(v, tuple(1 if a == along else s for a, s in enumerate(t.shape)))


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle of the elements in order, or the mean of the two in the middle; NaN if there is
    one, or no element.  Integers give f32.  The sizes of the axes must be known.

    >>> import graphc as gc
    >>> median(gc.zeros((3, 4)), axis=1).type
    f32[3]
    """
    return quantile(tensor("median", x), 0.5, axis, keepdims=keepdims)


def quantile(
    x: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """The value below which a share `q` (a number in [0, 1], or a sequence: then a new first axis)
    of the elements lies.  NaN if there is one.  The sizes of the axes must be known.

    `method` between two elements: "linear", "lower", "higher", "nearest" or "midpoint".

    >>> import graphc as gc
    >>> quantile(gc.zeros((3, 4)), [0.25, 0.75], axis=1).type
    f32[2,3]
    """
    what = "quantile"
    t = tensor(what, x)
    t = t if t.dtype.is_float else converted(t, f32)
    shares = np.asarray(q, np.float64) if _numbers(q) else None
    if shares is None or shares.ndim > 1 or not np.all((shares >= 0) & (shares <= 1)):
        raise GraphError(
            f"{what}: q must be a number in [0, 1] or a sequence of such numbers", user_location()
        )
    rule = choice(what, "method", method, QUANTILE_METHODS)
    axes = axes_of(what, axis, t.ndim)
    kept = [a for a in range(t.ndim) if a not in axes]
    count = math.prod(known_size(what, t, a) for a in axes)
    rest = tuple(t.shape[a] for a in kept)
    rows = reshape(permute_dims(t, [*kept, *axes]), (*rest, count))
    shape = tuple(1 if a in axes else s for a, s in enumerate(t.shape))
    shape = shape if flag(what, "keepdims", keepdims) else rest
    if count == 0:
        return full_like(number(0, t.dtype, shares.shape + shape), math.nan)
    rows = sort(rows)
    quantiles = [
        reshape(_between(rows, float(share) * (count - 1), rule), shape) for share in shares.ravel()
    ]
    broken = reshape(isnan(rows[..., -1]), shape)
    done = [pw.where(broken, math.nan, v) for v in quantiles]
    return done[0] if shares.ndim == 0 else concat([expand_dims(v, 0) for v in done])


def _numbers(q: Any) -> bool:
    given = q if isinstance(q, list | tuple) else [q]
    if isinstance(q, np.ndarray):
        return q.dtype.kind in "fiu"
    return len(given) > 0 and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in given
    )


QUANTILE_METHODS = {
    "linear": lambda part: part,
    "lower": lambda part: 0.0,
    "higher": lambda part: float(part > 0),
    "midpoint": lambda part: 0.5 * (part > 0),
    "nearest": lambda part: float(part > 0.5),
}


def _between(rows: Tensor, place: float, rule: Any) -> Tensor:
    """The value at a place between two elements of sorted rows."""
    low = math.floor(place)
    share = rule(place - low)
    if rule is QUANTILE_METHODS["nearest"]:
        low, share = round(place), 0.0  # halves to even, as in NumPy
    if share == 0:
        return rows[..., low]
    a, b = rows[..., low], rows[..., low + 1]
    infinite = pw.logical_and(pw.equal(a, b), isinf(a))
    gap = pw.where(infinite, 0.0, pw.subtract(b, a))  # inf - inf is nan; other equals share
    return pw.add(a, pw.multiply(gap, share))


def average(x: Any, axis: Axis = None, weights: Any = None, keepdims: bool = False) -> Tensor:
    """The mean, or the sum of x times `weights` over the sum of `weights`."""
    t = tensor("average", x)
    if weights is None:
        return folds.mean(t, axis, keepdims)
    t, w = same_type("average", t, tensor("average", weights))
    axes = axes_of("average", axis, t.ndim)
    if w.ndim == 1 and len(axes) == 1:
        w = reshape(w, tuple(w.shape[0] if a == axes[0] else 1 for a in range(t.ndim)))
    w = broadcast_to(w, t.shape)
    return pw.divide(
        folds.sum(pw.multiply(t, w), axes, None, keepdims), folds.sum(w, axes, None, keepdims)
    )


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest minus the smallest."""
    t = tensor("ptp", x)
    return pw.subtract(folds.max(t, axis, keepdims), folds.min(t, axis, keepdims))


def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    return folds.sum(_without("nansum", x, 0), axis, None, keepdims)


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest of what is not NaN; of nothing, the least value of the type."""
    t = tensor("nanmax", x)
    return folds.max(_without("nanmax", t, lowest(t.dtype)), axis, keepdims)


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest of what is not NaN; of nothing, the greatest value of the type."""
    t = tensor("nanmin", x)
    return folds.min(_without("nanmin", t, highest(t.dtype)), axis, keepdims)


def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of what is not NaN; of nothing, nan."""
    t = tensor("nanmean", x)
    if not t.dtype.is_float:
        return folds.mean(t, axis, keepdims)
    wide = t if t.dtype.bits > 16 else converted(t, f32)
    known = pw.logical_not(isnan(wide))
    count = folds.sum(converted(known, wide.dtype), axis, None, keepdims)
    total = folds.sum(pw.where(known, wide, 0.0), axis, None, keepdims)
    return converted(pw.divide(total, count), t.dtype)


def _without(what: str, x: Any, value: Any) -> Tensor:
    t = tensor(what, x)
    return pw.where(isnan(t), value, t) if t.dtype.is_float else t


def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """x with numbers for NaN and the infinities (None: the greatest and the least finite value).

    >>> import graphc as gc
    >>> nan_to_num(gc.zeros((3,))).type
    f32[3]
    """
    t = tensor("nan_to_num", x)
    if not t.dtype.is_float:
        return t
    most = t.dtype.largest
    for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise GraphError(f"nan_to_num: {name} must be a number, got {value!r}", user_location())
    t = pw.where(isnan(t), float(nan), t)
    t = pw.where(pw.equal(t, math.inf), most if posinf is None else float(posinf), t)
    return pw.where(pw.equal(t, -math.inf), -most if neginf is None else float(neginf), t)


def isin(x1: Any, x2: Any, invert: bool = False) -> Tensor:
    """Whether each element of x1 is among those of x2 (which are compared one by one)."""
    t, others = same_type("isin", tensor("isin", x1), flatten(tensor("isin", x2)))
    found = folds.any(pw.equal(expand_dims(t, t.ndim), others), axis=-1)
    return pw.logical_not(found) if flag("isin", "invert", invert) else found


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all elements are close (see `isclose`): one truth value."""
    return folds.all(pw.isclose(tensor("allclose", x1), x2, rtol, atol, equal_nan))


def array_equal(x1: Any, x2: Any) -> Tensor:
    """Whether shapes and all elements are equal: one truth value."""
    a, b = tensor("array_equal", x1), tensor("array_equal", x2)
    if a.ndim != b.ndim or any(dim.differ(*ends) for ends in zip(a.shape, b.shape, strict=True)):
        return number(False, bool_)
    return folds.all(pw.equal(a, b))


def copysign(x1: Any, x2: Any) -> Tensor:
    """|x1| with the sign of x2, of -0.0 too."""
    a, b = same_type("copysign", tensor("copysign", x1), tensor("copysign", x2))
    if not a.dtype.is_float:
        raise DTypeError(f"copysign: {a.type} holds no floats; use gc.astype", user_location())
    minus = pw.logical_or(pw.less(b, 0.0), pw.less(pw.divide(1.0, b), 0.0))
    return pw.where(minus, pw.negative(pw.abs(a)), pw.abs(a))


def deg2rad(x: Any) -> Tensor:
    """Degrees in radians."""
    return pw.multiply(tensor("deg2rad", x), math.pi / 180)


def rad2deg(x: Any) -> Tensor:
    """Radians in degrees."""
    return pw.multiply(tensor("rad2deg", x), 180 / math.pi)


def interp(x: Any, xp: Any, fp: Any) -> Tensor:
    """The piecewise linear function through the points (`xp` rising, `fp`), constant outside.

    >>> import graphc as gc
    >>> interp(gc.zeros((2, 2)), [0.0, 1.0], [5.0, 6.0]).type
    f32[2,2]
    """
    what = "interp"
    t, a, b = same_type(what, *(tensor(what, v) for v in (x, xp, fp)))
    t, a, b = (v if v.dtype.is_float else converted(v, f32) for v in (t, a, b))
    count = known_size(what, a, 0) if a.ndim == 1 else 0
    if count < 1 or b.ndim != 1 or b.shape[0] != count:
        raise ShapeError(
            f"{what}: points {a.type} and {b.type}: expected two vectors of one known "
            "size, at least 1",
            user_location(),
        )
    if count == 1:
        return pw.where(isnan(t), t, broadcast_to(b[0], t.shape))
    place = pw.clip(pw.subtract(searchsorted(a, t, "right"), 1), 0, count - 2)
    left, low = take(a, place, 0), take(b, place, 0)
    slope = pw.divide(
        pw.subtract(take(b, pw.add(place, 1), 0), low),
        pw.subtract(take(a, pw.add(place, 1), 0), left),
    )
    inside = pw.add(pw.multiply(slope, pw.subtract(t, left)), low)
    inside = pw.where(pw.less(t, a[0]), broadcast_to(b[0], t.shape), inside)
    return pw.where(pw.greater_equal(t, a[-1]), broadcast_to(b[-1], t.shape), inside)


def hstack(arrays: Any) -> Tensor:
    """The tensors side by side: along axis 1, vectors along axis 0."""
    parts = [atleast_1d(p) for p in sequence("hstack", "arrays", arrays)]
    return concat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(arrays: Any) -> Tensor:
    """The tensors below each other: along axis 0, vectors as rows."""
    return concat([atleast_2d(p) for p in sequence("vstack", "arrays", arrays)], 0)


def atleast_1d(x: Any) -> Tensor:
    """x; a number as a vector of one."""
    t = tensor("atleast_1d", x)
    return t if t.ndim else reshape(t, (1,))


def atleast_2d(x: Any) -> Tensor:
    """x; a vector as a matrix of one row."""
    t = atleast_1d(tensor("atleast_2d", x))
    return t if t.ndim > 1 else reshape(t, (1, *t.shape))


def rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """x turned by a right angle `k` times, from the first to the second of two axes."""
    t = tensor("rot90", x)
    pair = axes if isinstance(axes, list | tuple) else ()
    if len(pair) != 2:
        raise ShapeError(f"rot90: axes {axes}: expected two", user_location())
    a, b = (axis_of("rot90", v, t.ndim, "axes") for v in pair)
    if a == b:
        raise ShapeError(f"rot90: axes {axes}: expected two different ones", user_location())
    turns = integer("rot90", "k", k) % 4
    if turns == 2:
        return flip(t, (a, b))
    if turns == 1:
        return swapaxes(flip(t, b), a, b)
    return flip(swapaxes(t, a, b), b) if turns else t
