"""Initial values: what they are, how they are spread, and that a seed gives them again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.torch_cases import torch_case

import graphc as gc
from graphc import init
from graphc.errors import GraphcError, GraphError, ShapeError


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3), (1, 1), (60, 60)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = run(init.orthogonal(shape, gain=2.0, dtype=gc.float64)) / 2
    flat = w.reshape(shape[0], -1)
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-10)


def test_trunc_normal() -> None:
    x = run(init.trunc_normal((200, 200), mean=1.0, std=2.0, a=-1.0, b=4.0))
    assert x.min() >= -1 and x.max() <= 4 and x.min() < -0.99 and x.max() > 3.99
    # mean and deviation of the truncated distribution, by its densities
    grid = np.linspace(-1, 4, 100001)
    density = np.exp(-(((grid - 1) / 2) ** 2) / 2)
    mean = (grid * density).sum() / density.sum()
    deviation = math.sqrt(((grid - mean) ** 2 * density).sum() / density.sum())
    assert abs(x.mean() - mean) < 0.03 and abs(x.std() - deviation) < 0.02
    far = run(init.trunc_normal((2000,), std=1.0, a=-9.0, b=-3.0))
    assert -3.5 < far.mean() < -3.2 and far.max() <= -3


def test_the_inverse_of_the_normal_distribution() -> None:
    from statistics import NormalDist

    p = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 101), [1e-12, 1e-300]])
    expected = [NormalDist().inv_cdf(v) for v in p]
    np.testing.assert_allclose(
        run(init._inverse_normal(gc.asarray(p))), expected, rtol=1e-9, atol=1e-12
    )


def test_dirac_and_eye_are_torchs() -> None:
    shapes: list[tuple[tuple[int, ...], int]] = [
        ((4, 2, 3, 3), 2),
        ((3, 5, 4), 1),
        ((6, 2, 3, 2, 1), 3),
    ]

    def with_torch(torch: Any) -> Any:
        made = [torch.nn.init.dirac_(torch.empty(s), g) for s, g in shapes]
        return [*made, torch.nn.init.eye_(torch.empty(3, 5))]

    expected = torch_case("dirac", with_torch)
    for (shape, groups), wanted in zip(shapes, expected, strict=False):
        np.testing.assert_array_equal(run(init.dirac(shape, groups)), wanted)
    np.testing.assert_array_equal(run(init.eye(3, 5)), expected[-1])


def test_sparse() -> None:
    w = run(init.sparse((10, 200), 0.25, std=0.5))
    assert ((w == 0).sum(0) == 3).all() and abs(w[w != 0].std() - 0.5) < 0.03
    assert (w == 0).any(1).all()


def test_a_seed_gives_the_same_again() -> None:
    made = [
        lambda: init.orthogonal((4, 4)),
        lambda: init.trunc_normal((9,)),
        lambda: init.sparse((4, 4), 0.5),
    ]
    for make in made:
        values = []
        for seed in (1, 1, 2):
            with gc.Graph().as_default(), gc.Session(seed=seed) as sess:
                values.append(sess.value(gc.variable(make())))
        np.testing.assert_array_equal(values[0], values[1])
        assert (values[0] != values[2]).any()


def test_parameters_get_another_initial_value() -> None:
    I = gc.nn.init  # noqa: E741
    calls = [
        I.uniform_,
        I.normal_,
        I.trunc_normal_,
        I.ones_,
        I.zeros_,
        I.xavier_uniform_,
        I.xavier_normal_,
        I.kaiming_uniform_,
        I.kaiming_normal_,
        I.orthogonal_,
        I.eye_,
        lambda p: I.constant_(p, 3.0),
        lambda p: I.sparse_(p, 0.5),
    ]
    with gc.Session() as sess:
        for call in calls:
            p = gc.nn.Parameter(gc.full((3, 4), 7.0), dtype=gc.float64)
            assert call(p) is p
            value = sess.value(p)
            assert value.dtype == np.float64 and (value != 7.0).all()
            gc.nn.init.ones_(p)  # too late for this session
            np.testing.assert_array_equal(sess.value(p), value)
        kernel = I.dirac_(gc.nn.Parameter(gc.zeros((2, 2, 3))))
        assert sess.value(kernel).sum() == 2
    with pytest.raises(GraphError, match=r"ones_: .* is no gc\.nn\.Parameter"):
        I.ones_(gc.zeros((2,)))
    with pytest.raises(ShapeError, match="the initial value"):
        gc.nn.Parameter(1.0).start_from([1.0, 2.0])


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: init.orthogonal((3,)), ShapeError, "two axes or more"),
    (lambda: init.trunc_normal((3,), a=1.0, b=0.0), GraphError, "expected a < b"),
    (lambda: init.dirac((4, 4)), ShapeError, r"expected \[out, in"),
    (lambda: init.dirac((4, 4, 3), groups=3), ShapeError, "do not divide into groups"),
    (lambda: init.sparse((4,), 0.5), ShapeError, "expected a matrix"),
    (lambda: init.sparse((4, 4), 1.5), ShapeError, "share"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__
