"""exp, tanh, erf, sin ...: branch-free functions that LLVM's loop vectoriser takes at any width.

A kernel calls the scalar function that `emit` puts into its module; it is inlined, and the loop
round it becomes vector code, without a vector maths library.  `twin` is the NumPy meaning, for
kernels that run as plain Python.  The functions are written in `mathlib_exp` and `mathlib_trig`,
over the abstract scalar of `mathlib_machine`, with the numbers of `mathlib_tables`.

Invariant: a function's bits do not depend on the vector width, nor on the place in the loop.
Invariant: results at +-0, +-inf, nan and denormals are NumPy's; nothing is flushed to zero.
Deliberately absent: libm.  fma is an instruction on every target we speed up; without it LLVM
calls the C library's, which is correct but slow.

>>> module = ir.Module()
>>> emit(module, "exp", "f32").name
'gc_exp_f32'
>>> float(twin("sigmoid")(np.float32(0)))
0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from llvmlite import ir

from graphc.codegen.mathlib import exponential, trigonometric
from graphc.codegen.mathlib.scalar import LLVM_TYPES, LlvmScalar, NumpyScalar, Scalar

KERNELS: Mapping[str, Callable[..., Scalar]] = MappingProxyType(
    {
        "exp": exponential.exp,
        "exp2": exponential.exp2,
        "expm1": exponential.expm1,
        "log": exponential.log,
        "log2": exponential.log2,
        "log10": exponential.log10,
        "log1p": exponential.log1p,
        "sinh": exponential.sinh,
        "cosh": exponential.cosh,
        "tanh": exponential.tanh,
        "asinh": exponential.asinh,
        "acosh": exponential.acosh,
        "atanh": exponential.atanh,
        "sigmoid": exponential.sigmoid,
        "erf": exponential.erf,
        "erfc": exponential.erfc,
        "cbrt": exponential.cbrt,
        "rsqrt": exponential.rsqrt,
        "pow": exponential.power,
        "hypot": exponential.hypot,
        "sin": trigonometric.sin,
        "cos": trigonometric.cos,
        "tan": trigonometric.tan,
        "asin": trigonometric.asin,
        "acos": trigonometric.acos,
        "atan": trigonometric.atan,
        "atan2": trigonometric.atan2,
    }
)
BINARY = frozenset({"pow", "hypot", "atan2"})
FUNCTIONS: Mapping[str, int] = MappingProxyType({n: 2 if n in BINARY else 1 for n in KERNELS})

NUMPY: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "exp": np.exp,
        "exp2": np.exp2,
        "expm1": np.expm1,
        "log": np.log,
        "log2": np.log2,
        "log10": np.log10,
        "log1p": np.log1p,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "tanh": np.tanh,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "cbrt": np.cbrt,
        "pow": np.power,
        "hypot": np.hypot,
        "sin": np.sin,
        "cos": np.cos,
        "tan": np.tan,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "atan2": np.arctan2,
    }
)


def emit(module: ir.Module, name: str, dtype: str) -> ir.Function:
    """The function gc_<name>_<dtype> of `module`, written there on the first call.

    It takes FUNCTIONS[name] scalars of `dtype` ("f32" or "f64") and returns one.
    """
    symbol = f"gc_{name}_{dtype}"
    if symbol in module.globals:
        return module.globals[symbol]
    kind = LLVM_TYPES[dtype]
    function = ir.Function(module, ir.FunctionType(kind, [kind] * FUNCTIONS[name]), symbol)
    function.linkage = "internal"
    for attribute in ("alwaysinline", "nounwind"):
        function.attributes.add(attribute)
    builder = ir.IRBuilder(function.append_basic_block())
    result = KERNELS[name](*[LlvmScalar(builder, arg, dtype) for arg in function.args])
    assert isinstance(result, LlvmScalar) and result.kind == dtype
    builder.ret(result.value)
    return function


def compute(name: str, *args: Any) -> Any:
    """The function as `emit` writes it, computed by NumPy on arrays or NumPy scalars."""
    dtype = np.result_type(*args)
    with np.errstate(all="ignore"):
        result = KERNELS[name](*[NumpyScalar(np.asarray(arg, dtype)) for arg in args])
    assert isinstance(result, NumpyScalar)
    return result.value[()]


def twin(name: str) -> Callable[..., Any]:
    """The NumPy meaning of a function: NumPy's own where it has one, else `compute`."""
    if name not in NUMPY:
        return partial(compute, name)

    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return NUMPY[name](*args)

    return call
