"""The functions whose error is measured, as users call them: their exact values, the bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from support import wide_erf
from support.accuracy import BARS, EVERYWHERE, RANGES, exact

import graphc as gc
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.nn import functional as F  # noqa: N812

Scale = Callable[..., Any]
HALF = 0.51  # narrow floats are computed in f32 and rounded once
SPELLED = {"power": gc.pow, "rint": gc.round, "sigmoid": F.sigmoid}  # else as in the table
# of ops that are defined by others, and do not use the function of the table
OPS_OWN = {"hypot": (2.5, 2.5), "rsqrt": BARS["rsqrt"]}
ROUNDED = ("floor", "ceil", "rint", "trunc")


@dataclass(frozen=True)
class Measured:
    """A function of floats: what users call, what it should give, how far it may be off.

    The error is in units of the exact result, or of `scale` where that is larger: a difference of
    two large numbers knows their last places, and no better.  `scale` is a function of the type's
    least normal number and of the operands.
    """

    call: Callable[..., Any]
    exact: Callable[..., Any]  # of wide floats
    bars: tuple[float, float]  # f32, f64
    halves: float = HALF  # f16, bf16
    arity: int = 1
    spans: tuple[tuple[float, float], tuple[float, float]] = EVERYWHERE
    scale: Scale | None = None
    signed: bool = False  # whether the sign of a zero counts

    def bar(self, dtype: str) -> float:
        """The most that the function may be off in an element type."""
        return {"f32": self.bars[0], "f64": self.bars[1]}.get(dtype, self.halves)


def listed(name: str) -> Measured:
    """A function of the table of `mathlib`."""
    row = FUNCTIONS[name]
    bars = (0.0, 0.0) if name in ROUNDED else OPS_OWN.get(name) or BARS.get(name, (0.5, 0.5))
    return Measured(
        SPELLED.get(name) or getattr(gc, name),
        EXACT.get(name) or (lambda *wide: exact(name, *wide)),
        bars,
        0.0 if name in ROUNDED else HALF,
        row.arity,
        RANGES.get(name, EVERYWHERE),
        signed=True,
    )


# ---- exact values, in the floats they are given


def softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros_like(x))


def expit(x: Any) -> Any:
    return exact("sigmoid", x)


def threshold_softplus(x: Any) -> Any:
    return np.where(x > 20, x, softplus(x))


def gelu(x: Any) -> Any:
    return x / 2 * wide_erf.erfc(-x / np.sqrt(np.longdouble(2))).astype(x.dtype)


def gelu_tanh(x: Any) -> Any:
    root = np.sqrt(2 / np.longdouble(str(wide_erf.PI))).astype(x.dtype)
    return x / 2 * (1 + np.tanh(root * (x + x * x * x * 0.044715)))


def elu(x: Any, alpha: float = 1.0, width: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / width))


def sinc(x: Any) -> Any:
    pi = np.longdouble(str(wide_erf.PI)).astype(x.dtype)
    inside = np.where(x == 0, 1, x)
    return np.where(x == 0, 1, np.sin(pi * (x - 2 * np.rint(x / 2))) / (pi * inside))


def turned(degrees: float) -> Callable[[Any], Any]:
    return lambda x: x * (np.longdouble(str(wide_erf.PI)).astype(x.dtype) / degrees)


def turned_back(x: Any) -> Any:
    return x * (180 / np.longdouble(str(wide_erf.PI)).astype(x.dtype))


EXACT: Mapping[str, Callable[..., Any]] = {
    "erf": lambda x: wide_erf.erf(x).astype(x.dtype),
    "erfc": lambda x: wide_erf.erfc(x).astype(x.dtype),
}


def largest(tiny: float, *wide: Any) -> Any:
    """The largest operand."""
    return np.fmax.reduce([abs(v) for v in wide])


def one(tiny: float, x: Any) -> Any:
    return np.ones_like(x)


def least_product(tiny: float, x: Any) -> Any:
    """x times the least normal number: below, a factor of x has lost its last places."""
    return abs(x) * tiny


SIGMOID_SPANS, TANH_SPANS = RANGES["sigmoid"], ((-12.0, 12.0), (-40.0, 40.0))
COMPOSED: Mapping[str, Measured] = {
    "divide": Measured(gc.divide, np.divide, (0.5, 0.5), arity=2, signed=True),
    "reciprocal": Measured(gc.reciprocal, lambda x: 1 / x, (0.5, 0.5), signed=True),
    "square": Measured(gc.square, np.square, (0.5, 0.5), signed=True),
    "remainder": Measured(gc.remainder, np.remainder, (0.5, 0.5), arity=2),
    "floor_divide": Measured(gc.floor_divide, np.floor_divide, (2, 2), arity=2),  # as NumPy's
    "deg2rad": Measured(gc.deg2rad, turned(180), (1.5, 1.5), 1.5),
    "rad2deg": Measured(gc.rad2deg, turned_back, (1.5, 1.5), 1.5),
    "logaddexp": Measured(gc.logaddexp, np.logaddexp, (3, 3), 2, 2, TANH_SPANS, largest),
    "sinc": Measured(gc.sinc, sinc, (2, 2), 2, scale=one),
    "softplus": Measured(F.softplus, threshold_softplus, (2, 2), spans=SIGMOID_SPANS),
    "logsigmoid": Measured(F.logsigmoid, lambda x: -softplus(-x), (2, 2), spans=SIGMOID_SPANS),
    "silu": Measured(
        F.silu, lambda x: x * expit(x), (3.5, 3.5), 2, 1, SIGMOID_SPANS, least_product
    ),
    "mish": Measured(
        F.mish, lambda x: x * np.tanh(softplus(x)), (4, 4), 2, 1, SIGMOID_SPANS, least_product
    ),
    "gelu": Measured(F.gelu, gelu, (2, 2), 2, spans=TANH_SPANS, scale=largest),
    "gelu (tanh)": Measured(
        lambda x: F.gelu(x, approximate="tanh"), gelu_tanh, (2, 2), 2, 1, TANH_SPANS, largest
    ),
    "tanhshrink": Measured(
        F.tanhshrink, lambda x: x - np.tanh(x), (2, 2), 2, 1, TANH_SPANS, largest
    ),
    "softsign": Measured(F.softsign, lambda x: x / (1 + abs(x)), (2, 2), 2),
    "elu": Measured(F.elu, elu, (1.6, 1.75), 1, spans=TANH_SPANS),
    "selu": Measured(
        F.selu,
        lambda x: elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946,
        (4, 4),
        3,
        spans=TANH_SPANS,
    ),
    "celu (alpha 1.5)": Measured(
        lambda x: F.celu(x, 1.5), lambda x: elu(x, 1.5, 1.5), (4, 4), 2, spans=TANH_SPANS
    ),
}
MEASURED: Mapping[str, Measured] = {**{n: listed(n) for n in FUNCTIONS}, **COMPOSED}
