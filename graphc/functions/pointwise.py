"""Elementwise functions, under the array API's names.

All take tensors, arrays and numbers, broadcast them by NumPy's rule and promote their element types
by table 1 of docs/semantics.md.  They raise `ShapeError` for shapes that do not broadcast and
`DTypeError` for element types that the operation does not take.
"""

from __future__ import annotations

from typing import Any

from graphc.frontend.arguments import apply, converted, element_type, tensor
from graphc.frontend.tensor import Tensor
from graphc.ir.ops import elementary, logic, pointwise as arithmetic, rounding, trigonometry
from graphc.ir.types import bool_

__all__ = [
    "abs",
    "add",
    "astype",
    "atan2",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "cast",
    "ceil",
    "clip",
    "divide",
    "equal",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isclose",
    "less",
    "less_equal",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "square",
    "stop_gradient",
    "subtract",
    "trunc",
    "where",
]


def add(x1: Any, x2: Any) -> Tensor:
    """x1 + x2.  Integers wrap.

    >>> import graphc as gc
    >>> gc.add(gc.ones((2, 1)), [1.0, 2.0, 3.0]).type
    f32[2,3]
    """
    return apply(arithmetic.add, x1, x2)


def subtract(x1: Any, x2: Any) -> Tensor:
    """x1 - x2.  Integers wrap."""
    return apply(arithmetic.subtract, x1, x2)


def multiply(x1: Any, x2: Any) -> Tensor:
    """x1 * x2.  Integers wrap."""
    return apply(arithmetic.multiply, x1, x2)


def divide(x1: Any, x2: Any) -> Tensor:
    """x1 / x2 as floats: integers become f32 (i64 and u64: f64)."""
    return apply(arithmetic.divide, x1, x2)


def floor_divide(x1: Any, x2: Any) -> Tensor:
    """floor(x1 / x2).  Integers: by zero it is 0.  No gradient flows."""
    return apply(arithmetic.floor_divide, x1, x2)


def remainder(x1: Any, x2: Any) -> Tensor:
    """x1 - floor(x1 / x2) * x2, with the sign of x2.  Integers: by zero it is 0."""
    return apply(arithmetic.remainder, x1, x2)


def negative(x: Any) -> Tensor:
    """-x."""
    return apply(arithmetic.negative, x)


def positive(x: Any) -> Tensor:
    """x."""
    return tensor("positive", x)


def abs(x: Any) -> Tensor:
    """|x|; its gradient at 0 is 0."""
    return apply(arithmetic.absolute, x)


def sign(x: Any) -> Tensor:
    """-1, 0 or 1; nan for nan.  No gradient flows."""
    return apply(arithmetic.sign, x)


def maximum(x1: Any, x2: Any) -> Tensor:
    """The larger; NaN wins.  At a tie both get half of the gradient."""
    return apply(arithmetic.maximum, x1, x2)


def minimum(x1: Any, x2: Any) -> Tensor:
    """The smaller; NaN wins.  At a tie both get half of the gradient."""
    return apply(arithmetic.minimum, x1, x2)


