"""Losses over classes, with PyTorch's names: cross entropy, negative log-likelihood, margins."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import converted, require_equal, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import elementary as el, pointwise as pw, reductions
from graphc.functions.creation import iota, size_tensor
from graphc.functions.shaping import reshape
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.requirement import equal
from graphc.ir.types import i64
from graphc.nn.functional.activation import floats, real
from graphc.nn.functional.loss import reduced
from graphc.nn.functional.softmax import shifted

__all__ = ["cross_entropy", "multi_margin_loss", "nll_loss"]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus log(softmax(input)) [n, classes, ...] at the labels `target` [n, ...].

    Labels are integers in [0, classes); another one makes the run fail.  Labels equal to
    `ignore_index` (None: no label) count nothing, and the mean is over the others, by their
    `weight` [classes].  A float target in the input's shape holds the probability of each class.
    Raises `ShapeError` and `DTypeError` for arguments that do not fit.

    >>> import graphc as gc
    >>> cross_entropy(gc.zeros((5, 10)), gc.zeros((5,), gc.int64)).type
    f32[]
    """
    what = "cross_entropy"
    x, labels = floats(what, input), tensor(what, target)
    smoothing = real(what, "label_smoothing", label_smoothing)
    if not 0.0 <= smoothing <= 1.0:
        raise GraphError(
            f"{what}: label_smoothing is {smoothing}; expected one in [0, 1]", user_location()
        )
    if x.ndim and labels.dtype.is_float:
        return _soft(what, x, labels, weight, smoothing, reduction)
    labels = _labels(what, x, labels)
    axis = _class_axis(x)
    z, _ = shifted(what, x, axis)
    norm = el.log(reductions.sum(el.exp(z), axis))
    kept, hit = _hits(what, x, labels, axis, ignore_index)
    loss = pw.subtract(norm, reductions.sum(pw.where(hit, z, 0.0), axis))
    weights = _weights(what, weight, x, axis)
    share = None if weights is None else reductions.sum(pw.where(hit, weights, 0.0), axis)
    loss = loss if share is None else pw.multiply(loss, share)
    if smoothing:
        even = _even(z, norm, weights, axis)
        loss = pw.add(pw.multiply(loss, 1.0 - smoothing), pw.multiply(even, smoothing))
    return _over_kept(what, loss, kept, share, reduction)


def _even(z: Tensor, norm: Tensor, weights: Tensor | None, axis: int) -> Tensor:
    """The mean over classes of weight * -log(softmax)."""
    if weights is None:
        return pw.subtract(norm, reductions.mean(z, axis))
    total = reductions.mean(pw.multiply(z, weights), axis)
    return pw.subtract(pw.multiply(norm, reductions.mean(weights)), total)


