"""Losses against PyTorch: values and gradients of every input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.nn import compare

import graphc as gc
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(4)


def draw(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    return RNG.uniform(low, high, shape)


X, Y = draw(5, 4), draw(5, 4)
P, Q = draw(5, 4, low=0.05, high=0.95), draw(5, 4, low=0.05, high=0.95)
SIGNS = np.where(draw(5, 4) > 0, 1.0, -1.0)
SIDES = np.array([1.0, -1, 1, -1, -1])
LABELS = np.array([0, 3, -100, 2, 1])
WEIGHT = np.array([0.5, 2.0, 1.0, 0.25])
IMAGE, PIXELS = draw(2, 3, 2, 3), RNG.integers(0, 3, (2, 2, 3))
SOFT = P / P.sum(1, keepdims=True)
FAR = np.array([[30.0, -30, 200, -200]])

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], int]] = [
    # the function, its tensors, its options, by how many of the tensors to differentiate
    ("mse_loss", (X, Y), {}, 2),
    ("mse_loss", (X, Y), {"reduction": "none"}, 2),
    ("l1_loss", (X, Y), {"reduction": "sum"}, 2),
    ("smooth_l1_loss", (X, Y), {}, 2),
    ("smooth_l1_loss", (X, Y), {"beta": 0.3, "reduction": "sum"}, 2),
    ("smooth_l1_loss", (X, Y), {"beta": 0.0}, 2),
    ("huber_loss", (X, Y), {}, 2),
    ("huber_loss", (X, Y), {"delta": 0.7, "reduction": "none"}, 2),
    ("cross_entropy", (X, LABELS), {}, 1),
    ("cross_entropy", (X, LABELS), {"reduction": "none"}, 1),
    ("cross_entropy", (X, LABELS, WEIGHT), {}, 1),
    ("cross_entropy", (X, LABELS, WEIGHT), {"reduction": "sum"}, 1),
    ("cross_entropy", (X, LABELS, WEIGHT), {"label_smoothing": 0.2}, 1),
    ("cross_entropy", (X, LABELS % 4), {"label_smoothing": 0.2, "ignore_index": 3}, 1),
    ("cross_entropy", (X[0], LABELS[0]), {"label_smoothing": 0.1}, 1),
    ("cross_entropy", (IMAGE, PIXELS, WEIGHT[:3]), {}, 1),
    ("cross_entropy", (X, SOFT), {}, 2),
    ("cross_entropy", (X, SOFT, WEIGHT), {"label_smoothing": 0.3}, 2),
    ("cross_entropy", (IMAGE, draw(2, 3, 2, 3)), {"reduction": "sum"}, 2),
    ("nll_loss", (X, LABELS), {}, 1),
    ("nll_loss", (X, LABELS, WEIGHT), {}, 1),
    ("nll_loss", (IMAGE, PIXELS, WEIGHT[:3]), {"ignore_index": 1, "reduction": "sum"}, 1),
    ("binary_cross_entropy", (P, Q), {}, 2),
    ("binary_cross_entropy", (P, Q, draw(5, 4, low=0.1)), {"reduction": "sum"}, 1),
    ("binary_cross_entropy", (np.array([0.0, 1.0]), np.array([0.0, 1.0])), {}, 0),
    ("binary_cross_entropy", (np.array([0.0, 1.0]), np.array([1.0, 0.0])), {}, 0),
    ("binary_cross_entropy_with_logits", (X, Q), {}, 2),
    ("binary_cross_entropy_with_logits", (FAR, np.ones((1, 4))), {"reduction": "none"}, 1),
    ("kl_div", (X, SOFT), {"reduction": "none"}, 2),
    ("kl_div", (X, SOFT), {"reduction": "batchmean"}, 2),
    ("kl_div", (X, Y), {"log_target": True, "reduction": "sum"}, 2),
    ("kl_div", (X, np.eye(5, 4)), {"reduction": "none"}, 1),
    ("hinge_embedding_loss", (X, SIGNS), {}, 1),
    ("hinge_embedding_loss", (X, SIGNS), {"margin": 0.4, "reduction": "none"}, 1),
    ("margin_ranking_loss", (X, Y, SIGNS), {}, 2),
    ("margin_ranking_loss", (X, Y, SIGNS), {"margin": 0.5, "reduction": "sum"}, 2),
    ("multi_margin_loss", (X, np.abs(LABELS) % 4), {}, 1),
    ("multi_margin_loss", (X, np.abs(LABELS) % 4), {"p": 2, "margin": 0.5}, 1),
    ("multi_margin_loss", (X[0], np.array(2)), {"reduction": "sum"}, 1),
    ("multilabel_soft_margin_loss", (X, Q, WEIGHT), {}, 1),
    ("cosine_embedding_loss", (X, Y, SIDES), {}, 2),
    ("cosine_embedding_loss", (X, Y, SIDES), {"margin": 0.3, "reduction": "none"}, 2),
    ("triplet_margin_loss", (X, Y, P), {}, 3),
    ("triplet_margin_loss", (X, Y, P), {"swap": True, "margin": 2.0, "reduction": "none"}, 3),
    ("triplet_margin_loss", (X, Y, P), {"p": 3.0, "reduction": "sum"}, 3),
    ("gaussian_nll_loss", (X, Y, P), {}, 3),
    ("gaussian_nll_loss", (X, Y, P[:, 0]), {"full": True, "reduction": "sum"}, 3),
    ("gaussian_nll_loss", (X, Y, P[:, :1] * 1e-9), {"eps": 1e-2}, 3),
    ("poisson_nll_loss", (X, P * 5), {}, 2),
    ("poisson_nll_loss", (P, P * 5), {"log_input": False, "full": True}, 1),
    ("soft_margin_loss", (X, SIGNS), {}, 1),
    ("soft_margin_loss", (X, SIGNS), {"reduction": "none"}, 1),
]
IDS = [f"{i}-{case[0]}" for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("name", "arrays", "options", "wanted"), CASES, ids=IDS)
def test_losses(
    name: str, arrays: Any, options: Any, wanted: int, request: pytest.FixtureRequest
) -> None:
    key = request.node.callspec.id
    compare(
        key,
        arrays,
        lambda torch, *t: getattr(torch.nn.functional, name)(*t, **options),
        lambda *t: getattr(F, name)(*t, **options),
        wanted,
    )


MODULES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("MSELoss", (X, Y), {}),
    ("L1Loss", (X, Y), {"reduction": "sum"}),
    ("SmoothL1Loss", (X, Y), {"beta": 0.5}),
    ("HuberLoss", (X, Y), {"delta": 0.5}),
    ("CrossEntropyLoss", (X, LABELS), {"weight": WEIGHT, "label_smoothing": 0.1}),
    ("NLLLoss", (X, LABELS), {"weight": WEIGHT}),
    ("BCELoss", (P, Q), {"weight": WEIGHT}),
    ("BCEWithLogitsLoss", (X, Q), {"pos_weight": WEIGHT, "weight": WEIGHT}),
    ("KLDivLoss", (X, SOFT), {"reduction": "batchmean"}),
    ("HingeEmbeddingLoss", (X, SIGNS), {"margin": 0.5}),
    ("MarginRankingLoss", (X, Y, SIGNS), {"margin": 0.5}),
    ("MultiMarginLoss", (X, np.abs(LABELS) % 4), {"weight": WEIGHT}),
    ("MultiLabelSoftMarginLoss", (X, Q), {}),
    ("CosineEmbeddingLoss", (X, Y, SIDES), {"margin": 0.2}),
    ("TripletMarginLoss", (X, Y, P), {"swap": True}),
    ("GaussianNLLLoss", (X, Y, P), {"full": True}),
    ("PoissonNLLLoss", (X, P), {}),
    ("SoftMarginLoss", (X, SIGNS), {}),
]


@pytest.mark.parametrize(("name", "arrays", "options"), MODULES, ids=[m[0] for m in MODULES])
def test_modules_hold_the_options(name: str, arrays: Any, options: Any) -> None:
    def with_torch(torch: Any, *t: Any) -> Any:
        given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return getattr(torch.nn, name)(**given)(*t)

    compare(name, arrays, with_torch, lambda *t: getattr(gc.nn, name)(**options)(*t), 1)


def test_symbolic_batches() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x, y = gc.placeholder(gc.float64, ["n", 4]), gc.placeholder(gc.int64, ["n"])
        loss = F.cross_entropy(x, y, WEIGHT, label_smoothing=0.1)
        ranked = F.multi_margin_loss(x, y)
        for n in (1, 3):
            known = [
                F.cross_entropy(X[:n], y, WEIGHT, label_smoothing=0.1),
                F.multi_margin_loss(X[:n], y),
            ]
            got = sess.run([loss, ranked], {x: X[:n], y: LABELS[:n] % 4})
            np.testing.assert_allclose(got, sess.run(known, {y: LABELS[:n] % 4}), rtol=1e-12)


def test_multi_margin_loss_at_its_margin() -> None:
    """16.6: a class that is apart by the margin exactly has no gradient; nan stays."""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float64, (2, 4))
        loss = F.multi_margin_loss(x, [1, 0], reduction="sum")
        (ct,) = gc.gradients(loss, [x])
        given = np.array([[0.0, 1.0, 0.0, 2.0], [1.0, 1.0, 0.0, 1.0]])
        found = sess.run([loss, ct], {x: given})
        assert found[0] == 1.0
        np.testing.assert_array_equal(found[1], [[0.0, -0.25, 0.0, 0.25], [-0.5, 0.25, 0.0, 0.25]])
        given[0, 0] = np.nan
        assert np.isnan(sess.run(loss, {x: given}))


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: F.cross_entropy(X, LABELS, WEIGHT[:3]), ShapeError, "expected one element for each"),
    (lambda: F.cross_entropy(X, LABELS, label_smoothing=2.0), GraphError, "label_smoothing is 2"),
    (lambda: F.cross_entropy(X, SOFT[:, :3]), ShapeError, "sizes differ"),
    (lambda: F.smooth_l1_loss(X, Y, beta=-1.0), GraphError, "beta is -1"),
    (lambda: F.huber_loss(X, Y, delta=0.0), GraphError, "delta is 0"),
    (lambda: F.kl_div(X, Y, reduction="rowmean"), GraphError, "reduction 'rowmean'"),
    (lambda: F.multi_margin_loss(X, LABELS, p=3), GraphError, "p is 3"),
    (lambda: F.cosine_embedding_loss(X, Y, SIGNS), ShapeError, r"expected \[n, size\]"),
    (lambda: F.gaussian_nll_loss(X, Y, P[:, :2]), ShapeError, "sizes differ"),
    (lambda: F.gaussian_nll_loss(X, Y, P, eps=0.0), GraphError, "eps is 0"),
    (lambda: F.soft_margin_loss(LABELS, LABELS), DTypeError, "holds no floats"),
    (lambda: F.margin_ranking_loss(X, Y, SIDES), ShapeError, "different ranks"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__
