"""Connectionist temporal classification: the loss of labels at unknown places in time.

Graves et al. 2006, in log space: a path has one label or blank for each time.  Blanks lie before,
between and after the labels of a target; `alpha[k]` is the log-probability of all paths that have
reached the k-th of these 2 * s + 1 symbols.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import converted, flag, integer, require_equal, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.control import scan
from graphc.functions.creation import full, iota
from graphc.functions.indexing import take_along_axis
from graphc.functions.joining import concat, pad, stack
from graphc.functions.shaping import broadcast_to, expand_dims, reshape
from graphc.ir.dim import Size
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.requirement import at_least
from graphc.ir.types import i64
from graphc.nn.functional.activation import floats
from graphc.nn.functional.loss import reduced

__all__ = ["ctc_loss"]

FUNCTION_NAME = "ctc_loss"


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability that `log_probs` [time, n, classes] spell `targets` [n, s] when
    repeated labels are merged and blanks left out (Graves et al. 2006).

    Lengths are integers [n].  Targets may be one after the other, [sum of target_lengths], if
    `target_lengths` are Python's or NumPy's; without a batch n is left out everywhere.  The mean is
    of the losses over their `target_lengths` (at least 1), as PyTorch has it.  A target that is too
    long for its input has loss inf, with `zero_infinity` 0; its gradient is 0.  Labels and lengths
    out of range make the run fail.  Raises `ShapeError`, `DTypeError` and `GraphError`.

    >>> import graphc as gc
    >>> ctc_loss(gc.zeros((9, 2, 5)), [[1, 2, 2], [3, 4, 0]], [9, 7], [3, 2]).type
    f32[]
    """
    x, blank = floats(FUNCTION_NAME, log_probs), integer(FUNCTION_NAME, "blank", blank)
    if x.ndim not in (2, 3):
        raise ShapeError(
            f"{FUNCTION_NAME}: log_probs {x.type}: expected [time, n, classes], or [time, "
            "classes] without a batch",
            user_location(),
        )
    single = x.ndim == 2
    x = expand_dims(x, 1) if single else x
    classes = x.shape[2]
    problem = f"blank is {blank}; expected one of {classes} classes"
    if blank < 0:
        raise ShapeError(f"{FUNCTION_NAME}: {problem}", user_location())
    require(FUNCTION_NAME, at_least(classes, blank + 1, problem))
    n = x.shape[1]
    times = _lengths("input_lengths", input_lengths, n, x.shape[0])
    labels = _targets(targets, target_lengths, n, single)
    sizes = _lengths("target_lengths", target_lengths, n, labels.shape[1])
    inside = pw.less(iota(labels.shape, 1), expand_dims(sizes, 1))
    labels = _checked(pw.where(inside, labels, blank), classes)
    loss = pw.negative(_log_likelihood(x, labels, times, sizes, blank))
    if flag(FUNCTION_NAME, "zero_infinity", zero_infinity):
        loss = pw.where(pw.equal(loss, math.inf), 0.0, loss)
    if reduction == "mean":
        loss = pw.divide(loss, converted(pw.maximum(sizes, 1), loss.dtype))
    return reduced(FUNCTION_NAME, loss[0] if single else loss, reduction)


def _lengths(name: str, given: Any, n: Size, most: Size) -> Tensor:
    """Lengths [n]: a run fails where one is not in 0 .. most."""
    lengths = tensor(FUNCTION_NAME, given)
    if not lengths.dtype.is_integer or lengths.ndim > 1:
        raise ShapeError(
            f"{FUNCTION_NAME}: {name} is {lengths.type}; expected integers, one for each "
            "sequence of the batch",
            user_location(),
        )
    lengths = reshape(lengths, (1,)) if lengths.ndim == 0 else lengths
    require_equal(FUNCTION_NAME, lengths.shape[0], n, f"of {name} {lengths.type} and the batch")
    return _checked(lengths, most + 1)


def _checked(x: Tensor, limit: Size) -> Tensor:
    """The integers as i64: a run fails where one is not in 0 .. limit - 1."""
    wide = converted(x, i64)
    return build(CheckIndex(limit), (pw.where(pw.less(wide, 0), -(1 << 63), wide),))


