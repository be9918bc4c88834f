"""First and second derivatives at kinks, zeros, ties and in saturation, against stated values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run

import graphc as gc
from graphc import linalg
from graphc.nn import functional as F  # noqa: N812


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def derivatives(function: Callable[[Any], Any], x: Any) -> list[Any]:
    """The first derivative of the sum of function(x), and that of the sum of the first."""
    a = np.asarray(x, np.float64)
    t = gc.placeholder(gc.float64, a.shape)
    (first,) = gc.gradients(function(t), [t])
    (second,) = gc.gradients(first, [t], allow_unused=True)
    second = gc.zeros(a.shape, gc.float64) if second is None else second
    found = run([first, second], {t: a})
    with gc.Session() as sess:
        compiled = sess.run([first, second], {t: a})
    np.testing.assert_allclose(compiled, found, rtol=1e-9, atol=1e-12)
    return list(found)


def fit(branch: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A square that is 0, with a slope of 0, where branch(x) is 1 and is chosen."""
    return lambda x: (gc.where(x > 0.0, branch(x), 0.0) - 1.0) ** 2


Case = tuple[Callable[[Any], Any], Any, Any, Any]  # function, x, first and second derivative
CASES: dict[str, Case] = {
    # a cotangent that is 0 by its value, not by a choice, has a derivative
    "perfect fit": (fit(lambda x: x * x), 1.0, 0, 8),
    "perfect fit of exp": (fit(lambda x: gc.exp(x - 1.0)), 1.0, 0, 2),
    "perfect fit of a maximum": (lambda x: (gc.maximum(x * x, 0.1) - 1.0) ** 2, 1.0, 0, 8),
    "perfect fit of a relu": (lambda x: (F.relu(x * x) - 1.0) ** 2, 1.0, 0, 8),
    "perfect fit of a slice": (lambda x: ((x * x)[:1] - 1.0) ** 2, [1.0, 1.0], [0, 0], [8, 0]),
    "smooth_l1": (lambda x: F.smooth_l1_loss(x * x, gc.ones((), gc.float64)), 1.0, 0, 4),
    "huber": (lambda x: F.huber_loss(x * x, gc.ones((), gc.float64)), 1.0, 0, 4),
    # what a choice made 0 stays 0, whatever the derivative behind it
    "where of sqrt": (lambda x: gc.where(x > 0.0, gc.sqrt(x), 0.0), [0.0, 1], [0, 0.5], [0, -0.25]),
    "where of a power": (lambda x: gc.where(x > 0.0, x**1.5, 0.0), [0.0, 4], [0, 3], [0, 0.375]),
    "maximum of log": (lambda x: gc.maximum(gc.log(x), -5.0), [0.0, 1], [0, 1], [0, -1]),
    "minimum of 1/x": (lambda x: gc.minimum(1.0 / x, 5.0), [0.0, 1], [0, -1], [0, 2]),
    "clip of log": (lambda x: gc.clip(gc.log(x), -5.0, 5.0), [0.0, 1], [0, 1], [0, -1]),
    "relu of log": (lambda x: F.relu(gc.log(x)), [0.0, 2], [0, 0.5], [0, -0.25]),
    "slice of log": (lambda x: gc.log(x)[1:], [0.0, 2], [0, 0.5], [0, -0.25]),
    "strided slice of log": (lambda x: gc.log(x)[::2], [2.0, 0, 1], [0.5, 0, 1], [-0.25, 0, -1]),
    "take of log": (lambda x: gc.take(gc.log(x), [1], axis=0), [0.0, 2], [0, 0.5], [0, -0.25]),
    "max of log": (lambda x: gc.max(gc.log(x)), [0.0, 2], [0, 0.5], [0, -0.25]),
    "used twice": (
        lambda x: gc.where(x > 0.0, gc.log(x), 0.0) + gc.where(x > 1.0, gc.log(x), 0.0),
        [0.0, 2], [0, 1], [0, -0.5],
    ),
    # a NaN that no choice hides stays
    "log": (lambda x: 0.0 * gc.log(x), [0.0], [math.nan], [math.nan]),
    # zeros of norms and deviations
    "std of equals": (gc.std, [2.0, 2.0], [0, 0], [0, 0]),
    "sample std of equals": (lambda x: gc.std(x, correction=1), [2.0, 2.0], [0, 0], [0, 0]),
    "norm at 0": (linalg.norm, [0.0, 0.0], [0, 0], [0, 0]),
    "norm of order 0.5 at 0": (lambda x: linalg.vector_norm(x, ord=0.5), [0.0, 0], [0, 0], [0, 0]),
    "norm of order 0.5": (lambda x: linalg.vector_norm(x, ord=0.5), [0.0, 4], [0, 1], [0, 0]),
    "norm of order -1": (lambda x: linalg.vector_norm(x, ord=-1), [0.0, 4], [0, 0], [0, 0]),
    "norm of order 3": (lambda x: linalg.vector_norm(x, ord=3), [0.0, 0], [0, 0], [0, 0]),
    "hypot": (lambda x: gc.hypot(x, 0.0 * x), [0.0, 2], [0, 1], [0, 0]),
    "atan2": (lambda x: gc.atan2(x, 0.0 * x + x), [0.0, 2], [0, 0], [0, 0]),
    # saturation
    "sigmoid": (F.sigmoid, [-800.0, 800], [0, 0], [0, 0]),
    "tanh": (gc.tanh, [-800.0, 800], [0, 0], [0, 0]),
    "softplus": (F.softplus, [-800.0, 800], [0, 1], [0, 0]),
    "naive softplus": (lambda x: gc.log(1.0 + gc.exp(x)), [-800.0, 800], [0, 1], [0, 0]),
    "logsigmoid": (F.logsigmoid, [-800.0, 800], [1, 0], [0, 0]),
    "softmax": (lambda x: F.softmax(x, dim=0)[0], [800.0, -800], [0, 0], [0, 0]),
    "silu": (F.silu, [-800.0, 800], [0, 1], [0, 0]),
    "gelu": (F.gelu, [-800.0, 800], [0, 1], [0, 0]),
    "elu": (F.elu, [800.0, -800], [1, 0], [0, 0]),
    "mish": (F.mish, [-800.0, 800], [0, 1], [0, 0]),
    "binary_cross_entropy": (
        lambda x: F.binary_cross_entropy(x, np.array([1.0, 0.0]), reduction="sum"),
        [1.0, 0], [-1, 1], [1, 1],
    ),
    # ties and analytic points
    "abs": (gc.abs, [0.0, -1], [0, -1], [0, 0]),
    "square of abs": (lambda x: gc.abs(x) * x, [0.0, -1], [0, 2], [0, -2]),
    "logaddexp": (lambda x: gc.logaddexp(x, 0.0), [0.0, 800], [0.5, 1], [0.25, 0]),
    "logaddexp of an infinity": (lambda x: gc.logaddexp(x, -math.inf), [2.0], [1], [0]),
    "logsumexp": (lambda x: gc.logsumexp(x), [0.0, 0], [0.5, 0.5], [0, 0]),
    "sinc": (gc.sinc, [0.0, 1], [0, -1], [-math.pi**2 / 3, 2]),
    "sinc near 0": (
        gc.sinc, [1e-300, 1e-9, -1e-4, 0.1, 0.3],
        [0, -3.289868133696453e-9, 3.289868101226756e-4, -0.325751267883124, -0.9020281301388888],
        [-math.pi**2 / 3, -math.pi**2 / 3, -3.2898680362873622, -3.193029835964854,
         -2.4584852862661744],
    ),
    "expm1 of small": (gc.expm1, [0.0], [1], [1]),
    "cube": (lambda x: x**3, [0.0, 1], [0, 3], [0, 6]),
    "power of a tensor": (lambda x: x ** (x * 0.0 + 2.0), [0.0, -3], [0, -6], [2, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str) -> None:
    """semantics 6"""
    function, x, *expected = CASES[name]
    for found, wanted in zip(derivatives(function, x), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_mixed_derivatives_at_a_last_layer_of_zeros() -> None:
    z, w = gc.placeholder(gc.float64, []), gc.placeholder(gc.float64, [])
    loss = (w * gc.where(z > 0.0, gc.tanh(z), 0.1 * z) - 3.0) ** 2
    (by_z,) = gc.gradients(loss, [z])
    (mixed,) = gc.gradients(by_z, [w])
    expected = -6 * (1 - math.tanh(0.5) ** 2)
    np.testing.assert_allclose(run(mixed, {z: 0.5, w: 0.0}), expected)


def test_a_derivative_along_a_direction_by_a_seed_of_zeros() -> None:
    """Two reverse passes are one forward one: the seed, 0 everywhere, has a derivative itself."""
    x, seed = gc.placeholder(gc.float64, [3]), gc.placeholder(gc.float64, [3])
    (pull,) = gc.gradients(gc.where(x > 0.0, x * x, 0.0), [x], grad_ys=seed)
    (along,) = gc.gradients(pull, [seed], grad_ys=gc.ones((3,), gc.float64))
    feeds = {x: np.array([1.0, 2, -3]), seed: np.zeros(3)}
    np.testing.assert_array_equal(run(along, feeds), [2, 4, 0])


def test_a_carry_that_overflows_unused() -> None:
    """A scan's carry that nothing asks for has no cotangent, not 0 times infinity."""
    x = gc.placeholder(gc.float64, [])
    (total, _), _ = gc.scan(lambda c, _: ((c[0] + x, c[1] * c[1] * x), ()), (x, x + 9.0), length=12)
    (first,) = gc.gradients(total * total * 0.5, [x])
    (second,) = gc.gradients(first, [x])
    assert run([first, second], {x: 2.0}) == [338.0, 169.0]


def test_a_carry_that_overflows_in_its_last_step() -> None:
    """Its last value is not asked for; those before are, through the other carry."""
    x = gc.placeholder(gc.float64, [])
    (total, _), _ = gc.scan(lambda c, _: ((c[0] + c[1], gc.exp(c[1])), ()), (x, x), length=5)
    (first,) = gc.gradients(total, [x])
    expected, value, slope = 1.0, 0.5, 1.0
    for _ in range(5):
        expected += slope
        value = math.exp(value) if value < 700 else math.inf
        slope *= value
    np.testing.assert_allclose(run(first, {x: 0.5}), expected)


def test_the_first_value_of_an_unused_carry_has_gradient_0() -> None:
    x, y = gc.placeholder(gc.float64, []), gc.placeholder(gc.float64, [])
    (total, _), _ = gc.scan(lambda c, _: ((c[0] + x, c[1] * 2.0), ()), (x, y), length=3)
    assert run(gc.gradients(total, [x, y]), {x: 1.0, y: 1.0}) == [4.0, 0.0]
