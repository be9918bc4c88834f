"""Functions of whole arrays (shapes, folds, products, gathers) against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import Machine, both, compare, constant, fed, run

import graphc as gc
from graphc.errors import GraphError, ShapeError

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


# ---- shaping and joining ----

SHAPING: list[tuple[Any, Any, tuple[int, ...]]] = [
    (lambda x: gc.reshape(x, (6, -1)), lambda x: np.reshape(x, (6, -1)), (4, 3)),
    (lambda x: gc.reshape(x, -1), lambda x: np.reshape(x, -1), (2, 3)),
    (lambda x: gc.reshape(x, ()), lambda x: np.reshape(x, ()), (1, 1)),
    (gc.flatten, np.ravel, (2, 3)),
    (lambda x: gc.permute_dims(x, (2, 0, 1)), lambda x: np.transpose(x, (2, 0, 1)), (2, 3, 4)),
    (lambda x: gc.permute_dims(x, (-1, 0, 1)), lambda x: np.transpose(x, (-1, 0, 1)), (2, 3, 4)),
    (gc.transpose, np.transpose, (2, 3, 4)),
    (gc.matrix_transpose, lambda x: np.swapaxes(x, -1, -2), (2, 3, 4)),
    (lambda x: gc.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (2, 3, 4)),
    (lambda x: gc.moveaxis(x, (0, 1), (2, 0)), lambda x: np.moveaxis(x, (0, 1), (2, 0)), (2, 3, 4)),
    (lambda x: gc.swapaxes(x, 0, 2), lambda x: np.swapaxes(x, 0, 2), (2, 3, 4)),
    (lambda x: gc.expand_dims(x, 1), lambda x: np.expand_dims(x, 1), (2, 3)),
    (lambda x: gc.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)), (2, 3)),
    (lambda x: gc.flip(x), np.flip, (2, 3)),
    (lambda x: gc.flip(x, 1), lambda x: np.flip(x, 1), (2, 3)),
    (lambda x: gc.roll(x, 2, 1), lambda x: np.roll(x, 2, 1), (2, 5)),
    (lambda x: gc.roll(x, -7, 1), lambda x: np.roll(x, -7, 1), (2, 5)),
    (lambda x: gc.roll(x, 3), lambda x: np.roll(x, 3), (2, 5)),
    (lambda x: gc.tile(x, 2), lambda x: np.tile(x, 2), (2, 3)),
    (lambda x: gc.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (2, 3)),
    (lambda x: gc.repeat(x, 2, 0), lambda x: np.repeat(x, 2, 0), (2, 3)),
    (lambda x: gc.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1), (2, 3)),
    (lambda x: gc.repeat(x, 2), lambda x: np.repeat(x, 2), (2, 3)),
    (lambda x: gc.pad(x, 1), lambda x: np.pad(x, 1), (2, 3)),
    (
        lambda x: gc.pad(x, ((0, 1), (2, 0)), constant_values=7),
        lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=7),
        (2, 3),
    ),
    (lambda x: gc.pad(x, (1, 2)), lambda x: np.pad(x, (1, 2)), (2, 3)),
    (lambda x: gc.concat([x, x], 1), lambda x: np.concatenate([x, x], 1), (2, 3)),
    (lambda x: gc.concat([x, x], None), lambda x: np.concatenate([x, x], None), (2, 3)),
    (lambda x: gc.stack([x, x + 1.0], -1), lambda x: np.stack([x, x + 1], -1), (2, 3)),
    (lambda x: gc.split(x, 2, 1)[1], lambda x: np.split(x, 2, 1)[1], (2, 6)),
    (lambda x: gc.split(x, [1, 3], 1)[1], lambda x: np.split(x, [1, 3], 1)[1], (2, 6)),
    (lambda x: gc.split(x, [4], 1)[1], lambda x: np.split(x, [4], 1)[1], (2, 3)),
    (lambda x: gc.split(x, [-1], 1)[1], lambda x: np.split(x, [-1], 1)[1], (2, 3)),
    (lambda x: x[1:, ::-1], lambda x: x[1:, ::-1], (3, 4)),
    (lambda x: x[::2, None, -1], lambda x: x[::2, None, -1], (3, 4)),
    (lambda x: x[..., 1:-1], lambda x: x[..., 1:-1], (3, 4)),
]


@pytest.mark.parametrize(("function", "numpy", "shape"), SHAPING)
def test_shaping(function: Any, numpy: Any, shape: tuple[int, ...]) -> None:
    x = floats(*shape)
    compare(run(function(constant(x))), numpy(x))


@pytest.mark.parametrize(("function", "numpy", "shape"), SHAPING)
def test_shaping_of_symbolic_sizes(function: Any, numpy: Any, shape: tuple[int, ...]) -> None:
    x = floats(*shape)
    compare(fed(function, x), numpy(x))


def test_squeeze_broadcast_unstack() -> None:
    x = floats(1, 3, 1)
    compare(run(gc.squeeze(x)), np.squeeze(x))
    compare(run(gc.squeeze(x, 0)), np.squeeze(x, 0))
    compare(run(gc.broadcast_to(x, (2, 1, 3, 4))), np.broadcast_to(x, (2, 1, 3, 4)))
    parts = gc.unstack(x, axis=1)
    assert len(parts) == 3
    for i, part in enumerate(parts):
        compare(run(part), x[:, i])


def test_concat_promotes() -> None:
    out = gc.concat([np.zeros(2, np.int32), np.ones(1, np.float32)])
    compare(run(out), np.array([0, 0, 1], np.float32))


def test_strided_slice_of_symbolic_size_and_its_gradient_at_every_size() -> None:
    """semantics 8.1: one graph serves all sizes, 0 and 1 too."""
    x = gc.placeholder(gc.float32, ["n"])
    (dx,) = gc.gradients(gc.sum(x[::3] * 2.0), [x])
    for n in range(8):
        expected = np.zeros(n, np.float32)
        expected[::3] = 2
        compare(run(dx, {x: np.ones(n)}), expected)


# ---- reductions ----

FOLDS = [
    (gc.sum, np.sum),
    (gc.prod, np.prod),
    (gc.max, np.max),
    (gc.min, np.min),
    (gc.mean, np.mean),
    (gc.var, np.var),
    (gc.std, np.std),
    (gc.any, np.any),
    (gc.all, np.all),
    (gc.count_nonzero, np.count_nonzero),
]


@pytest.mark.parametrize(("function", "numpy"), FOLDS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_folds(function: Any, numpy: Any, axis: Any, keepdims: bool) -> None:
    x = floats(2, 3, 4)
    expected = np.asarray(numpy(x, axis=axis, keepdims=keepdims))
    both(lambda t: function(t, axis=axis, keepdims=keepdims), expected, x)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_types_of_sums(dtype: Any) -> None:
    """semantics 1.5"""
    x = ints(5, low=0, high=2).astype(dtype)
    compare(run(gc.sum(x)), np.sum(x))
    compare(run(gc.prod(x)), np.prod(x))
    compare(run(gc.max(x)), np.max(x))
    compare(run(gc.mean(x)), np.mean(x).astype(np.float32))


def test_mean_of_f16_does_not_overflow() -> None:
    x = np.full(100, 60000, np.float16)
    compare(run(gc.mean(x)), np.float16(60000))


def test_mean_of_a_symbolic_axis() -> None:
    x = gc.placeholder(gc.float32, [None, 3])
    for n in (1, 4, 7):
        a = floats(n, 3)
        compare(run(gc.mean(x, axis=0), {x: a}), a.mean(0))
    assert np.isnan(run(gc.mean(x), {x: np.zeros((0, 3))}))


def test_var_with_correction() -> None:
    x = floats(5, 3)
    compare(run(gc.var(x, 0, correction=1)), np.var(x, 0, ddof=1))
    compare(run(gc.std(x, correction=1.0)), np.std(x, ddof=1))


@pytest.mark.parametrize(("function", "numpy"), [(gc.argmax, np.argmax), (gc.argmin, np.argmin)])
def test_positions(function: Any, numpy: Any) -> None:
    x = np.round(floats(3, 4))
    for axis in (None, 0, 1):
        for keepdims in (False, True):
            expected = np.asarray(numpy(x, axis=axis, keepdims=keepdims))
            both(lambda t, a=axis, k=keepdims: function(t, a, k), expected, x)
    compare(run(function(x > 0)), np.asarray(numpy(x > 0)))


def test_logsumexp() -> None:
    x = floats(3, 4) * 200
    with np.errstate(all="ignore"):
        expected = np.log(np.sum(np.exp(x.astype(np.float64)), 1)).astype(np.float32)
    compare(run(gc.logsumexp(x, 1)), expected)
    assert run(gc.logsumexp(np.full(3, -np.inf, np.float32))) == -np.inf
    assert run(gc.logsumexp(np.array([np.inf, 0], np.float32))) == np.inf
    assert gc.logsumexp(x, 0, keepdims=True).shape == (1, 4)


def test_empty_folds() -> None:
    """semantics 5.1"""
    empty = np.zeros((0, 2), np.float32)
    assert run(gc.sum(empty, 0)).tolist() == [0, 0]
    assert run(gc.prod(empty, 0)).tolist() == [1, 1]
    assert run(gc.max(empty, 0)).tolist() == [-np.inf, -np.inf]
    assert run(gc.min(empty, 0)).tolist() == [np.inf, np.inf]
    assert not run(gc.any(empty))
    assert run(gc.all(empty))
    with pytest.raises(ShapeError, match="argmax: axis 0"):
        gc.argmax(empty, 0)


# ---- products and gathers ----


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((5, 1, 3, 4), (2, 4, 2)),
        ((0, 4), (4, 2)),
        ((3, 0), (0, 2)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = floats(*a), floats(*b)
    compare(run(gc.matmul(x, y)), np.matmul(x, y))


def test_products() -> None:
    x, y, z = floats(3, 4), floats(4, 5), floats(5, 4, 3)
    compare(run(gc.dot(x, y)), np.dot(x, y))
    compare(run(gc.dot(x, z.transpose(0, 1, 2)[:, :4])), np.dot(x, z[:, :4]))
    compare(run(gc.dot(x[0], y[:, 0])), np.dot(x[0], y[:, 0]))
    compare(run(gc.dot(x, 2.0)), x * 2)
    compare(run(gc.outer(x, y)), np.outer(x, y))
    compare(run(gc.vecdot(x, x)), np.sum(x * x, -1))
    compare(run(gc.tensordot(x, y, 1)), np.tensordot(x, y, 1))
    compare(run(gc.tensordot(x, z, ((0, 1), (2, 1)))), np.tensordot(x, z, ((0, 1), (2, 1))))
    compare(run(gc.tensordot(x, y, 0)), np.tensordot(x, y, 0))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("iij->j", [(3, 3, 2)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("i,i->", [(3,), (3,)]),
        ("i,i->i", [(3,), (3,)]),
        ("ij,kj->ki", [(3, 4), (5, 4)]),
        ("...ij->...ji", [(2, 3, 4)]),
        ("...ij,...jk->...ik", [(5, 1, 3, 4), (2, 4, 5)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("bqhd,bkhd->bhqk", [(2, 3, 4, 5), (2, 6, 4, 5)]),
        ("ij,k->i", [(2, 3), (4,)]),
        ("i...,i->...", [(3, 4, 2), (3,)]),
        ("a,ab,abc->abc", [(2,), (2, 3), (2, 3, 4)]),
        ("b i j , b j -> b i", [(2, 3, 4), (2, 4)]),
        ("...,...->...", [(3, 4), (4,)]),
    ],
)
def test_einsum(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [floats(*s) for s in shapes]
    compare(run(gc.einsum(subscripts, *arrays)), np.einsum(subscripts, *arrays), 1e-4)


def test_einsum_of_symbolic_sizes() -> None:
    x = gc.placeholder(gc.float32, ["n", "n"])
    y = gc.placeholder(gc.float32, ["n", None])
    a, b = floats(3, 3), floats(3, 2)
    compare(run(gc.einsum("ii,ij->j", x, y), {x: a, y: b}), np.einsum("ii,ij->j", a, b))


def test_gathers() -> None:
    x, i = floats(5, 3), ints(2, 2, low=-5, high=5)
    compare(run(gc.take(x, i, axis=0)), np.take(x, i, axis=0))
    compare(run(gc.take(x, i)), np.take(x, i))
    j = ints(5, 2, low=0, high=3)
    compare(run(gc.take_along_axis(x, j, 1)), np.take_along_axis(x, j, 1))
    compare(run(gc.take_along_axis(x, j[:1], 1)), np.take_along_axis(x, j[:1], 1))
    expected = x.copy()  # repeated indices add up: semantics 7.3
    np.add.at(expected, i, np.float32(2))
    compare(run(gc.scatter_add(x, i, 2.0)), expected)


def test_an_index_out_of_range_fails_the_run() -> None:
    """semantics 7.1"""
    x = gc.placeholder(gc.int64, [None])
    with pytest.raises(GraphError, match="take: index 5 is out of range for a size of 5"):
        run(gc.take(floats(5), x, axis=0), {x: np.array([0, 5])})


def test_group_gathers_tensors() -> None:
    w = gc.variable(0.0)
    made = gc.group(w, [w.assign(1.0)], gc.group(w))
    assert len(made.tensors) == 3
    assert Machine().run(list(made.tensors), {})[1] == 1.0
