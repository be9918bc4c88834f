"""Clipping of gradients against PyTorch's, and TensorFlow's formula in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, GraphError

GRADIENTS = [np.array([[3.0, -4.0], [0.0, 1.5]]), np.array([12.0, -0.1, 2.0])]


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def pairs(dtype: Any = gc.float64) -> list[Any]:
    made = [(gc.asarray(g, dtype), gc.variable(gc.zeros(g.shape, dtype))) for g in GRADIENTS]
    return [*made, (None, gc.variable(0.0))]


def clipped(torch: Any, name: str, *arguments: Any) -> list[Any]:
    weights = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in GRADIENTS]
    for w, g in zip(weights, GRADIENTS, strict=True):
        w.grad = tensor(torch, g)
    getattr(torch.nn.utils, f"{name}_")(weights, *arguments)
    return [w.grad for w in weights]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf, 0.5])
@pytest.mark.parametrize("limit", [1.0, 100.0])
def test_clip_grad_norm(norm_type: float, limit: float) -> None:
    wanted = torch_case(
        f"norm_{norm_type}_{limit}",
        lambda torch: clipped(torch, "clip_grad_norm", limit, norm_type),
    )
    found = gc.optim.clip_grad_norm(pairs(), limit, norm_type)
    assert found[-1][0] is None
    for (g, _), expected in zip(found[:-1], wanted, strict=True):
        np.testing.assert_allclose(run(g), expected, rtol=1e-12)


def test_clip_grad_value() -> None:
    wanted = torch_case("value", lambda torch: clipped(torch, "clip_grad_value", 2.5))
    found = gc.optim.clip_grad_value(pairs(), 2.5)
    for (g, _), expected in zip(found[:-1], wanted, strict=True):
        np.testing.assert_array_equal(run(g), expected)


@pytest.mark.parametrize("limit", [0.0, 1.0, 100.0])
def test_clip_by_global_norm(limit: float) -> None:
    norm = math.sqrt(sum(float((g * g).sum()) for g in GRADIENTS))
    found, before = gc.optim.clip_by_global_norm([g for g, _ in pairs()[:-1]], limit)
    np.testing.assert_allclose(run(before), norm, rtol=1e-12)
    for g, given in zip(found, GRADIENTS, strict=True):
        np.testing.assert_allclose(run(g), given * limit / max(norm, limit, 1e-9), rtol=1e-12)


def test_norms_of_narrow_types_are_computed_in_f32() -> None:
    big = gc.full((100,), 200.0, gc.float16)
    assert run(gc.optim.global_norm([big])) == np.float32(2000)
    (clipped_pair,) = gc.optim.clip_grad_norm([(big, gc.variable(gc.zeros((100,), "f16")))], 1.0)
    assert clipped_pair[0].dtype == gc.float16
    np.testing.assert_allclose(run(clipped_pair[0]), 0.1, rtol=1e-3)


def test_the_norm_of_nothing_and_of_zeros() -> None:
    assert run(gc.optim.global_norm([gc.zeros((0,)), gc.zeros((3,))])) == 0
    assert run(gc.optim.global_norm([gc.zeros((0,))], math.inf)) == 0
    (pair,) = gc.optim.clip_grad_norm([(gc.zeros((3,)), gc.variable(gc.zeros((3,))))], 1.0)
    assert run(pair[0]).tolist() == [0, 0, 0]


def test_a_step_that_clips() -> None:
    w = gc.variable([3.0, 4.0], name="w")
    for options, expected in (
        ({"clip_grad_norm": 1.0}, [2.4, 3.2]),
        ({"clip_grad_value": 0.5}, [2.5, 3.5]),
    ):
        step = gc.optim.SGD(1.0, **options).minimize(gc.sum(w * w) / 2.0)
        with gc.Session() as sess:
            sess.run(step)
            np.testing.assert_allclose(sess.value(w), expected, rtol=1e-5)


@pytest.mark.parametrize("norm", [2.0, 100.0])
def test_the_norm_is_that_of_all_groups_together(norm: float) -> None:
    """3-4-12: the gradients have the norms 5 and 12, all of them 13."""
    a, b = gc.variable([3.0, 4.0], name="a"), gc.variable([12.0], name="b")
    c = gc.variable([0.0], name="c")
    groups = [{"params": [b], "lr": 0.5}, {"params": [c], "lr": 0.25}]
    optimizer = gc.optim.SGD(1.0, groups=groups, clip_grad_norm=norm)
    step = optimizer.minimize((gc.sum(a * a) + gc.sum(b * b)) / 2.0 + gc.sum(c) * 0.0)
    share = min(1.0, norm / 13.0)
    with gc.Session() as sess:
        sess.run(step)
        np.testing.assert_allclose(sess.value(a), np.array([3.0, 4.0]) * (1 - share), atol=1e-5)
        np.testing.assert_allclose(sess.value(b), [12.0 * (1 - 0.5 * share)], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: gc.optim.clip_grad_norm(pairs(), -1.0),
            GraphError,
            "clip_grad_norm: max_norm is -1",
        ),
        (lambda: gc.optim.clip_grad_norm(pairs(), 1.0, -2), GraphError, "norm_type is -2"),
        (
            lambda: gc.optim.clip_grad_norm(gc.ones(2), 1.0),
            GraphError,
            "expected a sequence of pairs",
        ),
        (
            lambda: gc.optim.clip_grad_value(pairs(), "a"),
            GraphError,
            "clip_grad_value: clip_value is",
        ),
        (lambda: gc.optim.clip_grad_value([(1.0, 2.0)], 1.0), GraphError, "2.0 is no variable"),
        (lambda: gc.optim.clip_by_global_norm([], 1.0), GraphError, "tensors is empty"),
        (
            lambda: gc.optim.global_norm([gc.ones(2, "i32")]),
            DTypeError,
            "global_norm: .* float type",
        ),
    ],
)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location.file == __file__
