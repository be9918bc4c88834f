"""First and second derivatives of every op at its kinks, zeros and ties, at the ends of its domain
and at infinity: values of mathematics, of PyTorch at kinks, or of docs/semantics.md (6).

An op is smooth, by a reason that `SMOOTH` gives, or has a case here; a new op without either fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from support.derivatives import Case, assert_stated, derivatives

import graphc as gc
from graphc import linalg
from graphc.frontend.tensor import build
from graphc.ir.op import OPS
from graphc.ir.ops.pooling import ReduceFirstMax
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.samples import built_in

INF, NAN, HALF = math.inf, math.nan, 0.5
SMOOTH: Mapping[str, str] = {  # reason -> ops
    "linear: each derivative is a constant": """
        add subtract negative broadcast cast concat diagonal dilate on_diagonal pad reshape
        slice transpose take take_along_axis scatter_add scatter_add_along_axis window unwindow
        adaptive fft cumulative_sum reduce_sum transfer
    """,
    "products and sums": """
        multiply matmul convolution convolution_input convolution_weight linear_recurrence
    """,
    "what it holds, or a user's function, has derivatives": "loop switch with_gradient",
    "passes its operand on": "item with_update",
}


def first_max(x: Any) -> Any:
    return build(ReduceFirstMax((0,)), (x,))


def square(entries: Any) -> Any:
    return gc.reshape(entries, (2, 2))


CASES: dict[str, Case] = {
    # ---- kinks, and what a choice leaves out
    "absolute": (gc.abs, [0.0, -0.0, -1, INF, -INF], [0, 0, -1, 1, -1], [0, 0, 0, 0, 0]),
    "relu": (F.relu, [0.0, -0.0, -1, 2, INF, -INF], [0, 0, 0, 1, 1, 0], [0] * 6),
    "relu of nan": (F.relu, [NAN], [0], [0]),
    "maximum, tie": (lambda x: gc.maximum(x, 1.0), [1.0, 0, 2, INF], [HALF, 0, 1, 1], [0] * 4),
    "maximum of zeros": (lambda x: gc.maximum(x, 0.0), [0.0, -0.0], [HALF, HALF], [0, 0]),
    "maximum of x and x": (lambda x: gc.maximum(x * x, x * x), [3.0], [6], [2]),
    "minimum, tie": (lambda x: gc.minimum(x, 1.0), [1.0, 0, 2, -INF], [HALF, 1, 0, 1], [0] * 4),
    "where": (lambda x: gc.where(x > 0.0, x * x, -x), [0.0, 1, -1], [-1, 2, -1], [0, 2, 0]),
    "remainder": (lambda x: gc.remainder(x, 2.0), [0.0, 2, -2, 3], [1, 1, 1, 1], [0] * 4),
    "remainder by x": (lambda x: gc.remainder(5.0, x), [2.0, 5, -2], [-2, -1, 3], [0] * 3),
    # ---- folds, sorts and scatters with ties and zeros
    "reduce_max": (gc.max, [1.0, 1, 0], [HALF, HALF, 0], [0] * 3),
    "reduce_max of infinities": (gc.max, [INF, INF, 0], [HALF, HALF, 0], [0] * 3),
    "reduce_min": (gc.min, [1.0, 1, 2, 1], [1 / 3, 1 / 3, 0, 1 / 3], [0] * 4),
    "reduce_first_max": (first_max, [1.0, 1, 0], [1, 0, 0], [0] * 3),
    "reduce_prod, a zero": (gc.prod, [0.0, 2, 3], [6, 0, 0], [5, 3, 2]),
    "reduce_prod, two zeros": (gc.prod, [0.0, 0, 3], [0, 0, 0], [3, 3, 0]),
    "reduce_prod, three zeros": (gc.prod, [0.0, 0, 0], [0, 0, 0], [0, 0, 0]),
    "cumulative_prod": (gc.cumulative_prod, [0.0, 2, 3], [9, 0, 0], [6, 4, 2]),
    "cumulative_max": (gc.cummax, [1.0, 1, 0], [1, 2, 0], [0] * 3),
    "cumulative_min": (gc.cummin, [1.0, 1, 2], [1, 2, 0], [0] * 3),
    "sort": (lambda x: gc.sort(x) * np.array([1.0, 2, 3]), [5.0, 5, 0], [2, 3, 1], [0] * 3),
    "top_k": (lambda x: gc.top_k(x, 2)[0] * np.array([1.0, 2]), [5.0, 0, 5], [1, 0, 2], [0] * 3),
    "scatter_max": (
        lambda x: gc.scatter(x, [0, 0], gc.ones((2,), gc.float64), mode="max"),
        [1.0, 3], [1 / 3, 1], [0, 0],
    ),
    "scatter_min": (
        lambda x: gc.scatter(x, [0], gc.ones((1,), gc.float64), mode="min"),
        [1.0, 3], [HALF, 1], [0, 0],
    ),
    "scatter_mul": (
        lambda x: gc.scatter(x, [0, 0], x, mode="mul"), [0.0, 3], [0, 1], [6, 0],
    ),
    "scatter_set": (
        lambda x: gc.scatter(gc.log(x), [0], gc.zeros((1,), gc.float64)),
        [0.0, 2], [0, HALF], [0, -0.25],
    ),
    # ---- powers, roots, quotients
    "divide": (lambda x: 1.0 / x, [INF, -2, 0.0], [0, -0.25, -INF], [0, -0.25, INF]),
    "divide by itself": (lambda x: x / x, [0.0], [NAN], [NAN]),
    "power 0": (lambda x: x**0, [0.0, INF], [0, 0], [0, 0]),
    "power 1": (lambda x: x**1, [0.0, -1, INF], [1, 1, 1], [0, 0, 0]),
    "power 2": (lambda x: x**2, [0.0, -1], [0, -2], [2, 2]),
    "power 1/2": (lambda x: x**0.5, [0.0, 4], [INF, 0.25], [-INF, -1 / 32]),
    "power 3/2": (lambda x: x**1.5, [0.0, 4], [0, 3], [INF, 0.375]),
    "power of 0": (lambda x: gc.pow(0.0, x), [0.0, 1, -1], [0, 0, 0], [0, 0, 0]),
    "power of 1": (lambda x: gc.pow(1.0, x), [0.0, INF], [0, 0], [0, 0]),
    "sqrt": (gc.sqrt, [0.0, 4, INF, -1], [INF, 0.25, 0, NAN], [-INF, -1 / 32, 0, NAN]),
    "rsqrt": (gc.rsqrt, [0.0, 4, INF], [-INF, -1 / 16, 0], [INF, 3 / 128, 0]),
    "cbrt": (gc.cbrt, [8.0, -8], [1 / 12, 1 / 12], [-1 / 144, 1 / 144]),
    "cbrt at 0": (gc.cbrt, [0.0], [INF], [NAN]),  # from either side infinite, of either sign
    "hypot at 0": (lambda x: gc.hypot(x[0], x[1]), [0.0, 0], [0, 0], [0, 0]),
    "hypot": (lambda x: gc.hypot(x[0], x[1]), [0.0, 2], [0, 1], [HALF, 0]),
    # ---- logarithms and exponentials
    "log": (gc.log, [0.0, 2, INF, -1], [INF, HALF, 0, -1], [-INF, -0.25, 0, -1]),
    "log2": (gc.log2, [0.0, INF], [INF, 0], [-INF, 0]),
    "log10": (gc.log10, [0.0, INF], [INF, 0], [-INF, 0]),
    "log1p": (gc.log1p, [-1.0, 0, INF], [INF, 1, 0], [-INF, -1, 0]),
    "exp": (gc.exp, [-INF, 0, -800, 800], [0, 1, 0, INF], [0, 1, 0, INF]),
    "exp2": (gc.exp2, [-INF, 0], [0, math.log(2)], [0, math.log(2) ** 2]),
    "expm1": (gc.expm1, [-INF, 0, 1e-300], [0, 1, 1], [0, 1, 1]),
    "sigmoid": (F.sigmoid, [-INF, INF, 0, 800, -800], [0, 0, 0.25, 0, 0], [0] * 5),
    "softplus": (F.softplus, [-INF, 0, 800], [0, HALF, 1], [0, 0.25, 0]),
    "erf": (gc.erf, [0.0, 30, -30], [2 / math.sqrt(math.pi), 0, 0], [0, 0, 0]),
    "erfc": (gc.erfc, [0.0, 30, -30], [-2 / math.sqrt(math.pi), 0, 0], [0, 0, 0]),
    # ---- angles; at infinity the second derivative is 0 times infinity, as in PyTorch
    "sin": (gc.sin, [0.0, INF], [1, NAN], [0, NAN]),
    "cos": (gc.cos, [0.0, INF], [0, NAN], [-1, NAN]),
    "tan": (gc.tan, [0.0], [1], [0]),
    "asin": (gc.asin, [0.0, 1, -1, 2], [1, INF, INF, NAN], [0, INF, -INF, NAN]),
    "acos": (gc.acos, [0.0, 1, -1, 2], [-1, -INF, -INF, NAN], [0, -INF, INF, NAN]),
    "atan": (gc.atan, [0.0, INF, -INF], [1, 0, 0], [0, NAN, NAN]),
    "atan2 at 0": (lambda x: gc.atan2(x[0], x[1]), [0.0, 0], [0, 0], [0, 0]),
    "atan2 on the axes": (lambda x: gc.atan2(x[0], x[1]), [0.0, -2], [-HALF, 0], [-0.25, -0.25]),
    "sinh": (gc.sinh, [0.0, 800, -INF], [1, INF, INF], [0, INF, -INF]),
    "cosh": (gc.cosh, [0.0, 800, -INF], [0, INF, -INF], [1, INF, INF]),
    "tanh": (gc.tanh, [0.0, INF, -INF, 800], [1, 0, 0, 0], [0, 0, 0, 0]),
    "asinh": (gc.asinh, [0.0, INF], [1, 0], [0, NAN]),
    "acosh": (gc.acosh, [1.0, 0.5], [INF, NAN], [-INF, NAN]),
    "atanh": (gc.atanh, [0.0, 1, -1], [1, INF, INF], [0, INF, -INF]),
    # ---- matrices (semantics 14)
    "cholesky": (lambda x: linalg.cholesky(square(x)), [0.0, 0, 0, 0], [NAN] * 4, [NAN] * 4),
    "eigh of equals": (
        lambda x: linalg.eigvalsh(square(x)), [1.0, 0, 0, 1], [1, 0, 0, 1], [0] * 4,
    ),
    "svd of equals": (lambda x: linalg.svdvals(square(x)), [1.0, 0, 0, 1], [1, 0, 0, 1], [0] * 4),
    "qr": (lambda x: linalg.qr(square(x))[1], [0.0, 0, 0, 0], [NAN] * 4, [NAN] * 4),
    "triangular_solve": (
        lambda x: linalg.solve_triangular(square(x), np.ones((2, 1)), lower=True),
        [0.0, 1, 1, 1], [NAN, 0, NAN, NAN], [NAN, 0, NAN, NAN],
    ),
}  # fmt: skip
OF_OPS = {name.split()[0].rstrip(",") for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str) -> None:
    """semantics 6"""
    with gc.Graph().as_default():
        found = derivatives(*CASES[name][:2])
    assert_stated(CASES[name], found)


def test_every_op_is_smooth_or_has_a_case() -> None:
    smooth = {name for names in SMOOTH.values() for name in names.split()}
    differentiable = {n for n, c in OPS.items() if built_in(c) and c.differentiable}
    assert differentiable - smooth - OF_OPS == set()
    assert smooth - differentiable == set()
    assert smooth & OF_OPS == set()
