"""Sorting, searching and counting against NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import both, compare, constant, run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, FeedError, GraphError, ShapeError
from graphc.ir.graph import topological

RNG = np.random.default_rng(5)
NAN = np.array([3, np.nan, -np.inf, 0.0, -0.0, np.inf, 3, np.nan, -1], np.float32)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


def falling(x: Any, axis: int = -1) -> Any:
    """The stable falling order, NaN first."""
    n = x.shape[axis]
    return n - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


@pytest.mark.parametrize(
    "shape", [(1,), (0,), (7,), (8,), (9,), (100,), (3, 17), (4, 1, 33), (2, 0, 3), (0, 5)]
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "?", "f2"])
def test_orders(shape: Any, dtype: str) -> None:
    x = RNG.integers(0, 9, shape).astype(dtype)
    p = gc.placeholder(x.dtype, [None] * x.ndim)
    for axis in range(-1, x.ndim - 1):
        fetches = [
            gc.sort(p, axis),
            gc.argsort(p, axis),
            gc.sort(p, axis, descending=True),
            gc.argsort(p, axis, descending=True),
        ]
        places = np.argsort(x, axis, kind="stable"), falling(x, axis)
        wanted = [v for f in places for v in (np.take_along_axis(x, f, axis), f)]
        for want, got in zip(wanted, compiled(fetches, {p: x}), strict=True):
            compare(got, want)


def test_nan_is_the_greatest() -> None:
    """semantics 2.5"""
    for found in (run(gc.sort(constant(NAN))), compiled(gc.sort(NAN))):
        assert found.tobytes() == np.sort(NAN, kind="stable").tobytes()
    both(gc.argsort, np.argsort(NAN, kind="stable"), NAN)
    both(lambda x: gc.argsort(x, descending=True), falling(NAN), NAN)
    values, places = compiled(gc.top_k(NAN, 4))
    assert places.tolist() == [1, 7, 5, 0] and np.isnan(values[:2]).all()
    assert (
        compiled(gc.top_k(NAN, 9, largest=False)[1]).tolist()
        == np.argsort(NAN, kind="stable").tolist()
    )


def test_sort_without_an_axis_flattens() -> None:
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    both(lambda x: gc.sort(x, None), np.sort(x, None), x)
    both(lambda x: gc.argsort(x, None), np.argsort(x, None, kind="stable"), x)


@pytest.mark.parametrize("k", [0, 1, 2, 16, 33])
@pytest.mark.parametrize("largest", [True, False])
def test_top_k(k: int, largest: bool) -> None:
    x = RNG.integers(0, 20, (5, 33)).astype(np.float32)
    order = falling(x) if largest else np.argsort(x, -1, kind="stable")
    values, places = compiled(gc.top_k(x, k, largest=largest))
    compare(places, order[:, :k])
    compare(values, np.take_along_axis(x, order[:, :k], -1))
    columns = gc.top_k(gc.asarray(x.T), k, 0, largest)
    compare(run(columns[1]), order[:, :k].T)


def test_top_k_of_too_few_fails_when_fed() -> None:
    p = gc.placeholder(gc.float32, ["n"])
    values, _ = gc.top_k(p, 3)
    assert compiled(values, {p: [1, 5, 2, 4]}).tolist() == [5, 4, 2]
    with pytest.raises(FeedError, match=r"top_k: k is 3, .*: needs n >= 3, got 2"):
        compiled(values, {p: [1.0, 2.0]})


X = np.round(np.random.default_rng(6).normal(size=(3, 6)) * 2) / 2  # with ties


@pytest.mark.parametrize("data", ["ties", "plain"])
@pytest.mark.parametrize("name", ["sort", "sort_descending", "topk", "topk_smallest"])
def test_torch(name: str, data: str) -> None:
    x = X if data == "ties" else X + np.arange(18).reshape(3, 6) / 64
    w = np.random.default_rng(7).uniform(0.5, 1.5, (3, 6))
    if "topk" in name and data == "ties":
        pytest.skip("torch leaves the order of equals open")

    def compute(torch: Any) -> Any:
        t = tensor(torch, x, grad=True)
        y, places = {
            "sort": lambda: t.sort(dim=-1, stable=True),
            "sort_descending": lambda: t.sort(dim=-1, descending=True, stable=True),
            "topk": lambda: t.topk(4),
            "topk_smallest": lambda: t.topk(4, largest=False),
        }[name]()
        (slope,) = torch.autograd.grad(y * y, t, tensor(torch, w[:, : y.shape[1]]))
        return [y, places, slope]

    p = gc.placeholder(gc.float64, [None, None])
    if "topk" in name:
        y, places = gc.top_k(p, 4, largest=name == "topk")
    else:
        down = name == "sort_descending"
        y, places = gc.sort(p, descending=down), gc.argsort(p, descending=down)
    (slope,) = gc.gradients(y * y, [p], w[:, : int(y.shape[1])] if "topk" in name else w)
    for wanted, found in zip(
        torch_case(f"{name}_{data}", compute), (y, places, slope), strict=True
    ):
        np.testing.assert_allclose(run(found, {p: x}), wanted, rtol=1e-12)
        np.testing.assert_allclose(compiled(found, {p: x}), wanted, rtol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 64])
def test_searchsorted(side: str, n: int) -> None:
    a = np.sort(RNG.integers(0, 9, n)).astype(np.float32)
    if n > 2:
        a[-1] = np.nan
    v = np.array([[-1, 0, 3, 4.5], [8, 9, np.nan, np.inf]], np.float32)
    want = np.searchsorted(a, v, side)
    both(lambda a, v: gc.searchsorted(a, v, side), want, a, v)
    compare(compiled(gc.searchsorted(a, v, side)), want)
    edges = a if n < 3 else a[:-1]
    both(
        lambda v, e: gc.digitize(v, e, side == "left"),
        np.digitize(v, edges, side == "left"),
        v,
        edges,
    )


def test_bincount() -> None:
    """semantics 7.6"""
    x = RNG.integers(0, 5, (3, 7))
    w = RNG.normal(size=(3, 7))
    both(lambda x: gc.bincount(x, minlength=8), np.bincount(x.ravel(), minlength=8), x)
    compare(compiled(gc.bincount(x, w, 5)), np.bincount(x.ravel(), w.ravel(), 5))
    compare(compiled(gc.bincount(np.zeros(0, np.int32), minlength=2)), np.zeros(2, np.int64))
    for bad in ([5], [-1]):
        with pytest.raises(GraphError, match="out of range"):
            compiled(gc.bincount(bad, minlength=5))


def test_histogram() -> None:
    """semantics 7.6"""
    x = np.concatenate([RNG.normal(size=100), [-1.0, 1.0, 0.0, np.nan, np.inf]]).astype("f4")
    kept = x[~np.isnan(x)]
    for bins in (1, 4, 7):
        counts, edges = compiled(gc.histogram(x, bins, (-1, 1)))
        want, lines = np.histogram(kept[np.abs(kept) <= 1], bins, (-1, 1))
        compare(counts, want)
        np.testing.assert_allclose(edges, lines, rtol=1e-6)
    some = np.array([-1, -0.5, 0.25, 2], np.float32)
    compare(compiled(gc.histogram(x, some)[0]), np.histogram(kept, some)[0])
    w = RNG.normal(size=x.shape).astype("f4")
    counts = compiled(gc.histogram(x, some, weights=w)[0])
    np.testing.assert_allclose(
        counts, np.histogram(kept, some, weights=w[~np.isnan(x)])[0], rtol=1e-5, atol=1e-6
    )
    p = gc.placeholder(gc.float32, [None])
    compare(compiled(gc.histogram(p, 3, (0, 1))[0], {p: np.zeros(0)}), np.zeros(3, np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_of_equal_width_are_computed_and_are_those_that_a_search_finds(dtype: Any) -> None:
    for low, high in ((0, 1), (-3, 7.3), (1e6, 1e6 + 5), (0.1, 0.10001), (-1e-30, 1e-30)):
        for bins in (1, 3, 10, 1000):
            lines = np.linspace(low, high, bins + 1).astype(dtype)
            near = [np.nextafter(lines, dtype(to)) for to in (-np.inf, np.inf)]
            spread = RNG.uniform(low - 1e-1 * (high - low), high, 500)
            x = np.concatenate([spread, lines, *near, [np.nan, np.inf, -np.inf]]).astype(dtype)
            counts = run([gc.histogram(x, bins, (low, high))[0], gc.histogram(x, lines)[0]])
            np.testing.assert_array_equal(*counts)
    t = gc.placeholder(dtype, [None])
    searches = [gc.histogram(t, b, (0, 1))[0] for b in (1000, np.linspace(0, 1, 1001))]
    found = [{v.op.name for v in topological([y])} for y in searches]
    assert "search_sorted" not in found[0] and "search_sorted" in found[1]


WRONG = [
    (lambda: gc.sort(1.0), ShapeError, "sort: axis -1 is out of range"),
    (lambda: gc.sort([1.0], descending=1), GraphError, "descending must be a bool"),
    (lambda: gc.top_k([1.0], 2), ShapeError, "top_k: k is 2, but axis 0 .* has 1"),
    (lambda: gc.top_k([1.0], -1), ShapeError, "negative size"),
    (lambda: gc.searchsorted([[1.0]], 1.0), ShapeError, "searchsorted: x1 is f32.1,1."),
    (lambda: gc.searchsorted([1.0], 1.0, "middle"), GraphError, "side must be one of 'left', 'ri"),
    (lambda: gc.bincount([1.0], minlength=3), DTypeError, "bincount: indices"),
    (lambda: gc.bincount([1]), GraphError, "minlength is missing"),
    (lambda: gc.histogram([1.0], 4), GraphError, "range must be"),
    (lambda: gc.histogram([1.0], 0, (0, 1)), ShapeError, "expected 1 to"),
    (lambda: gc.histogram([1.0], [0.0]), ShapeError, "at least two edges"),
    (lambda: gc.unique([1, 1]), GraphError, "unique: .*would depend on data; use gc.sort"),
    (lambda: gc.nonzero([1, 1]), GraphError, "nonzero: .*would depend on data; use gc.where"),
    (lambda: gc.zeros((3,))[gc.zeros((3,)) > 0], GraphError, r"size of x\[mask\] would depend"),
    (lambda: gc.zeros((3,))[[True, False, True]], GraphError, r"size of x\[mask\] would depend"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
