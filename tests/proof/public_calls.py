"""Sample calls of the functions of `gc`, and those that have no gradient, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from proof.calls import Call, by, draw, use

import graphc as gc

A, B, V = draw(3, 4), draw(3, 4, high=2.5), draw(7)
P, Q = draw(3, 4, low=0.2, high=3), draw(3, 4, low=0.2, high=2.5)
UNIT, ABOVE_ONE = draw(3, 4, low=-0.9, high=0.9), draw(3, 4, low=1.2, high=3)
S, T = draw(4, 4), draw(4, 3)
NONE, ONE, SCALAR = draw(0, 4), draw(1, 1), draw()
IDS, MASK = np.array([2, 0, 2]), np.random.default_rng(1).random((3, 4)) < 0.5
PLACES = np.array([[1, 0, 2, 2], [0, 2, 1, 0], [2, 2, 0, 1]])
STEPS = np.float32([0, 1, -1])  # f32: not differentiated by


def holey(f: Any, x: Any, **options: Any) -> Any:
    """A function of what is NaN in some places."""
    return f(gc.where(MASK, np.nan, x), **options)


def unary(*more: Call) -> tuple[Call, ...]:
    return use(A), use(V), use(NONE), use(ONE), use(SCALAR), *more


def positive(*more: Call) -> tuple[Call, ...]:
    return use(P), use(draw(0, 4)), use(draw(1, 1, low=0.5)), *more


def binary(*more: Call) -> tuple[Call, ...]:
    return use(A, B), use(A, B[:1]), use(A[:, :1], B[0]), use(A, 1.5), use(1.5, B), *more


def folds(*more: Call) -> tuple[Call, ...]:
    return (
        use(A), use(A, axis=0), use(A, axis=1, keepdims=True), use(draw(2, 3, 5), axis=(0, 2)),
        use(V), use(SCALAR), use(draw(1, 5), axis=0), *more,
    )  # fmt: skip


def scans(*more: Call) -> tuple[Call, ...]:
    return use(V), use(A, axis=0), use(A, axis=-1), use(draw(1, 5), axis=1), *more


GC: Mapping[str, tuple[Call, ...]] = {
    "abs": unary(),
    "acos": (use(UNIT), use(NONE)),
    "acosh": (use(ABOVE_ONE), use(NONE)),
    "add": binary(),
    "asarray": (use(A),),
    "asin": (use(UNIT), use(NONE)),
    "asinh": unary(),
    "astype": (use(A, gc.float64),),
    "atan": unary(),
    "atan2": binary(),
    "atanh": (use(UNIT), use(NONE)),
    "atleast_1d": (use(SCALAR), use(V), use(A)),
    "atleast_2d": (use(SCALAR), use(V), use(A)),
    "average": (use(A), use(A, axis=1, weights=Q), use(A, axis=0, weights=draw(3, low=0.5))),
    "bincount": (use(IDS, weights=draw(3), minlength=4),),
    "broadcast_to": (use(A, (2, 3, 4)), use(A[:, :1], (3, 4)), use(SCALAR, (5,))),
    "cast": (use(A, gc.float64),),
    "cbrt": positive(use(-P)),
    "clip": (use(A, -1.0, 0.5), use(A, min=-0.5), use(A, max=0.5), use(A, B - 2.0, B + 2.0)),
    "concat": (use([A, B], axis=1), use([A, NONE[:, :4]], axis=0), use([V, draw(2), V])),
    "cond": tuple(
        by(lambda f, x, taken=taken: f(np.array(taken), lambda: gc.tanh(x), lambda: x * x), A)
        for taken in (True, False)
    ),
    "copysign": (use(A, B), use(A, B[:1]), use(A, -1.5)),
    "cos": unary(),
    "cosh": unary(),
    "cov": (use(A), use(A, correction=0.0), use(V)),
    "cross": (use(T, T + 1.0), use(draw(3, 5), draw(3, 5, high=1), axis=0)),
    "cummax": scans(use(A, axis=1, reverse=True)),
    "cummin": scans(use(A, axis=1, reverse=True)),
    "cumprod": scans(use(np.where(MASK, 0.0, A), axis=1)),
    "cumsum": scans(),
    "cumulative_prod": scans(use(V, include_initial=True), use(V, reverse=True, exclusive=True)),
    "cumulative_sum": scans(use(V, include_initial=True), use(V, reverse=True, exclusive=True)),
    "deg2rad": unary(),
    "dequantize_linear": (use(PLACES.astype(np.int8), P[0]),),
    "diag": (use(V), use(V, k=-2), use(S), use(A, k=1)),
    "diagonal": (use(S), use(A, offset=1), use(draw(2, 3, 4), axis1=2, axis2=0)),
    "diff": (use(V), use(A, n=2, axis=0), use(V, prepend=0.0, append=V[:2]), use(V[:1])),
    "divide": (use(A, P), use(A[:, :1], P), use(1.0, P), use(A, 3.0)),
    "dot": (use(V, V[::-1]), use(A, S), use(A, S[0]), use(SCALAR, V)),
    "dynamic_slice": (use(A, (1, 0), (2, 3)), use(V, (np.array(2),), (3,))),
    "dynamic_update_slice": (use(A, draw(2, 2), (1, 0)), use(V, draw(3), (np.array(2),))),
    "einsum": (
        use("ij,jk->ik", A, S), use("ii->i", S), use("ij,ij->", A, B),
        use("bij->jb", draw(2, 3, 5)),
    ),
    "erf": unary(),
    "erfc": unary(),
    "exp": unary(),
    "exp2": unary(),
    "expand_dims": (use(A, 0), use(A, -1)),
    "expm1": unary(),
    "flatten": unary(),
    "flip": (use(A), use(A, axis=1), use(V)),
    "fmax": binary(),
    "fmin": binary(),
    "gather_nd": (use(A, np.array([[0, 1], [2, 2]])), use(A, np.array([[1], [1]]))),
    "heaviside": (use(STEPS, draw(3)),),
    "histogram": (use(np.float32([0.1, 0.5, 0.9, 0.4]), 3, (0.0, 1.0), weights=draw(4)),),
    "hstack": (use([A, B]), use([V, V])),
    "hypot": binary(),
    "inner": (use(V, V[::-1]), use(A, B)),
    "interp": (use(draw(5, low=0.1, high=2.9), np.array([0.0, 1.2, 3.0]), draw(3)),),
    "kron": (use(draw(2, 3), draw(3, 2)),),
    "linear_recurrence": (use(A, B), use(A, B, axis=0, reverse=True), use(V, V[::-1])),
    "log": positive(),
    "log10": positive(),
    "log1p": positive(),
    "log2": positive(),
    "logaddexp": binary(),
    "logcumsumexp": (use(V), use(A, axis=0), use(A, axis=1, reverse=True)),
    "logsumexp": folds(),
    "map_fn": (use(lambda x: gc.tanh(x) * gc.sum(x), A),),
    "matmul": (
        use(A, S), use(V, V), use(A, S[0]), use(draw(2, 3, 4), draw(2, 4, 5)), use(draw(0, 4), S),
    ),
    "matrix_transpose": (use(A), use(draw(2, 3, 4))),
    "max": folds(),
    "maximum": binary(),
    "mean": folds(),
    "median": (use(V), use(A, axis=1), use(A, axis=0, keepdims=True)),
    "meshgrid": (use(V, draw(3)), use(V, draw(3), indexing="ij")),
    "min": folds(),
    "minimum": binary(),
    "moveaxis": (use(draw(2, 3, 4), 0, 2),),
    "multiply": binary(),
    "nan_to_num": unary(),
    "nanmax": folds(by(holey, A), by(holey, A, axis=0)),
    "nanmean": folds(by(holey, A), by(holey, A, axis=0)),
    "nanmin": folds(by(holey, A), by(holey, A, axis=0)),
    "nansum": folds(by(holey, A), by(holey, A, axis=0)),
    "negative": unary(),
    "outer": (use(V, draw(3)),),
    "pad": (use(A, 1), use(A, ((0, 2), (1, 0)), constant_values=3.0)),
    "percentile": (use(V, 30.0), use(A, [25.0, 75.0], axis=1)),
    "permute_dims": (use(draw(2, 3, 4), (2, 0, 1)),),
    "polyval": (use(V, A), use(V[:1], SCALAR)),
    "positive": unary(),
    "pow": (use(P, Q), use(P, 2.5), use(A, 3), use(2.0, A), use(P, A), use(A, 2), use(A, 0)),
    "prod": (*folds(), use(np.where(MASK, 0.0, A), axis=1), use(np.zeros((2, 3)), axis=1)),
    "ptp": folds(),
    "put_along_axis": (
        use(A, PLACES[:1], B[:1], axis=0), use(A, PLACES, B, axis=1, mode="add"),
    ),
    "quantile": (use(V, 0.3), use(A, [0.25, 0.75], axis=1), use(V, 0.4, method="midpoint")),
    "rad2deg": unary(),
    "reciprocal": positive(use(-P)),
    "remainder": (use(A, P), use(A, 0.7), use(draw(5, high=9), draw(5, low=0.5))),
    "repeat": (use(A, 2), use(A, 3, axis=1), use(V, 1)),
    "reshape": (use(A, (4, 3)), use(A, (-1,)), use(NONE, (0,))),
    "roll": (use(A, 1), use(A, (1, -2), axis=(0, 1))),
    "rot90": (use(A), use(A, k=2), use(A, k=-1)),
    "rsqrt": positive(),
    "scan": (use(lambda c, x: (gc.tanh(c + x), c * x), SCALAR, V),),
    "scatter": (
        *(use(A, IDS, B, mode=m) for m in ("set", "add", "mul", "min", "max")),
        use(A, IDS, draw(3, 3), axis=1),
    ),
    "scatter_add": (use(A, IDS, B), use(V, IDS, draw(3))),
    "scatter_nd": (
        use(A, np.array([[0, 1], [2, 2]]), draw(2)),
        use(A, np.array([[1]]), draw(1, 4), mode="mul"),
    ),
    "segment_max": (use(A, np.array([1, 0, 1]), 2), use(V, np.array([0, 1, 1, 0, 2, 2, 2]), 3)),
    "segment_mean": (use(A, np.array([1, 0, 1]), 2), use(V, np.array([0, 1, 1, 0, 2, 2, 2]), 3)),
    "segment_min": (use(A, np.array([1, 0, 1]), 2), use(V, np.array([0, 1, 1, 0, 2, 2, 2]), 3)),
    "segment_sum": (use(A, IDS, 4), use(V, np.array([0, 1, 1, 0, 3, 3, 3]), 4)),
    "select": (use([MASK, ~MASK], [A, B], 0.0), use([MASK], [A], 1.0)),
    "sin": unary(),
    "sinc": unary(),
    "sinh": unary(),
    "sort": (use(V), use(A, axis=0), use(A, axis=1, descending=True)),
    "split": (use(A, 2, axis=1), use(V, [2, 5])),
    "sqrt": positive(),
    "square": unary(),
    "squeeze": (use(ONE), use(draw(1, 5), axis=0)),
    "stack": (use([A, B]), use([A, B], axis=-1)),
    "std": folds(use(A, axis=1, correction=1)),
    "subtract": binary(),
    "sum": folds(use(NONE), use(NONE, axis=0)),
    "swapaxes": (use(draw(2, 3, 4), 0, -1),),
    "switch": tuple(
        by(lambda f, x, i=i: f(np.array(i), [lambda: gc.tanh(x), lambda: x * x]), A)
        for i in (0, 1)
    ),
    "take": (use(A, IDS, axis=0), use(A, IDS, axis=1), use(V, np.array([[-1, 0], [3, 3]]), axis=0)),
    "take_along_axis": (use(A, PLACES, axis=0), use(A, PLACES[:, :2], axis=1)),
    "tan": (use(UNIT), use(NONE)),
    "tanh": unary(),
    "tensordot": (use(A, S, axes=1), use(A, B), use(A, B, axes=((0,), (0,)))),
    "tile": (use(A, 2), use(A, (2, 1)), use(V, (2, 2))),
    "top_k": (use(V, 3), use(A, 2, axis=0), use(A, 2, largest=False)),
    "trace": (use(S), use(A, offset=1)),
    "transpose": (use(A), use(draw(2, 3, 4), (1, 2, 0))),
    "trapezoid": (use(V), use(A, axis=0, dx=0.5), use(V, np.sort(V))),
    "tril": (use(S), use(A, k=-1)),
    "triu": (use(S), use(A, k=1)),
    "unstack": (use(A), use(A, axis=1)),
    "var": folds(use(A, axis=1, correction=1)),
    "vecdot": (use(A, B), use(A, B, axis=0)),
    "vstack": (use([A, B]), use([V, V])),
    "where": (use(MASK, A, B), use(MASK, A, 0.0), use(MASK[0], A[:, :1], B)),
    "while_loop": (
        use(lambda i, c: i < 4, lambda i, c: (i + 1, gc.tanh(c) * c), (0, A), maximum_iterations=5),
    ),
}  # fmt: skip

NO_GRADIENT: Mapping[str, str] = {  # reason -> names
    "gives integers or truth values": """
        all allclose any argmax argmin argsort array_equal bitwise_and bitwise_invert
        bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor count_nonzero digitize equal
        greater greater_equal isclose isfinite isin isinf isnan less less_equal logical_and
        logical_not logical_or logical_xor not_equal ravel_multi_index searchsorted signbit size
        unravel_index quantize_linear
    """,
    "is constant between jumps (semantics 6.3)": "ceil floor floor_divide round sign trunc",
    "gives a constant": """
        arange eye full full_like iota linspace one_hot ones ones_like zeros zeros_like
    """,
    "cuts the gradient, or passes it on, on purpose: tested in passes/test_autodiff": """
        fake_quantize stop_gradient
    """,
    "calls what a user wrote: tested in extend/": "custom_gradient function kernel op py_func",
    "is no function of tensors": """
        device explain_gradient gradients group name_scope placeholder plan reset_default_graph
        variable with_update
    """,
    "always raises: sizes never depend on data (semantics 7.4)": "nonzero unique",
}
