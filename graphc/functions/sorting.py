"""Sorting, searching and counting.

NaN is greater than every number: last in rising order (as in NumPy), first in falling order.  All
orders are stable.  Sizes never depend on data, so `unique` and `nonzero` raise errors that say what
to use instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, choice, converted, flag, same_type, size_of, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw
from graphc.functions.creation import zeros
from graphc.functions.indexing import indices_of, take, take_along_axis, uncounted
from graphc.functions.shaping import flatten, moveaxis
from graphc.ir.ops import sort as orders
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.requirement import at_least, equal
from graphc.ir.types import DType, bool_, f32, f64, i64, u8

__all__ = [
    "argsort",
    "bincount",
    "digitize",
    "histogram",
    "nonzero",
    "searchsorted",
    "sort",
    "top_k",
    "unique",
]


def sort(x: Any, axis: int | None = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis (None: of x flattened).  NaN counts as the greatest.

    The order is stable whatever `stable` says.  Raises `ShapeError` for a 0-d tensor.

    >>> import graphc as gc
    >>> sort(gc.zeros((2, 3)), axis=0, descending=True).type
    f32[2,3]
    """
    return _ordered("sort", orders.Sort, x, axis, descending, stable)


def argsort(x: Any, axis: int | None = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions (i64) that `sort` takes its elements from.

    >>> import graphc as gc
    >>> argsort(gc.zeros((2, 3))).type
    i64[2,3]
    """
    return _ordered("argsort", orders.Argsort, x, axis, descending, stable)


def _ordered(what: str, kind: Any, x: Any, axis: Any, descending: Any, stable: Any) -> Tensor:
    t = tensor(what, x)
    t, along = (flatten(t), 0) if axis is None else (t, axis_of(what, axis, t.ndim))
    flag(what, "stable", stable)
    keys = moveaxis(_number(t), along, -1)
    halves = build(kind(flag(what, "descending", descending)), (keys,))
    out = moveaxis(orders.upper(halves), -1, along)
    return converted(out, t.dtype) if kind is orders.Sort else out


def _number(t: Tensor) -> Tensor:
    return converted(t, u8) if t.dtype == bool_ else t


def top_k(x: Any, k: Any, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """(values, positions) of the `k` largest (or smallest) elements along an axis, in order.

    Of equals the first is first; NaN counts as the greatest.  Raises `ShapeError` where k is more
    than the axis has; for a symbolic size, when it is fed.

    >>> import graphc as gc
    >>> [v.type for v in top_k(gc.zeros((4, 9)), 3)]
    [f32[4,3], i64[4,3]]
    """
    t = tensor("top_k", x)
    along = axis_of("top_k", axis, t.ndim)
    count, n = size_of("top_k", "k", k), t.shape[along]
    problem = f"k is {count}, but axis {along} of {t.type} has {n} elements"
    require("top_k", at_least(n, count, problem))
    op = orders.TopK(descending=flag("top_k", "largest", largest), k=count)
    places = moveaxis(build(op, (moveaxis(_number(t), along, -1),)), -1, along)
    return take_along_axis(t, places, along), places


def searchsorted(x1: Any, x2: Any, side: str = "left") -> Tensor:
    """How many elements of the rising vector `x1` lie before each of `x2` (i64); with side="right",
    before it or equal to it.

    >>> import graphc as gc
    >>> searchsorted([1.0, 2.0, 3.0], gc.zeros((2, 2))).type
    i64[2,2]
    """
    what = "searchsorted"
    right = choice(what, "side", side, {"left": False, "right": True})
    a, v = same_type(what, tensor(what, x1), tensor(what, x2))
    if a.ndim != 1:
        raise ShapeError(
            f"{what}: x1 is {a.type}; expected a vector in rising order", user_location()
        )
    return build(orders.SearchSorted(right), (_number(a), _number(v)))


def digitize(x: Any, bins: Any, right: bool = False) -> Tensor:
    """The bin (i64) of each element: how many of the rising edges `bins` are not above it (`right`:
    are below it)."""
    side = "left" if flag("digitize", "right", right) else "right"
    return searchsorted(tensor("digitize", bins), x, side)


def bincount(x: Any, weights: Any = None, minlength: Any = None) -> Tensor:
    """How often each of 0 .. `minlength` - 1 occurs in x (i64), or the sums of their `weights`.

    The size cannot depend on data: `minlength` is needed, and a value outside of [0, minlength)
    makes the run fail.

    >>> import graphc as gc
    >>> bincount([0, 1, 1], minlength=4).type
    i64[4]
    """
    what = "bincount"
    given = indices_of(what, x)
    positions = flatten(given)
    if minlength is None:
        raise GraphError(
            f"{what}: minlength is missing: the size of the result cannot depend on "
            "data, so say how many values there are",
            user_location(),
        )
    size = size_of(what, "minlength", minlength)
    w = None if weights is None else _weights_of(what, weights, given)
    if w is None or w.dtype == bool_:
        w = pw.astype(1 if w is None else w, i64)
    added = broadcast_to(w, positions.shape)
    return build(ScatterAdd(0), (zeros((size,), added.dtype), uncounted(positions), added))


def _weights_of(what: str, weights: Any, x: Tensor) -> Tensor:
    """The weights in a row, one for each element of x.  Raises `ShapeError`."""
    w = tensor(what, weights)
    problem = f"weights {w.type} do not fit x {x.type}"
    if w.ndim != x.ndim:
        raise ShapeError(f"{what}: {problem}", user_location())
    require(what, *(equal(a, b, problem) for a, b in zip(w.shape, x.shape, strict=True)))
    return flatten(w)


def histogram(
    x: Any, bins: Any = 10, range: Any = None, weights: Any = None
) -> tuple[Tensor, Tensor]:
    """(counts, edges): how many elements lie in each bin (i64), or the sums of their `weights`.

    `bins` is a number (then `range`, (low, high), is needed) or the rising edges.  A bin holds its
    lower edge, the last one its upper edge too; NaN and what is outside is not counted.

    >>> import graphc as gc
    >>> [v.type for v in histogram(gc.zeros((9,)), bins=4, range=(0, 1))]
    [i64[4], f32[5]]
    """
    what = "histogram"
    given = _number(tensor(what, x))
    w = None if weights is None else _weights_of(what, weights, given)
    t = flatten(given)
    t = t if t.dtype.is_float else converted(t, f32)
    edges = _edges(what, bins, range, t.dtype)
    count = edges.shape[0] - 1
    require(what, at_least(count, 1, f"bins {edges.type}: expected at least two edges"))
    last = edges[-1]
    place = _uniform_place(t, edges, range) if _is_uniform(bins, range, t.dtype) else None
    place = pw.subtract(searchsorted(edges, t, "right"), 1) if place is None else place
    place = pw.where(pw.equal(t, last), count - 1, place) if isinstance(count, int) else place
    inside = pw.logical_and(pw.greater_equal(t, edges[0]), pw.less_equal(t, last))
    kept = pw.where(inside, place, count)
    counts = bincount(kept, w, minlength=count + 1)
    return counts[:-1], edges


def _is_uniform(bins: Any, limits: Any, dtype: DType) -> bool:
    """Whether a bin's number can be computed, to within one: edges are many roundings apart."""
    if not hasattr(bins, "__index__") or isinstance(bins, np.ndarray) or dtype not in (f32, f64):
        return False
    low, high = map(float, limits)
    rounding = max(abs(low), abs(high)) * (2.0**-23 if dtype == f32 else 2.0**-52)
    return 16 * rounding * int(bins) <= high - low < math.inf


def _uniform_place(t: Tensor, edges: Tensor, limits: Any) -> Tensor:
    """The last edge, of edges equally far apart, that is not above an element; what is outside has
    any.  As NumPy, it computes a number, and compares with the edges on either side."""
    (edge_count,) = edges.shape
    assert isinstance(edge_count, int)
    low, high, count = float(limits[0]), float(limits[1]), edge_count - 1
    scaled = pw.multiply(pw.subtract(t, low), count / (high - low))
    guess = pw.clip(converted(scaled, i64), 0, count - 1)
    too_high = pw.less(t, take(edges, guess, axis=0))
    too_low = pw.greater_equal(t, take(edges, pw.add(guess, 1), axis=0))
    return pw.subtract(pw.add(guess, converted(too_low, i64)), converted(too_high, i64))


MAX_BINS = 1 << 24  # the bins' edges are a constant of the graph


def _edges(what: str, bins: Any, limits: Any, dtype: DType) -> Tensor:
    if isinstance(bins, bool) or not hasattr(bins, "__index__") or isinstance(bins, np.ndarray):
        edges = tensor(what, bins)
        if edges.ndim != 1 or not isinstance(edges.shape[0], int):
            raise ShapeError(
                f"{what}: bins {edges.type}: expected a number, or edges of known "
                "number in a vector",
                user_location(),
            )
        return converted(edges, dtype)
    ends = list(limits) if isinstance(limits, list | tuple) else []
    if len(ends) != 2 or not all(isinstance(e, int | float) for e in ends):
        raise GraphError(
            f"{what}: range must be (low, high), two numbers, when bins is a number; "
            "it cannot depend on data",
            user_location(),
        )
    low, high = map(float, ends)
    if not 1 <= int(bins) <= MAX_BINS or not low < high < math.inf or low == -math.inf:
        raise ShapeError(
            f"{what}: {bins} bins in range {limits}: expected 1 to {MAX_BINS}, of "
            "positive finite width",
            user_location(),
        )
    return tensor(what, np.linspace(low, high, int(bins) + 1), dtype)


def unique(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Not in graphc: raises `GraphError`, for the size of the result would depend on data."""
    raise GraphError(
        "unique: the size of the result would depend on data; use gc.sort, or "
        "gc.bincount with minlength, or np.unique on the fetched array",
        user_location(),
    )


def nonzero(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Not in graphc: raises `GraphError`, for the size of the result would depend on data."""
    raise GraphError(
        "nonzero: the size of the result would depend on data; use gc.where with "
        "three arguments, gc.top_k of the mask, or np.nonzero on the fetched array",
        user_location(),
    )
