"""Angles: trigonometric and hyperbolic functions of floats, and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.op import Pointwise, sample
from graphc.ir.ops.elementary import FLOAT_SAMPLES, UNIT_SAMPLES, Elementary, sqrt
from graphc.ir.ops.logic import equal, quiet
from graphc.ir.ops.pointwise import where
from graphc.ir.types import FLOATS, f32, f64


class Sin(Elementary):
    """The sine."""

    spelling, cost, samples = "sin({0})", 12, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.sin)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * cos(x),)


class Cos(Elementary):
    """The cosine."""

    spelling, cost, samples = "cos({0})", 12, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.cos)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (-ct * sin(x),)


class Tan(Elementary):
    """The tangent."""

    spelling, cost, samples = "tan({0})", 16, UNIT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.tan)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * (out * out + 1.0),)


class Asin(Elementary):
    """The angle in [-pi/2, pi/2] whose sine is x."""

    spelling, cost, samples = "asin({0})", 16, UNIT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.arcsin)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / sqrt(1.0 - x * x),)


class Acos(Elementary):
    """The angle in [0, pi] whose cosine is x."""

    spelling, cost, samples = "acos({0})", 16, UNIT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.arccos)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (-ct / sqrt(1.0 - x * x),)


class Atan(Elementary):
    """The angle in (-pi/2, pi/2) whose tangent is x."""

    spelling, cost, samples = "atan({0})", 16, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.arctan)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (x * x + 1.0),)


class Sinh(Elementary):
    """The hyperbolic sine."""

    spelling, cost, samples = "sinh({0})", 14, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.sinh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * cosh(x),)


class Cosh(Elementary):
    """The hyperbolic cosine."""

    spelling, cost, samples = "cosh({0})", 14, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.cosh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * sinh(x),)


class Tanh(Elementary):
    """The hyperbolic tangent."""

    spelling, cost, samples = "tanh({0})", 10, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.tanh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * (1.0 - out * out),)


class Asinh(Elementary):
    """The inverse of sinh."""

    spelling, cost, samples = "asinh({0})", 16, FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.arcsinh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / sqrt(x * x + 1.0),)


class Acosh(Elementary):
    """The inverse of cosh; nan below 1."""

    spelling, cost = "acosh({0})", 16
    samples = (sample(f32[9], low=1.5, high=4), sample(f64[3], low=1.5, high=4))

    def reference(self, x: Any) -> Any:
        return quiet(np.arccosh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / sqrt(x * x - 1.0),)


class Atanh(Elementary):
    """The inverse of tanh; nan beyond ±1."""

    spelling, cost, samples = "atanh({0})", 16, UNIT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.arctanh)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct / (1.0 - x * x),)


class Atan2(Pointwise):
    """The angle of the point (y, x); its gradient at (0, 0) is 0."""

    accepts, spelling, cost, exact = FLOATS, "atan2({0}, {1})", 24, False
    samples = (sample(f32[9], f32[9]), sample(f64[5], f64[5]))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.arctan2)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        square = x * x + y * y
        zero = equal(square, 0.0)
        safe = where(zero, 1.0, square)
        return ct * where(zero, 0.0, y / safe), ct * where(zero, 0.0, -x / safe)


sin, cos, tan = Sin(), Cos(), Tan()
asin, acos, atan, atan2 = Asin(), Acos(), Atan(), Atan2()
sinh, cosh, tanh = Sinh(), Cosh(), Tanh()
asinh, acosh, atanh = Asinh(), Acosh(), Atanh()
