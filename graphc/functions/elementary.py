"""Elementary functions of floats, under the array API's names.

Each takes a tensor (or an array, or a number) of a float type and gives one of its shape and type.
They raise `DTypeError` for other element types: convert with `gc.astype` first.
"""

from __future__ import annotations

from typing import Any

from graphc.frontend.arguments import apply
from graphc.frontend.tensor import Tensor
from graphc.ir.ops import elementary, rounding, trigonometry

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "rsqrt",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]


def exp(x: Any) -> Tensor:
    """e to the x."""
    return apply(elementary.exp, x)


def exp2(x: Any) -> Tensor:
    """2 to the x."""
    return apply(elementary.exp2, x)


def expm1(x: Any) -> Tensor:
    """exp(x) - 1, exact near 0."""
    return apply(elementary.expm1, x)


def log(x: Any) -> Tensor:
    """The natural logarithm; nan below 0, -inf at 0."""
    return apply(elementary.log, x)


def log2(x: Any) -> Tensor:
    """The logarithm to base 2."""
    return apply(elementary.log2, x)


def log10(x: Any) -> Tensor:
    """The logarithm to base 10."""
    return apply(elementary.log10, x)


def log1p(x: Any) -> Tensor:
    """log(1 + x), exact near 0."""
    return apply(elementary.log1p, x)


def sqrt(x: Any) -> Tensor:
    """The square root; nan below 0."""
    return apply(elementary.sqrt, x)


def rsqrt(x: Any) -> Tensor:
    """1 / sqrt(x)."""
    return apply(elementary.rsqrt, x)


def cbrt(x: Any) -> Tensor:
    """The cube root, of either sign."""
    return apply(elementary.cbrt, x)


def sin(x: Any) -> Tensor:
    """The sine."""
    return apply(trigonometry.sin, x)


def cos(x: Any) -> Tensor:
    """The cosine."""
    return apply(trigonometry.cos, x)


def tan(x: Any) -> Tensor:
    """The tangent."""
    return apply(trigonometry.tan, x)


def asin(x: Any) -> Tensor:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    return apply(trigonometry.asin, x)


def acos(x: Any) -> Tensor:
    """The angle in [0, pi] whose cosine is x."""
    return apply(trigonometry.acos, x)


def atan(x: Any) -> Tensor:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return apply(trigonometry.atan, x)


def sinh(x: Any) -> Tensor:
    """The hyperbolic sine."""
    return apply(trigonometry.sinh, x)


def cosh(x: Any) -> Tensor:
    """The hyperbolic cosine."""
    return apply(trigonometry.cosh, x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return apply(trigonometry.tanh, x)


def asinh(x: Any) -> Tensor:
    """The inverse of sinh."""
    return apply(trigonometry.asinh, x)


def acosh(x: Any) -> Tensor:
    """The inverse of cosh; nan below 1."""
    return apply(trigonometry.acosh, x)


def atanh(x: Any) -> Tensor:
    """The inverse of tanh; nan beyond ±1."""
    return apply(trigonometry.atanh, x)


def erf(x: Any) -> Tensor:
    """The error function."""
    return apply(elementary.erf, x)


def erfc(x: Any) -> Tensor:
    """1 - erf(x), without losing its tail."""
    return apply(elementary.erfc, x)


def isnan(x: Any) -> Tensor:
    """Whether x is NaN."""
    return apply(rounding.isnan, x)


def isinf(x: Any) -> Tensor:
    """Whether x is inf or -inf."""
    return apply(rounding.isinf, x)


def isfinite(x: Any) -> Tensor:
    """Whether x is neither NaN nor infinite."""
    return apply(rounding.isfinite, x)
