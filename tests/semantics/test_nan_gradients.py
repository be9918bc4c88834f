"""Gradients where an operand is NaN, against stated values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run

import graphc as gc
from graphc.nn import functional as F  # noqa: N812

NAN = np.nan
ROW = [1.0, NAN, 3.0, NAN, 2.0]
ALL_NAN = [NAN] * 5
Case = tuple[Callable[[Any], Any], Any]  # function, and the gradient of sum(k * f(x)[k]), k from 1
CASES: dict[str, Case] = {
    # nothing equals NaN: an extreme that is NaN sends no gradient anywhere (semantics 6.2)
    "max": (gc.max, [0.0, 0, 0, 0, 0]),
    "min": (gc.min, [0.0, 0, 0, 0, 0]),
    "segment_max": (lambda x: gc.segment_max(x, np.array([0, 0, 1, 2, 3]), 4), [0.0, 0, 2, 0, 4]),
    "maximum": (lambda x: gc.maximum(x, 2.0), [0.0, 0, 3, 0, 2.5]),
    "minimum": (lambda x: gc.minimum(x, 2.0), [1.0, 0, 0, 0, 2.5]),
    "clip": (lambda x: gc.clip(x, 0.0, 2.5), [1.0, 0, 0, 0, 5]),
    "relu": (F.relu, [1.0, 0, 3, 0, 5]),
    # the pooling of a window with NaN: its first NaN takes part (17.3)
    "max_pool1d": (lambda x: F.max_pool1d(x[None, None], 2, 1), [0.0, 3, 0, 7, 0]),
    "max_pool1d with gaps": (lambda x: F.max_pool1d(x[None, None], 3, 2), [0.0, 1, 0, 2, 0]),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x[None, None], 2), [0.0, 1, 0, 2, 0]),
    "max_pool2d": (lambda x: F.max_pool2d(x[None, None, None], (1, 2)), [0.0, 1, 0, 2, 0]),
    "max_pool3d": (lambda x: F.max_pool3d(x[None, None, None, None], (1, 1, 3)), [0.0, 1, 0, 0, 0]),
    # orders: NaN has its place, and the gradient of it (2.5)
    "sort": (gc.sort, [1.0, 4, 3, 5, 2]),
    "sort, descending": (lambda x: gc.sort(x, descending=True), [5.0, 1, 3, 2, 4]),
    "top_k": (lambda x: gc.top_k(x, 3)[0], [0.0, 1, 3, 2, 0]),
    "cummax": (lambda x: gc.cummax(x, 0), [1.0, 5, 0, 9, 0]),
    "cummin": (lambda x: gc.cummin(x, 0), [1.0, 5, 0, 9, 0]),
    "cumsum": (lambda x: gc.cumsum(x, 0), [15.0, 14, 12, 9, 5]),
    "cumprod": (lambda x: gc.cumprod(x, 0), ALL_NAN),
    # choices
    "where": (lambda x: gc.where(x > 1.5, x * x, 2.0 * x), [2.0, 4, 18, 8, 20]),
    "where it is no NaN": (lambda x: gc.where(gc.isnan(x), 0.0, x * x), [2.0, 0, 18, 0, 20]),
    "nanmax": (gc.nanmax, [0.0, 0, 1, 0, 0]),
    "nanmean": (gc.nanmean, [1 / 3, 0, 1 / 3, 0, 1 / 3]),
    "leaky_relu": (F.leaky_relu, [1.0, 0.02, 3, 0.04, 5]),
    "threshold": (lambda x: F.threshold(x, 1.0, 0.0), [0.0, 2, 3, 4, 5]),
    # arithmetic: NaN stays where it is, or spreads with what is added up
    "abs": (gc.abs, [1.0, NAN, 3, NAN, 5]),
    "elu": (F.elu, [1.0, NAN, 3, NAN, 5]),
    "sum": (gc.sum, [1.0, 1, 1, 1, 1]),
    "mean": (gc.mean, [0.2, 0.2, 0.2, 0.2, 0.2]),
    "prod": (gc.prod, ALL_NAN),
    "std": (gc.std, ALL_NAN),
    "logsumexp": (gc.logsumexp, ALL_NAN),
}


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_at_nan(name: str) -> None:
    """semantics 6.2, 17.3"""
    function, expected = CASES[name]
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, [5])
        out = function(x)
        weights = np.arange(1.0, 1 + np.prod(out.shape)).reshape(out.shape)
        gradients = gc.gradients(out, [x], weights)
        np.testing.assert_allclose(run(gradients, {x: ROW})[0], expected, rtol=1e-12)
        with gc.Session() as sess:
            np.testing.assert_allclose(sess.run(gradients, {x: ROW})[0], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [gc.float16, gc.bfloat16, gc.float32, gc.float64], ids=str)
def test_pooling_windows_with_and_without_nan(dtype: Any) -> None:
    """semantics 17.3"""
    with gc.Graph().as_default():
        x = gc.placeholder(dtype, [1, 1, 2, 4])
        (found,) = gc.gradients(F.max_pool2d(x, 2), [x], np.array([[[[1.0, 2.0]]]]))
        given = np.array([[[[1, NAN, 5, 4], [NAN, 2, 6, 6]]]]).astype(dtype.numpy)
        assert run(found, {x: given}).astype(float).tolist() == [[[[0, 1, 0, 0], [0, 0, 2, 0]]]]


def test_an_extreme_along_an_axis_with_nan_in_some_rows() -> None:
    """semantics 6.2"""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, [3, 2])
        for fold in (gc.max, gc.min):
            (found,) = gc.gradients(fold(x, axis=1), [x], np.array([2.0, 4, 6]))
            given = [[1, NAN], [2.0, 2.0], [NAN, NAN]]
            assert run(found, {x: given}).tolist() == [[0, 0], [2, 2], [0, 0]]
