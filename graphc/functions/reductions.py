"""Folds over axes: `axis` is an int, a tuple of ints or None (all); `keepdims` keeps them.

All raise `ShapeError` for an axis out of range and `DTypeError` for element types they do not take.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, user_location
from graphc.frontend.arguments import Axis, axes_of, axis_of, converted, element_type, tensor
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw
from graphc.functions.creation import number, size_tensor
from graphc.functions.elementary import exp, isfinite, log, sqrt
from graphc.functions.shaping import flatten, reshape
from graphc.ir import dim
from graphc.ir.ops import reduction as folds
from graphc.ir.types import DType, bool_, f32, i64, u8, u64

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _fold(kind: Any, t: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The reduction; over no axes, the tensor itself."""
    out = build(kind(axes), (t,)) if axes else t
    return _kept(out, t, axes) if keepdims else out


def _kept(out: Tensor, t: Tensor, axes: tuple[int, ...]) -> Tensor:
    return reshape(out, tuple(1 if a in axes else s for a, s in enumerate(t.shape)))


def total_type(dtype: DType) -> DType:
    """The type that integers are summed in: i64 or u64, as in NumPy."""
    if dtype.is_float:
        return dtype
    return u64 if dtype.kind == "uint" else i64


def sum(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum; of nothing, 0.  Truth values and integers are summed in i64 (unsigned: u64), unless
    `dtype` is given.

    >>> import graphc as gc
    >>> sum(gc.zeros((2, 3)), axis=1).type, sum(gc.zeros((2, 3), gc.int8)).type
    (f32[2], i64[])
    """
    t = tensor("sum", x)
    wanted = total_type(t.dtype) if dtype is None else element_type("sum", dtype)
    axes = axes_of("sum", axis, t.ndim)
    return _fold(folds.ReduceSum, converted(t, wanted), axes, keepdims)


def prod(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product; of nothing, 1.  Element types as for `sum`."""
    t = tensor("prod", x)
    wanted = total_type(t.dtype) if dtype is None else element_type("prod", dtype)
    axes = axes_of("prod", axis, t.ndim)
    return _fold(folds.ReduceProd, converted(t, wanted), axes, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest; NaN wins; of nothing, the least value of the type.  Ties share gradients."""
    t = tensor("max", x)
    kind = folds.ReduceAny if t.dtype == bool_ else folds.ReduceMax
    return _fold(kind, t, axes_of("max", axis, t.ndim), keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest; NaN wins; of nothing, the greatest value of the type.  Ties share gradients."""
    t = tensor("min", x)
    kind = folds.ReduceAll if t.dtype == bool_ else folds.ReduceMin
    return _fold(kind, t, axes_of("min", axis, t.ndim), keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean; of nothing, nan.  Integers give f32; narrow floats are summed and divided in f32.

    >>> import graphc as gc
    >>> mean(gc.zeros((2, 3), gc.int32), axis=0).type
    f32[3]
    """
    t = tensor("mean", x)
    given = t.dtype if t.dtype.is_float else f32
    t = _wide(t)
    axes = axes_of("mean", axis, t.ndim)
    total = _fold(folds.ReduceSum, t, axes, keepdims)
    return converted(pw.divide(total, _count(t, axes)), given)


def _wide(t: Tensor) -> Tensor:
    """The tensor in a type to average in: at least f32."""
    return t if t.dtype.is_float and t.dtype.bits > 16 else converted(t, f32)


def _count(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The number of elements folded into one, in t's type."""
    return size_tensor(dim.product(tuple(t.shape[a] for a in axes)), t.dtype)


def var(x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The mean square distance from the mean, over n - `correction`; types as for `mean`."""
    t = tensor("var", x)
    given = t.dtype if t.dtype.is_float else f32
    t = _wide(t)
    axes = axes_of("var", axis, t.ndim)
    off = pw.subtract(t, mean(t, axes, keepdims=True))
    total = _fold(folds.ReduceSum, pw.multiply(off, off), axes, keepdims)
    count = _count(t, axes)
    if correction:
        count = pw.maximum(pw.subtract(count, float(correction)), 0.0)
    return converted(pw.divide(total, count), given)


def std(x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The square root of `var`; its derivative where the variance is 0 is 0, as in PyTorch."""
    spread = var(x, axis, correction, keepdims)
    return pw.where(pw.equal(spread, 0.0), 0.0, sqrt(spread))


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any holds (a number holds where it is not 0); of nothing, no."""
    t = _truth(tensor("any", x))
    return _fold(folds.ReduceAny, t, axes_of("any", axis, t.ndim), keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all hold (a number holds where it is not 0); of nothing, yes."""
    t = _truth(tensor("all", x))
    return _fold(folds.ReduceAll, t, axes_of("all", axis, t.ndim), keepdims)


def _truth(t: Tensor) -> Tensor:
    return t if t.dtype == bool_ else pw.not_equal(t, 0)


def count_nonzero(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0, in i64."""
    return sum(_truth(tensor("count_nonzero", x)), axis, None, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position (i64) of the largest: the first of equals, the first NaN if there is one.

    Without `axis`, the position among all elements.  Raises `ShapeError` for an empty axis.
    """
    return _position("argmax", folds.ReduceArgmax, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position (i64) of the smallest: the first of equals, the first NaN if there is one."""
    return _position("argmin", folds.ReduceArgmin, x, axis, keepdims)


def _position(what: str, kind: Any, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    t = tensor(what, x)
    values = converted(t, u8) if t.dtype == bool_ else t
    if axis is None:
        out = build(kind((0,)), (flatten(values),))
        return _kept(out, t, tuple(range(t.ndim))) if keepdims else out
    return _fold(kind, values, (axis_of(what, axis, t.ndim),), keepdims)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))), without overflow.

    >>> import graphc as gc
    >>> logsumexp(gc.zeros((2, 3)), axis=-1, keepdims=True).type
    f32[2,1]
    """
    t = tensor("logsumexp", x)
    if not t.dtype.is_float:
        raise DTypeError(f"logsumexp: {t.type} holds no floats; use gc.astype", user_location())
    axes = axes_of("logsumexp", axis, t.ndim)
    top = pw.stop_gradient(max(t, axes, keepdims=True))
    top = pw.where(isfinite(top), top, number(0, t.dtype))
    total = _fold(folds.ReduceSum, exp(pw.subtract(t, top)), axes, True)
    out = pw.add(log(total), top)
    return out if keepdims else reshape(out, t.type.without(axes).shape)
