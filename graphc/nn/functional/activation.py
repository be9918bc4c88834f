"""Activations as functions, with PyTorch's names and arguments.

All take float tensors (a `DTypeError` names others) and keep their type; axes are PyTorch's `dim`.
At a kink the gradient is PyTorch's.  `inplace` is accepted and of no effect: tensors are immutable,
and the planner writes in place wherever it can.
"""

from __future__ import annotations

import math
from typing import Any

from graphc import random
from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import apply, axis_of, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.creation import one_hot
from graphc.functions.joining import split
from graphc.functions.reductions import argmax
from graphc.functions.shaping import moveaxis, reshape
from graphc.ir.dim import Dim
from graphc.ir.ops import elementary
from graphc.ir.requirement import multiple
from graphc.nn.functional.softmax import softmax

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def floats(what: str, x: Any) -> Tensor:
    """A float tensor.  Raises `DTypeError` for another."""
    t = tensor(what, x)
    if not t.dtype.is_float:
        raise DTypeError(f"{what}: input {t.type} holds no floats; use gc.astype", user_location())
    return t


def real(what: str, argument: str, value: Any) -> float:
    """A plain number.  Raises `GraphError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GraphError(f"{what}: {argument} is {value!r}; expected a number", user_location())
    return float(value)


def relu(input: Any, inplace: bool = False) -> Tensor:
    """max(x, 0); NaN stays; its gradient at 0 is 0.

    >>> import graphc as gc
    >>> relu(gc.zeros((2, 3))).type
    f32[2,3]
    """
    return apply(elementary.relu, tensor("relu", input))


def hardtanh(
    input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x, at least `min_val` and at most `max_val`; the gradient at a bound is 0."""
    x = floats("hardtanh", input)
    low, high = real("hardtanh", "min_val", min_val), real("hardtanh", "max_val", max_val)
    if not low <= high:
        raise GraphError(f"hardtanh: min_val {low} is above max_val {high}", user_location())
    return _clamped(x, low, high)


def _clamped(x: Tensor, low: float, high: float) -> Tensor:
    below = pw.where(pw.greater_equal(x, high), high, x)
    return pw.where(pw.less_equal(x, low), low, below)


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """x, at least 0 and at most 6."""
    return _clamped(floats("relu6", input), 0.0, 6.0)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else `value`."""
    x = floats("threshold", input)
    limit, other = (
        real("threshold", n, v) for n, v in (("threshold", threshold), ("value", value))
    )
    return pw.where(pw.less_equal(x, limit), other, x)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else x * negative_slope."""
    x = floats("leaky_relu", input)
    return pw.where(pw.greater(x, 0.0), x, pw.multiply(x, negative_slope))


