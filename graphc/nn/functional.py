"""Activations and layers as functions, with PyTorch's names and arguments.

All take float tensors (a `DTypeError` names others) and keep their type; axes are PyTorch's `dim`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc import random
from graphc.door import guard
from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.functions import creation, elementary as el, pointwise as pw, reductions
from graphc.functions.common import apply, axis_of, integer, require_equal, tensor
from graphc.functions.linear import matmul
from graphc.functions.shaping import matrix_transpose
from graphc.ir.dim import Size
from graphc.ir.ops import elementary
from graphc.ir.types import i64
from graphc.nn.adaptive import (
    adaptive_avg_pool1d as adaptive_avg_pool1d,
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool3d as adaptive_avg_pool3d,
    adaptive_max_pool1d as adaptive_max_pool1d,
    adaptive_max_pool2d as adaptive_max_pool2d,
    adaptive_max_pool3d as adaptive_max_pool3d,
)
from graphc.nn.convolution import (
    conv1d as conv1d,
    conv2d as conv2d,
    conv3d as conv3d,
    conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d,
    conv_transpose3d as conv_transpose3d,
)
from graphc.nn.losses import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    cross_entropy as cross_entropy,
    l1_loss as l1_loss,
    mse_loss as mse_loss,
    nll_loss as nll_loss,
    smooth_l1_loss as smooth_l1_loss,
)
from graphc.nn.patches import (
    fold as fold,
    pad as pad,
    pixel_shuffle as pixel_shuffle,
    pixel_unshuffle as pixel_unshuffle,
    unfold as unfold,
)
from graphc.nn.pooling import (
    avg_pool1d as avg_pool1d,
    avg_pool2d as avg_pool2d,
    avg_pool3d as avg_pool3d,
    lp_pool1d as lp_pool1d,
    lp_pool2d as lp_pool2d,
    max_pool1d as max_pool1d,
    max_pool2d as max_pool2d,
    max_pool3d as max_pool3d,
)
from graphc.nn.resampling import interpolate as interpolate
from graphc.nn.softmax import log_softmax as log_softmax, softmax as softmax
from graphc.tensor import Tensor


def floats(what: str, x: Any) -> Tensor:
    """A float tensor.  Raises `DTypeError` for another."""
    t = tensor(what, x)
    if not t.dtype.is_float:
        raise DTypeError(f"{what}: input {t.type} holds no floats; use gc.astype", user_location())
    return t


def relu(input: Any) -> Tensor:
    """max(x, 0); NaN stays; its gradient at 0 is 0.

    >>> import graphc as gc
    >>> relu(gc.zeros((2, 3))).type
    f32[2,3]
    """
    return apply(elementary.relu, tensor("relu", input))


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else x * negative_slope."""
    x = floats("leaky_relu", input)
    return pw.where(pw.greater(x, 0.0), x, pw.multiply(x, negative_slope))


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    x = floats("elu", input)
    below = el.expm1(pw.minimum(x, 0.0))
    return pw.where(pw.greater(x, 0.0), x, pw.multiply(below, alpha))


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x times the normal distribution function at x; with "tanh", its usual approximation."""
    x = floats("gelu", input)
    if approximate == "none":
        return pw.multiply(pw.multiply(x, 0.5), pw.add(el.erf(pw.multiply(x, math.sqrt(0.5))), 1.0))
    if approximate != "tanh":
        raise GraphError(f"gelu: approximate {approximate!r}: expected 'none' or 'tanh'",
                         user_location())
    cube = pw.multiply(pw.multiply(x, x), x)
    inner = pw.multiply(pw.add(x, pw.multiply(cube, 0.044715)), math.sqrt(2 / math.pi))
    return pw.multiply(pw.multiply(x, 0.5), pw.add(el.tanh(inner), 1.0))


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return apply(elementary.sigmoid, tensor("sigmoid", input))


def logsigmoid(input: Any) -> Tensor:
    """log(sigmoid(x)), without losing its tail."""
    return pw.negative(apply(elementary.softplus, pw.negative(floats("logsigmoid", input))))


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent."""
    return el.tanh(input)


def silu(input: Any) -> Tensor:
    """x * sigmoid(x)."""
    x = floats("silu", input)
    return pw.multiply(x, sigmoid(x))


def softplus(input: Any, beta: float = 1.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, without overflow."""
    x = floats("softplus", input)
    if beta == 1.0:
        return apply(elementary.softplus, x)
    return pw.divide(apply(elementary.softplus, pw.multiply(x, beta)), beta)


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """input @ weight.T + bias, for a weight [out, in].

    >>> import graphc as gc
    >>> linear(gc.zeros((5, 3)), gc.zeros((4, 3)), gc.zeros((4,))).type
    f32[5,4]
    """
    x, w = tensor("linear", input), tensor("linear", weight)
    if w.ndim != 2 or x.ndim < 1:
        raise ShapeError(f"linear: input {x.type}, weight {w.type}: expected a weight [out, in]",
                         user_location())
    require_equal("linear", x.shape[-1], w.shape[1], f"of input {x.type} and weight {w.type}")
    out = matmul(x, matrix_transpose(w))
    return out if bias is None else pw.add(out, bias)


def layer_norm(
    input: Any, normalized_shape: int | Sequence[Size], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Tensor:
    """The input less its mean, over its deviation, taken over the last axes (`normalized_shape`).

    >>> import graphc as gc
    >>> layer_norm(gc.zeros((5, 3)), 3, gc.ones((3,))).type
    f32[5,3]
    """
    x = floats("layer_norm", input)
    shape = normalized_shape if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
    if not 0 < len(shape) <= x.ndim:
        raise ShapeError(f"layer_norm: normalized_shape {normalized_shape} does not fit {x.type}",
                         user_location())
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    for axis, size in zip(axes, shape, strict=True):
        require_equal("layer_norm", x.shape[axis], size, f"along axis {axis} of {x.type}")
    off = pw.subtract(x, reductions.mean(x, axes, keepdims=True))
    spread = reductions.mean(pw.multiply(off, off), axes, keepdims=True)
    out = pw.multiply(off, el.rsqrt(pw.add(spread, eps)))
    out = out if weight is None else pw.multiply(out, weight)
    return out if bias is None else pw.add(out, bias)


def dropout(
    input: Any, p: float = 0.5, training: bool = True, seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Each element 0 with probability `p`, else over 1 - p; the input itself if not training."""
    x = floats("dropout", input)
    if not 0.0 <= p <= 1.0:
        raise GraphError(f"dropout: p is {p}; expected a probability", user_location())
    if not training or p == 0.0:
        return x
    kept = random.bernoulli(x.shape, 1.0 - p, seed=seed, name=name or "dropout")
    return pw.where(kept, pw.multiply(x, 1.0 / (1.0 - p) if p < 1.0 else 0.0), 0.0)


def one_hot(tensor: Any, num_classes: int) -> Tensor:
    """A new last axis (i64) with 1 at each index; an index out of range makes the run fail."""
    integer("one_hot", "num_classes", num_classes)
    return creation.one_hot(tensor, num_classes, i64)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """The input over its p-norm along `dim`, which counts as at least `eps`."""
    x = floats("normalize", input)
    axis = axis_of("normalize", dim, x.ndim, "dim")
    if p == 2.0:
        norm = el.sqrt(reductions.sum(pw.square(x), axis, keepdims=True))
    else:
        norm = pw.pow(reductions.sum(pw.pow(pw.abs(x), p), axis, keepdims=True), 1.0 / p)
    return pw.divide(x, pw.maximum(norm, eps))


guard(globals(), "graphc.nn.")
