"""Rounding and classification of floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.ops.elementary import FLOAT_SAMPLES
from graphc.ir.ops.logic import Unary, equal, quiet
from graphc.ir.ops.pointwise import absolute
from graphc.ir.types import FLOATS, DType, bool_


class Rounding(Unary, abstract=True):
    """A float operand, an integral float; no gradient."""

    accepts, differentiable = FLOATS, False


class Floor(Rounding):
    """The greatest integer not above x."""

    spelling, samples = "floor({0})", FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.floor)(x)


class Ceil(Rounding):
    """The least integer not below x."""

    spelling, samples = "ceil({0})", FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.ceil)(x)


class Round(Rounding):
    """The nearest integer, halves to even."""

    spelling, samples = "rint({0})", FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.round)(x)


class Trunc(Rounding):
    """x without its fraction."""

    spelling, samples = "trunc({0})", FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.trunc)(x)


class Classify(Unary, abstract=True):
    """One float operand, a truth value."""

    accepts, differentiable = FLOATS, False

    def result(self, *dtypes: DType) -> DType:
        return bool_


class Isnan(Classify):
    """Whether x is NaN."""

    spelling, samples = "({0} != {0})", FLOAT_SAMPLES

    def reference(self, x: Any) -> Any:
        return quiet(np.isnan)(x)


class Isinf(Classify):
    """Whether x is inf or -inf."""

    samples = FLOAT_SAMPLES

    def scalar(self, *args: Any) -> Any:
        return equal(absolute(args[0]), math.inf)

    def reference(self, x: Any) -> Any:
        return quiet(np.isinf)(x)


class Isfinite(Classify):
    """Whether x is neither NaN nor infinite."""

    samples = FLOAT_SAMPLES

    def scalar(self, *args: Any) -> Any:
        return absolute(args[0]) < math.inf

    def reference(self, x: Any) -> Any:
        return quiet(np.isfinite)(x)


floor, ceil, round, trunc = Floor(), Ceil(), Round(), Trunc()
isnan, isinf, isfinite = Isnan(), Isinf(), Isfinite()
