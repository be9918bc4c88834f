"""First and second derivatives of activations, losses, norms and folds at their kinks, zeros, ties
and in saturation: PyTorch's first ones (semantics 16.6), and of the side whose first one is taken.

A public activation, loss, norm or fold has a case here or in another file of kinks, or is smooth by
a reason that `SMOOTH` gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from support.derivatives import Case, assert_stated, derivatives

import graphc as gc
from graphc import linalg
from graphc.nn import functional as F  # noqa: N812
from graphc.nn.functional import activation, class_loss, loss, norm, pool, vector_loss

INF, HALF = math.inf, 0.5
ALPHA, SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
MINUS = -np.ones(1)
SMOOTH: Mapping[str, str] = {  # reason -> functions
    "a function of a case in test_kinks.py": """
        gelu logsigmoid mish silu softplus sigmoid tanh softmax binary_cross_entropy relu
    """,
    "smooth, and its saturation is that of sigmoid, softmax or tanh": """
        glu gumbel_softmax softmin tanhshrink batch_norm group_norm instance_norm
        multilabel_soft_margin_loss soft_margin_loss
    """,
    "polynomial": "mse_loss avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d",
}


def at(f: Any, **options: Any) -> Any:
    """A loss of x and a target of zeros, summed up."""
    return lambda x: f(x, gc.zeros(x.shape, gc.float64), reduction="sum", **options)


def sided(f: Any, side: float, **options: Any) -> Any:
    """A loss of x and targets of one side."""
    return lambda x: f(x, np.full(x.shape, side), reduction="sum", **options)


CASES: dict[str, Case] = {
    # ---- activations
    "celu": (lambda x: F.celu(x, 2.0), [0.0, -800, 3], [1, 0, 1], [HALF, 0, 0]),
    "elu": (F.elu, [0.0, -800, 3], [1, 0, 1], [1, 0, 0]),
    "selu": (F.selu, [0.0, -800, 3], [SCALE * ALPHA, 0, SCALE], [SCALE * ALPHA, 0, 0]),
    "hardshrink": (F.hardshrink, [HALF, -HALF, 0.0, 1], [0, 0, 0, 1], [0] * 4),
    "softshrink": (F.softshrink, [HALF, -HALF, 0.0, 1, -1], [0, 0, 0, 1, 1], [0] * 5),
    "hardsigmoid": (F.hardsigmoid, [3.0, -3, 0, INF], [0, 0, 1 / 6, 0], [0] * 4),
    "hardswish": (F.hardswish, [3.0, -3, 0, 4], [1, 0, HALF, 1], [0, 0, 1 / 3, 0]),
    "hardtanh": (F.hardtanh, [1.0, -1, 0, INF], [0, 0, 1, 0], [0] * 4),
    "relu6": (F.relu6, [0.0, 6, 3, -INF], [0, 0, 1, 0], [0] * 4),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), [0.0, 1, -1], [0.1, 1, 0.1], [0] * 3),
    "prelu": (lambda x: F.prelu(x, np.full(1, 0.1)), [0.0, 1, -1], [0.1, 1, 0.1], [0] * 3),
    "prelu by weight": (lambda w: F.prelu(np.zeros(1), w), [0.1], [0], [0]),
    "threshold": (lambda x: F.threshold(x, 1.0, 9.0), [1.0, 2, 0], [0, 1, 0], [0] * 3),
    "softsign": (F.softsign, [0.0, 1, -1], [1, 0.25, 0.25], [0, -0.25, 0.25]),
    "log_softmax": (lambda x: F.log_softmax(x, 0)[0], [800.0, -800], [0, 0], [0, 0]),
    "log_softmax, lost": (lambda x: F.log_softmax(x, 0)[1], [800.0, -800], [-1, 1], [0, 0]),
    # ---- losses
    "l1_loss": (at(F.l1_loss), [0.0, 2, -2], [0, 1, -1], [0] * 3),
    "smooth_l1_loss": (at(F.smooth_l1_loss), [0.0, 1, -1, 2], [0, 1, -1, 1], [1, 0, 0, 0]),
    "smooth_l1_loss without width": (at(F.smooth_l1_loss, beta=0.0), [0.0, 2], [0, 1], [0, 0]),
    "huber_loss": (at(F.huber_loss), [0.0, 1, -1, 2], [0, 1, -1, 1], [1, 1, 1, 0]),
    "hinge_embedding_loss": (
        sided(F.hinge_embedding_loss, -1.0),
        [1.0, 0, 2],
        [-1, -1, 0],
        [0] * 3,
    ),
    "margin_ranking_loss": (
        lambda x: F.margin_ranking_loss(x, np.zeros(3), np.ones(3), reduction="sum"),
        [0.0, 1, -1],
        [-1, 0, -1],
        [0] * 3,
    ),
    "multi_margin_loss": (
        lambda x: F.multi_margin_loss(x, np.array(0)),
        [1.0, 0, 2],
        [-1 / 3, 0, 1 / 3],
        [0] * 3,
    ),
    "multi_margin_loss, squares": (
        lambda x: F.multi_margin_loss(x, np.array(0), p=2),
        [1.0, 0],
        [0, 0],
        [0, 0],
    ),
    "kl_div of probability 0": (at(F.kl_div), [-1.0, 0], [0, 0], [0, 0]),
    "poisson_nll_loss": (at(F.poisson_nll_loss), [0.0, -800], [1, 0], [1, 0]),
    "gaussian_nll_loss by var": (
        lambda v: F.gaussian_nll_loss(np.zeros(2), np.zeros(2), v, reduction="sum"),
        [1.0, HALF],
        [HALF, 1],
        [-HALF, -2],
    ),
    "nll_loss": (
        lambda x: F.nll_loss(gc.log(x), np.array([0]), reduction="sum"),
        [[1.0, 0]],
        [[-1, 0]],
        [[1, 0]],
    ),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, np.array([0])),
        [[800.0, -800]],
        [[0, 0]],
        [[0, 0]],
    ),
    "cross_entropy, wrong": (
        lambda x: F.cross_entropy(x, np.array([1])),
        [[800.0, -800]],
        [[1, -1]],
        [[0, 0]],
    ),
    "binary_cross_entropy_with_logits": (
        sided(F.binary_cross_entropy_with_logits, 1.0),
        [800.0, -800, 0],
        [0, -1, -HALF],
        [0, 0, 0.25],
    ),
    "triplet_margin_loss": (
        lambda x: F.triplet_margin_loss(np.ones((1, 1)), x, np.ones((1, 1)), margin=0.0, eps=0.0),
        [[1.0]],
        [[0]],
        [[0]],
    ),
    "cosine_embedding_loss": (
        lambda x: F.cosine_embedding_loss(x, np.array([[1.0, 0]]), MINUS, reduction="sum"),
        [[0.0, 1]],
        [[1, 0]],
        [[-1, -1]],
    ),
    # ---- norms and distances
    "normalize": (lambda x: F.normalize(x, dim=0), [0.0, 0], [1e12, 1e12], [0, 0]),
    "layer_norm of equals": (
        lambda x: F.layer_norm(x, (2,))[0],
        [2.0, 2],
        [HALF / math.sqrt(1e-5), -HALF / math.sqrt(1e-5)],
        [0, 0],
    ),
    "rms_norm": (lambda x: F.rms_norm(x, (2,), eps=1.0), [0.0, 0], [1, 1], [0, 0]),
    "pairwise_distance": (
        lambda x: F.pairwise_distance(x, np.zeros((1, 2)), eps=0.0),
        [[0.0, 0]],
        [[0, 0]],
        [[0, 0]],
    ),
    "cosine_similarity": (
        lambda x: F.cosine_similarity(x, np.ones((1, 2)), eps=1.0),
        [[0.0, 0]],
        [[1 / math.sqrt(2)] * 2],
        [[0, 0]],
    ),
    "vector_norm, largest": (
        lambda x: linalg.vector_norm(x, ord=INF),
        [3.0, -3, 0],
        [HALF, -HALF, 0],
        [0] * 3,
    ),
    "vector_norm, 1": (lambda x: linalg.vector_norm(x, ord=1), [0.0, -3], [0, -1], [0, 0]),
    # ---- windows
    "max_pool1d": (lambda x: F.max_pool1d(x[None, None], 3), [1.0, 1, 0], [1, 0, 0], [0] * 3),
    "max_pool2d": (
        lambda x: F.max_pool2d(x[None, None], 2),
        [[1.0, 1], [1, 0]],
        [[1, 0], [0, 0]],
        [[0, 0], [0, 0]],
    ),
    "lp_pool1d": (lambda x: F.lp_pool1d(x[None, None], 2.0, 2), [0.0, 0], [0, 0], [0, 0]),
    "adaptive_max_pool1d": (
        lambda x: F.adaptive_max_pool1d(x[None, None], 1),
        [1.0, 1],
        [1, 0],
        [0, 0],
    ),
    # ---- functions of gc
    "clip": (lambda x: gc.clip(x, -1.0, 1.0), [1.0, -1, 0, INF], [HALF, HALF, 1, 0], [0] * 4),
    "fmax": (lambda x: gc.fmax(x, 1.0), [1.0, 2], [HALF, 1], [0, 0]),
    "ptp": (gc.ptp, [1.0, 1, 0], [HALF, HALF, -1], [0] * 3),
    "median": (gc.median, [1.0, 1, 0, 3], [HALF, HALF, 0, 0], [0] * 4),
    "logsumexp of infinities": (gc.logsumexp, [-INF, 0.0], [0, 1], [0, 0]),
    "logcumsumexp": (gc.logcumsumexp, [-INF, 0.0], [0, 1], [0, 0]),
    "var of equals": (gc.var, [2.0, 2], [0, 0], [0, 0]),
    "nanmax": (gc.nanmax, [math.nan, 1, 1], [0, HALF, HALF], [0] * 3),
    "copysign": (lambda x: gc.copysign(x, -1.0), [0.0, 2, -2], [0, -1, 1], [0] * 3),
}
MODULES = (activation, loss, class_loss, vector_loss, norm, pool)


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str) -> None:
    """semantics 6 and 16.6"""
    with gc.Graph().as_default():
        found = derivatives(*CASES[name][:2])
    assert_stated(CASES[name], found)


def test_every_activation_and_loss_is_smooth_or_has_a_case() -> None:
    smooth = {name for names in SMOOTH.values() for name in names.split()}
    stated = {name.split()[0].rstrip(",") for name in CASES}
    public = {name for module in MODULES for name in module.__all__}
    public |= {"log_softmax", "softmax"}
    public -= {n for n in public if n.endswith(("2d", "3d"))}  # as those of one axis
    assert public - smooth - stated == set()
    assert smooth & stated == set()
