"""Dropout in its variants, as functions with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphc import random
from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw
from graphc.nn.functional.activation import SELU_ALPHA, SELU_SCALE, floats, real

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def probability(what: str, p: Any) -> float:
    """A probability.  Raises `GraphError`."""
    value = real(what, "p", p)
    if not 0.0 <= value <= 1.0:
        raise GraphError(f"{what}: p is {p}; expected a probability", user_location())
    return value


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each element 0 with probability `p`, else over 1 - p; the input itself if not training."""
    x = floats("dropout", input)
    return _dropped("dropout", x, p, training, x.ndim, seed, name)


def _dropped(
    what: str,
    x: Tensor,
    p: float,
    training: bool,
    axes: int,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """One draw for each index of the first axes."""
    p = probability(what, p)
    if not training or p == 0.0:
        return x
    shape = (*x.shape[:axes], *[1] * (x.ndim - axes))
    kept = random.bernoulli(shape, 1.0 - p, seed=seed, name=name or what)
    return pw.where(kept, pw.multiply(x, 1.0 / (1.0 - p) if p < 1.0 else 0.0), 0.0)


def _channels(what: str, x: Tensor, batched: int) -> int:
    """How many axes lead to a channel: two, or one without a batch."""
    if x.ndim not in (batched, batched - 1):
        raise ShapeError(
            f"{what}: input {x.type}: expected rank {batched}, or {batched - 1} without a batch",
            user_location(),
        )
    return 2 if x.ndim == batched else 1


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Whole channels of [n, channels, length] dropped."""
    x = floats("dropout1d", input)
    return _dropped("dropout1d", x, p, training, _channels("dropout1d", x, 3), seed, name)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Whole channels of [n, channels, height, width] dropped (of [n, channels, length] too)."""
    x = floats("dropout2d", input)
    axes = 2 if x.ndim == 3 else _channels("dropout2d", x, 4)
    return _dropped("dropout2d", x, p, training, axes, seed, name)


def dropout3d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Whole channels of [n, channels, depth, height, width] dropped."""
    x = floats("dropout3d", input)
    return _dropped("dropout3d", x, p, training, _channels("dropout3d", x, 5), seed, name)


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Dropout that keeps mean and deviation of what a SELU gives (Klambauer et al. 2017)."""
    x = floats("alpha_dropout", input)
    return _alpha_dropped("alpha_dropout", x, p, training, x.ndim, seed, name)


def feature_alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """`alpha_dropout` of whole channels of [n, channels, ...]."""
    x = floats("feature_alpha_dropout", input)
    if x.ndim < 2:
        raise ShapeError(
            f"feature_alpha_dropout: input {x.type}: expected [n, channels, ...]", user_location()
        )
    return _alpha_dropped("feature_alpha_dropout", x, p, training, 2, seed, name)


def _alpha_dropped(
    what: str, x: Tensor, p: float, training: bool, axes: int, seed: int | None, name: str | None
) -> Tensor:
    p = probability(what, p)
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return pw.multiply(x, 0.0)
    low = -SELU_SCALE * SELU_ALPHA
    a = ((1.0 - p) * (1.0 + p * low * low)) ** -0.5
    shape = (*x.shape[:axes], *[1] * (x.ndim - axes))
    kept = random.bernoulli(shape, 1.0 - p, seed=seed, name=name or what)
    return pw.add(pw.multiply(pw.where(kept, x, low), a), -a * low * p)
