"""Dropout as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphc.frontend.tensor import Tensor
from graphc.nn import functional
from graphc.nn.functional.dropout import probability
from graphc.nn.module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class Dropout(Module):
    """In training, each element 0 with probability `p`, else over 1 - p."""

    function = staticmethod(functional.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p, self.inplace = probability(type(self).__name__, p), inplace

    def forward(self, input: Any) -> Tensor:
        made: Tensor = type(self).function(input, self.p, self.training)
        return made

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """In training, whole channels of [n, channels, length] dropped."""

    function = staticmethod(functional.dropout1d)


class Dropout2d(Dropout):
    """In training, whole channels of [n, channels, height, width] dropped."""

    function = staticmethod(functional.dropout2d)


class Dropout3d(Dropout):
    """In training, whole channels of [n, channels, depth, height, width] dropped."""

    function = staticmethod(functional.dropout3d)


class AlphaDropout(Dropout):
    """In training, dropout that keeps mean and deviation of what a SELU gives."""

    function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(Dropout):
    """In training, `AlphaDropout` of whole channels."""

    function = staticmethod(functional.feature_alpha_dropout)
