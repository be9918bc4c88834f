"""The table of the scalar functions of floats: exp, tanh, erf, sin, sqrt, ...

One row says all that graphc knows of a function; every namespace, printer and translator derives
its own names from here.  A new function is a definition (`exponential`, `trigonometric`), a row, an
op in `ir/ops`, and its public name in `graphc.functions`.

A function takes f32 and gives f32, or takes f64 and gives f64: narrow floats are computed in f32.
Invariant: a function's bits do not depend on the vector width, nor on the place in the loop.
Invariant: results at +-0, +-inf, nan and denormals are NumPy's; nothing is flushed to zero.
Deliberately absent: libm.  fma is an instruction on every target we speed up; without it LLVM
calls the C library's, which is correct but slow.  Absent, too: what also takes integers and is
written out for them (`maximum`, `floor_divide`, ...): that is in each target's `scalars`.

>>> FUNCTIONS["atan2"].arity, FUNCTIONS["sqrt"].definition
(2, None)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from graphc.codegen.mathlib import exponential as ex, trigonometric as tr
from graphc.codegen.mathlib.scalar import AbstractScalar


@dataclass(frozen=True)
class ScalarFunction:
    """A function of floats of one type, and where each machine and each meaning takes it from."""

    name: str  # in the text of kernels
    definition: (
        Callable[..., AbstractScalar] | None
    )  # for CPUs; None: LLVM has an instruction of this name
    numpy: Callable[..., Any] | None  # its meaning; None: what the definition computes
    math: Callable[..., Any] | None = (
        None  # of Python's module, which means the same in `gc.kernel`
    )
    libdevice: str = ""  # for NVIDIA's GPUs; "": `codegen.cuda.toolchain.scalars` writes it out
    arity: int = 1
    takes_integers: bool = False  # then each target joins it with a function of integers

    def __post_init__(self) -> None:
        assert self.definition is not None or self.numpy is not None, f"{self.name} has no meaning"


FUNCTIONS: Mapping[str, ScalarFunction] = MappingProxyType(
    {
        row.name: row
        for row in (
            ScalarFunction("exp", ex.exp, np.exp, math.exp, "exp"),
            ScalarFunction("exp2", ex.exp2, np.exp2, math.exp2, "exp2"),
            ScalarFunction("expm1", ex.expm1, np.expm1, math.expm1, "expm1"),
            ScalarFunction("log", ex.log, np.log, math.log, "log"),
            ScalarFunction("log2", ex.log2, np.log2, math.log2, "log2"),
            ScalarFunction("log10", ex.log10, np.log10, math.log10, "log10"),
            ScalarFunction("log1p", ex.log1p, np.log1p, math.log1p, "log1p"),
            ScalarFunction("sinh", ex.sinh, np.sinh, math.sinh, "sinh"),
            ScalarFunction("cosh", ex.cosh, np.cosh, math.cosh, "cosh"),
            ScalarFunction("tanh", ex.tanh, np.tanh, math.tanh, "tanh"),
            ScalarFunction("asinh", ex.asinh, np.arcsinh, math.asinh, "asinh"),
            ScalarFunction("acosh", ex.acosh, np.arccosh, math.acosh, "acosh"),
            ScalarFunction("atanh", ex.atanh, np.arctanh, math.atanh, "atanh"),
            ScalarFunction("sigmoid", ex.sigmoid, None),
            ScalarFunction("erf", ex.erf, None, math.erf, "erf"),
            ScalarFunction("erfc", ex.erfc, None, math.erfc, "erfc"),
            ScalarFunction("cbrt", ex.cbrt, np.cbrt, math.cbrt, "cbrt"),
            ScalarFunction("rsqrt", ex.rsqrt, None, None, "rsqrt"),
            ScalarFunction(
                "power", ex.power, np.power, math.pow, "pow", arity=2, takes_integers=True
            ),
            ScalarFunction("hypot", ex.hypot, np.hypot, math.hypot, "hypot", arity=2),
            ScalarFunction("sin", tr.sin, np.sin, math.sin, "sin"),
            ScalarFunction("cos", tr.cos, np.cos, math.cos, "cos"),
            ScalarFunction("tan", tr.tan, np.tan, math.tan, "tan"),
            ScalarFunction("asin", tr.asin, np.arcsin, math.asin, "asin"),
            ScalarFunction("acos", tr.acos, np.arccos, math.acos, "acos"),
            ScalarFunction("atan", tr.atan, np.arctan, math.atan, "atan"),
            ScalarFunction("atan2", tr.atan2, np.arctan2, math.atan2, "atan2", arity=2),
            ScalarFunction("sqrt", None, np.sqrt, math.sqrt, "sqrt"),
            ScalarFunction("floor", None, np.floor, math.floor, "floor"),
            ScalarFunction("ceil", None, np.ceil, math.ceil, "ceil"),
            ScalarFunction("rint", None, np.rint, None, "rint"),
            ScalarFunction("trunc", None, np.trunc, math.trunc, "trunc"),
        )
    }
)
