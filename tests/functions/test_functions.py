"""Elementwise functions and those that make tensors, against NumPy on several shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.oracle import both, compare, constant, run

import graphc as gc
from graphc.errors import GraphError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    global RNG  # each test draws the same, whatever ran before it
    RNG = np.random.default_rng(0)
    with gc.Graph().as_default() as graph:
        yield graph


def floats(*shape: int, low: float = -3.0, high: float = 3.0) -> Any:
    return RNG.uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = -7, high: int = 7) -> Any:
    return RNG.integers(low, high, shape)


# ---- elementwise ----

BINARY = [
    (gc.add, np.add),
    (gc.subtract, np.subtract),
    (gc.multiply, np.multiply),
    (gc.divide, np.divide),
    (gc.floor_divide, np.floor_divide),
    (gc.remainder, np.remainder),
    (gc.maximum, np.maximum),
    (gc.minimum, np.minimum),
    (gc.atan2, np.arctan2),
    (gc.hypot, np.hypot),
    (gc.logaddexp, np.logaddexp),
    (gc.equal, np.equal),
    (gc.not_equal, np.not_equal),
    (gc.less, np.less),
    (gc.less_equal, np.less_equal),
    (gc.greater, np.greater),
    (gc.greater_equal, np.greater_equal),
    (gc.isclose, np.isclose),
]
UNARY = [
    (gc.negative, np.negative, -3, 3),
    (gc.positive, np.positive, -3, 3),
    (gc.abs, np.abs, -3, 3),
    (gc.sign, np.sign, -3, 3),
    (gc.square, np.square, -3, 3),
    (gc.reciprocal, np.reciprocal, 1, 3),
    (gc.exp, np.exp, -3, 3),
    (gc.exp2, np.exp2, -3, 3),
    (gc.expm1, np.expm1, -3, 3),
    (gc.log, np.log, 0.1, 3),
    (gc.log2, np.log2, 0.1, 3),
    (gc.log10, np.log10, 0.1, 3),
    (gc.log1p, np.log1p, 0.1, 3),
    (gc.sqrt, np.sqrt, 0, 3),
    (gc.cbrt, np.cbrt, -3, 3),
    (gc.rsqrt, lambda x: 1 / np.sqrt(x), 0.1, 3),
    (gc.sin, np.sin, -3, 3),
    (gc.cos, np.cos, -3, 3),
    (gc.tan, np.tan, -1, 1),
    (gc.asin, np.arcsin, -1, 1),
    (gc.acos, np.arccos, -1, 1),
    (gc.atan, np.arctan, -3, 3),
    (gc.sinh, np.sinh, -3, 3),
    (gc.cosh, np.cosh, -3, 3),
    (gc.tanh, np.tanh, -3, 3),
    (gc.asinh, np.arcsinh, -3, 3),
    (gc.acosh, np.arccosh, 1, 3),
    (gc.atanh, np.arctanh, -0.9, 0.9),
    (gc.floor, np.floor, -3, 3),
    (gc.ceil, np.ceil, -3, 3),
    (gc.round, np.round, -3, 3),
    (gc.trunc, np.trunc, -3, 3),
    (gc.isnan, np.isnan, -3, 3),
    (gc.isinf, np.isinf, -3, 3),
    (gc.isfinite, np.isfinite, -3, 3),
    (gc.stop_gradient, lambda x: x, -3, 3),
]


@pytest.mark.parametrize(("function", "numpy"), BINARY)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (3, 4)),
        ((3, 1), (4,)),
        ((), (2, 2)),
        ((0, 3), (3,)),
    ],
)
def test_binary(function: Any, numpy: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = floats(*a), floats(*b)
    expected = numpy(x, y)
    compare(run(function(constant(x), y)), expected)
    compare(run(function(x, constant(y))), expected)


@pytest.mark.parametrize(("function", "numpy", "low", "high"), UNARY)
@pytest.mark.parametrize("shape", [(3, 4), (), (0,)])
def test_unary(function: Any, numpy: Any, low: float, high: float, shape: tuple[int, ...]) -> None:
    x = floats(*shape, low=low, high=high)
    both(function, np.asarray(numpy(x)), x)


def test_erf_and_erfc() -> None:
    x = floats(9)
    both(gc.erf, np.array([math.erf(v) for v in x], np.float32), x)
    both(gc.erfc, np.array([math.erfc(v) for v in x], np.float32), x)


@pytest.mark.parametrize(
    ("function", "numpy"),
    [
        (gc.bitwise_and, np.bitwise_and),
        (gc.bitwise_or, np.bitwise_or),
        (gc.bitwise_xor, np.bitwise_xor),
    ],
)
def test_bits_and_truth(function: Any, numpy: Any) -> None:
    for x, y in ((ints(9), ints(9)), (ints(9) > 0, ints(9) > 0)):
        compare(run(function(x, y)), numpy(x, y))


def test_logic() -> None:
    x, y = ints(9) > 0, ints(9) > 0
    compare(run(gc.logical_and(x, y)), x & y)
    compare(run(gc.logical_or(x, y)), x | y)
    compare(run(gc.logical_xor(x, y)), x ^ y)
    compare(run(gc.logical_not(x)), ~x)
    compare(run(gc.bitwise_invert(x)), ~x)
    compare(run(gc.bitwise_invert(ints(3) * 0)), np.full(3, -1))


def test_shifts_and_pow() -> None:
    x, n = ints(9), ints(9, low=0, high=9)
    compare(run(gc.bitwise_left_shift(x, n)), x << n)
    compare(run(gc.bitwise_right_shift(x, n)), x >> n)
    base = floats(9, low=0.1)
    compare(run(gc.pow(base, 2.5)), base ** np.float32(2.5))
    compare(run(gc.pow(x, 2)), x**2)


def test_clip_where_astype() -> None:
    x = floats(3, 4)
    compare(run(gc.clip(x, -1.0, 1.0)), np.clip(x, -1, 1))
    compare(run(gc.clip(x, min=0.5)), np.maximum(x, np.float32(0.5)))
    compare(run(gc.clip(x, max=0.5)), np.minimum(x, np.float32(0.5)))
    compare(run(gc.where(x > 0, constant(x), 0.0)), np.where(x > 0, x, np.float32(0)))
    compare(run(gc.where(x > 0, 1, 2)), np.where(x > 0, 1, 2))
    compare(run(gc.where(x > 0, 1.0, constant(x))), np.where(x > 0, np.float32(1), x))
    compare(run(gc.astype(x, gc.int32)), x.astype(np.int32))
    compare(run(gc.cast(x, "float64")), x.astype(np.float64))


def test_integers_stay_integers_when_rounded() -> None:
    compare(run(gc.floor(ints(4) * 0 + 7)), np.full(4, 7))


def test_division_of_integers_is_in_floats() -> None:
    """semantics 1.4"""
    x = np.array([1, 2], np.int32)
    assert gc.divide(x, x).dtype is gc.float32
    assert gc.divide(x.astype(np.int64), 2).dtype is gc.float64


def test_logaddexp_of_infinities() -> None:
    x = np.array([np.inf, -np.inf, 0.0], np.float32)
    compare(run(gc.logaddexp(x, x)), np.logaddexp(x, x))


def test_isclose_with_nan() -> None:
    x = np.array([np.nan, 1.0, np.inf, -np.inf], np.float32)
    y = np.array([np.nan, 1.0 + 1e-7, np.inf, np.inf], np.float32)
    compare(run(gc.isclose(x, y, equal_nan=True)), np.isclose(x, y, equal_nan=True))
    compare(run(gc.isclose(x, y)), np.isclose(x, y))


def test_numbers_alone() -> None:
    assert run(gc.add(1, 2)) == 3
    assert run(gc.maximum(1.5, 2)) == 2.0


# ---- creation ----


def test_constants() -> None:
    compare(run(gc.zeros((2, 3))), np.zeros((2, 3), np.float32))
    compare(run(gc.ones(4, gc.int8)), np.ones(4, np.int8))
    compare(run(gc.full((2,), True)), np.full(2, True))
    compare(run(gc.full((2, 2), np.arange(2))), np.full((2, 2), np.arange(2)))
    x = gc.zeros((3,), gc.float64)
    compare(run(gc.full_like(x, 7)), np.full(3, 7.0))
    compare(run(gc.zeros_like(x)), np.zeros(3))
    compare(run(gc.ones_like(x, gc.int32)), np.ones(3, np.int32))


@pytest.mark.parametrize("bounds", [(5,), (2, 9), (2, 9, 3), (9, 2, -2), (3, 3), (5, 2)])
def test_arange_of_integers(bounds: tuple[int, ...]) -> None:
    compare(run(gc.arange(*bounds)), np.arange(*bounds))


def test_arange_of_floats_and_sizes() -> None:
    compare(run(gc.arange(0.5, 3.0, 0.25)), np.arange(0.5, 3.0, 0.25, dtype=np.float32))
    x = gc.placeholder(gc.float32, ["n"])
    for n in (0, 1, 6):
        feeds = {x: np.zeros(n)}
        compare(run(gc.arange(x.shape[0]), feeds), np.arange(n))
        compare(run(gc.arange(1, x.shape[0], 2), feeds), np.arange(1, n, 2))


def test_linspace_eye_iota_one_hot() -> None:
    compare(run(gc.linspace(0.0, 1.0, 7)), np.linspace(0, 1, 7, dtype=np.float32))
    open_end = np.linspace(1, 5, 4, False, dtype=np.float32)
    compare(run(gc.linspace(1, 5, 4, endpoint=False)), open_end)
    compare(run(gc.linspace(2.0, 5.0, 1)), np.linspace(2, 5, 1, dtype=np.float32))
    compare(run(gc.eye(3, 4, 1)), np.eye(3, 4, 1, np.float32))
    compare(run(gc.iota((2, 3), 1)), np.broadcast_to(np.arange(3), (2, 3)))
    compare(run(gc.one_hot(np.array([2, 0]), 3)), np.eye(3, dtype=np.float32)[[2, 0]])
    x = floats(3, 4)
    compare(run(gc.tril(x, 1)), np.tril(x, 1))
    compare(run(gc.triu(x, -1)), np.triu(x, -1))


def test_one_hot_of_an_index_out_of_range_fails_the_run() -> None:
    """semantics 7.1"""
    with pytest.raises(GraphError, match="index 3 is out of range"):
        run(gc.one_hot(np.array([0, 3]), 3))


def test_size() -> None:
    x = gc.placeholder(gc.float32, ["n", 3])
    assert run(gc.size(x), {x: np.zeros((5, 3))}) == 15
    assert run(gc.size(x, 0), {x: np.zeros((5, 3))}) == 5
    assert run(gc.size(x, 1)) == 3


def test_an_array_on_the_left_of_an_operator() -> None:
    """NumPy leaves the operator to the tensor, and does not look for elements."""
    x = gc.placeholder(gc.float32, [3], name="right")
    a, values = np.arange(3, dtype=np.float32), np.ones(3, np.float32)
    for made, expected in (
        (a + x, a + values),
        (a @ x, a @ values),
        (a < x, a < values),
        (np.float32(2) ** x, 2**values),
    ):
        compare(run(made, {x: values}), expected)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: gc.reshape(x[0:1, 0:0], (1, 0, 1))[0, 0:0, 0:0, None],
        lambda x: gc.reshape(gc.stack([x[:, :0], x[:, :0]]), (0, 2)),
        lambda x: gc.reshape(x[:0], (0, 7)),
    ],
)
def test_views_of_no_elements_have_gradients(view: Any) -> None:
    x = gc.placeholder(gc.float32, [3, 5])
    (slope,) = gc.gradients(gc.sum(gc.sin(view(x))), [x])
    with gc.Session() as sess:
        found = sess.run([view(x), slope], {x: np.ones((3, 5), np.float32)})
    assert found[0].size == 0 and not found[1].any()
