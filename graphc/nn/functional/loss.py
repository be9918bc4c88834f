"""Losses as functions, with PyTorch's names; `reduction` is "mean", "sum" or "none".

Losses over classes are in `class_loss`, losses of vectors in `vector_loss`.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import apply, converted, require_equal, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw, reductions
from graphc.functions.creation import size_tensor
from graphc.functions.shaping import expand_dims
from graphc.ir.ops import elementary
from graphc.nn.functional.activation import floats, logsigmoid, real
from graphc.nn.functional.norm import not_below

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def reduced(what: str, loss: Tensor, reduction: str) -> Tensor:
    """The mean or sum of a loss, or the loss itself.  Raises `GraphError` for another word."""
    if reduction == "mean":
        return reductions.mean(loss)
    if reduction == "sum":
        return reductions.sum(loss)
    if reduction == "none":
        return loss
    raise GraphError(
        f"{what}: reduction {reduction!r}: expected 'mean', 'sum' or 'none'", user_location()
    )


def above_zero(x: Tensor) -> Tensor:
    """x where it is not below 0, else 0; at 0 its derivative is 1, as in PyTorch's losses."""
    return pw.where(pw.less(x, 0.0), 0.0, x)


def pair(what: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """A float input and a target of its shape."""
    x, y = floats(what, input), tensor(what, target)
    if x.ndim != y.ndim:
        raise ShapeError(
            f"{what}: input {x.type} and target {y.type} have different ranks; expected one shape",
            user_location(),
        )
    for a, b in zip(x.shape, y.shape, strict=True):
        require_equal(what, a, b, f"of input {x.type} and target {y.type}")
    return x, y


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Tensor:
    """(input - target) squared, times `weight`; the mean is over the sum of the weights.

    >>> import graphc as gc
    >>> mse_loss(gc.zeros((5, 2)), gc.ones((5, 2))).type
    f32[]
    """
    x, y = pair("mse_loss", input, target)
    loss = pw.square(pw.subtract(x, y))
    if weight is None:
        return reduced("mse_loss", loss, reduction)
    _, w = pair("mse_loss", loss, weight)
    loss = pw.multiply(loss, w)
    if reduction == "mean":
        return pw.divide(reductions.sum(loss), reductions.sum(converted(w, loss.dtype)))
    return reduced("mse_loss", loss, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|input - target|."""
    x, y = pair("l1_loss", input, target)
    return reduced("l1_loss", pw.abs(pw.subtract(x, y)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Half the square over beta where |input - target| < beta, else the distance less beta / 2."""
    x, y = pair("smooth_l1_loss", input, target)
    off, width = pw.subtract(x, y), real("smooth_l1_loss", "beta", beta)
    gap = pw.abs(off)
    if width < 0.0:
        raise GraphError(f"smooth_l1_loss: beta is {width}; expected at least 0", user_location())
    if width == 0.0:
        return reduced("smooth_l1_loss", gap, reduction)
    near = pw.multiply(pw.square(off), 0.5 / width)  # `off` has a second derivative at 0
    loss = pw.where(pw.less(gap, width), near, pw.subtract(gap, 0.5 * width))
    return reduced("smooth_l1_loss", loss, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the square where |input - target| <= delta, else delta times (the distance less
    delta / 2) (Huber 1964)."""
    x, y = pair("huber_loss", input, target)
    off, width = pw.subtract(x, y), real("huber_loss", "delta", delta)
    gap = pw.abs(off)
    if not width > 0.0:
        raise GraphError(f"huber_loss: delta is {width}; expected above 0", user_location())
    far = pw.multiply(pw.subtract(gap, 0.5 * width), width)
    loss = pw.where(pw.less_equal(gap, width), pw.multiply(pw.square(off), 0.5), far)
    return reduced("huber_loss", loss, reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Minus target * log(input) + (1 - target) * log(1 - input), each logarithm at least -100.

    >>> import graphc as gc
    >>> binary_cross_entropy(gc.full((5,), 0.5), gc.ones((5,))).type
    f32[]
    """
    what = "binary_cross_entropy"
    x, y = pair(what, input, target)
    yes = pw.maximum(el.log(x), -100.0)
    no = pw.maximum(el.log1p(pw.negative(x)), -100.0)
    loss = pw.negative(pw.add(pw.multiply(y, yes), pw.multiply(pw.subtract(1.0, y), no)))
    return reduced(what, loss if weight is None else pw.multiply(loss, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Minus target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)), stabilised.

    >>> import graphc as gc
    >>> binary_cross_entropy_with_logits(gc.zeros((5,)), gc.ones((5,)), reduction="none").type
    f32[5]
    """
    what = "binary_cross_entropy_with_logits"
    x, y = pair(what, input, target)
    tail = apply(elementary.softplus, pw.negative(x))  # -log(sigmoid(x))
    if pos_weight is not None:
        tail = pw.multiply(tail, pw.add(pw.multiply(y, pw.subtract(pos_weight, 1.0)), 1.0))
    loss = pw.add(pw.multiply(pw.subtract(1.0, y), x), tail)
    return reduced(what, loss if weight is None else pw.multiply(loss, weight), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross entropy with logits, its mean over the classes (the last axis)."""
    what = "multilabel_soft_margin_loss"
    x, y = pair(what, input, target)
    if x.ndim < 1:
        raise ShapeError(f"{what}: input {x.type}: expected [..., classes]", user_location())
    no = pw.multiply(pw.subtract(1.0, y), logsigmoid(pw.negative(x)))
    loss = pw.negative(pw.add(pw.multiply(y, logsigmoid(x)), no))
    loss = loss if weight is None else pw.multiply(loss, weight)
    return reduced(what, reductions.mean(loss, -1), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input), for log-probabilities `input`; with `log_target`, the target
    holds logarithms too.  `reduction` may be "batchmean": the sum over the size of axis 0.

    >>> import graphc as gc
    >>> kl_div(gc.zeros((5, 2)), gc.ones((5, 2)), reduction="batchmean").type
    f32[]
    """
    x, y = pair("kl_div", input, target)
    y = converted(y, x.dtype) if not y.dtype.is_float else y
    if log_target:
        loss = pw.multiply(el.exp(y), pw.subtract(y, x))
    else:
        entropy = pw.where(pw.equal(y, 0.0), 0.0, pw.multiply(y, el.log(y)))
        loss = pw.subtract(entropy, pw.multiply(y, x))
    if reduction != "batchmean":
        return reduced("kl_div", loss, reduction)
    if x.ndim == 0:
        return loss
    return pw.divide(reductions.sum(loss), size_tensor(x.shape[0], loss.dtype))


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), for targets 1 and -1; without overflow."""
    x, y = pair("soft_margin_loss", input, target)
    loss = apply(elementary.softplus, pw.negative(pw.multiply(x, y)))
    return reduced("soft_margin_loss", loss, reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    x, y = pair("hinge_embedding_loss", input, target)
    far = above_zero(pw.subtract(real("hinge_embedding_loss", "margin", margin), x))
    loss = pw.add(pw.where(pw.equal(y, 1), 0.0, far), pw.where(pw.equal(y, -1), 0.0, x))
    return reduced("hinge_embedding_loss", loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target * input, for the logarithm of a rate (else, input - target * log(input +
    eps)); `full` adds Stirling's term for targets above 1."""
    what = "poisson_nll_loss"
    x, y = pair(what, input, target)
    if log_input:
        loss = pw.subtract(el.exp(x), pw.multiply(y, x))
    else:
        loss = pw.subtract(x, pw.multiply(y, el.log(pw.add(x, real(what, "eps", eps)))))
    if full:
        y = converted(y, x.dtype)
        half = pw.multiply(el.log(pw.multiply(y, 2 * math.pi)), 0.5)
        term = pw.add(pw.subtract(pw.multiply(y, el.log(y)), y), half)
        loss = pw.add(loss, pw.where(pw.less_equal(y, 1.0), 0.0, term))
    return reduced(what, loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Half of log(var) + (input - target)**2 / var; `full` adds the constant log(2 pi) / 2.

    `var` has the input's shape, or lacks its last axis, or has 1 there; it counts as at least
    `eps`, though its gradient does not know.  Raises `ShapeError` for another shape.
    """
    what = "gaussian_nll_loss"
    x, y = pair(what, input, target)
    v = floats(what, var)
    least = real(what, "eps", eps)
    if not least > 0.0:
        raise GraphError(f"{what}: eps is {least}; expected above 0", user_location())
    v = expand_dims(v, -1) if v.ndim == x.ndim - 1 else v
    for a, b in zip(x.shape, v.shape, strict=v.ndim == x.ndim):
        if b != 1:
            require_equal(what, a, b, f"of input {x.type} and var {v.type}")
    v = not_below(v, least)
    loss = pw.add(el.log(v), pw.divide(pw.square(pw.subtract(x, y)), v))
    loss = pw.multiply(loss, 0.5)
    loss = pw.add(loss, 0.5 * math.log(2 * math.pi)) if full else loss
    return reduced(what, loss, reduction)
