"""`mathlib` in NumPy: the scalar that computes on arrays, and the functions computed with it.

`compute` follows a definition step by step, bits and all; `twin` is what kernels that run as plain
Python call.

>>> NumpyScalar(np.array([1.0, -2.0], np.float32)).fma(0.5, 1.0).value
array([1.5, 0. ], dtype=float32)
>>> float(twin("sigmoid")(np.float32(0)))
0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.scalar import AbstractScalar


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and the exact error of that (Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def split(a: Any) -> tuple[Any, Any]:
    """A float64 as a sum of two of at most 26 bits each (Veltkamp)."""
    big = a * 134217729.0
    high = big - (big - a)
    return high, a - high


def fma_f64(a: Any, b: Any, c: Any) -> Any:
    """a * b + c through Dekker's exact product: one rounding in all but the rarest cases."""
    product = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    error = ((ah * bh - product) + ah * bl + al * bh) + al * bl
    total, rest = two_sum(product, c)
    exact = total + (rest + error)
    return np.where(np.isfinite(exact), exact, product + c)


def fma_f32(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, exact: the product fits float64, whose sum is rounded to odd before float32.

    Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008.
    """
    total, rest = two_sum(a.astype(np.float64) * b, c.astype(np.float64))
    bits = np.asarray(total).view(np.int64)
    inexact = (rest != 0) & (bits & 1 == 0) & np.isfinite(total)
    odd = bits + np.where(inexact, np.where((rest > 0) == (total > 0), 1, -1), 0)
    return odd.view(np.float64).astype(np.float32)


DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "f32": np.dtype(np.float32),
        "f64": np.dtype(np.float64),
        "i32": np.dtype(np.int32),
        "i64": np.dtype(np.int64),
        "bool": np.dtype(np.bool_),
    }
)
KINDS = MappingProxyType({dtype: kind for kind, dtype in DTYPES.items()})
NUMPY_OPERATIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "neg": np.negative,
        "abs": np.abs,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "shl": np.left_shift,
        "shr": np.right_shift,
        "sqrt": np.sqrt,
        "rint": np.rint,
        "floor": np.floor,
        "copysign": np.copysign,
        "select": np.where,
        "fma": lambda a, b, c: (fma_f32 if a.dtype == np.float32 else fma_f64)(a, b, c),
    }
)


@dataclass(frozen=True, eq=False)
class NumpyScalar(AbstractScalar):
    """An array, standing for each of its elements; compute under np.errstate(all="ignore")."""

    value: Any

    @property
    def kind(self) -> str:  # type: ignore[override]
        return KINDS[self.value.dtype]

    def lift(self, number: float | int, kind: str) -> NumpyScalar:
        return NumpyScalar(np.asarray(number, DTYPES[kind]))

    def apply(self, op: str, kind: str, *others: AbstractScalar) -> NumpyScalar:
        values = [self.value]
        for other in others:
            assert isinstance(other, NumpyScalar)
            values.append(other.value)
        if op == "convert":
            return NumpyScalar(np.asarray(values[0].astype(DTYPES[kind])))
        if op == "bitcast":
            return NumpyScalar(values[0].view(DTYPES[kind]))
        return NumpyScalar(np.asarray(NUMPY_OPERATIONS[op](*values), DTYPES[kind]))

    def lookup(self, name: str, table: tuple[float, ...]) -> NumpyScalar:
        return NumpyScalar(np.take(np.asarray(table), self.value))


def compute(name: str, *args: Any) -> Any:
    """The function as `emit` writes it, computed by NumPy on arrays or NumPy scalars."""
    definition, dtype = FUNCTIONS[name].definition, np.result_type(*args)
    assert definition is not None, f"{name} is one instruction"
    with np.errstate(all="ignore"):
        result = definition(*[NumpyScalar(np.asarray(arg, dtype)) for arg in args])
    assert isinstance(result, NumpyScalar)
    return result.value[()]


def twin(name: str) -> Callable[..., Any]:
    """The NumPy meaning of a function: NumPy's own where it has one, else `compute`."""
    function = FUNCTIONS[name].numpy
    if function is None:
        return partial(compute, name)

    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return call
