"""Diagonals, grids, order statistics, NaN-aware folds and quantisation against NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import both, compare, run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.graph import topological
from graphc.ir.ops.matmul import Matmul

RNG = np.random.default_rng(11)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
SQUARE = RNG.normal(size=(4, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


@pytest.mark.parametrize("offset", [-5, -2, 0, 1, 3, 9])
def test_diagonals(offset: int) -> None:
    for axes in ((0, 1), (2, 0), (-1, 1)):
        both(lambda x, a=axes: gc.diagonal(x, offset, *a), np.diagonal(X, offset, *axes), X)
        both(lambda x, a=axes: gc.trace(x, offset, *a), np.trace(X, offset, *axes), X)
    both(lambda x: gc.diag(x, offset), np.diag(SQUARE, offset), SQUARE)
    for n in (0, 1, 4):
        both(lambda x: gc.diag(x, offset), np.diag(SQUARE[0, :n], offset), SQUARE[0, :n])
    both(lambda x: gc.triu(gc.tril(x, offset), -offset), np.triu(np.tril(X, offset), -offset), X)
    p = gc.placeholder(gc.float32, [None, None])
    (slope,) = gc.gradients(gc.sum(gc.diag(p, offset) ** 2), [p])
    where = np.eye(3, 5, offset, dtype=np.float32)
    compare(compiled(slope, {p: X[:, 0]}), 2 * X[:, 0] * where)


def test_products() -> None:
    a, b = X[0], X[1, :2]
    both(gc.kron, np.kron(a, b), a, b)
    both(gc.kron, np.kron(a[0], X), a[0], X)
    both(gc.inner, np.inner(X, b), X, b)
    both(lambda x: gc.inner(x, 2.0), X * 2, X)
    u, v = X[..., :3], X[0, :, :3]
    np.testing.assert_allclose(compiled(gc.cross(u, v)), np.cross(u, v), rtol=1e-5, atol=1e-6)
    w = u.transpose(0, 2, 1)
    both(
        lambda x, y: (
            gc.cross(x, y, 1)
            if isinstance(x.shape[1], int)
            else gc.asarray(np.cross(w, w[::-1], axis=1))
        ),
        np.cross(w, w[::-1], axis=1),
        w,
        w[::-1].copy(),
    )


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing: str) -> None:
    lines = [np.arange(n, dtype=np.float32) for n in (2, 3, 4)]
    for count in range(4):
        want = np.meshgrid(*lines[:count], indexing=indexing)
        got = gc.meshgrid(*lines[:count], indexing=indexing)
        assert len(got) == len(want)
        for w, g in zip(want, got, strict=True):
            compare(run(g), w)


@pytest.mark.parametrize(
    "subscripts",
    [
        "bii->bi",
        "bii->b",
        "bii",
        "...ii->...i",
        "...ij,...jk",
        "bij,bjk,bkl->bil",
        "bij,bkj->bik",
        "bij,ckj->bcik",
        "bij->",
        "...i,...i->...",
        "bij,bij->ij",
    ],
)
def test_einsum(subscripts: str) -> None:
    x = RNG.normal(size=(3, 4, 4)).astype(np.float32)
    operands = [x] * (subscripts.count(",") + 1)
    want = np.einsum(subscripts, *operands)
    np.testing.assert_allclose(
        compiled(gc.einsum(subscripts, *operands)), want, rtol=1e-4, atol=1e-4
    )
    ps = [gc.placeholder(gc.float32, [None, 4, 4]) for _ in operands]
    found = gc.einsum(subscripts, *ps)
    np.testing.assert_allclose(run(found, dict.fromkeys(ps, x)), want, rtol=1e-4, atol=1e-4)
    contracts = "j," in subscripts or "bjk" in subscripts or "kj" in subscripts
    if contracts and "->ij" not in subscripts:
        assert any(isinstance(v.op, Matmul) for v in topological([found]))


def test_diagonals_of_sizes_that_differ_are_refused() -> None:
    p = gc.placeholder(gc.float32, [None, None])
    y = gc.einsum("ii->i", p)
    compare(compiled(y, {p: SQUARE}), np.diag(SQUARE))
    with pytest.raises(gc.errors.FeedError, match="the graph needs them equal"):
        compiled(y, {p: SQUARE[:2]})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_diff(axis: int) -> None:
    for n in (0, 1, 2, 7):
        both(lambda x, n=n: gc.diff(x, n, axis), np.diff(X, n, axis), X)
    both(
        lambda x: gc.diff(x, axis=axis, prepend=0.0, append=x),
        np.diff(X, axis=axis, prepend=np.float32(0), append=X),
        X,
    )
    both(lambda x: gc.diff(x, axis=axis), np.diff(X > 0, axis=axis), X > 0)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_quantile(method: str) -> None:
    for q in (0.0, 0.1, 0.5, 0.875, 1.0, [0.25, 0.75]):
        for axis in (None, 1, (0, 2)):
            want = np.quantile(X, q, axis, method=method).astype(np.float32)
            np.testing.assert_allclose(
                run(gc.quantile(X, q, axis, method)), want, rtol=1e-5, atol=1e-6
            )
    compare(compiled(gc.median(X, (1, 2), True)), np.median(X, (1, 2), keepdims=True))
    bad = X.copy()
    bad[0, 0, 0] = np.nan
    compare(compiled(gc.median(bad, 2)), np.median(bad, 2))
    assert np.isnan(run(gc.median(np.zeros((2, 0)), 1))).all()
    y = np.array([-np.inf, -np.inf, 1, np.inf], np.float32)
    assert run(gc.quantile(y, 0.2)) == -np.inf
    p = gc.placeholder(gc.float32, [4])
    (slope,) = gc.gradients(gc.median(p), [p])
    assert compiled(slope, {p: [4, 1, 3, 2]}).tolist() == [0, 0, 0.5, 0.5]


def test_folds() -> None:
    bad = X.copy()
    bad[0, 0] = np.nan
    bad[1, 2, 3] = np.nan
    w = RNG.uniform(0.5, 1, 4).astype(np.float32)
    both(lambda x: gc.average(x, 1, w), np.average(X, 1, w), X)
    both(lambda x: gc.average(x, 1), np.average(X, 1), X)
    both(lambda x: gc.ptp(x, 1), np.ptp(X, 1), X)
    both(lambda x: gc.nansum(x, 2), np.nansum(bad, 2), bad)
    both(lambda x: gc.nanmax(x, 1), np.nanmax(bad, 1), bad)
    both(lambda x: gc.nanmin(x, 1), np.nanmin(bad, 1), bad)
    both(lambda x: gc.nanmean(x, 1), np.nanmean(bad, 1), bad)
    assert np.isnan(run(gc.nanmean(bad, 2))[0, 0])


def test_elementwise() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, -2], np.float32)
    both(gc.nan_to_num, np.nan_to_num(x), x)
    both(lambda x: gc.nan_to_num(x, 1.0, 2.0, -3.0), np.nan_to_num(x, True, 1, 2, -3), x)
    y = np.array([-0.0, 1, -1, -np.inf, -0.0, -0.0, 0.0], np.float32)
    got = run(gc.copysign(x, y))
    assert got.tobytes()[4:] == np.copysign(x, y).tobytes()[4:]
    both(gc.deg2rad, np.deg2rad(x), x)
    both(gc.rad2deg, np.rad2deg(x), x)
    both(lambda x: gc.isin(x, [1.5, 0.0]), np.isin(x, [1.5, 0.0]), x)
    both(lambda x: gc.isin(x, [[1.5], [0.0]], invert=True), ~np.isin(x, [1.5, 0.0]), x)
    assert run(gc.allclose(X, X + np.float32(1e-9))) and not run(gc.allclose(X, X + 1))
    assert run(gc.array_equal(X, X)) and not run(gc.array_equal(X, X[0]))
    assert not run(gc.array_equal(X, X[:, :2]))


def test_shorthand() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, -2], np.float32)
    y = np.array([1, np.nan, 3, 0, 1, np.nan, -5], np.float32)
    both(gc.fmax, np.fmax(x, y), x, y)
    both(gc.fmin, np.fmin(x, y), x, y)
    both(gc.signbit, np.signbit(x), x)
    both(gc.heaviside, np.heaviside(x, y), x, y)
    both(gc.sinc, np.sinc(x[3:]), x[3:])
    huge = np.float32([3.4e38, -2e38, 1e38, 3e10])  # pi times them is infinite in f32
    compare(run(gc.sinc(huge)), np.zeros(4, np.float32))
    both(lambda x: gc.polyval([1.0, -2.0, 3.0], x), np.polyval([1, -2, 3], X).astype("f4"), X)
    compare(run(gc.percentile(X, [30, 70], 1)), np.percentile(X, [30, 70], 1).astype("f4"))
    places = np.cumsum(np.abs(X[0, :, 0])).astype(np.float32)
    both(lambda y: gc.trapezoid(y, axis=1), np.trapezoid(X, axis=1), X)
    both(lambda y: gc.trapezoid(y, places, axis=1), np.trapezoid(X, places, axis=1), X)
    both(gc.cov, np.cov(X[0]).astype("f4"), X[0])
    both(
        lambda x: gc.select([x > 1, x > 0], [x, x * 2], -1.0),
        np.select([X > 1, X > 0], [X, X * 2], np.float32(-1)),
        X,
    )
    at = ([0, 1, -1], [[2], [0]])
    flat = np.ravel_multi_index(([[0, 1, 2]] * 2, [[2] * 3, [0] * 3]), (3, 4))
    compare(run(gc.ravel_multi_index(at, (3, 4))), flat)
    for want, got in zip(
        np.unravel_index(flat, (3, 4)), gc.unravel_index(flat, (3, 4)), strict=True
    ):
        compare(run(got), want)


def test_interp() -> None:
    xp, fp = [-1.0, 0.0, 0.5], [3.0, 1.0, 2.0]
    x = np.append(X.ravel(), [-1, 0, 0.5, -9, 9, np.nan]).astype(np.float32)
    both(lambda x: gc.interp(x, xp, fp), np.interp(x, xp, fp).astype(np.float32), x)
    both(lambda x: gc.interp(x, [1.0], [4.0]), np.full(x[:-1].shape, 4, np.float32), x[:-1])


def test_shapes() -> None:
    both(lambda x: gc.roll(x, (1, -2), (0, 1)), np.roll(X, (1, -2), (0, 1)), X)
    both(lambda x: gc.roll(x, 3, (0, 2)), np.roll(X, 3, (0, 2)), X)
    both(lambda x: gc.roll(x, (1, 1), 2), np.roll(X, (1, 1), 2), X)
    both(lambda x: gc.roll(x, -7), np.roll(X, -7), X)
    for k in range(-1, 5):
        both(lambda x, k=k: gc.rot90(x, k, (2, 0)), np.rot90(X, k, (2, 0)), X)
    both(lambda x: gc.hstack([x, x]), np.hstack([X, X]), X)
    both(lambda x: gc.hstack([x, 1.0]), np.hstack([X[0, 0], 1]).astype("f4"), X[0, 0])
    both(lambda x: gc.vstack([x, x]), np.vstack([X[0, 0], X[0, 0]]), X[0, 0])
    both(gc.atleast_2d, np.atleast_2d(X[0, 0]), X[0, 0])
    assert gc.atleast_1d(1.0).shape == (1,)


@pytest.mark.parametrize("kind", ["tensor", "channel"])
def test_quantisation_is_that_of_torch(kind: str) -> None:
    """semantics 6.8"""
    x = np.concatenate([X[0].ravel() * 40, [0.25, 0.75, 1.25, 1e9, -1e9, 0]]).astype("f4")
    x = np.stack([x, -x], 1)
    scale = np.array([0.5, 0.25], np.float32)
    point = np.array([3, -7], np.int32)

    def compute(torch: Any) -> Any:
        t = tensor(torch, x, grad=True)
        if kind == "tensor":
            y = torch.fake_quantize_per_tensor_affine(t, 0.5, 3, -128, 127)
        else:
            y = torch.fake_quantize_per_channel_affine(
                t, tensor(torch, scale), tensor(torch, point), 1, -128, 127
            )
        (slope,) = torch.autograd.grad(y.sum(), t)
        return [y, y, slope]

    s, z = (0.5, 3) if kind == "tensor" else (scale, point)
    p = gc.placeholder(gc.float32, [None, 2])
    q = gc.quantize_linear(p, s, np.asarray(z, np.int8))
    back = gc.dequantize_linear(q, s, np.asarray(z, np.int8))
    fake = gc.fake_quantize(p, s, z, -128, 127)
    (slope,) = gc.gradients(fake, [p])
    for wanted, found in zip(torch_case(kind, compute), (back, fake, slope), strict=True):
        compare(run(found, {p: x}), wanted)
        compare(compiled(found, {p: x}), wanted)


def test_quantisation_rounds_to_even_and_saturates() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, 300, -300, np.inf, -np.inf, np.nan], np.float32)
    assert compiled(gc.quantize_linear(x, 1.0)).tolist() == [0, 2, 2, 0, 255, 0, 255, 0, 0]
    assert compiled(gc.quantize_linear(x, 1.0, 1, dtype=gc.int8)).tolist() == [
        1,
        3,
        3,
        1,
        127,
        -128,
        127,
        -128,
        1,
    ]
    assert gc.quantize_linear(x, 1.0, dtype="u16").dtype == gc.uint16
    assert gc.dequantize_linear(np.zeros(3, np.int8), np.float16(1)).dtype == gc.float16


WRONG = [
    (lambda: gc.diagonal([1.0]), ShapeError, "diagonal: .* is no matrix"),
    (lambda: gc.diagonal(X, 0, 1, 1), ShapeError, "axis1 and axis2 are both 1"),
    (lambda: gc.diag(X), ShapeError, "diag: .*expected a vector or a matrix"),
    (lambda: gc.cross([1.0, 2.0], [1.0, 2.0]), ShapeError, "expected size 3"),
    (lambda: gc.meshgrid([1.0], indexing="yx"), GraphError, "indexing must be one of"),
    (lambda: gc.diff(X, -1), ShapeError, "diff: n is -1"),
    (lambda: gc.quantile(X, 1.5), GraphError, "quantile: q must be"),
    (lambda: gc.quantile(X, 0.5, method="best"), GraphError, "method must be one of"),
    (lambda: gc.median(gc.placeholder(gc.float32, [None])), ShapeError, "symbolic size"),
    (lambda: gc.interp(1.0, [1.0], [1.0, 2.0]), ShapeError, "interp: points"),
    (lambda: gc.roll(X, (1, 2), (0, 1, 2)), ShapeError, "2 shifts for 3 axes"),
    (lambda: gc.rot90(X, 1, (0, 0)), ShapeError, "two different"),
    (lambda: gc.quantize_linear([1], 1.0), DTypeError, "holds no floats"),
    (lambda: gc.quantize_linear(X, 1.0, dtype=gc.int32), DTypeError, "8 or 16 bits"),
    (lambda: gc.quantize_linear(X, [1.0, 2.0]), ShapeError, "sizes differ of scale"),
    (lambda: gc.dequantize_linear(X, 1.0), DTypeError, "holds no integers"),
    (lambda: gc.fake_quantize(X, 1.0, 0, 3, 3), ShapeError, "quant_min 3 is not below"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_no_differences_join_nothing() -> None:
    x = np.array([3.0, 5, 4], np.float32)
    both(lambda x: gc.diff(x, n=0, prepend=7.0, append=x), np.diff(x, n=0, prepend=7, append=x), x)
    both(lambda x: gc.diff(x, prepend=7.0), np.diff(x, prepend=np.float32(7)), x)


def test_the_covariance_of_one_row_is_a_number() -> None:
    x = np.array([3.0, 5, 4], np.float32)
    for given in (x, x[None]):
        found = compiled(gc.cov(given))
        assert found.shape == () and found == 1.0
    symbolic = gc.placeholder(gc.float32, ["n", 3])
    np.testing.assert_array_equal(compiled(gc.cov(symbolic), {symbolic: x[None]}), [[1]])
    np.testing.assert_array_equal(compiled(gc.cov(x[None, :1] + 1.0, correction=2)), np.nan)
