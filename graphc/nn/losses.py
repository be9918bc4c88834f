"""Losses as functions, with PyTorch's names; `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.functions import elementary as el, pointwise as pw, reductions
from graphc.functions.common import apply, require_equal, tensor
from graphc.functions.creation import iota
from graphc.ir.ops import elementary
from graphc.ir.ops.index import CheckIndex
from graphc.ir.types import i64
from graphc.nn.softmax import shifted
from graphc.tensor import Tensor, build


def reduced(what: str, loss: Tensor, reduction: str) -> Tensor:
    """The mean or sum of a loss, or the loss itself.  Raises `GraphError` for another word."""
    if reduction == "mean":
        return reductions.mean(loss)
    if reduction == "sum":
        return reductions.sum(loss)
    if reduction == "none":
        return loss
    raise GraphError(f"{what}: reduction {reduction!r}: expected 'mean', 'sum' or 'none'",
                     user_location())


def cross_entropy(
    input: Any, target: Any, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus log(softmax(input)) [n, classes, ...] at the labels `target` [n, ...].

    Labels are integers in [0, classes); another one makes the run fail.  Labels equal to
    `ignore_index` count nothing, and the mean is over the others.  Raises `ShapeError` and
    `DTypeError` for arguments that do not fit.

    >>> import graphc as gc
    >>> cross_entropy(gc.zeros((5, 10)), gc.zeros((5,), gc.int64)).type
    f32[]
    """
    x, labels = _labelled("cross_entropy", input, target)
    axis = _class_axis(x)
    z, _ = shifted("cross_entropy", x, axis)
    norm = el.log(reductions.sum(el.exp(z), axis))
    kept, hit = _hits("cross_entropy", x, labels, axis, ignore_index)
    loss = pw.subtract(norm, reductions.sum(pw.where(hit, z, 0.0), axis))
    if label_smoothing:
        even = pw.subtract(norm, reductions.mean(z, axis))
        loss = pw.add(pw.multiply(loss, 1.0 - label_smoothing), pw.multiply(even, label_smoothing))
    return _over_kept("cross_entropy", loss, kept, reduction)


def nll_loss(
    input: Any, target: Any, reduction: str = "mean", ignore_index: int | None = None
) -> Tensor:
    """Minus `input` [n, classes, ...], log-probabilities, at the labels `target` [n, ...]."""
    x, labels = _labelled("nll_loss", input, target)
    axis = _class_axis(x)
    kept, hit = _hits("nll_loss", x, labels, axis, ignore_index)
    loss = pw.negative(reductions.sum(pw.where(hit, x, 0.0), axis))
    return _over_kept("nll_loss", loss, kept, reduction)


def _class_axis(x: Tensor) -> int:
    return 0 if x.ndim == 1 else 1


def _labelled(what: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Scores and labels of fitting shapes."""
    x, labels = tensor(what, input), tensor(what, target)
    if not x.dtype.is_float:
        raise DTypeError(f"{what}: input {x.type} holds no floats; use gc.astype", user_location())
    if not labels.dtype.is_integer:
        raise DTypeError(f"{what}: target {labels.type} holds no integer labels; use gc.astype",
                         user_location())
    if x.ndim == 0 or labels.ndim != x.ndim - 1:
        raise ShapeError(
            f"{what}: input {x.type} and target {labels.type}: expected a target of rank "
            f"{x.ndim - 1}, without the axis of classes",
            user_location(),
        )
    rest = x.type.without((_class_axis(x),)).shape
    for a, b in zip(rest, labels.shape, strict=True):
        require_equal(what, a, b, f"of input {x.type} and target {labels.type}")
    return x, labels


def _hits(
    what: str, x: Tensor, labels: Tensor, axis: int, ignore_index: int | None
) -> tuple[Tensor | None, Tensor]:
    """Which labels count (None: all), and where in x each label points."""
    classes = x.shape[axis]
    kept = None if ignore_index is None else pw.not_equal(labels, ignore_index)
    checked = labels if kept is None else pw.where(kept, labels, 0)
    if labels.dtype.kind == "int":  # unlike other indices, labels do not count from the end
        wide = pw.astype(checked, i64)
        least = -(1 << 63)
        checked = pw.where(pw.less(wide, 0), least, wide)
    found = build(CheckIndex(classes), (checked,))
    column = found[(slice(None),) * axis + (None,)]
    return kept, pw.equal(iota(x.shape, axis), column)


def _over_kept(what: str, loss: Tensor, kept: Tensor | None, reduction: str) -> Tensor:
    if kept is None:
        return reduced(what, loss, reduction)
    loss = pw.where(kept, loss, 0.0)
    if reduction != "mean":
        return reduced(what, loss, reduction)
    count = reductions.sum(pw.astype(kept, loss.dtype))
    return pw.divide(reductions.sum(loss), count)


def _pair(what: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    x, y = tensor(what, input), tensor(what, target)
    if not x.dtype.is_float:
        raise DTypeError(f"{what}: input {x.type} holds no floats; use gc.astype", user_location())
    if x.ndim != y.ndim:
        raise ShapeError(
            f"{what}: input {x.type} and target {y.type} have different ranks; expected one shape",
            user_location(),
        )
    for a, b in zip(x.shape, y.shape, strict=True):
        require_equal(what, a, b, f"of input {x.type} and target {y.type}")
    return x, y


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(input - target) squared.

    >>> import graphc as gc
    >>> mse_loss(gc.zeros((5, 2)), gc.ones((5, 2))).type
    f32[]
    """
    x, y = _pair("mse_loss", input, target)
    return reduced("mse_loss", pw.square(pw.subtract(x, y)), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|input - target|."""
    x, y = _pair("l1_loss", input, target)
    return reduced("l1_loss", pw.abs(pw.subtract(x, y)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Half the square over beta where |input - target| < beta, else the distance less beta / 2."""
    x, y = _pair("smooth_l1_loss", input, target)
    gap = pw.abs(pw.subtract(x, y))
    if beta == 0.0:
        return reduced("smooth_l1_loss", gap, reduction)
    near = pw.multiply(pw.square(gap), 0.5 / beta)
    loss = pw.where(pw.less(gap, beta), near, pw.subtract(gap, 0.5 * beta))
    return reduced("smooth_l1_loss", loss, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Minus target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)), stabilised.

    >>> import graphc as gc
    >>> binary_cross_entropy_with_logits(gc.zeros((5,)), gc.ones((5,)), reduction="none").type
    f32[5]
    """
    what = "binary_cross_entropy_with_logits"
    x, y = _pair(what, input, target)
    tail = apply(elementary.softplus, pw.negative(x))  # -log(sigmoid(x))
    if pos_weight is not None:
        tail = pw.multiply(tail, pw.add(pw.multiply(y, pw.subtract(pos_weight, 1.0)), 1.0))
    loss = pw.add(pw.multiply(pw.subtract(1.0, y), x), tail)
    return reduced(what, loss if weight is None else pw.multiply(loss, weight), reduction)