def _soft(
    what: str, x: Tensor, target: Tensor, weight: Any, smoothing: float, reduction: str
) -> Tensor:
    """Cross entropy with probabilities of classes."""
    if target.ndim != x.ndim:
        raise DTypeError(
            f"{what}: target {target.type} holds no integer labels, and has not the "
            f"rank of input {x.type} for probabilities; use gc.astype",
            user_location(),
        )
    for a, b in zip(x.shape, target.shape, strict=True):
        require_equal(what, a, b, f"of input {x.type} and target {target.type}")
    axis = _class_axis(x)
    z, _ = shifted(what, x, axis)
    norm = el.log(reductions.sum(el.exp(z), axis, keepdims=True))
    if smoothing:
        share = pw.divide(smoothing, size_tensor(x.shape[axis], x.dtype))
        target = pw.add(pw.multiply(target, 1.0 - smoothing), share)
    weights = _weights(what, weight, x, axis)
    target = target if weights is None else pw.multiply(target, weights)
    loss = pw.negative(reductions.sum(pw.multiply(pw.subtract(z, norm), target), axis))
    return reduced(what, loss, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus `input` [n, classes, ...], log-probabilities, at the labels `target` [n, ...]; labels
    and weights as for `cross_entropy`."""
    what = "nll_loss"
    x = floats(what, input)
    labels = _labels(what, x, tensor(what, target))
    axis = _class_axis(x)
    kept, hit = _hits(what, x, labels, axis, ignore_index)
    loss = pw.negative(reductions.sum(pw.where(hit, x, 0.0), axis))
    weights = _weights(what, weight, x, axis)
    if weights is None:
        return _over_kept(what, loss, kept, None, reduction)
    share = reductions.sum(pw.where(hit, weights, 0.0), axis)
    return _over_kept(what, pw.multiply(loss, share), kept, share, reduction)


def _class_axis(x: Tensor) -> int:
    return 0 if x.ndim == 1 else 1


def _labels(what: str, x: Tensor, labels: Tensor) -> Tensor:
    """Labels that fit the scores."""
    if not labels.dtype.is_integer:
        raise DTypeError(
            f"{what}: target {labels.type} holds no integer labels; use gc.astype", user_location()
        )
    if x.ndim == 0 or labels.ndim != x.ndim - 1:
        raise ShapeError(
            f"{what}: input {x.type} and target {labels.type}: expected a target of rank "
            f"{x.ndim - 1}, without the axis of classes",
            user_location(),
        )
    rest = x.type.without((_class_axis(x),)).shape
    for a, b in zip(rest, labels.shape, strict=True):
        require_equal(what, a, b, f"of input {x.type} and target {labels.type}")
    return labels


def _weights(what: str, weight: Any, x: Tensor, axis: int) -> Tensor | None:
    """The weights of classes, along the axis of classes."""
    if weight is None:
        return None
    w = converted(floats(what, weight), x.dtype)
    problem = f"weight {w.type}: expected one element for each of the {x.shape[axis]} classes"
    if w.ndim != 1:
        raise ShapeError(f"{what}: {problem} of {x.type}", user_location())
    require(what, equal(w.shape[0], x.shape[axis], f"{problem} of {x.type}"))
    return reshape(w, (w.shape[0], *[1] * (x.ndim - axis - 1)))


def _hits(
    what: str, x: Tensor, labels: Tensor, axis: int, ignore_index: int | None
) -> tuple[Tensor | None, Tensor]:
    """Which labels count (None: all), and a mask of the element of x that each points at."""
    classes = x.shape[axis]
    unsigned = labels.dtype.kind == "uint"
    ignored = ignore_index is not None and not (unsigned and ignore_index < 0)
    kept = pw.not_equal(converted(labels, i64), ignore_index) if ignored else None
    checked = labels if kept is None else pw.where(kept, labels, 0)
    if not unsigned:  # unlike other indices, labels do not count from the end
        wide = pw.astype(checked, i64)
        least = -(1 << 63)
        checked = pw.where(pw.less(wide, 0), least, wide)
    safe = build(CheckIndex(classes), (checked,))
    column = safe[(slice(None),) * axis + (None,)]
    return kept, pw.equal(iota(x.shape, axis), column)


def _over_kept(
    what: str, loss: Tensor, kept: Tensor | None, share: Tensor | None, reduction: str
) -> Tensor:
    """The loss reduced; the mean is over labels that are kept, by their weights."""
    loss = loss if kept is None else pw.where(kept, loss, 0.0)
    if reduction != "mean" or (kept is None and share is None):
        return reduced(what, loss, reduction)
    if share is None:
        assert kept is not None
        count = converted(kept, loss.dtype)
    else:
        count = share if kept is None else pw.where(kept, share, 0.0)
    return pw.divide(reductions.sum(loss), reductions.sum(count))


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - x[y] + x[j]) ** p summed over the classes j other than y, over their number.

    >>> import graphc as gc
    >>> multi_margin_loss(gc.zeros((5, 3)), gc.zeros((5,), gc.int64)).type
    f32[]
    """
    what = "multi_margin_loss"
    x = floats(what, input)
    labels = _labels(what, x, tensor(what, target))
    if p not in (1, 2) or x.ndim > 2:
        raise GraphError(
            f"{what}: p is {p}, input {x.type}: expected p 1 or 2 and [n, classes]", user_location()
        )
    axis = _class_axis(x)
    _, hit = _hits(what, x, labels, axis, None)
    own = reductions.sum(pw.where(hit, x, 0.0), axis, keepdims=True)
    gap = pw.add(pw.subtract(x, own), real(what, "margin", margin))
    apart = pw.logical_or(hit, pw.less_equal(gap, 0.0))  # a gap of exactly 0, too (16.6)
    gap = pw.where(apart, 0.0, gap if p == 1 else pw.square(gap))
    weights = _weights(what, weight, x, axis)
    if weights is not None:
        gap = pw.multiply(gap, reductions.sum(pw.where(hit, weights, 0.0), axis, keepdims=True))
    return reduced(what, reductions.mean(gap, axis), reduction)