def clip(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """x, at least `min` and at most `max` (None: no bound); `max` wins where they cross.

    >>> import graphc as gc
    >>> gc.clip(gc.zeros((3,)), 0.0, 1.0).type
    f32[3]
    """
    out = tensor("clip", x)
    out = out if min is None else maximum(out, min)
    return out if max is None else minimum(out, max)


def where(condition: Any, x1: Any, x2: Any) -> Tensor:
    """x1 where the condition (bool) holds, else x2.  What is not taken gets gradient exactly 0."""
    first = x1 if isinstance(x2, Tensor) else tensor("where", x1)
    return apply(arithmetic.where, tensor("where", condition), first, x2)


def astype(x: Any, dtype: Any) -> Tensor:
    """x in another element type: float to integer truncates and saturates, NaN becomes 0.

    >>> import graphc as gc
    >>> gc.astype(gc.zeros((3,)), gc.int32).type
    i32[3]
    """
    return converted(tensor("astype", x), element_type("astype", dtype))


cast = astype


def stop_gradient(x: Any) -> Tensor:
    """x itself, through which no gradient flows."""
    return apply(arithmetic.stop_gradient, tensor("stop_gradient", x))


def equal(x1: Any, x2: Any) -> Tensor:
    """x1 == x2, elementwise."""
    return apply(logic.equal, x1, x2)


def not_equal(x1: Any, x2: Any) -> Tensor:
    """x1 != x2, elementwise."""
    return apply(logic.not_equal, x1, x2)


def less(x1: Any, x2: Any) -> Tensor:
    """x1 < x2."""
    return apply(logic.less, x1, x2)


def less_equal(x1: Any, x2: Any) -> Tensor:
    """x1 <= x2."""
    return apply(logic.less_equal, x1, x2)


def greater(x1: Any, x2: Any) -> Tensor:
    """x1 > x2."""
    return apply(logic.greater, x1, x2)


def greater_equal(x1: Any, x2: Any) -> Tensor:
    """x1 >= x2."""
    return apply(logic.greater_equal, x1, x2)


def logical_and(x1: Any, x2: Any) -> Tensor:
    """Both, of truth values."""
    return apply(logic.logical_and, x1, x2)


def logical_or(x1: Any, x2: Any) -> Tensor:
    """Either, of truth values."""
    return apply(logic.logical_or, x1, x2)


def logical_xor(x1: Any, x2: Any) -> Tensor:
    """One but not both, of truth values."""
    return apply(logic.logical_xor, x1, x2)


def logical_not(x: Any) -> Tensor:
    """Not x, a truth value."""
    return apply(logic.logical_not, x)


def bitwise_and(x1: Any, x2: Any) -> Tensor:
    """The bits set in both integers; for truth values, `logical_and`."""
    return _bits(logic.logical_and, logic.bitwise_and, x1, x2)


def bitwise_or(x1: Any, x2: Any) -> Tensor:
    """The bits set in either integer; for truth values, `logical_or`."""
    return _bits(logic.logical_or, logic.bitwise_or, x1, x2)


def bitwise_xor(x1: Any, x2: Any) -> Tensor:
    """The bits that differ; for truth values, `logical_xor`."""
    return _bits(logic.logical_xor, logic.bitwise_xor, x1, x2)


def bitwise_invert(x: Any) -> Tensor:
    """All bits flipped; for truth values, `logical_not`."""
    return _bits(logic.logical_not, logic.bitwise_invert, x)


def _bits(of_truth: Any, of_integers: Any, *args: Any) -> Tensor:
    made = [a if isinstance(a, int) else tensor(of_integers.name, a) for a in args]
    truth = all(isinstance(a, bool) or (isinstance(a, Tensor) and a.dtype == bool_) for a in made)
    return apply(of_truth if truth else of_integers, *made)


def bitwise_left_shift(x1: Any, x2: Any) -> Tensor:
    """x1 * 2**x2, wrapping; 0 where x2 is negative or not below the number of bits."""
    return apply(logic.bitwise_left_shift, x1, x2)


def bitwise_right_shift(x1: Any, x2: Any) -> Tensor:
    """floor(x1 / 2**x2)."""
    return apply(logic.bitwise_right_shift, x1, x2)


def square(x: Any) -> Tensor:
    """x * x."""
    t = tensor("square", x)
    return apply(arithmetic.multiply, t, t)


def reciprocal(x: Any) -> Tensor:
    """1 / x."""
    return apply(arithmetic.divide, 1, tensor("reciprocal", x))


def pow(x1: Any, x2: Any) -> Tensor:
    """x1 to the power x2.  The gradient by x2 is 0 where x1 is not positive."""
    return apply(elementary.power, x1, x2)


def atan2(x1: Any, x2: Any) -> Tensor:
    """The angle of the point (x2, x1)."""
    return apply(trigonometry.atan2, x1, x2)


def hypot(x1: Any, x2: Any) -> Tensor:
    """sqrt(x1**2 + x2**2), without overflow on the way."""
    return apply(elementary.hypot, x1, x2)


def logaddexp(x1: Any, x2: Any) -> Tensor:
    """log(exp(x1) + exp(x2)), without overflow."""
    a, b = tensor("logaddexp", x1), tensor("logaddexp", x2)
    first = greater(a, b)
    big, small = where(first, a, b), where(first, b, a)  # no kink: equals have a second derivative
    gap = where(
        equal(big, small) & apply(rounding.isinf, big), 0.0, subtract(small, big)
    )  # inf - inf is nan
    return add(big, apply(elementary.softplus, gap))


def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol * |x2|; infinities are close to themselves only."""
    a, b = tensor("isclose", x1), tensor("isclose", x2)
    if not (a.dtype.is_float or b.dtype.is_float):
        a, b = divide(a, 1), divide(b, 1)
    near = less_equal(abs(subtract(a, b)), add(multiply(abs(b), rtol), atol))
    same = logical_or(equal(a, b), logical_and(near, less(abs(b), float("inf"))))
    both = logical_and(not_equal(a, a), not_equal(b, b))
    return logical_or(same, both) if equal_nan else same


def floor(x: Any) -> Tensor:
    """The greatest integer not above x; integers stay."""
    return _rounded(rounding.floor, x)


def ceil(x: Any) -> Tensor:
    """The least integer not below x; integers stay."""
    return _rounded(rounding.ceil, x)


def round(x: Any) -> Tensor:
    """The nearest integer, halves to even; integers stay."""
    return _rounded(rounding.round, x)


def trunc(x: Any) -> Tensor:
    """x without its fraction; integers stay."""
    return _rounded(rounding.trunc, x)


def _rounded(op: Any, x: Any) -> Tensor:
    t = tensor(op.name, x)
    return t if t.dtype.is_integer else apply(op, t)
