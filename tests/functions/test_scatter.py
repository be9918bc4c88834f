"""Scatters, gathers at computed places, advanced indexing, segments, dynamic slices: against NumPy
and torch, with repeated indices, zeros and ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import both, compare, constant, run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.graph import topological
from graphc.ir.op import Gather
from graphc.testing.differences import numeric_gradient

RNG = np.random.default_rng(8)
UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


def put(mode: str, x: Any, place: Any, new: Any) -> Any:
    """What NumPy makes of it."""
    out = np.array(x)
    if mode == "set":
        out[place] = new
    else:
        UFUNC[mode].at(out, place, new)
    return out


@pytest.mark.parametrize("mode", ["set", "add", "mul", "min", "max"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter(mode: str, axis: int) -> None:
    x = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    for at in (np.array([0, 2, 0]), np.array([[1, -1], [1, 1]]), np.zeros(0, np.int64)):
        shape = (*x.shape[: axis % 3], *at.shape, *x.shape[axis % 3 + 1 :])
        new = RNG.normal(size=shape).astype(np.float32)
        want = put(mode, x, (slice(None),) * (axis % 3) + (at,), new)
        both(lambda x, new, at=at: gc.scatter(x, at, new, axis, mode), want, x, new)
        compare(compiled(gc.scatter(x, at, new, axis, mode)), want)
    both(
        lambda x: gc.scatter(x, [1], 2.0, axis, mode),
        put(mode, x, (slice(None),) * (axis % 3) + ([1],), 2.0),
        x,
    )


@pytest.mark.parametrize("mode", ["set", "add", "mul", "min", "max"])
def test_put_along_axis_and_scatter_nd(mode: str) -> None:
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    at = np.array([[0, 4, 0], [1, 1, -5], [2, 3, 4], [0, 0, 0]])
    new = RNG.normal(size=(4, 3)).astype(np.float32)
    want = put(mode, x, (np.arange(4)[:, None], at), new)
    both(lambda x, new: gc.put_along_axis(x, at, new, 1, mode), want, x, new)
    compare(compiled(gc.put_along_axis(x, at, new, 1, mode)), want)
    places = np.array([[0, 1], [3, -1], [0, 1]])
    both(
        lambda x: gc.scatter_nd(x, places, [1.0, 2.0, 3.0], mode),
        put(mode, x, tuple(places.T), np.array([1, 2, 3], np.float32)),
        x,
    )
    both(
        lambda x: gc.scatter_nd(x, places[:, :1], new[:3, :1], mode),
        put(mode, x, places[:, 0], new[:3, :1]),
        x,
    )


@pytest.mark.parametrize("mode", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("data", ["plain", "ties", "zeros"])
def test_gradients_are_those_of_torch(mode: str, data: str) -> None:
    rng = np.random.default_rng(9)
    x, new = rng.uniform(-2, 2, (4, 3)), rng.uniform(-2, 2, (6, 3))
    if data == "ties":
        x, new = np.round(x), np.round(new)
    if data == "zeros":
        x, new = np.where(np.abs(x) < 0.7, 0, x), np.where(np.abs(new) < 0.7, 0, new)
    at = np.array([0, 1, 0, 3, 1, 1])
    w = rng.uniform(0.5, 1.5, (4, 3))
    if mode == "mul" and data != "plain":
        pytest.skip("torch's gradient of several zeros is not exact; see the next test")

    def compute(torch: Any) -> Any:
        a, b = tensor(torch, x, grad=True), tensor(torch, new, grad=True)
        place = tensor(torch, np.broadcast_to(at[:, None], (6, 3)).copy())
        kind = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}[mode]
        y = torch.scatter_reduce(a, 0, place, b, kind)
        return [y, *torch.autograd.grad(y, [a, b], tensor(torch, w))]

    p, q = gc.placeholder(gc.float64, [None, 3]), gc.placeholder(gc.float64, [None, 3])
    y = gc.scatter(p, at, q, 0, mode)
    for wanted, found in zip(
        torch_case(f"{mode}_{data}", compute), (y, *gc.gradients(y, [p, q], w)), strict=True
    ):
        feeds = {p: x, q: new}
        np.testing.assert_allclose(run(found, feeds), wanted, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(compiled(found, feeds), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_products_have_exact_derivatives_where_factors_are_zero(zeros: int) -> None:
    """First and second, against differences: semantics 6.7."""
    x, new = np.array([2.0, 3.0]), np.array([0.5, 1.5, -2.0, 4.0])
    at = np.array([0, 0, 1, 0])
    x[0] = 0 if zeros > 2 else x[0]
    new[: min(zeros, 2)] = 0
    p, q = gc.placeholder(gc.float64, [2]), gc.placeholder(gc.float64, [4])
    feeds = {p: x, q: new}
    y = gc.sum(gc.scatter(p, at, q, 0, "mul") * [1.0, 3.0])
    firsts = gc.gradients(y, [p, q])
    for i, first in enumerate(firsts):
        wanted = numeric_gradient(lambda a, b: run(y, {p: a, q: b}), [x, new], 1.0, i)
        np.testing.assert_allclose(run(first, feeds), wanted, rtol=1e-6, atol=1e-6)
        total = gc.sum(first * np.arange(1.0, 1 + first.shape[0]))
        for j, second in enumerate(gc.gradients(total, [p, q])):
            wanted = numeric_gradient(lambda a, b, t=total: run(t, {p: a, q: b}), [x, new], 1.0, j)
            np.testing.assert_allclose(run(second, feeds), wanted, rtol=1e-5, atol=1e-6)


def test_what_is_overwritten_gets_no_gradient() -> None:
    """semantics 6.7, 7.3"""
    p, q = gc.placeholder(gc.float64, [3]), gc.placeholder(gc.float64, [3])
    y = gc.scatter(p, [1, 0, 1], q)
    dx, du = gc.gradients(y, [p, q], np.array([1.0, 2.0, 3.0]))
    feeds = {p: np.zeros(3), q: np.ones(3)}
    assert compiled(dx, feeds).tolist() == [0, 0, 3]
    assert compiled(du, feeds).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda p: gc.scatter(p, [0, 3], 1.0),
        lambda p: gc.scatter_nd(p, [[-4]], 1.0, "mul"),
        lambda p: gc.gather_nd(p, [[0], [3]]),
        lambda p: p[[0, 3]],
        lambda p: gc.put_along_axis(p, [3], 1.0),
        lambda p: gc.segment_sum(p, [0, 1, 2], 2),
    ],
)
def test_an_index_out_of_range_fails_the_run(call: Any) -> None:
    """semantics 7.1"""
    p = gc.placeholder(gc.float32, [3])
    with pytest.raises(GraphError, match=r"index -?[0-9] is out of range"):
        compiled(call(p), {p: np.zeros(3)})


def test_gather_nd() -> None:
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    at = np.array([[[0, 1], [1, -1]], [[1, 2], [0, 0]]])
    both(lambda x: gc.gather_nd(x, at), x[at[..., 0], at[..., 1]], x)
    both(lambda x: gc.gather_nd(x, at[..., :1]), x[at[..., 0]], x)
    both(
        lambda x: gc.gather_nd(x, at, batch_dims=1),
        np.stack([x[i][at[i, :, 0], at[i, :, 1]] for i in range(2)]),
        x,
    )
    both(lambda x: gc.gather_nd(x, np.zeros((2, 0), np.int32)), np.stack([x, x]), x)


KEYS = [
    np.s_[[0, 1], [0, 2]],
    np.s_[:, [0, 1], :, [0, 1]],
    np.s_[:, [[0], [2]], [1, 3]],
    np.s_[0, :, [0, 1]],
    np.s_[[0, 1], None, [0, 1]],
    np.s_[..., [0, 1], [0, 1]],
    np.s_[:, [0, 1], ..., [0, 1], :],
    np.s_[1, [0, 2]],
    np.s_[:, 0, [0, 1], 1:3],
    np.s_[[0, -1], :, [0, -1], 0],
    np.s_[:, [0, 1, 2], [2]],
    np.s_[[1], [2], [3], [4]],
    np.s_[::-1, 1:, [0, 1], [[0], [1]]],
    np.s_[[]],
    np.s_[[], []],
    np.s_[np.array(1), :, [0]],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_advanced_indexing_is_that_of_numpy(key: Any) -> None:
    """semantics 7.4"""
    x = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    want = x[key]
    both(lambda x: x[key], want, x)
    p = gc.placeholder(gc.float32, [None, 3, None, 5])
    compare(compiled(p[key], {p: x}), want)


def test_gradient_of_advanced_indexing() -> None:
    p = gc.placeholder(gc.float32, [None, 3])
    (slope,) = gc.gradients(gc.sum(p[[0, 1, 0], [2, 1, 2]] ** 2), [p])
    compare(compiled(slope, {p: np.ones((2, 3))}), np.array([[0, 0, 4], [0, 2, 0]], np.float32))


def test_segments() -> None:
    x = RNG.normal(size=(6, 2)).astype(np.float32)
    ids = np.array([3, 0, 0, 3, 3, 1])
    groups = [x[ids == i] for i in range(5)]
    inf = np.float32(np.inf)
    nan = np.full(2, np.nan, np.float32)
    both(lambda x: gc.segment_sum(x, ids, 5), np.stack([g.sum(0) for g in groups]), x)
    both(lambda x: gc.segment_max(x, ids, 5), np.stack([g.max(0, initial=-inf) for g in groups]), x)
    both(lambda x: gc.segment_min(x, ids, 5), np.stack([g.min(0, initial=inf) for g in groups]), x)
    both(
        lambda x: gc.segment_mean(x, ids, 5),
        np.stack([g.mean(0) if len(g) else nan for g in groups]),
        x,
    )
    assert gc.segment_mean([1, 2], [0, 0], 1).dtype == gc.float32
    assert compiled(gc.segment_max([5, 7], [1, 1], 2)).tolist() == [-(2**63), 7]
    p = gc.placeholder(gc.float32, [None, 2])
    (slope,) = gc.gradients(gc.segment_mean(p, ids, 4)[3], [p])
    third = np.where(ids == 3, np.float32(1 / 3), np.float32(0))
    compare(compiled(slope, {p: x}), np.stack([third, third], 1))


def test_segments_of_halves_are_summed_in_f32() -> None:
    """semantics 9.1: 2048 + 1 is 2048 in f16."""
    x = np.concatenate([[2048], np.ones(8)]).astype(np.float16)
    compare(compiled(gc.segment_sum(x, np.zeros(9, np.int64), 1)), np.array([2056], np.float16))
    compare(
        compiled(gc.segment_mean(x, np.zeros(9, np.int64), 1)), np.array([2056 / 9], np.float16)
    )


@pytest.mark.parametrize("starts", [(1, 2), (-2, -3), (0, 3), (3, 0)])
def test_updates_at_known_places_read_no_index(starts: tuple[int, int]) -> None:
    x, u = gc.placeholder(gc.float64, [5, 6]), gc.placeholder(gc.float64, [2, 3])
    y = gc.dynamic_update_slice(x, u, starts)
    data, new = RNG.normal(size=(5, 6)), RNG.normal(size=(2, 3))
    found = compiled([y, *gc.gradients(gc.sum(y * y), [x, u])], {x: data, u: new})
    a, b = starts[0] % 5, starts[1] % 6
    want, slope = data.copy(), 2 * data
    want[a : a + 2, b : b + 3], slope[a : a + 2, b : b + 3] = new, 0
    for got, expected in zip(found, (want, slope, 2 * new), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert not any(isinstance(v.op, Gather) for v in topological([y]))


def test_dynamic_slices() -> None:
    """semantics 7.5"""
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    p, i, j = (
        gc.placeholder(t, s) for t, s in ((gc.float32, [None, 4]), (gc.int32, []), (gc.int64, []))
    )
    y = gc.dynamic_slice(p, (i, j), (2, 3))
    new = np.ones((2, 3), np.float32)
    z = gc.dynamic_update_slice(p, new, (i, j))
    with gc.Session() as sess:
        for a, b in ((0, 0), (3, 1), (-2, -3), (1, 0)):
            feeds = {p: x, i: a, j: b}
            rows, columns = range(a % 5, a % 5 + 2), range(b % 4, b % 4 + 3)
            compare(sess.run(y, feeds), x[np.ix_(rows, columns)])
            want = x.copy()
            want[np.ix_(rows, columns)] = 1
            compare(sess.run(z, feeds), want)
        for a, b in ((4, 0), (0, 2), (-1, 0), (-6, 0), (0, 2**40)):
            for fetch in (y, z):
                with pytest.raises(GraphError, match="out of range"):
                    sess.run(fetch, {p: x, i: a, j: b})
    starts = gc.asarray([1, 0])
    compare(compiled(gc.dynamic_slice(x, starts, (2, 4))), x[1:3])
    compare(run(gc.dynamic_slice(constant(x), (0, 0), (5, 4))), x)
    compare(compiled(gc.dynamic_slice(x, (5, 0), (0, 4))), x[5:])


def test_gradients_of_dynamic_slices() -> None:
    p, q, i = (
        gc.placeholder(t, s) for t, s in ((gc.float64, [5]), (gc.float64, [2]), (gc.int32, []))
    )
    feeds = {p: np.arange(5.0), q: np.arange(2.0) + 7, i: 2}
    (slope,) = gc.gradients(gc.sum(gc.dynamic_slice(p, (i,), (2,)) ** 2), [p])
    assert compiled(slope, feeds).tolist() == [0, 0, 4, 6, 0]
    dp, dq = gc.gradients(gc.sum(gc.dynamic_update_slice(p, q, (i,)) ** 2), [p, q])
    assert compiled(dp, feeds).tolist() == [0, 2, 0, 0, 8]
    assert compiled(dq, feeds).tolist() == [14, 16]


X = np.zeros((2, 3), np.float32)
WRONG = [
    (lambda: gc.scatter(X, [0], 1.0, mode="avg"), GraphError, "mode must be one of 'set', 'add'"),
    (lambda: gc.scatter(X, [0.0], 1.0), DTypeError, "scatter: indices f32"),
    (lambda: gc.scatter(X, [0], np.ones(4)), ShapeError, "does not broadcast"),
    (lambda: gc.scatter(X > 0, [0], True, mode="add"), DTypeError, "holds no numbers"),
    (lambda: gc.scatter_nd(X, [[0, 0, 0]], 1.0), ShapeError, "at most 2 numbers"),
    (lambda: gc.gather_nd(X, 1), ShapeError, "gather_nd: "),
    (lambda: gc.gather_nd(X, [[0]], batch_dims=2), ShapeError, "batch_dims 2"),
    (lambda: gc.put_along_axis(X, [0], 1.0), ShapeError, "another rank"),
    (lambda: X_()[[0, 1], [0, 1, 2]], ShapeError, "do not broadcast"),
    (lambda: X_()[[0.5]], DTypeError, "index: float64 array: expected integers"),
    (lambda: X_()[..., ...], GraphError, "stands twice"),
    (lambda: gc.segment_sum(X, [0], 2), ShapeError, "sizes differ of segment_ids"),
    (lambda: gc.segment_sum(X, [0, 1], None), GraphError, "num_segments is missing"),
    (lambda: gc.dynamic_slice(X, (0,), (1, 1)), ShapeError, "1 starts and 2 in sizes"),
    (lambda: gc.dynamic_slice(X, (0, 0), (3, 1)), ShapeError, "3 elements do not fit"),
    (lambda: gc.dynamic_slice(X, ([0], 0), (1, 1)), ShapeError, "expected a 0-d integer"),
    (lambda: gc.dynamic_update_slice(X, 1.0, (0, 0)), ShapeError, "another rank"),
]


def X_() -> Any:
    return gc.asarray(X)


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
