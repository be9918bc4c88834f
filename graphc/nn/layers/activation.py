"""Activations as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphc.frontend.tensor import Tensor
from graphc.init import constant
from graphc.ir.types import f32
from graphc.nn import functional
from graphc.nn.layers.function_layer import REQUIRED, FunctionLayer
from graphc.nn.layers.linear import positive
from graphc.nn.module import Module, Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]

INPLACE_DEFAULT = {"inplace": False}


class ReLU(FunctionLayer):
    """max(x, 0)."""

    function, defaults = staticmethod(functional.relu), INPLACE_DEFAULT


class ReLU6(FunctionLayer):
    """x, at least 0 and at most 6."""

    function, defaults = staticmethod(functional.relu6), INPLACE_DEFAULT


class LeakyReLU(FunctionLayer):
    """x where x > 0, else x * negative_slope."""

    function = staticmethod(functional.leaky_relu)
    defaults = {"negative_slope": 0.01, **INPLACE_DEFAULT}


class ELU(FunctionLayer):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    function, defaults = staticmethod(functional.elu), {"alpha": 1.0, **INPLACE_DEFAULT}


class SELU(FunctionLayer):
    """scale * elu(x, alpha), with the constants of Klambauer et al. 2017."""

    function, defaults = staticmethod(functional.selu), INPLACE_DEFAULT


class CELU(FunctionLayer):
    """x where x > 0, else alpha * (exp(x / alpha) - 1)."""

    function, defaults = staticmethod(functional.celu), {"alpha": 1.0, **INPLACE_DEFAULT}


class GELU(FunctionLayer):
    """x times the normal distribution function at x, or its approximation by "tanh"."""

    function, defaults = staticmethod(functional.gelu), {"approximate": "none"}


class Sigmoid(FunctionLayer):
    """1 / (1 + exp(-x))."""

    function = staticmethod(functional.sigmoid)


class LogSigmoid(FunctionLayer):
    """log(sigmoid(x))."""

    function = staticmethod(functional.logsigmoid)


class Tanh(FunctionLayer):
    """The hyperbolic tangent."""

    function = staticmethod(functional.tanh)


class Tanhshrink(FunctionLayer):
    """x - tanh(x)."""

    function = staticmethod(functional.tanhshrink)


class SiLU(FunctionLayer):
    """x * sigmoid(x)."""

    function, defaults = staticmethod(functional.silu), INPLACE_DEFAULT


class Mish(FunctionLayer):
    """x * tanh(softplus(x))."""

    function, defaults = staticmethod(functional.mish), INPLACE_DEFAULT


class Softplus(FunctionLayer):
    """log(1 + exp(beta * x)) / beta."""

    function, defaults = staticmethod(functional.softplus), {"beta": 1.0, "threshold": 20.0}


class Softsign(FunctionLayer):
    """x / (1 + |x|)."""

    function = staticmethod(functional.softsign)


class Hardtanh(FunctionLayer):
    """x, at least `min_val` and at most `max_val`."""

    function = staticmethod(functional.hardtanh)
    defaults = {"min_val": -1.0, "max_val": 1.0, **INPLACE_DEFAULT}


class Hardsigmoid(FunctionLayer):
    """x / 6 + 1/2, at least 0 and at most 1."""

    function, defaults = staticmethod(functional.hardsigmoid), INPLACE_DEFAULT


class Hardswish(FunctionLayer):
    """x * hardsigmoid(x)."""

    function, defaults = staticmethod(functional.hardswish), INPLACE_DEFAULT


class Hardshrink(FunctionLayer):
    """x where |x| > lambd, else 0."""

    function, defaults = staticmethod(functional.hardshrink), {"lambd": 0.5}


class Softshrink(FunctionLayer):
    """x moved towards 0 by `lambd`, and 0 where it would pass it."""

    function, defaults = staticmethod(functional.softshrink), {"lambd": 0.5}


class Threshold(FunctionLayer):
    """x where x > threshold, else `value`."""

    function = staticmethod(functional.threshold)
    defaults = {"threshold": REQUIRED, "value": REQUIRED, **INPLACE_DEFAULT}


class GLU(FunctionLayer):
    """a * sigmoid(b), of the halves a and b of x along `dim`."""

    function, defaults = staticmethod(functional.glu), {"dim": -1}


class Softmin(FunctionLayer):
    """softmax(-x)."""

    function, defaults = staticmethod(functional.softmin), {"dim": -1}


class PReLU(Module):
    """x where x > 0, else x * weight: one weight, or one for each channel (axis 1), learned.

    >>> import graphc as gc
    >>> gc.nn.PReLU(3)(gc.zeros((5, 3, 2))).type
    f32[5,3,2]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = f32) -> None:
        self.num_parameters = positive("PReLU", "num_parameters", num_parameters)
        self.weight = Parameter(constant((num_parameters,), init, dtype))

    def forward(self, input: Any) -> Tensor:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