def _targets(targets: Any, lengths: Any, n: Size, single: bool) -> Tensor:
    """The labels as [n, s]."""
    labels = tensor(FUNCTION_NAME, targets)
    if not labels.dtype.is_integer:
        raise DTypeError(
            f"{FUNCTION_NAME}: targets {labels.type} are no integer labels; use gc.astype",
            user_location(),
        )
    if single and labels.ndim == 1:
        return expand_dims(labels, 0)
    if labels.ndim == 2:
        require_equal(FUNCTION_NAME, labels.shape[0], n, f"of targets {labels.type} and the batch")
        return labels
    if labels.ndim != 1 or isinstance(lengths, Tensor):
        raise ShapeError(
            f"{FUNCTION_NAME}: targets {labels.type}: expected [n, s]; targets one after the "
            "other need target_lengths that are a list",
            user_location(),
        )
    return _spread(labels, np.asarray(lengths, np.int64).reshape(-1))


def _spread(labels: Tensor, sizes: Any) -> Tensor:
    """Labels one after the other as rows of equal length, 0 beyond their sizes."""
    require_equal(
        FUNCTION_NAME, labels.shape[0], int(sizes.sum()), "of targets and the sum of lengths"
    )
    rows = [labels[end - size : end] for size, end in zip(sizes, np.cumsum(sizes), strict=True)]
    longest = int(sizes.max(initial=0))
    padded = [pad(r, (0, longest - int(s))) for r, s in zip(rows, sizes, strict=True)]
    return stack(padded) if padded else full((0, 0), 0, labels.dtype)


def _log_likelihood(x: Tensor, labels: Tensor, times: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """log p(labels | x) [n]."""
    n, s = labels.shape
    gaps = full((n, s), blank, i64)
    symbols = reshape(stack([gaps, labels], axis=2), (n, 2 * s))
    symbols = concat([symbols, full((n, 1), blank, i64)], axis=1)
    shape = (x.shape[0], n, 2 * s + 1)
    emitted = take_along_axis(x, broadcast_to(symbols, shape), axis=2)
    before = _shifted(_shifted(symbols, blank), blank)
    skips = pw.logical_and(pw.not_equal(symbols, blank), pw.not_equal(symbols, before))
    running = pw.less(iota((x.shape[0], n, 1), 0), expand_dims(times, 1))
    start = pw.where(pw.equal(iota(shape[1:], 1), 0), full((), 0.0, x.dtype), -math.inf)

    def step(alpha: Tensor, row: Any) -> tuple[Tensor, tuple[()]]:
        one = _shifted(alpha, -math.inf)
        two = pw.where(skips, _shifted(one, -math.inf), -math.inf)
        new = _log_sum(alpha, one, two)
        return pw.where(row[1], pw.add(new, row[0]), alpha), ()

    alpha, _ = scan(step, start, (emitted, running))
    last = expand_dims(pw.multiply(sizes, 2), 1)
    blanked = take_along_axis(alpha, last, axis=1)
    ended = take_along_axis(alpha, pw.maximum(pw.subtract(last, 1), 0), axis=1)
    ended = pw.where(pw.greater(last, 0), ended, -math.inf)
    return _log_sum(blanked, ended)[:, 0]


def _shifted(x: Tensor, fill: float) -> Tensor:
    """x moved by one along axis 1: x[:, k - 1] at k, and `fill` at 0."""
    return pad(x[:, : x.shape[1] - 1], ((0, 0), (1, 0)), constant_values=fill)


def _log_sum(*terms: Tensor) -> Tensor:
    """log of the sum of exp of the terms, -inf (and gradient 0) if all are -inf."""
    most = terms[0]
    for t in terms[1:]:
        most = pw.maximum(most, t)
    most = pw.stop_gradient(most)
    dead = pw.equal(most, -math.inf)
    most = pw.where(dead, 0.0, most)
    total = el.exp(pw.subtract(terms[0], most))
    for t in terms[1:]:
        total = pw.add(total, el.exp(pw.subtract(t, most)))
    total = pw.where(dead, 1.0, total)
    return pw.where(dead, -math.inf, pw.add(most, el.log(total)))
