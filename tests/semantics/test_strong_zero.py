"""What a choice leaves out gets gradient 0, whatever stands between the choice and an infinite
derivative: products, convolutions, scans, solves, loops (semantics 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.derivatives import derivatives
from support.oracle import run

import graphc as gc
from graphc import linalg
from graphc.nn import functional as F  # noqa: N812

X = np.array([[1.0, 2.0], [0.0, 3.0]])  # the second row is left out: log has no derivative at 0
FIRST = np.array([[True], [False]])
WEIGHTS = np.array([[1.0, 2.0, -1.0], [0.5, -3.0, 1.0]])


def chosen(y: Any) -> Any:
    """The first row of a matrix, and 0."""
    return gc.where(FIRST, y, 0.0)


def scanned(x: Any) -> Any:
    """The sums of the roots of each row, by a loop over its columns."""
    step = lambda c, column: (c + gc.sqrt(column), ())  # noqa: E731
    (total, _) = gc.scan(step, gc.zeros((2,), gc.float64), gc.transpose(x))
    return gc.where(FIRST[:, 0], total, 0.0)


def attended(x: Any) -> Any:
    mask = np.array([[True, True], [False, False]])
    return F.scaled_dot_product_attention(gc.sqrt(x)[None], x[None], x[None], mask)


# A function of all of x, and what it is a function of the first row alone.
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "product": (lambda x: chosen(gc.log(x) @ WEIGHTS), lambda r: gc.log(r) @ WEIGHTS),
    "slice": (lambda x: (gc.log(x) @ WEIGHTS)[:1], lambda r: gc.log(r) @ WEIGHTS),
    "take": (lambda x: gc.take(gc.log(x) @ WEIGHTS, [0], 0), lambda r: gc.log(r) @ WEIGHTS),
    "linear": (
        lambda x: chosen(F.linear(gc.log(x), WEIGHTS.T.copy())),
        lambda r: gc.log(r) @ WEIGHTS,
    ),
    "relu behind a product": (
        lambda x: F.relu(gc.log(x) @ abs(WEIGHTS) + 1.0),
        lambda r: gc.log(r) @ abs(WEIGHTS) + 1.0,
    ),
    "maximum behind a product": (
        lambda x: gc.maximum(gc.log(x) @ abs(WEIGHTS), -5.0),
        lambda r: gc.log(r) @ abs(WEIGHTS),
    ),
    "convolution": (
        lambda x: gc.where(FIRST[:, None], F.conv1d(gc.log(x)[:, None], np.ones((1, 1, 2))), 0.0),
        lambda r: gc.sum(gc.log(r)),
    ),
    "sums so far": (
        lambda x: chosen(gc.cumulative_sum(gc.log(x), axis=1)),
        lambda r: gc.cumulative_sum(gc.log(r), axis=1),
    ),
    "products so far": (
        lambda x: chosen(gc.cumulative_prod(gc.sqrt(x), axis=1)),
        lambda r: gc.cumulative_prod(gc.sqrt(r), axis=1),
    ),
    "recurrence": (
        lambda x: chosen(gc.linear_recurrence(gc.log(x), gc.sqrt(x), axis=1)),
        lambda r: gc.linear_recurrence(gc.log(r), gc.sqrt(r), axis=1),
    ),
    "solve": (
        lambda x: chosen(gc.transpose(linalg.solve(np.eye(2) * 2, gc.transpose(gc.log(x))))),
        lambda r: gc.log(r) / 2.0,
    ),
    "loop": (scanned, lambda r: gc.sum(gc.sqrt(r))),
    "map": (lambda x: chosen(gc.map_fn(gc.sqrt, x)), gc.sqrt),
    "labels that are ignored": (
        lambda x: F.cross_entropy(gc.log(x) @ WEIGHTS, np.array([1, -100])),
        lambda r: F.cross_entropy(gc.log(r) @ WEIGHTS, np.array([1])),
    ),
}


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_out_behind_other_ops_has_gradient_0(name: str) -> None:
    whole, alone = CASES[name]
    found, wanted = derivatives(whole, X), derivatives(alone, X[:1])
    for got, row in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, np.concatenate([row, [[0, 0]]]), rtol=1e-12)


def test_rows_that_attention_does_not_see() -> None:
    first, _ = derivatives(attended, X)
    assert np.isfinite(first).all() and first[1, 0] != 0  # as a key, the row counts


def test_a_branch_behind_a_product() -> None:
    x, taken = gc.placeholder(gc.float64, [2, 2]), gc.placeholder(gc.bool_, [])
    y = gc.cond(taken, lambda: chosen(gc.sqrt(x) @ WEIGHTS), lambda: x @ WEIGHTS)
    (first,) = gc.gradients(gc.where(FIRST, y, 0.0), [x])
    expected = [[WEIGHTS.sum(1)[0] / 2, WEIGHTS.sum(1)[1] / np.sqrt(8)], [0, 0]]
    np.testing.assert_allclose(run(first, {x: X, taken: True}), expected)


def test_an_infinite_factor_of_a_product_is_seen() -> None:
    """0 times the infinite factor itself stays NaN, in the gradient by the other one."""
    w = gc.placeholder(gc.float64, WEIGHTS.shape)
    (by_w,) = gc.gradients(chosen(gc.log(X) @ w), [w])
    found = run(by_w, {w: WEIGHTS})
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
