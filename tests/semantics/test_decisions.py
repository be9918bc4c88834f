"""Decisions of docs/semantics.md on modules and transforms that no other test is about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, GraphError, ShapeError

F = gc.nn.functional


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def value(t: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(t, feeds)


def test_irfft_ignores_what_a_real_signal_has_not() -> None:
    """semantics 15.3"""
    spectrum = np.array([[4.0, 0], [1, 2], [3, 0]])
    other = np.add(spectrum, [[0, 7.0], [0, 0], [0, -5.0]])
    found = [value(gc.fft.irfft(gc.asarray(x))) for x in (spectrum, other)]
    np.testing.assert_array_equal(found[0], found[1])


def test_a_batch_norm_of_one_value() -> None:
    """semantics 16.3"""
    norm = gc.nn.BatchNorm1d(3, momentum=0.5).train()
    with pytest.raises(ShapeError, match="more than one"):
        norm(gc.zeros((1, 3)))
    x = gc.placeholder(gc.float32, [None, 3], name="x")
    out = norm(x)
    with gc.Session() as sess:
        with pytest.raises(FeedError, match=r"more than one: needs .* >= 2, got 1"):
            sess.run(out, {x: np.ones((1, 3))})
        np.testing.assert_array_equal(norm.state_dict(sess)["running_var"], np.ones(3))


def test_gradients_at_kinks_are_torchs() -> None:
    """semantics 16.6"""
    x = gc.asarray([0.0, 6.0])
    (d,) = gc.gradients(gc.sum(F.relu6(x)), [x])
    np.testing.assert_array_equal(value(d), [0.0, 0.0])
    (d,) = gc.gradients(gc.sum(gc.maximum(x, 0.0)), [x])
    assert value(d)[0] == 0.5  # 6.2


def test_a_row_of_attention_that_sees_nothing_is_0() -> None:
    """semantics 16.7"""
    q = gc.asarray(np.ones((1, 2, 4), np.float32))
    mask = gc.asarray(np.array([[True, True], [False, False]]))
    out = F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
    (d,) = gc.gradients(gc.sum(out * out), [q])
    found, slope = value([out, d])
    np.testing.assert_array_equal(found[0, 1], np.zeros(4))
    assert np.isfinite(slope).all()


def test_embedding_counts_from_the_end() -> None:
    """semantics 16.8"""
    weight = gc.asarray(np.arange(6, dtype=np.float32).reshape(3, 2))
    np.testing.assert_array_equal(value(F.embedding(gc.asarray([-1, 0]), weight)), [[4, 5], [0, 1]])
    with pytest.raises(GraphError, match="max_norm"):
        F.embedding(gc.asarray([0]), weight, max_norm=1.0)


def test_inplace_has_no_effect() -> None:
    """semantics 16.9"""
    x = gc.asarray([-1.0, 2.0])
    y = gc.nn.ReLU(inplace=True)(x)
    np.testing.assert_array_equal(value([x, y]), [[-1.0, 2.0], [0.0, 2.0]])
