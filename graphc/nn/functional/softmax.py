"""Softmax and its logarithm, stabilised by the largest element of each row."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, user_location
from graphc.frontend.arguments import axis_of, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw, reductions

__all__ = ["log_softmax", "softmax"]


def shifted(what: str, input: Any, dim: Any) -> tuple[Tensor, int]:
    """The input less the largest along `dim`, through which no gradient flows; and the axis."""
    x = tensor(what, input)
    if not x.dtype.is_float:
        raise DTypeError(f"{what}: input {x.type} holds no floats; use gc.astype", user_location())
    axis = axis_of(what, dim, x.ndim, "dim")
    top = reductions.max(pw.stop_gradient(x), axis, keepdims=True)
    return pw.subtract(x, top), axis


def softmax(input: Any, dim: int = -1) -> Tensor:
    """exp(x) over its sum along `dim`, without overflow.

    >>> import graphc as gc
    >>> softmax(gc.zeros((2, 3)), dim=1).type
    f32[2,3]
    """
    z, axis = shifted("softmax", input, dim)
    e = el.exp(z)
    return pw.divide(e, reductions.sum(e, axis, keepdims=True))


def log_softmax(input: Any, dim: int = -1) -> Tensor:
    """log(softmax(x)), without overflow and without losing small probabilities."""
    z, axis = shifted("log_softmax", input, dim)
    return pw.subtract(z, el.log(reductions.sum(el.exp(z), axis, keepdims=True)))
