"""Activations as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc.init import constant
from graphc.errors import GraphError, user_location
from graphc.ir.types import f32
from graphc.nn import functional
from graphc.nn.layers import positive
from graphc.nn.module import Module, Parameter
from graphc.tensor import Tensor


class Activation(Module):
    """A function of one tensor.  Its other arguments, by name, are the constructor's."""

    function: ClassVar[Callable[..., Tensor]]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names, what = list(self.defaults), type(self).__name__
        if len(args) > len(names):
            raise GraphError(f"{what}: takes at most {len(names)} arguments, got {len(args)}",
                             user_location())
        given = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name not in names or name in given:
                raise GraphError(f"{what}: argument {name!r} is unknown or given twice; expected "
                                 f"{', '.join(names) or 'none'}", user_location())
        for name, value in {**self.defaults, **given, **kwargs}.items():
            if value is REQUIRED:
                raise GraphError(f"{what}: argument {name!r} is missing", user_location())
            setattr(self, name, value)

    def forward(self, input: Any) -> Tensor:
        return type(self).function(input, **{n: getattr(self, n) for n in self.defaults})

    def extra_repr(self) -> str:
        return ", ".join(
            f"{n}={getattr(self, n)!r}" for n in self.defaults
            if n != "inplace" or getattr(self, n))


REQUIRED = object()
INPLACE = {"inplace": False}


class ReLU(Activation):
    """max(x, 0)."""

    function, defaults = staticmethod(functional.relu), INPLACE


class ReLU6(Activation):
    """x, at least 0 and at most 6."""

    function, defaults = staticmethod(functional.relu6), INPLACE


class LeakyReLU(Activation):
    """x where x > 0, else x * negative_slope."""

    function = staticmethod(functional.leaky_relu)
    defaults = {"negative_slope": 0.01, **INPLACE}


class ELU(Activation):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    function, defaults = staticmethod(functional.elu), {"alpha": 1.0, **INPLACE}


class SELU(Activation):
    """scale * elu(x, alpha), with the constants of Klambauer et al. 2017."""

    function, defaults = staticmethod(functional.selu), INPLACE


class CELU(Activation):
    """x where x > 0, else alpha * (exp(x / alpha) - 1)."""

    function, defaults = staticmethod(functional.celu), {"alpha": 1.0, **INPLACE}


class GELU(Activation):
    """x times the normal distribution function at x, or its approximation by "tanh"."""

    function, defaults = staticmethod(functional.gelu), {"approximate": "none"}


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(functional.sigmoid)


class LogSigmoid(Activation):
    """log(sigmoid(x))."""

    function = staticmethod(functional.logsigmoid)


class Tanh(Activation):
    """The hyperbolic tangent."""

    function = staticmethod(functional.tanh)


class Tanhshrink(Activation):
    """x - tanh(x)."""

    function = staticmethod(functional.tanhshrink)


class SiLU(Activation):
    """x * sigmoid(x)."""

    function, defaults = staticmethod(functional.silu), INPLACE


class Mish(Activation):
    """x * tanh(softplus(x))."""

    function, defaults = staticmethod(functional.mish), INPLACE


class Softplus(Activation):
    """log(1 + exp(beta * x)) / beta."""

    function, defaults = staticmethod(functional.softplus), {"beta": 1.0, "threshold": 20.0}


class Softsign(Activation):
    """x / (1 + |x|)."""

    function = staticmethod(functional.softsign)


class Hardtanh(Activation):
    """x, at least `min_val` and at most `max_val`."""

    function = staticmethod(functional.hardtanh)
    defaults = {"min_val": -1.0, "max_val": 1.0, **INPLACE}


class Hardsigmoid(Activation):
    """x / 6 + 1/2, at least 0 and at most 1."""

    function, defaults = staticmethod(functional.hardsigmoid), INPLACE


class Hardswish(Activation):
    """x * hardsigmoid(x)."""

    function, defaults = staticmethod(functional.hardswish), INPLACE


class Hardshrink(Activation):
    """x where |x| > lambd, else 0."""

    function, defaults = staticmethod(functional.hardshrink), {"lambd": 0.5}


class Softshrink(Activation):
    """x moved towards 0 by `lambd`, and 0 where it would pass it."""

    function, defaults = staticmethod(functional.softshrink), {"lambd": 0.5}


class Threshold(Activation):
    """x where x > threshold, else `value`."""

    function = staticmethod(functional.threshold)
    defaults = {"threshold": REQUIRED, "value": REQUIRED, **INPLACE}


class GLU(Activation):
    """a * sigmoid(b), of the halves a and b of x along `dim`."""

    function, defaults = staticmethod(functional.glu), {"dim": -1}


class Softmax(Activation):
    """exp(x) over its sum along `dim`."""

    function, defaults = staticmethod(functional.softmax), {"dim": -1}


class LogSoftmax(Activation):
    """log(softmax(x))."""

    function, defaults = staticmethod(functional.log_softmax), {"dim": -1}


class Softmin(Activation):
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


