"""Limits for gradients, on the pairs that `Optimizer.compute_gradients` gives.

    pairs = optimizer.compute_gradients(loss)
    step = optimizer.apply_gradients(gc.optim.clip_grad_norm(pairs, 1.0))

`Optimizer(..., clip_grad_norm=1.0)` does the same.  A pair without a gradient stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from graphc.errors import DTypeError, GraphError, user_location
from graphc.frontend.arguments import converted, sequence, tensor
from graphc.frontend.boundary import guard, short
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import elementary as el, pointwise as pw, reductions as rd
from graphc.ir.types import f32, f64
from graphc.optim.arguments import number

__all__ = ["clip_by_global_norm", "clip_grad_norm", "clip_grad_value", "global_norm"]

Pair = tuple[Tensor | None, Variable]
NORM_EPSILON = 1e-6  # PyTorch, too, adds it to the norm that it divides by


def global_norm(tensors: Any, norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of `tensors` as one vector, a 0-d tensor.

    It is computed in f32, or in f64 if one of them is f64.  `norm_type` is p of the p-norm, or
    inf.  Raises `DTypeError` for tensors that are not of a float type.

    >>> import graphc as gc
    >>> with gc.Session() as sess:
    ...     sess.run(gc.optim.global_norm([gc.full((2, 2), 2.0), gc.full((1,), 3.0)]))
    array(5., dtype=float32)
    """
    return _norm("global_norm", sequence("global_norm", "tensors", tensors), norm_type)


def _norm(what: str, tensors: Sequence[Tensor], norm_type: float) -> Tensor:
    p = number(what, "norm_type", norm_type)
    for t in tensors:
        if not t.dtype.is_float:
            raise DTypeError(
                f"{what}: {t!r} is not of a float type; use gc.astype", user_location()
            )
    wide = f64 if any(t.dtype == f64 for t in tensors) else f32
    parts = [_powers(converted(t, wide), p) for t in tensors]
    total = parts[0]
    for part in parts[1:]:
        total = pw.maximum(total, part) if p == math.inf else pw.add(total, part)
    if p == 2.0:
        return el.sqrt(total)
    return total if p in (0.0, 1.0, math.inf) else pw.pow(total, 1.0 / p)


def _powers(t: Tensor, p: float) -> Tensor:
    """The sum of the p-th powers of |t|, or its largest element."""
    if p == math.inf:
        return pw.maximum(rd.max(pw.abs(t)), 0.0)
    if p == 2.0:
        return rd.sum(pw.multiply(t, t))
    if p == 0.0:
        return rd.sum(pw.astype(pw.not_equal(t, 0.0), t.dtype))
    return rd.sum(pw.abs(t) if p == 1.0 else pw.pow(pw.abs(t), p))


def clip_by_global_norm(tensors: Any, clip_norm: float) -> tuple[list[Tensor], Tensor]:
    """`tensors`, scaled down together so that their norm is at most `clip_norm`, and the norm they
    had: t * clip_norm / max(norm, clip_norm), as TensorFlow defines it.

    >>> import graphc as gc
    >>> clipped, norm = gc.optim.clip_by_global_norm([gc.full((4,), 3.0)], 1.0)
    >>> with gc.Session() as sess:
    ...     sess.run([clipped[0], norm])
    [array([0.5, 0.5, 0.5, 0.5], dtype=float32), array(6., dtype=float32)]
    """
    what = "clip_by_global_norm"
    given = sequence(what, "tensors", tensors)
    limit = number(what, "clip_norm", clip_norm)
    norm = _norm(what, given, 2.0)
    factor = pw.divide(limit, pw.maximum(norm, limit)) if limit else pw.multiply(norm, 0.0)
    return [pw.multiply(t, converted(factor, t.dtype)) for t in given], norm


def clip_grad_norm(
    grads_and_vars: Iterable[Pair], max_norm: float, norm_type: float = 2.0
) -> list[Pair]:
    """The pairs, gradients scaled down together so that their norm is at most `max_norm`: by
    min(1, max_norm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_` does.

    >>> import graphc as gc
    >>> with gc.Graph().as_default() as graph:
    ...     w = gc.variable([3.0, 4.0], name="w")
    ...     pairs = gc.optim.SGD(1.0).compute_gradients(gc.sum(w * w))
    ...     [(gradient, _)] = gc.optim.clip_grad_norm(pairs, 5.0)
    >>> with gc.Session(graph) as sess:
    ...     sess.run(gradient).round(3)
    array([3., 4.], dtype=float32)
    """
    what = "clip_grad_norm"
    limit = number(what, "max_norm", max_norm)
    pairs = checked_pairs(what, grads_and_vars)
    present = [g for g, _ in pairs if g is not None]
    if not present:
        return pairs
    norm = _norm(what, present, norm_type)
    factor = pw.minimum(pw.divide(limit, pw.add(norm, NORM_EPSILON)), 1.0)
    return [
        (None if g is None else pw.multiply(g, converted(factor, g.dtype)), v) for g, v in pairs
    ]


def clip_grad_value(grads_and_vars: Iterable[Pair], clip_value: float) -> list[Pair]:
    """The pairs, each element of a gradient limited to [-clip_value, clip_value].

    >>> import graphc as gc
    >>> with gc.Graph().as_default() as graph:
    ...     w = gc.variable([0.1, -4.0], name="w")
    ...     pairs = gc.optim.SGD(1.0).compute_gradients(gc.sum(w * w))
    ...     [(gradient, _)] = gc.optim.clip_grad_value(pairs, 0.5)
    >>> with gc.Session(graph) as sess:
    ...     sess.run(gradient)
    array([ 0.2, -0.5], dtype=float32)
    """
    limit = number("clip_grad_value", "clip_value", clip_value)
    pairs = checked_pairs("clip_grad_value", grads_and_vars)
    return [(None if g is None else pw.clip(g, -limit, limit), v) for g, v in pairs]


def checked_pairs(what: str, grads_and_vars: Any) -> list[Pair]:
    """Pairs of a gradient (or None) and a variable.  Raises `GraphError`."""
    if isinstance(grads_and_vars, Tensor) or not hasattr(grads_and_vars, "__iter__"):
        raise GraphError(
            f"{what}: grads_and_vars is {short(grads_and_vars)}; expected a sequence of pairs "
            "(gradient, variable)",
            user_location(),
        )
    pairs_checked: list[Pair] = []
    for item in grads_and_vars:
        if not isinstance(item, list | tuple) or len(item) != 2:
            raise GraphError(
                f"{what}: grads_and_vars holds {short(item)}; expected pairs (gradient, variable)",
                user_location(),
            )
        g, v = item
        if not isinstance(v, Variable):
            raise GraphError(f"{what}: {v!r} is no variable", user_location())
        pairs_checked.append((None if g is None else tensor(what, g), v))
    return pairs_checked


guard(globals(), "graphc.optim")
