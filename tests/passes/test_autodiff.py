"""Gradients: compositions against finite differences, and the promises of semantics 6."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run

import graphc as gc
from graphc.errors import DTypeError, GradientError, GraphError
from graphc.ir.op import Pointwise
from graphc.ir.types import f32
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.differences import numeric_gradient

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    global RNG  # each test draws the same, whatever ran before it
    RNG = np.random.default_rng(1)
    with gc.Graph().as_default() as graph:
        yield graph


def points(*shape: int, low: float = -1.5, high: float = 1.5) -> Any:
    return RNG.uniform(low, high, shape)


def check(function: Callable[..., Any], *arrays: Any, tolerance: float = 1e-6) -> None:
    """The gradients of the weighted sum of function(*arrays) against central differences."""
    xs = [gc.placeholder(gc.float64, a.shape) for a in arrays]
    out = function(*xs)
    feeds = dict(zip(xs, arrays, strict=True))
    weights = RNG.uniform(0.5, 1.5, run(out, feeds).shape)
    found = gc.gradients(out, xs, weights)
    for i, gradient in enumerate(found):
        expected = numeric_gradient(
            lambda *a: run(out, dict(zip(xs, a, strict=True))), arrays, weights, i
        )
        np.testing.assert_allclose(run(gradient, feeds), expected, rtol=tolerance, atol=tolerance)


def gradient_at(function: Callable[[Any], Any], x: Any, order: int = 1) -> Any:
    """The derivative of sum(function(x)) at an array, of some order."""
    a = np.asarray(x, np.float64)
    t = gc.placeholder(gc.float64, a.shape)
    out = function(t)
    for _ in range(order):
        (out,) = gc.gradients(out, [t])
    return run(out, {t: a})


COMPOSITIONS: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
    (lambda x: gc.sum(x * x) + gc.mean(gc.sin(x) * x), [(3, 4)]),
    (lambda x, w, b: gc.tanh(x @ w + b), [(5, 3), (3, 4), (4,)]),
    (lambda x: F.softmax(x, dim=1), [(3, 4)]),
    (lambda x: F.log_softmax(x, dim=0), [(3, 4)]),
    (lambda x, g, b: F.layer_norm(x, 4, g, b), [(3, 4), (4,), (4,)]),
    (lambda x: gc.logsumexp(x, axis=(0, 2)), [(2, 3, 4)]),
    (lambda x: gc.var(x, axis=1, correction=1), [(3, 4)]),
    (lambda x: gc.std(x), [(3, 4)]),
    (lambda x, y: gc.einsum("bij,bjk->ki", x, y), [(2, 3, 4), (2, 4, 2)]),
    (lambda x: gc.einsum("ii->i", x), [(4, 4)]),
    (lambda x, y: gc.matmul(x, y), [(5, 1, 2, 3), (2, 3, 2)]),
    (lambda x: gc.concat([x[1:], x[::-2] * 2.0, gc.flip(x, 1)]), [(4, 3)]),
    (lambda x: gc.pad(x, ((1, 0), (0, 2)))[:, 1:] * gc.roll(gc.pad(x, (1, 0)), 1, 0), [(3, 2)]),
    (lambda x: gc.tile(x, (2, 2)) * gc.repeat(gc.repeat(x, 2, 0), 2, 1), [(2, 3)]),
    (lambda x: gc.take(x, [[0, 2], [2, 2]], axis=0), [(3, 2)]),
    (lambda x: gc.take_along_axis(x, [[2, 0]], axis=1) * 3.0, [(2, 3)]),
    (lambda x, u: gc.scatter_add(x, [0, 0, 1], u) * x, [(2, 3), (3, 3)]),
    (lambda x, y: gc.maximum(x, y) * gc.minimum(x, 0.3) + gc.clip(y, -0.5, 0.5), [(3, 4), (4,)]),
    (lambda x, y: gc.pow(gc.abs(x) + 0.5, y) / (1.5 + gc.cos(y)), [(4,), (4,)]),
    (lambda x: F.gelu(x) + F.silu(x) + F.elu(x) + F.leaky_relu(x) + F.softplus(x, 2.0), [(7,)]),
    (lambda x: F.gelu(x, "tanh") + F.sigmoid(x) + F.logsigmoid(x), [(7,)]),
    (lambda x: F.cross_entropy(x, np.array([1, 0, 3])), [(3, 4)]),
    (
        lambda x: F.cross_entropy(x, np.array([1, 9, 3]), ignore_index=9, label_smoothing=0.1),
        [(3, 4)],
    ),
    (lambda x: F.binary_cross_entropy_with_logits(x, np.array([0.0, 1.0, 0.3])), [(3,)]),
    (lambda x: gc.prod(x, axis=1) + gc.max(x, axis=1) - gc.min(x, axis=1), [(3, 4)]),
    (lambda x, y: gc.hypot(x, y) + gc.atan2(x, y) + gc.logaddexp(x, y), [(5,), (5,)]),
    (lambda x: gc.where(x > 0.0, gc.exp(x), x * x), [(9,)]),
    (lambda x: F.normalize(x, dim=1), [(3, 4)]),
]


@pytest.mark.parametrize(("function", "shapes"), COMPOSITIONS)
def test_compositions(function: Callable[..., Any], shapes: list[tuple[int, ...]]) -> None:
    check(function, *(points(*s) for s in shapes))


@pytest.mark.parametrize(("function", "shapes"), COMPOSITIONS)
def test_gradients_of_gradients(
    function: Callable[..., Any], shapes: list[tuple[int, ...]]
) -> None:
    def first(*xs: Any) -> Any:
        out = function(*xs)
        weights = np.linspace(0.5, 1.5, math.prod(out.shape)).reshape(out.shape)
        parts = gc.gradients(out, list(xs), weights)
        total = 0.0
        for x, part in zip(xs, parts, strict=True):
            total = total + gc.sum(part * part * 0.5 + gc.sin(part) * x)
        return total

    check(first, *(points(*s) for s in shapes), tolerance=2e-5)


def test_derivatives_of_high_order() -> None:
    for order, expected in enumerate([np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)], 1):
        np.testing.assert_allclose(gradient_at(gc.sin, 0.7, order), expected(0.7))
    assert gradient_at(lambda x: x**5, 2.0, 4) == 240.0


# ---- ties, zeros and NaN ----


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (gc.abs, [0.0, -0.0, -2.0], [0, 0, -1]),
        (F.relu, [0.0, -1.0, 2.0], [0, 0, 1]),
        (lambda x: gc.maximum(x, 0.0), [0.0, -1.0, 2.0], [0.5, 0, 1]),
        (lambda x: gc.minimum(x, 0.0), [0.0, -1.0, 2.0], [0.5, 1, 0]),
        (gc.max, [3.0, 1.0, 3.0], [0.5, 0, 0.5]),
        (gc.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0]),
        (lambda x: gc.clip(x, 0.0, 1.0), [0.0, 1.0, 0.5], [0.5, 0.5, 1]),
        (lambda x: gc.logaddexp(x, 0.0), [0.0, -np.inf], [0.5, 0]),
    ],
)
def test_ties(function: Any, x: list[float], expected: list[float]) -> None:
    """semantics 6.2"""
    np.testing.assert_array_equal(gradient_at(function, x), expected)


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: gc.where(x > 0.0, gc.sqrt(x), 0.0), [0.0, -1.0, 4.0], [0, 0, 0.25]),
        (lambda x: gc.where(x > 0.0, gc.log(x), 0.0), [0.0, -1.0, 4.0], [0, 0, 0.25]),
        (lambda x: gc.where(gc.equal(x, 0.0), 1.0, 1.0 / x), [0.0, 2.0], [0, -0.25]),
        (lambda x: gc.where(x > 0.0, x**0.5, 0.0), [0.0, -1.0, 4.0], [0, 0, 0.25]),
        (lambda x: gc.where(x > 1.0, gc.sqrt(gc.log(x * 2.0 - 2.0) + 9.0), x), [0.0, 1.0], [1, 1]),
        (lambda x: gc.where(x < 1.0, x, gc.exp(x * 1e3)), [0.5, 0.1], [1, 1]),
        (lambda x: gc.where(x < 1.0, gc.sum(gc.sqrt(x * 0.0)[:0]), x), [0.0, 2.0], [0, 1]),
        (lambda x: gc.where(gc.sum(x) > 0.0, gc.sqrt(gc.sum(x * x)), 0.0), [0.0, 0.0], [0, 0]),
    ],
)
def test_an_unselected_branch_gives_exactly_zero(function: Any, x: Any, expected: Any) -> None:
    """semantics 6.1: where a branch is not taken its own infinite derivative does not matter."""
    np.testing.assert_array_equal(gradient_at(function, x), expected)


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: x**2.0, [0.0, -3.0], [0, -6]),
        (lambda x: x**1.0, [0.0], [1]),
        (lambda x: x**0.0, [0.0, 2.0], [0, 0]),
        (lambda x: 0.0**x, [2.0, 0.0], [0, 0]),
        (lambda x: (-2.0) ** x, [2.0], [0]),
        (lambda x: 2.0**x, [3.0], [8 * math.log(2)]),
        (lambda x: gc.hypot(x, 0.0 * x), [0.0], [0]),
        (lambda x: gc.atan2(x, 0.0 * x), [0.0], [0]),
    ],
)
def test_powers_and_distances_at_zero(function: Any, x: Any, expected: Any) -> None:
    """semantics 6.4"""
    np.testing.assert_allclose(gradient_at(function, x), expected)


@pytest.mark.parametrize("x", [[2.0, 3.0, 4.0], [2.0, 0.0, 4.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
def test_products_with_zeros(x: list[float]) -> None:
    """semantics 6.5: first and second derivatives of a product are exact where factors are 0."""
    a = np.array(x)
    others = [math.prod(np.delete(a, i)) for i in range(3)]
    np.testing.assert_allclose(gradient_at(gc.prod, a), others)
    t = gc.placeholder(gc.float64, (3,))
    (first,) = gc.gradients(gc.prod(t), [t])
    for i in range(3):
        (row,) = gc.gradients(first[i], [t])
        expected = [0.0 if i == j else math.prod(np.delete(a, [i, j])) for j in range(3)]
        np.testing.assert_allclose(run(row, {t: a}), expected)


# ---- what gradients flow through ----


def test_stop_gradient() -> None:
    np.testing.assert_array_equal(
        gradient_at(lambda x: x * gc.stop_gradient(x), [2.0, 3.0]), [2, 3]
    )


def test_shared_use_adds_up() -> None:
    np.testing.assert_array_equal(gradient_at(lambda x: x * x + x, [3.0]), [7])
    np.testing.assert_array_equal(gradient_at(lambda x: gc.stack([x, x, x]), [3.0]), [3])


def test_intermediate_tensors_as_xs() -> None:
    x = gc.placeholder(gc.float64, (2,))
    h = x * 3.0
    y = h * h + x
    dh, dx = gc.gradients(y, [h, x])
    feeds = {x: np.array([1.0, 2.0])}
    np.testing.assert_array_equal(run(dh, feeds), [6, 12])
    np.testing.assert_array_equal(run(dx, feeds), [19, 37])


def test_several_ys_and_weights() -> None:
    x = gc.placeholder(gc.float64, (2,))
    (dx,) = gc.gradients([x * 2.0, gc.sum(x * x)], [x], [np.array([1.0, 10.0]), None])
    np.testing.assert_array_equal(run(dx, {x: np.array([1.0, 2.0])}), [4, 24])


def test_y_is_x() -> None:
    x = gc.placeholder(gc.float64, (2,))
    (dx,) = gc.gradients(x, [x])
    np.testing.assert_array_equal(run(dx, {x: np.zeros(2)}), [1, 1])


def test_custom_gradient() -> None:
    @gc.custom_gradient(lambda ct, out, x: gc.clip(ct, -1.0, 1.0))
    def clipped(x: Any) -> Any:
        return x * 5.0

    np.testing.assert_array_equal(gradient_at(lambda x: clipped(x) * 3.0, [2.0]), [1])
    assert run(clipped(gc.astype(2.0, gc.float64))) == 10.0


def test_custom_gradient_of_several_operands() -> None:
    @gc.custom_gradient(lambda ct, out, x, y: (ct * y, None))
    def product(x: Any, y: Any) -> Any:
        return x * y

    x, y = (gc.placeholder(gc.float64, ()) for _ in range(2))
    dx, dy = gc.gradients(product(x, y), [x, y], allow_unused=True)
    assert run(dx, {x: 2.0, y: 3.0}) == 3.0
    assert dy is None


def test_custom_gradient_of_the_wrong_number() -> None:
    bad = gc.custom_gradient(lambda ct, out, x: (ct, ct))(lambda x: x * 1.0)
    x = gc.placeholder(gc.float64, ())
    with pytest.raises(GraphError, match="1 operands, its gradient gave 2"):
        gc.gradients(bad(x), [x])


def test_symbolic_sizes() -> None:
    x = gc.placeholder(gc.float64, ["n", 3])
    (dx,) = gc.gradients(gc.mean(x[1:] * 2.0), [x])
    for n in (2, 5):
        expected = np.full((n, 3), 2 / (3 * (n - 1)))
        expected[0] = 0
        np.testing.assert_allclose(run(dx, {x: np.zeros((n, 3))}), expected)


def test_names_of_gradients() -> None:
    w = gc.variable(1.0, name="w")
    assert gc.gradients(w * 2.0, [w])[0].name == "d.w"


# ---- what has no gradient ----


def test_disconnected() -> None:
    """semantics 6.6"""
    x, y = (gc.placeholder(gc.float64, (), name=n) for n in "xy")
    with pytest.raises(GradientError, match=r"%mul.* does not depend on %y"):
        gc.gradients(x * 2.0, [y])
    assert gc.gradients(x * 2.0, [y], allow_unused=True) == [None]


def test_a_cut_path_names_the_op_and_the_line() -> None:
    x = gc.placeholder(gc.float64, (2,), name="x")
    cut = gc.floor(x)
    with pytest.raises(GradientError, match=r"floor : f64.2. has no derivative .*test_autodiff"):
        gc.gradients(gc.sum(cut), [x])


@pytest.mark.parametrize(
    "function",
    [
        gc.floor,
        gc.ceil,
        gc.round,
        gc.trunc,
        gc.sign,
        lambda x: x // 2.0,
        lambda x: gc.where(x > 0.0, 1.0, 2.0),
        lambda x: gc.astype(gc.argmax(x), gc.float64),
        lambda x: gc.astype(gc.astype(x, gc.int64), gc.float64),
    ],
)
def test_steps_have_no_derivative(function: Any) -> None:
    """semantics 6.3"""
    x = gc.placeholder(gc.float64, (2,), name="x")
    assert gc.gradients(gc.sum(function(x)), [x], allow_unused=True) == [None]
    assert "every path is cut" in gc.explain_gradient(gc.sum(function(x)), x)


def test_derivative_of_the_remainder() -> None:
    """semantics 6.3"""
    x, y = (gc.placeholder(gc.float64, ()) for _ in range(2))
    dx, dy = gc.gradients(x % y, [x, y])
    assert [run(d, {x: -7.5, y: 2.0}) for d in (dx, dy)] == [1.0, 4.0]


def test_explain_gradient() -> None:
    x = gc.placeholder(gc.float64, (2,), name="x")
    y = gc.placeholder(gc.float64, (2,), name="y")
    flows = gc.explain_gradient(gc.sum(x * x), x)
    assert flows.startswith("gradient flows: %reduce_sum <- %multiply <- %x")
    assert "does not depend on" in gc.explain_gradient(gc.sum(y), x)
    stopped = gc.explain_gradient(gc.sum(gc.stop_gradient(x)), x)
    assert "stops it on purpose" in stopped
    assert "test_autodiff.py" in stopped


def test_integers_have_no_gradient() -> None:
    x = gc.placeholder(gc.int64, ())
    with pytest.raises(DTypeError, match="is not of a float type"):
        gc.gradients(x * 2, [x])


def test_as_many_weights_as_ys() -> None:
    x = gc.placeholder(gc.float64, ())
    with pytest.raises(GraphError, match="1 ys but 2 grad_ys"):
        gc.gradients(x, [x], [x, x])


class Quiet(Pointwise):
    """2 x; what it says of its gradient, subclasses change."""

    arity, accepts, spelling = 1, (f32,), "({0} + {0})"

    def reference(self, *arrays: Any) -> Any:
        return arrays[0] + arrays[0]


class Refusing(Quiet):
    """2 x, through which no gradient passes."""

    def vjp(self, ct: Any, out: Any, *args: Any) -> Any:
        return (None,)


class Bare(Quiet):
    """2 x, whose gradient a test makes no tuple: that is refused when a class is declared."""

    def vjp(self, ct: Any, out: Any, *args: Any) -> Any:
        return (2.0 * ct,)


def test_an_op_without_a_gradient_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another path has one: a part of a sum would be a wrong number."""
    x = gc.placeholder(gc.float32, ["n"], name="x")
    declare = "quiet: its gradient is not known; declare vjp in class Quiet, or `differentiable = F"
    for y in (Quiet()(x), Quiet()(x) * 2.0 + x):
        with pytest.raises(GradientError, match=declare):
            gc.gradients(gc.sum(y), [x])
        with pytest.raises(GradientError, match=declare):
            gc.gradients(gc.sum(y), [x], allow_unused=True)
    assert "= quiet : f32[n] has no vjp: declare one in class Quiet" in gc.explain_gradient(
        Quiet()(x), x
    )
    with pytest.raises(GradientError, match=r"= refusing : f32\[n\] gives operand 0 no cotangent"):
        gc.gradients(Refusing()(x), [x])
    monkeypatch.setattr(Bare, "vjp", lambda self, ct, out, *args: 2.0 * ct)
    with pytest.raises(
        GradientError, match=r"bare: vjp gives <.*>; expected a tuple of 1, one cot"
    ):
        gc.gradients(Bare()(x), [x])
    assert "gradient flows: %add <- %x" in gc.explain_gradient(Refusing()(x) + x, x)


