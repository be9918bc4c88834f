"""Losses over vectors and their distances, as functions with PyTorch's names."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError, user_location
from graphc.frontend.arguments import require_equal, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw, reductions
from graphc.nn.functional.activation import floats, real
from graphc.nn.functional.linear import pairwise_distance
from graphc.nn.functional.loss import above_zero, pair, reduced

__all__ = ["cosine_embedding_loss", "margin_ranking_loss", "triplet_margin_loss"]


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target * (input1 - input2)), for targets 1 and -1.

    >>> import graphc as gc
    >>> margin_ranking_loss(gc.zeros((5,)), gc.ones((5,)), gc.ones((5,))).type
    f32[]
    """
    what = "margin_ranking_loss"
    (a, b), (_, y) = pair(what, input1, input2), pair(what, input1, target)
    gap = pw.subtract(real(what, "margin", margin), pw.multiply(y, pw.subtract(a, b)))
    return reduced(what, above_zero(gap), reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1, for vectors in the
    last axis.

    >>> import graphc as gc
    >>> cosine_embedding_loss(gc.zeros((5, 3)), gc.ones((5, 3)), gc.ones((5,))).type
    f32[]
    """
    what = "cosine_embedding_loss"
    a, b = pair(what, input1, input2)
    b, y = floats(what, b), tensor(what, target)
    if a.ndim not in (1, 2) or y.ndim != a.ndim - 1:
        raise ShapeError(
            f"{what}: inputs {a.type}, target {y.type}: expected [n, size] and [n]", user_location()
        )
    if y.ndim:
        require_equal(what, a.shape[0], y.shape[0], f"of inputs {a.type} and target {y.type}")
    squares = (pw.add(reductions.sum(pw.square(t), -1), 1e-12) for t in (a, b))
    product = reductions.sum(pw.multiply(a, b), -1)
    cosine = pw.divide(product, el.sqrt(pw.multiply(*squares)))
    near = pw.where(pw.equal(y, 1), pw.subtract(1.0, cosine), 0.0)
    apart = above_zero(pw.subtract(cosine, real(what, "margin", margin)))
    return reduced(what, pw.add(near, pw.where(pw.equal(y, -1), apart, 0.0)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), for `pairwise_distance` d; with
    `swap`, d(positive, negative) counts if it is smaller (Balntas et al. 2016).

    >>> import graphc as gc
    >>> a = gc.zeros((5, 3))
    >>> triplet_margin_loss(a, a + 1.0, a + 2.0).type
    f32[]
    """
    what = "triplet_margin_loss"
    a, good, bad = (floats(what, t) for t in (anchor, positive, negative))
    near, far = pairwise_distance(a, good, p, eps), pairwise_distance(a, bad, p, eps)
    if swap:
        far = pw.minimum(far, pairwise_distance(good, bad, p, eps))
    gap = pw.add(pw.subtract(near, far), real(what, "margin", margin))
    return reduced(what, above_zero(gap), reduction)