def prelu(input: Any, weight: Any) -> Tensor:
    """x where x > 0, else x * weight; one weight, or one for each channel (axis 1)."""
    x, w = floats("prelu", input), floats("prelu", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if w.ndim > 1 or (w.ndim == 1 and w.shape[0] not in (1, channels)):
        raise ShapeError(
            f"prelu: weight {w.type} for input {x.type}: expected 1 or {channels} elements",
            user_location(),
        )
    if w.ndim == 1:
        w = reshape(w, (w.shape[0], *[1] * (x.ndim - 2)) if x.ndim > 1 else ())
    return pw.where(pw.greater(x, 0.0), x, pw.multiply(x, w))


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    return _elu(floats("elu", input), real("elu", "alpha", alpha), 1.0)


def _elu(x: Tensor, factor: float, width: float) -> Tensor:
    above = pw.greater(x, 0.0)
    below = pw.where(above, 0.0, x)
    below = el.expm1(below if width == 1.0 else pw.divide(below, width))
    return pw.where(above, x, below if factor == 1.0 else pw.multiply(below, factor))


def selu(input: Any, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the constants of Klambauer et al. 2017."""
    return pw.multiply(_elu(floats("selu", input), SELU_ALPHA, 1.0), SELU_SCALE)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1)."""
    a = real("celu", "alpha", alpha)
    if a == 0.0:
        raise GraphError("celu: alpha is 0; expected another number", user_location())
    return _elu(floats("celu", input), a, a)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x times the normal distribution function at x; with "tanh", its usual approximation."""
    x = floats("gelu", input)
    if approximate == "none":
        return pw.multiply(pw.multiply(x, 0.5), pw.add(el.erf(pw.multiply(x, math.sqrt(0.5))), 1.0))
    if approximate != "tanh":
        raise GraphError(
            f"gelu: approximate {approximate!r}: expected 'none' or 'tanh'", user_location()
        )
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


def tanhshrink(input: Any) -> Tensor:
    """x - tanh(x)."""
    x = floats("tanhshrink", input)
    return pw.subtract(x, el.tanh(x))


def silu(input: Any, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    x = floats("silu", input)
    return pw.multiply(x, sigmoid(x))


def mish(input: Any, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x)) (Misra 2019)."""
    x = floats("mish", input)
    return pw.multiply(x, el.tanh(apply(elementary.softplus, x)))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, without overflow; x itself where beta * x > threshold."""
    x, b = floats("softplus", input), real("softplus", "beta", beta)
    limit = real("softplus", "threshold", threshold)
    if b == 0.0:
        raise GraphError("softplus: beta is 0; expected another number", user_location())
    scaled = x if b == 1.0 else pw.multiply(x, b)
    out = apply(elementary.softplus, scaled)
    out = out if b == 1.0 else pw.divide(out, b)
    return pw.where(pw.greater(scaled, limit), x, out)


def softsign(input: Any) -> Tensor:
    """x / (1 + |x|)."""
    x = floats("softsign", input)
    return pw.divide(x, pw.add(pw.abs(x), 1.0))


def hardsigmoid(input: Any, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2, at least 0 and at most 1 (Courbariaux et al. 2015)."""
    x = floats("hardsigmoid", input)
    return pw.divide(_clamped(pw.add(x, 3.0), 0.0, 6.0), 6.0)


def hardswish(input: Any, inplace: bool = False) -> Tensor:
    """x * hardsigmoid(x) (Howard et al. 2019)."""
    x = floats("hardswish", input)
    middle = pw.divide(pw.multiply(x, pw.add(x, 3.0)), 6.0)
    inner = pw.where(pw.less(x, 3.0), middle, x)
    return pw.where(pw.less_equal(x, -3.0), 0.0, inner)


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    x, limit = floats("hardshrink", input), real("hardshrink", "lambd", lambd)
    return pw.where(pw.less_equal(pw.abs(x), limit), 0.0, x)


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`, and 0 where it would pass it."""
    x, by = floats("softshrink", input), real("softshrink", "lambd", lambd)
    if not by >= 0.0:
        raise GraphError(f"softshrink: lambd is {by}; expected at least 0", user_location())
    inner = pw.where(pw.less(x, -by), pw.add(x, by), pw.multiply(x, 0.0))
    return pw.where(pw.greater(x, by), pw.subtract(x, by), inner)


def glu(input: Any, dim: int = -1) -> Tensor:
    """a * sigmoid(b), of the first half a and the second half b of x along `dim`.

    >>> import graphc as gc
    >>> glu(gc.zeros((2, 6))).type
    f32[2,3]
    """
    x = floats("glu", input)
    axis = axis_of("glu", dim, x.ndim, "dim")
    require("glu", multiple(x.shape[axis], 2, f"axis {axis} of {x.type} has an odd size"))
    a, b = split(x, 2, axis)
    return pw.multiply(a, sigmoid(b))


def softmin(input: Any, dim: int = -1) -> Tensor:
    """softmax(-x)."""
    return softmax(pw.negative(floats("softmin", input)), dim)


def gumbel_softmax(
    logits: Any,
    tau: float = 1.0,
    hard: bool = False,
    dim: int = -1,
    seed: int | None = None,
) -> Tensor:
    """A draw from the Gumbel-softmax distribution (Jang et al. 2017); with `hard`, one-hot, with
    the gradient of the soft one."""
    x = floats("gumbel_softmax", logits)
    if not real("gumbel_softmax", "tau", tau) > 0.0:
        raise GraphError(f"gumbel_softmax: tau is {tau}; expected above 0", user_location())
    axis = axis_of("gumbel_softmax", dim, x.ndim, "dim")
    unit = pw.subtract(1.0, random.uniform(x.shape, 0.0, 1.0, x.dtype, seed, "gumbel"))  # (0, 1]
    noise = pw.negative(el.log(pw.maximum(pw.negative(el.log(unit)), 2.0**-25)))
    soft = softmax(pw.divide(pw.add(x, noise), tau), axis)
    if not hard:
        return soft
    classes = x.shape[axis]
    assert isinstance(classes, int | Dim)
    hit = moveaxis(one_hot(argmax(soft, axis), classes, x.dtype), -1, axis)
    return pw.add(pw.subtract(hit, pw.stop_gradient(soft)), soft)
