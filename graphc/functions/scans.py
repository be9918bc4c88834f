"""Running folds along an axis.

`reverse` runs from the end of the axis.  All raise `ShapeError` for an axis out of range (and for
none, where x has several) and `DTypeError` for element types they do not take.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, converted, element_type, flag, same_type, tensor
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw
from graphc.functions.elementary import exp, isfinite, log
from graphc.functions.reductions import total_type
from graphc.functions.shaping import flatten
from graphc.ir.ops import scan
from graphc.ir.ops.shape import Pad
from graphc.ir.types import bool_, u8

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "linear_recurrence",
    "logcumsumexp",
]


def cumulative_sum(
    x: Any,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
    reverse: bool = False,
    exclusive: bool = False,
) -> Tensor:
    """The sums of the elements up to each one.  Element types as for `sum`; narrow floats are
    summed in f32 and rounded once each.

    `include_initial` puts the empty sum in front, and the axis grows by 1; `exclusive` leaves out
    the element itself (with both: as `include_initial`); `reverse` sums from each element to the
    end, so the empty sum is then last.

    >>> import graphc as gc
    >>> cumulative_sum(gc.zeros((2, 3), gc.int8), axis=1, include_initial=True).type
    i64[2,4]
    """
    return _running(
        "cumulative_sum", scan.CumulativeSum, 0, x, axis, dtype, include_initial, reverse, exclusive
    )


def cumulative_prod(
    x: Any,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
    reverse: bool = False,
    exclusive: bool = False,
) -> Tensor:
    """The products of the elements up to each one; arguments as for `cumulative_sum`.  Gradients
    are exact where factors are 0.

    >>> import graphc as gc
    >>> cumulative_prod(gc.ones((3,)), exclusive=True).type
    f32[3]
    """
    return _running(
        "cumulative_prod",
        scan.CumulativeProd,
        1,
        x,
        axis,
        dtype,
        include_initial,
        reverse,
        exclusive,
    )


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """NumPy's `cumsum`: `cumulative_sum`, and without `axis` of x flattened.

    >>> import graphc as gc
    >>> cumsum(gc.zeros((2, 3))).type
    f32[6]
    """
    t, along = _flat("cumsum", x, axis)
    return cumulative_sum(t, along, dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """NumPy's `cumprod`: `cumulative_prod`, and without `axis` of x flattened."""
    t, along = _flat("cumprod", x, axis)
    return cumulative_prod(t, along, dtype)


def cummax(x: Any, axis: int | None = None, reverse: bool = False) -> Tensor:
    """The largest element up to each one (NumPy: `maximum.accumulate`); NaN wins, and stays.

    The gradient goes to the last of equals.  Without `axis`, x is flattened.

    >>> import graphc as gc
    >>> cummax(gc.zeros((2, 3)), axis=0).type
    f32[2,3]
    """
    return _extreme("cummax", scan.CumulativeMax, x, axis, reverse)


def cummin(x: Any, axis: int | None = None, reverse: bool = False) -> Tensor:
    """The smallest element up to each one (NumPy: `minimum.accumulate`); NaN wins, and stays."""
    return _extreme("cummin", scan.CumulativeMin, x, axis, reverse)


def linear_recurrence(a: Any, b: Any, axis: int = -1, reverse: bool = False) -> Tensor:
    """y[j] = a[j] * y[j-1] + b[j] along an axis, with y[0] = b[0]; with `reverse`, y[j+1] for
    y[j-1].  An exponential moving average, for one, or a diagonal state space.

    Operands are floats and broadcast; those of narrow floats are folded in f32.

    >>> import graphc as gc
    >>> linear_recurrence(0.9, gc.ones((2, 5))).type
    f32[2,5]
    """
    what = "linear_recurrence"
    y = tensor(what, b)
    factor = tensor(what, a, y.dtype if isinstance(a, int | float) and y.dtype.is_float else None)
    x, y = same_type(what, factor, y)
    _floats(what, x)
    shape = broadcast_shapes(what, [x.shape, y.shape])
    along = axis_of(what, axis, len(shape))
    wide = x.dtype.accumulates
    operands = (broadcast_to(converted(v, wide), shape) for v in (x, y))
    op = scan.LinearRecurrence(along, flag(what, "reverse", reverse))
    return converted(build(op, tuple(operands)), x.dtype)


def logcumsumexp(x: Any, axis: int = -1, reverse: bool = False) -> Tensor:
    """log(cumulative_sum(exp(x))), without overflow.

    The sums are kept relative to the largest element so far, which a recurrence does: s[j] =
    exp(m[j-1] - m[j]) * s[j-1] + exp(x[j] - m[j]).

    >>> import graphc as gc
    >>> logcumsumexp(gc.zeros((2, 3)), axis=1).type
    f32[2,3]
    """
    what = "logcumsumexp"
    given = tensor(what, x)
    _floats(what, given)
    along = axis_of(what, axis, given.ndim)
    t = converted(given, given.dtype.accumulates)
    top = pw.stop_gradient(cummax(t, along, reverse))
    by = -1 if reverse else 1
    before: Tensor = scan.shifted(top, along, by, float("-inf"))
    safe, safe_before = (pw.where(isfinite(m), m, 0.0) for m in (top, before))
    decay = pw.where(pw.equal(before, float("-inf")), 0.0, exp(pw.subtract(safe_before, safe)))
    total = linear_recurrence(decay, exp(pw.subtract(t, safe)), along, reverse)
    none = pw.equal(total, 0.0)  # all -inf so far: no gradient, and none that is inf on the way
    out = pw.where(none, float("-inf"), pw.add(log(pw.where(none, 1.0, total)), safe))
    return converted(out, given.dtype)


def _floats(what: str, t: Tensor) -> None:
    if not t.dtype.is_float:
        raise DTypeError(f"{what}: {t.type} holds no floats; use gc.astype", user_location())


def _flat(what: str, x: Any, axis: Any) -> tuple[Tensor, int]:
    t = tensor(what, x)
    return (flatten(t), 0) if axis is None else (t, axis_of(what, axis, t.ndim))


def _running(
    what: str,
    kind: Any,
    start: int,
    x: Any,
    axis: Any,
    dtype: Any,
    include_initial: Any,
    reverse: Any,
    exclusive: Any,
) -> Tensor:
    t = tensor(what, x)
    if axis is None and t.ndim != 1:
        raise ShapeError(f"{what}: axis is missing: {t.type} has {t.ndim} axes", user_location())
    along = axis_of(what, 0 if axis is None else axis, t.ndim)
    backwards = flag(what, "reverse", reverse)
    grows, out = flag(what, "include_initial", include_initial), flag(what, "exclusive", exclusive)
    wanted = total_type(t.dtype) if dtype is None else element_type(what, dtype)
    if wanted == bool_:
        raise DTypeError(f"{what}: dtype bool holds no numbers", user_location())
    done = build(kind(along, backwards), (converted(t, wanted.accumulates),))
    done = converted(done, wanted)
    if not grows and not out:
        return done
    ends = (1, 0 if grows else -1)
    widths = tuple(reversed(ends)) if backwards else ends
    low, high = (tuple(w if a == along else 0 for a in range(t.ndim)) for w in widths)
    return build(Pad(low, high, float(start) if wanted.is_float else start), (done,))


def _extreme(what: str, kind: Any, x: Any, axis: Any, reverse: Any) -> Tensor:
    t, along = _flat(what, x, axis)
    values = converted(t, u8) if t.dtype == bool_ else t
    return converted(build(kind(along, flag(what, "reverse", reverse)), (values,)), t.dtype)
