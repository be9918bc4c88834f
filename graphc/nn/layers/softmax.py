"""Softmax and its logarithm as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from graphc.nn import functional
from graphc.nn.layers.function_layer import FunctionLayer

__all__ = [
    "LogSoftmax",
    "Softmax",
]


class Softmax(FunctionLayer):
    """exp(x) over its sum along `dim`."""

    function, defaults = staticmethod(functional.softmax), {"dim": -1}


class LogSoftmax(FunctionLayer):
    """log(softmax(x))."""

    function, defaults = staticmethod(functional.log_softmax), {"dim": -1}
