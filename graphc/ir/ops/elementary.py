"""Elementary functions of floats: exponentials, logarithms, roots, powers, error functions.

Each is evaluated by graphc's own branch-free code (`codegen/mathlib/function_table.py`), which
also bounds its error.  NumPy (and `math`, for erf and erfc) is the meaning.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.op import Pointwise, sample
from graphc.ir.ops.logic import (
    Unary,
    equal,
    greater,
    is_float,
    logical_and,
    logical_or,
    quiet,
    widened,
)
from graphc.ir.ops.pointwise import absolute, maximum, where
from graphc.ir.types import FLOATS, NUMBERS, f32, f64, i32

FLOAT_SAMPLES = (sample(f32[33]), sample(f64[2, 3]), sample(f32[()]), sample(f32[0, 3]))
UNIT_SAMPLES = (sample(f32[33], low=-0.9, high=0.9), sample(f64[5], low=-0.9, high=0.9))
POSITIVE_SAMPLES = (sample(f32[33], low=0.1, high=4), sample(f64[5], low=0.1, high=4))


class Elementary(Unary, abstract=True):
    """One float operand, one float result."""

    accepts, exact = FLOATS, False


class Exp(Elementary):
    """e to the x."""

    spelling, cost, samples = "exp({0})", 8, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.exp)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * out,)


class Exp2(Elementary):
    """2 to the x."""

    spelling, cost, samples = "exp2({0})", 8, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.exp2)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * out * math.log(2),)


class Expm1(Elementary):
    """exp(x) - 1, exact near 0."""

    spelling, cost, samples = "expm1({0})", 10, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.expm1)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * (out + 1.0),)


class Log(Elementary):
    """The natural logarithm; nan below 0, -inf at 0."""

    spelling, cost, samples = "log({0})", 8, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.log)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / x,)


class Log2(Elementary):
    """The logarithm to base 2."""

    spelling, cost, samples = "log2({0})", 8, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.log2)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (x * math.log(2)),)


class Log10(Elementary):
    """The logarithm to base 10."""

    spelling, cost, samples = "log10({0})", 8, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.log10)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (x * math.log(10)),)


class Log1p(Elementary):
    """log(1 + x), exact near 0."""

    spelling, cost, samples = "log1p({0})", 10, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.log1p)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (x + 1.0),)


class Sqrt(Elementary):
    """The square root; nan below 0."""

    spelling, cost, samples = "sqrt({0})", 4, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.sqrt)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * 0.5 / out,)


class Cbrt(Elementary):
    """The cube root, of either sign."""

    spelling, cost, samples = "cbrt({0})", 10, POSITIVE_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.cbrt)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (3.0 * out * out),)


class Rsqrt(Elementary):
    """1 / sqrt(x)."""

    cost, samples = 8, POSITIVE_SAMPLES

    def scalar(self, *args: Any) -> Any:
        return 1.0 / sqrt(args[0])

    def reference(self, x: Any) -> Any:
        return quiet(lambda v: 1 / np.sqrt(v))(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * -0.5 * out / x,)


class Erf(Elementary):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    spelling, cost, samples = "erf({0})", 14, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return _each(math.erf, x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * (2 / math.sqrt(math.pi)) * exp(-x * x),)


class Erfc(Elementary):
    """1 - erf(x), without losing its tail."""

    spelling, cost, samples = "erfc({0})", 16, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return _each(math.erfc, x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * (-2 / math.sqrt(math.pi)) * exp(-x * x),)


def _each(function: Any, x: Any) -> Any:
    wide = np.asarray(x, np.float64)
    values = np.array([function(float(v)) for v in wide.ravel()], np.float64)
    return values.reshape(wide.shape).astype(widened(x).dtype).astype(x.dtype)


class Sigmoid(Elementary):
    """1 / (1 + exp(-x))."""

    spelling, cost, samples = "sigmoid({0})", 10, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(_sigmoid)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * out * (1.0 - out),)


def _sigmoid(x: Any) -> Any:
    wide = x.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return (np.where(wide >= 0, 1, small) / (1 + small)).astype(x.dtype)


class Softplus(Elementary):
    """log(1 + exp(x)), without overflow and without losing its tail."""

    cost, samples = 20, FLOAT_SAMPLES

    def scalar(self, *args: Any) -> Any:
        (x,) = args
        return maximum(x, 0.0) + log1p(exp(-absolute(x)))

    def reference(self, x: Any) -> Any:
        return quiet(np.logaddexp)(x, np.zeros((), x.dtype))

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * sigmoid(x),)


class Relu(Unary):
    """max(x, 0); NaN stays; its gradient at 0 is 0."""

    accepts, samples = NUMBERS, (*FLOAT_SAMPLES, sample(i32[5]))

    def scalar(self, *args: Any) -> Any:
        return maximum(args[0], 0)

    def reference(self, x: Any) -> Any:
        zero = np.zeros((), x.dtype)
        return np.where(x == 0, zero, quiet(np.maximum)(x, zero))

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (where(greater(out, 0.0), ct, 0.0),)


class Power(Pointwise):
    """x to the y.  Integers wrap, and a negative exponent gives the truncated value (0, 1 or -1).

    The gradient by y is 0 where x is not above 0; powers of negative x by non-integers are nan.
    """

    accepts, spelling, cost, exact = NUMBERS, "power({0}, {1})", 20, False
    samples = (
        sample(f32[9], f32[9], low=0.2, high=3),
        sample(f64[5], f64[5], low=0.2, high=3),
        sample(i32[9], i32[9], low=-4, high=5),
    )

    def reference(self, x: Any, y: Any) -> Any:
        if is_float(x):
            return quiet(np.power)(x, y)
        base = quiet(np.power)(x, np.maximum(y, 0).astype(y.dtype))
        flip = np.where(y % 2 == 0, 1, -1)
        unit = np.where(x == 1, 1, np.where(x == -1, flip, 0)).astype(x.dtype)
        return np.where(y < 0, unit, base)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        flat = logical_and(equal(x, 0.0), equal(y, 0.0))  # 0 * 0**-1 is no number
        dx = ct * y * power(x, where(flat, 1.0, y - 1.0))
        usable = greater(x, 0.0)
        dy = where(usable, ct * out * log(where(usable, x, 1.0)), 0.0)
        return dx, dy


class Hypot(Pointwise):
    """sqrt(x^2 + y^2), without overflow on the way; its gradient at (0, 0) is 0."""

    accepts, cost, exact = FLOATS, 20, False
    samples = (sample(f32[9], f32[9]), sample(f64[5], f64[5]))

    def scalar(self, *args: Any) -> Any:
        x, y = absolute(args[0]), absolute(args[1])
        big, small = maximum(x, y), where(x < y, x, y)
        plain = logical_and(big > 0.0, big < math.inf)
        ratio = small / where(plain, big, 1.0)
        infinite = logical_or(equal(x, math.inf), equal(y, math.inf))
        return where(infinite, math.inf, where(plain, big * sqrt(ratio * ratio + 1.0), big))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.hypot)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        zero = equal(out, 0.0)
        safe = where(zero, 1.0, out)
        return ct * where(zero, 0.0, x / safe), ct * where(zero, 0.0, y / safe)


exp, exp2, expm1 = Exp(), Exp2(), Expm1()
log, log2, log10, log1p = Log(), Log2(), Log10(), Log1p()
sqrt, cbrt, rsqrt, hypot, power = Sqrt(), Cbrt(), Rsqrt(), Hypot(), Power()
erf, erfc, sigmoid, softplus, relu = Erf(), Erfc(), Sigmoid(), Softplus(), Relu()
