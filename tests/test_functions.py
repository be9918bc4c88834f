"""Each public function against NumPy, on several shapes; wrong arguments against typed errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import Machine, run

import graphc as gc
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def floats(*shape: int, low: float = -3.0, high: float = 3.0) -> Any:
    return RNG.uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = -7, high: int = 7) -> Any:
    return RNG.integers(low, high, shape)


def compare(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype, f"{actual.dtype}, NumPy has {expected.dtype}"
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def fed(function: Callable[..., Any], *arrays: Any) -> Any:
    """The function of fed placeholders, all of whose sizes are symbolic."""
    xs = [gc.placeholder(a.dtype, [None] * a.ndim) for a in arrays]
    return run(function(*xs), dict(zip(xs, arrays, strict=True)))


def both(function: Callable[..., Any], expected: Any, *arrays: Any) -> None:
    """The function of constants, and of symbolic placeholders."""
    compare(run(function(*map(gc_constant, arrays))), expected)
    compare(fed(function, *arrays), expected)


def gc_constant(a: Any) -> Any:
    return gc.astype(a, a.dtype)


# ---- elementwise ----

BINARY = [
    (gc.add, np.add), (gc.subtract, np.subtract), (gc.multiply, np.multiply),
    (gc.divide, np.divide), (gc.floor_divide, np.floor_divide), (gc.remainder, np.remainder),
    (gc.maximum, np.maximum), (gc.minimum, np.minimum), (gc.atan2, np.arctan2),
    (gc.hypot, np.hypot), (gc.logaddexp, np.logaddexp), (gc.equal, np.equal),
    (gc.not_equal, np.not_equal), (gc.less, np.less), (gc.less_equal, np.less_equal),
    (gc.greater, np.greater), (gc.greater_equal, np.greater_equal), (gc.isclose, np.isclose),
]
UNARY = [
    (gc.negative, np.negative, -3, 3), (gc.positive, np.positive, -3, 3), (gc.abs, np.abs, -3, 3),
    (gc.sign, np.sign, -3, 3), (gc.square, np.square, -3, 3), (gc.reciprocal, np.reciprocal, 1, 3),
    (gc.exp, np.exp, -3, 3), (gc.exp2, np.exp2, -3, 3), (gc.expm1, np.expm1, -3, 3),
    (gc.log, np.log, 0.1, 3), (gc.log2, np.log2, 0.1, 3), (gc.log10, np.log10, 0.1, 3),
    (gc.log1p, np.log1p, 0.1, 3), (gc.sqrt, np.sqrt, 0, 3), (gc.cbrt, np.cbrt, -3, 3),
    (gc.rsqrt, lambda x: 1 / np.sqrt(x), 0.1, 3), (gc.sin, np.sin, -3, 3), (gc.cos, np.cos, -3, 3),
    (gc.tan, np.tan, -1, 1), (gc.asin, np.arcsin, -1, 1), (gc.acos, np.arccos, -1, 1),
    (gc.atan, np.arctan, -3, 3), (gc.sinh, np.sinh, -3, 3), (gc.cosh, np.cosh, -3, 3),
    (gc.tanh, np.tanh, -3, 3), (gc.asinh, np.arcsinh, -3, 3), (gc.acosh, np.arccosh, 1, 3),
    (gc.atanh, np.arctanh, -0.9, 0.9), (gc.floor, np.floor, -3, 3), (gc.ceil, np.ceil, -3, 3),
    (gc.round, np.round, -3, 3), (gc.trunc, np.trunc, -3, 3), (gc.isnan, np.isnan, -3, 3),
    (gc.isinf, np.isinf, -3, 3), (gc.isfinite, np.isfinite, -3, 3),
    (gc.stop_gradient, lambda x: x, -3, 3),
]


@pytest.mark.parametrize(("function", "numpy"), BINARY)
@pytest.mark.parametrize(("a", "b"), [
    ((3, 4), (3, 4)), ((3, 1), (4,)), ((), (2, 2)), ((0, 3), (3,)),
])
def test_binary(function: Any, numpy: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = floats(*a), floats(*b)
    expected = numpy(x, y)
    compare(run(function(gc_constant(x), y)), expected)
    compare(run(function(x, gc_constant(y))), expected)


@pytest.mark.parametrize(("function", "numpy", "low", "high"), UNARY)
@pytest.mark.parametrize("shape", [(3, 4), (), (0,)])
def test_unary(function: Any, numpy: Any, low: float, high: float, shape: tuple[int, ...]) -> None:
    x = floats(*shape, low=low, high=high)
    both(function, np.asarray(numpy(x)), x)


def test_erf_and_erfc() -> None:
    x = floats(9)
    both(gc.erf, np.array([math.erf(v) for v in x], np.float32), x)
    both(gc.erfc, np.array([math.erfc(v) for v in x], np.float32), x)


@pytest.mark.parametrize(("function", "numpy"), [
    (gc.bitwise_and, np.bitwise_and), (gc.bitwise_or, np.bitwise_or),
    (gc.bitwise_xor, np.bitwise_xor),
])
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
    compare(run(gc.where(x > 0, gc_constant(x), 0.0)), np.where(x > 0, x, np.float32(0)))
    compare(run(gc.where(x > 0, 1, 2)), np.where(x > 0, 1, 2))
    compare(run(gc.where(x > 0, 1.0, gc_constant(x))), np.where(x > 0, np.float32(1), x))
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
    (lambda x: gc.pad(x, ((0, 1), (2, 0)), constant_values=7),
     lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=7), (2, 3)),
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
    compare(run(function(gc_constant(x))), numpy(x))


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
    (gc.sum, np.sum), (gc.prod, np.prod), (gc.max, np.max), (gc.min, np.min), (gc.mean, np.mean),
    (gc.var, np.var), (gc.std, np.std), (gc.any, np.any), (gc.all, np.all),
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
    x = floats(3, 4) * 300
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


@pytest.mark.parametrize(("a", "b"), [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)), ((5, 1, 3, 4), (2, 4, 2)), ((0, 4), (4, 2)), ((3, 0), (0, 2)),
])
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


@pytest.mark.parametrize(("subscripts", "shapes"), [
    ("ij,jk->ik", [(3, 4), (4, 5)]), ("ij,jk", [(3, 4), (4, 5)]), ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]), ("ii->i", [(4, 4)]), ("ii", [(4, 4)]), ("iij->j", [(3, 3, 2)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("i,j->ij", [(3,), (4,)]), ("i,i->", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]), ("ij,kj->ki", [(3, 4), (5, 4)]), ("...ij->...ji", [(2, 3, 4)]),
    ("...ij,...jk->...ik", [(5, 1, 3, 4), (2, 4, 5)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("bqhd,bkhd->bhqk", [(2, 3, 4, 5), (2, 6, 4, 5)]), ("ij,k->i", [(2, 3), (4,)]),
    ("i...,i->...", [(3, 4, 2), (3,)]), ("a,ab,abc->abc", [(2,), (2, 3), (2, 3, 4)]),
    ("b i j , b j -> b i", [(2, 3, 4), (2, 4)]), ("...,...->...", [(3, 4), (4,)]),
])
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
    expected = x.copy()
    np.add.at(expected, i, np.float32(2))
    compare(run(gc.scatter_add(x, i, 2.0)), expected)


def test_an_index_out_of_range_fails_the_run() -> None:
    """semantics 7.1"""
    x = gc.placeholder(gc.int64, [None])
    with pytest.raises(GraphError, match="take: index 5 is out of range for a size of 5"):
        run(gc.take(floats(5), x, axis=0), {x: np.array([0, 5])})


# ---- wrong arguments ----

X = (2, 3)
WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: gc.sum(gc.zeros(X), axis=2), ShapeError, r"sum: axis 2 is out of range .* rank 2"),
    (lambda: gc.sum(gc.zeros(X), axis="a"), ShapeError, "sum: axis must be an int, got 'a'"),
    (lambda: gc.sum(gc.zeros(X), axis=(0, -2)), ShapeError, "names an axis twice"),
    (lambda: gc.argmax(gc.zeros(X), axis=5), ShapeError, "argmax: axis 5"),
    (lambda: gc.add(gc.zeros(X), gc.zeros((4,))), ShapeError, "do not broadcast"),
    (lambda: gc.add(object(), gc.zeros(X)), DTypeError, "add: .* is no tensor"),
    (lambda: gc.add([[1], [1, 2]], gc.zeros(X)), DTypeError, "is no tensor"),
    (lambda: gc.exp(gc.zeros(X, gc.int32)), DTypeError, "exp: operand 0 has element type i32"),
    (lambda: gc.bitwise_and(gc.zeros(X), 1), DTypeError, "bitwise_and: operand 0 has"),
    (lambda: gc.logical_and(gc.zeros(X), True), DTypeError, "logical_and: operand 0 has"),
    (lambda: gc.astype(gc.zeros(X), "c8"), DTypeError, "astype: .*complex64"),
    (lambda: gc.full(X, 300, gc.int8), DTypeError, "full: 300 is no i8"),
    (lambda: gc.full(X, 1.5, gc.int8), DTypeError, "full: 1.5 is no i8"),
    (lambda: gc.zeros((-1, 2)), ShapeError, "zeros: shape holds the negative size -1"),
    (lambda: gc.zeros((1.5,)), ShapeError, "must be an int, got 1.5"),
    (lambda: gc.zeros(gc.zeros(X)), ShapeError, "must be known while the graph is built"),
    (lambda: gc.arange(0, 1, 0), ShapeError, "arange: step is 0"),
    (lambda: gc.arange("a"), ShapeError, "arange: stop must be an int"),
    (lambda: gc.linspace(0, 1, 3, gc.int32), DTypeError, "linspace: dtype i32"),
    (lambda: gc.eye(-1), ShapeError, "eye: n_rows holds the negative size"),
    (lambda: gc.one_hot(gc.zeros(X), 3), DTypeError, "one_hot: indices .* no integers"),
    (lambda: gc.tril(gc.zeros((3,))), ShapeError, "tril: .* is no matrix"),
    (lambda: gc.reshape(gc.zeros(X), (4, -1)), ShapeError, "do not divide"),
    (lambda: gc.reshape(gc.zeros(X), (7,)), ShapeError, "6 elements, shape .7. has 7"),
    (lambda: gc.reshape(gc.zeros(X), (-1, -1)), ShapeError, "more than one -1"),
    (lambda: gc.reshape(gc.zeros((0, 3)), (0, -1)), ShapeError, "could be anything"),
    (lambda: gc.permute_dims(gc.zeros(X), (0, 0)), ShapeError, "no permutation"),
    (lambda: gc.moveaxis(gc.zeros(X), (0, 1), 0), ShapeError, "as many distinct axes"),
    (lambda: gc.swapaxes(gc.zeros(X), 0, 2), ShapeError, "swapaxes: axis2 2"),
    (lambda: gc.expand_dims(gc.zeros(X), 4), ShapeError, "expand_dims: axis 4"),
    (lambda: gc.squeeze(gc.zeros(X), 0), ShapeError, "has size 2; expected 1"),
    (lambda: gc.broadcast_to(gc.zeros(X), (3, 2)), ShapeError, "does not broadcast"),
    (lambda: gc.matrix_transpose(gc.zeros((3,))), ShapeError, "is no matrix"),
    (lambda: gc.concat([]), GraphError, "concat: arrays is empty"),
    (lambda: gc.concat(gc.zeros(X)), GraphError, "sequence of tensors"),
    (lambda: gc.concat([gc.zeros(X), gc.zeros((2, 4))]), ShapeError, "concat: sizes differ"),
    (lambda: gc.concat([gc.zeros(X), gc.zeros((2,))]), ShapeError, "concat: ranks differ"),
    (lambda: gc.stack([gc.zeros(X), gc.zeros((2,))]), ShapeError, "concat: ranks differ"),
    (lambda: gc.split(gc.zeros(X), 2, 1), ShapeError, "does not split into 2 equal sections"),
    (lambda: gc.split(gc.zeros(X), 0), ShapeError, "does not split"),
    (lambda: gc.pad(gc.zeros(X), ((1, 2, 3),)), ShapeError, "pad: pad_width"),
    (lambda: gc.pad(gc.zeros(X), -1), ShapeError, "pad: pad_width holds the negative size"),
    (lambda: gc.pad(gc.zeros(X), 1, mode="wrap"), GraphError, "mode 'wrap' is not supported"),
    (lambda: gc.tile(gc.zeros(X), -1), ShapeError, "tile: repetitions holds the negative"),
    (lambda: gc.repeat(gc.zeros(X), 1.5), ShapeError, "repeat: repeats must be an int"),
    (lambda: gc.matmul(gc.zeros(X), gc.zeros(X)), ShapeError, "inner sizes differ: 3 .*and 2"),
    (lambda: gc.tensordot(gc.zeros(X), gc.zeros(X), 1), ShapeError, "tensordot: sizes differ"),
    (lambda: gc.tensordot(gc.zeros(X), gc.zeros(X), 3), ShapeError, "tensordot: axes 3"),
    (lambda: gc.einsum("ij,jk->ik", gc.zeros(X)), GraphError, "2 terms for 1 operands"),
    (lambda: gc.einsum("i1->i", gc.zeros(X)), GraphError, "no letter"),
    (lambda: gc.einsum("i->i", gc.zeros(X)), GraphError, "does not fit an operand of rank 2"),
    (lambda: gc.einsum("ij->k", gc.zeros(X)), GraphError, "not in any operand"),
    (lambda: gc.einsum("ii->i", gc.zeros(X)), ShapeError, "of label 'i': 2 and 3"),
    (lambda: gc.einsum("ij,ij->i", gc.zeros(X), gc.zeros((2, 4))), ShapeError, "of label 'j'"),
    (lambda: gc.take(gc.zeros(X), gc.zeros((2,)), 0), DTypeError, "take: indices .*no integers"),
    (lambda: gc.take_along_axis(gc.zeros(X), [0], 0), ShapeError, "another rank"),
    (lambda: gc.scatter_add(gc.zeros(X), [0], gc.zeros((2, 4))), ShapeError, "does not broadcast"),
    (lambda: gc.mean("abc"), DTypeError, "mean: 'abc' is no tensor"),
    (lambda: gc.logsumexp(gc.zeros(X, gc.int32)), DTypeError, "logsumexp: i32.* holds no floats"),
    (lambda: gc.group(3), GraphError, "group: 3 is no tensor"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None, "the user's line is missing"
    assert caught.value.location.file == __file__


def test_group_gathers_tensors() -> None:
    w = gc.variable(0.0)
    made = gc.group(w, [w.assign(1.0)], gc.group(w))
    assert len(made.tensors) == 3
    assert Machine().run(list(made.tensors), {})[1] == 1.0
