"""Images at other sizes, as modules with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphc.frontend.tensor import Tensor
from graphc.nn import functional
from graphc.nn.layers.function_layer import FunctionLayer

__all__ = [
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]


class Upsample(FunctionLayer):
    """The input at another size, interpolated.

    >>> import graphc as gc
    >>> gc.nn.Upsample(scale_factor=2)(gc.zeros((1, 2, 3, 3))).type
    f32[1,2,6,6]
    """

    function = staticmethod(functional.interpolate)
    defaults = {
        "size": None,
        "scale_factor": None,
        "mode": "nearest",
        "align_corners": None,
        "recompute_scale_factor": None,
    }


class UpsamplingNearest2d(FunctionLayer):
    """Images at another size: the nearest pixel."""

    function = staticmethod(functional.interpolate)
    defaults = {"size": None, "scale_factor": None}


class UpsamplingBilinear2d(FunctionLayer):
    """Images at another size: bilinear, the corners aligned."""

    defaults = {"size": None, "scale_factor": None}

    @staticmethod
    def function(input: Any, **sizes: Any) -> Tensor:
        """The resampled images."""
        return functional.interpolate(input, **sizes, mode="bilinear", align_corners=True)
