"""The CTC loss against PyTorch, through log_softmax, and against the sum over all paths."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from support.nn import check_second_order, compare

import graphc as gc
from graphc import nn
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(9)
X = RNG.uniform(-2, 2, (7, 3, 5))
LABELS = np.array([[1, 2, 2], [3, 0, 0], [4, 1, 4]])
TIMES, SIZES = [7, 3, 6], [3, 1, 2]
JOINED = np.array([1, 2, 2, 3, 4, 1])

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("mean", LABELS, {}),
    ("sum", LABELS, {"reduction": "sum"}),
    ("none", LABELS, {"reduction": "none"}),
    ("joined", JOINED, {}),
    ("blank", (LABELS + 4) % 5, {"blank": 4}),
]


@pytest.mark.parametrize(("name", "labels", "options"), CASES, ids=[c[0] for c in CASES])
def test_losses_and_gradients(name: str, labels: Any, options: Any) -> None:
    def with_torch(torch: Any, x: Any) -> Any:
        return torch.nn.functional.ctc_loss(
            torch.log_softmax(x, 2), torch.tensor(labels), TIMES, SIZES, **options
        )

    compare(
        name,
        (X,),
        with_torch,
        lambda x: F.ctc_loss(F.log_softmax(x, 2), labels, TIMES, SIZES, **options),
        1,
    )


def test_empty_targets_too_long_targets_and_no_batch() -> None:
    """semantics 18.3"""
    sizes, times = [0, 3, 3], [7, 3, 4]  # "2 2" needs a blank between: 3 times are too few
    labels = np.array([[1, 1, 1], [1, 2, 2], [3, 4, 3]])
    compare(
        "infinite",
        (X,),
        lambda torch, x: torch.nn.functional.ctc_loss(
            torch.log_softmax(x, 2), torch.tensor(labels), times, sizes, zero_infinity=True
        ),
        lambda x: nn.CTCLoss(zero_infinity=True)(F.log_softmax(x, 2), labels, times, sizes),
        1,
    )
    compare(
        "single",
        (X[:, 0],),
        lambda torch, x: torch.nn.functional.ctc_loss(
            torch.log_softmax(x, 1), torch.tensor([1, 2]), torch.tensor(6), torch.tensor(2)
        ),
        lambda x: F.ctc_loss(F.log_softmax(x, 1), [1, 2], 6, 2),
        1,
    )
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.asarray(X)
        loss = F.ctc_loss(F.log_softmax(x, 2), labels, times, sizes, reduction="none")
        found, slope = sess.run([loss, *gc.gradients(gc.sum(loss), [x])])
        assert found[1] == math.inf and np.all(np.isfinite(slope))
        assert not np.any(slope[:, 1]) and np.any(slope[:, 2])


def test_second_derivatives() -> None:
    check_second_order(lambda x: F.ctc_loss(F.log_softmax(x, 2), LABELS, TIMES, SIZES), [X])


def test_the_loss_is_the_sum_over_paths() -> None:
    p = np.exp(X[:4, 0]) / np.exp(X[:4, 0]).sum(1, keepdims=True)

    def spelled(path: Any) -> list[int]:
        merged = [k for k, _ in itertools.groupby(path)]
        return [k for k in merged if k != 0]

    total = sum(
        np.prod(p[np.arange(4), path])
        for path in itertools.product(range(5), repeat=4)
        if spelled(path) == [2, 1]
    )
    with gc.Graph().as_default(), gc.Session() as sess:
        loss = F.ctc_loss(gc.asarray(np.log(p)), [2, 1, 1], 4, 2)
        np.testing.assert_allclose(sess.run(loss) * 2, -np.log(total), rtol=1e-12)


def test_symbolic_sizes_and_indices_out_of_range() -> None:
    """semantics 18.3, 18.4"""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float64, ["t", "n", 5], name="x")
        labels = gc.placeholder(gc.int64, ["n", "s"], name="labels")
        times, sizes = (gc.placeholder(gc.int64, ["n"], name=name) for name in ("times", "sizes"))
        loss = F.ctc_loss(x, labels, times, sizes, reduction="none")
        (slope,) = gc.gradients(gc.sum(loss), [x])
        log_p = X - np.log(np.exp(X).sum(2, keepdims=True))
        feeds = {x: log_p, labels: LABELS, times: TIMES, sizes: SIZES}
        whole, slopes = sess.run([loss, slope], feeds)
        one = {x: log_p[:3, 1:2], labels: LABELS[1:2, :1], times: [3], sizes: [1]}
        np.testing.assert_allclose(sess.run(loss, one), whole[1:2], rtol=1e-12)
        np.testing.assert_allclose(slopes.sum(2)[:3], -1.0, rtol=1e-12)  # one symbol each time
        padded = np.where(LABELS == 0, -100, LABELS)  # what lies beyond a length is not looked at
        np.testing.assert_array_equal(sess.run(loss, feeds | {labels: padded}), whole)
        nothing = {x: X[:0, :1], labels: LABELS[:1, :0], times: [0], sizes: [0]}
        assert sess.run(loss, nothing) == [0.0]
        for wrong in (
            {times: [8, 3, 6]},
            {sizes: [3, 4, 2]},
            {sizes: [3, -1, 2]},
            {labels: LABELS + 1},
            {labels: LABELS - 2},
        ):
            with pytest.raises(GraphError, match="index"):
                sess.run(loss, feeds | wrong)


def test_refusals() -> None:
    x = gc.zeros((7, 3, 5))
    with pytest.raises(ShapeError, match=r"expected \[time, n, classes"):
        F.ctc_loss(x[0, 0], LABELS, TIMES, SIZES)
    with pytest.raises(ShapeError, match="blank is 5"):
        F.ctc_loss(x, LABELS, TIMES, SIZES, blank=5)
    with pytest.raises(DTypeError, match="no integer labels"):
        F.ctc_loss(x, LABELS * 1.0, TIMES, SIZES)
    with pytest.raises(ShapeError, match="sum of lengths"):
        F.ctc_loss(x, JOINED[:-1], TIMES, SIZES)
    with pytest.raises(ShapeError, match="one after the other need"):
        F.ctc_loss(x, JOINED, TIMES, gc.asarray(SIZES))
    with pytest.raises(ShapeError, match="of input_lengths"):
        F.ctc_loss(x, LABELS, [7, 3], SIZES)
    with pytest.raises(GraphError, match="reduction 'all'"):
        F.ctc_loss(x, LABELS, TIMES, SIZES, reduction="all")


def test_targets_without_labels() -> None:
    """Only blanks: an empty target is spelled by one path."""
    x = gc.placeholder(gc.float64, X[:, :2].shape)
    loss = F.ctc_loss(
        F.log_softmax(x, 2), np.zeros((2, 0), np.int64), [7, 3], [0, 0], reduction="sum"
    )
    (slope,) = gc.gradients(loss, [x])
    with gc.Session() as sess:
        found, by_x = sess.run([loss, slope], {x: X[:, :2]})
    log_probs = X[:, :2] - np.log(np.exp(X[:, :2]).sum(2, keepdims=True))
    np.testing.assert_allclose(found, -log_probs[:, 0, 0].sum() - log_probs[:3, 1, 0].sum())
    assert np.all(by_x[3:, 1] == 0) and np.all(by_x[:3, 1, 0] < 0)
