"""Running folds against NumPy and torch: axes, directions, NaN, second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import both, compare, constant, run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.testing.differences import numeric_gradient

RNG = np.random.default_rng(1)
X = RNG.uniform(-2, 2, (3, 5, 2)).astype(np.float32)
SPECIAL = np.array([1, -0.0, 0.0, np.inf, 2, np.nan, -np.inf, 3], np.float32)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


def backwards(function: Any, axis: int) -> Any:
    return lambda x: np.flip(function(np.flip(x, axis), axis=axis), axis)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(
    ("function", "numpy"),
    [
        (gc.cumulative_sum, np.cumsum),
        (gc.cumulative_prod, np.cumprod),
        (gc.cummax, np.maximum.accumulate),
        (gc.cummin, np.minimum.accumulate),
    ],
)
def test_scans(function: Any, numpy: Any, axis: int) -> None:
    both(lambda x: function(x, axis), numpy(X, axis=axis), X)
    both(lambda x: function(x, axis, reverse=True), backwards(numpy, axis)(X), X)
    compare(compiled(function(X, axis)), numpy(X, axis=axis))
    x = gc.placeholder(gc.float32, [None] * 3)
    for n in (0, 1, 3):
        compare(compiled(function(x, axis), {x: X[:n]}), numpy(X[:n], axis=axis))
        compare(compiled(function(x, axis), {x: X[:, :n]}), numpy(X[:, :n], axis=axis))


def test_numpy_names_flatten() -> None:
    both(gc.cumsum, np.cumsum(X), X)
    both(gc.cumprod, np.cumprod(X), X)
    both(lambda x: gc.cumsum(x, 1), np.cumsum(X, 1), X)


@pytest.mark.parametrize("reverse", [False, True])
def test_initial_and_exclusive(reverse: bool) -> None:
    x = X[0]
    for function, numpy, start in (
        (gc.cumulative_sum, np.cumsum, 0),
        (gc.cumulative_prod, np.cumprod, 1),
    ):
        line = np.full((1, 2), start, np.float32)
        done = np.concatenate([line, numpy(x[::-1] if reverse else x, axis=0)])
        grown = done[::-1] if reverse else done
        short = done[:-1][::-1] if reverse else done[:-1]
        both(lambda x, f=function: f(x, 0, include_initial=True, reverse=reverse), grown, x)
        both(lambda x, f=function: f(x, 0, exclusive=True, reverse=reverse), short, x)
        empty = np.zeros((0, 2), np.float32)
        both(lambda x, f=function: f(x, 0, exclusive=True, reverse=reverse), empty, empty)
        both(lambda x, f=function: f(x, 0, include_initial=True, reverse=reverse), line, empty)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("i1", "i8"),
        ("u1", "u8"),
        ("?", "i8"),
        ("f2", "f2"),
        ("f8", "f8"),
        ("i8", "i8"),
    ],
)
def test_element_types(given: str, wanted: str) -> None:
    """semantics 1.5"""
    x = (np.arange(9) % 5).astype(given)
    expected = np.cumsum(x, dtype=wanted)
    for found in (run(gc.cumulative_sum(constant(x))), compiled(gc.cumulative_sum(x))):
        compare(found, expected)


def test_narrow_integers_wrap() -> None:
    """semantics 3.1"""
    x = np.array([100, 100, 100, 3], np.int8)
    with np.errstate(all="ignore"):
        compare(compiled(gc.cumulative_sum(x, dtype=gc.int8)), np.cumsum(x, dtype=np.int8))
        compare(compiled(gc.cumulative_prod(x, dtype=gc.int8)), np.cumprod(x, dtype=np.int8))


def test_halves_accumulate_in_f32() -> None:
    """semantics 9.1: 2048 + 1 is 2048 in f16."""
    x = np.concatenate([[2048], np.ones(8)]).astype(np.float16)
    compare(compiled(gc.cumulative_sum(x)), np.cumsum(x, dtype=np.float32).astype(np.float16))


@pytest.mark.parametrize("reverse", [False, True])
def test_extremes_and_nan(reverse: bool) -> None:
    """semantics 2.1, 2.2"""
    for function in (gc.cummax, gc.cummin):
        want = run(function(constant(SPECIAL), 0, reverse))
        got = compiled(function(SPECIAL, 0, reverse))
        assert want.tobytes() == got.tobytes()
        order = np.flip(got) if reverse else got
        nan = 2 if reverse else 5
        assert not np.isnan(order[:nan]).any() and np.isnan(order[nan:]).all()
    assert compiled(gc.cummax([True, False])).tolist() == [True, True]


def gradients(y: Any, x: Any, weights: Any) -> tuple[Any, Any]:
    """The first derivative, and the derivative of the sum of its squares."""
    (first,) = gc.gradients(y, [x], weights)
    (second,) = gc.gradients(gc.sum(first * first), [x], allow_unused=True)
    return first, second


TORCH = [
    ("cumsum", lambda x: gc.cumsum(x, 1), lambda torch, x: x.cumsum(1)),
    ("cumprod", lambda x: gc.cumprod(x, 1), lambda torch, x: x.cumprod(1)),
    ("cummax", lambda x: gc.cummax(x, 1), lambda torch, x: x.cummax(1).values),
    ("cummin", lambda x: gc.cummin(x, 1), lambda torch, x: x.cummin(1).values),
    ("logcumsumexp", lambda x: gc.logcumsumexp(x, 1), lambda torch, x: x.logcumsumexp(1)),
]


@pytest.mark.parametrize("data", ["plain", "ties", "zeros"])
@pytest.mark.parametrize(("name", "ours", "theirs"), TORCH, ids=[t[0] for t in TORCH])
def test_torch(name: str, ours: Any, theirs: Any, data: str) -> None:
    x = X.astype(np.float64)
    if data == "ties":
        x = np.round(x)
    if data == "zeros":
        x = np.where(np.abs(x) < 0.9, 0.0, x)
    w = np.random.default_rng(3).uniform(0.5, 1.5, x.shape)

    def compute(torch: Any) -> Any:
        t = tensor(torch, x, grad=True)
        y = theirs(torch, t)
        (first,) = torch.autograd.grad(y, t, tensor(torch, w))
        return [y, first]

    p = gc.placeholder(gc.float64, [None] * 3)
    y = ours(p)
    (first,) = gc.gradients(y, [p], w)
    for wanted, found in zip(torch_case(f"{name}_{data}", compute), (y, first), strict=True):
        for value in (run(found, {p: x}), compiled(found, {p: x})):
            np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("function", [gc.cumprod, gc.logcumsumexp])
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_second_derivatives(function: Any, zeros: int) -> None:
    x = np.random.default_rng(4).uniform(0.5, 2, 6)
    x[[1, 3, 4][:zeros]] = 0
    w = np.arange(1.0, 7.0)
    p = gc.placeholder(gc.float64, [6])
    first, second = gradients(function(p, 0), p, w)
    wanted = numeric_gradient(lambda a: run(gc.sum(first * first), {p: a}), [x], 1.0, 0)
    np.testing.assert_allclose(run(second, {p: x}), wanted, rtol=1e-5, atol=1e-6)


def test_logcumsumexp_of_infinities_and_large_numbers() -> None:
    x = np.array([-np.inf, -1000, -1000, 0, 1000, 1000], np.float32)
    want = np.logaddexp.accumulate(x)
    compare(compiled(gc.logcumsumexp(x)), want)
    compare(run(gc.logcumsumexp(constant(x), reverse=True)), np.logaddexp.accumulate(x[::-1])[::-1])
    y = np.array([0, np.inf, 1, np.nan, 2], np.float32)
    compare(compiled(gc.logcumsumexp(y)), np.array([0, np.inf, np.inf, np.nan, np.nan], np.float32))
    p = gc.placeholder(gc.float32, [6])
    (slope,) = gc.gradients(gc.logcumsumexp(p), [p])
    assert np.isfinite(compiled(slope, {p: x})).all()


def test_linear_recurrence() -> None:
    a, b = RNG.uniform(-1, 1, (2, 7)), RNG.uniform(-1, 1, (2, 7))
    want = np.array(b)
    for j in range(1, 7):
        want[:, j] = a[:, j] * want[:, j - 1] + b[:, j]
    compare(compiled(gc.linear_recurrence(a, b)), want)
    compare(compiled(gc.linear_recurrence(a[:, ::-1], b[:, ::-1], reverse=True)), want[:, ::-1])
    smooth = compiled(gc.linear_recurrence(0.5, np.ones((2, 3), np.float16)))
    compare(smooth, np.array([[1, 1.5, 1.75]] * 2, np.float16))


def test_threads_do_not_change_bits() -> None:
    x = RNG.normal(size=(300, 40, 7)).astype(np.float32)
    p = gc.placeholder(gc.float32, [None] * 3)
    fetches = [gc.cumsum(p, axis) for axis in range(3)]
    with gc.Session(threads=1) as one, gc.Session(threads=2) as two:
        for a, b in zip(one.run(fetches, {p: x}), two.run(fetches, {p: x}), strict=True):
            assert a.tobytes() == b.tobytes()


WRONG = [
    (lambda: gc.cumulative_sum(X), ShapeError, "cumulative_sum: axis is missing"),
    (lambda: gc.cumulative_sum(X, 3), ShapeError, "cumulative_sum: axis 3"),
    (lambda: gc.cumulative_sum(X, 0, dtype=bool), DTypeError, "bool holds no numbers"),
    (lambda: gc.cumulative_prod(X, 0, reverse=1), GraphError, "reverse must be a bool, got 1"),
    (lambda: gc.logcumsumexp([1, 2]), DTypeError, "logcumsumexp: i64.* holds no floats"),
    (lambda: gc.linear_recurrence([1, 2], [3, 4]), DTypeError, "linear_recurrence: i64"),
    (lambda: gc.linear_recurrence(np.ones(2), np.ones(3)), ShapeError, "do not broadcast"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