def test_a_custom_gradient_that_does_not_fit() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    short = gc.custom_gradient(lambda ct, out: ct)
    with pytest.raises(
        GraphError, match=r"twice: backward is called as \(ct, out, x0\), but takes"
    ):
        short(twice)(x)
    for gives, shown in ((lambda x: None, "None"), (lambda x: (x, x), r"\(<Tensor")):
        with pytest.raises(GraphError, match=f"the function returned {shown}.*; expected one ten"):
            gc.custom_gradient(lambda ct, out, x: ct)(gives)(x)
    with pytest.raises(GraphError, match="custom_gradient: backward is 3; expected a function"):
        gc.custom_gradient(3)  # type: ignore[arg-type]
    number = gc.custom_gradient(lambda ct, out, x: 1.0)(twice)
    with pytest.raises(GradientError, match=r"gives operand 1 1.0; expected a tensor or None"):
        gc.gradients(number(x), [x])


def twice(x: Any) -> Any:
    return x * 2.0


@pytest.mark.parametrize(
    "index",
    [
        (0, slice(0, 0), slice(0, 0), None),
        (slice(0, 0),),
        (slice(2, 2), None, slice(0, 0)),
        (0, 1, slice(1, 1), None),
    ],
    ids=str,
)
def test_gradients_of_what_is_empty_are_zero(index: Any) -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, [3, 5, 1], name="x")
        part = x[index]
        total = gc.sum(gc.sin(part)) + gc.sum(gc.reshape(part * 2.0, (0,)))
        total = total + gc.sum(gc.reshape(gc.reshape(part, (0, 7)), (3, 0)) * 3.0)
        (found,) = sess.run(gc.gradients(total, [x]), {x: np.ones((3, 5, 1), np.float32)})
        np.testing.assert_array_equal(found, np.zeros((3, 5, 1), np.float32))


def test_gradients_by_an_unnamed_tensor_behind_a_stabilising_rule() -> None:
    """What a rule made anew is tensors, too, for users and for their custom gradients."""

    def backward(ct: Any, out: Any, x: Any) -> Any:
        assert isinstance(ct, gc.Tensor)
        return ct * 2.0

    x = gc.placeholder(gc.float64, (2,))
    h = x * 2.0
    y = gc.log(1.0 + gc.exp(gc.custom_gradient(backward)(lambda t: t * 1.0)(h)))
    by_h, by_x = gc.gradients(y, [h, x])
    assert isinstance(by_h, gc.Tensor) and isinstance(by_x, gc.Tensor)
    feeds = {x: np.array([0.0, 800.0])}
    np.testing.assert_allclose(run(by_h + by_x * 0.0, feeds), [1, 2])
