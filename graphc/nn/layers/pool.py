"""Pooling, padding and resampling as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.errors import ShapeError, user_location
from graphc.frontend.tensor import Tensor
from graphc.nn import functional
from graphc.nn.layers.function_layer import REQUIRED, FunctionLayer
from graphc.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Fold",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

WINDOW_DEFAULTS = {"kernel_size": REQUIRED, "stride": None, "padding": 0}
MAX_DEFAULTS = {**WINDOW_DEFAULTS, "dilation": 1, "return_indices": False, "ceil_mode": False}
MEAN_DEFAULTS = {**WINDOW_DEFAULTS, "ceil_mode": False, "count_include_pad": True}
POWER_DEFAULTS = {
    "norm_type": REQUIRED,
    "kernel_size": REQUIRED,
    "stride": None,
    "ceil_mode": False,
}
ADAPTIVE_MEAN_DEFAULTS = {"output_size": REQUIRED}
ADAPTIVE_MAX_DEFAULTS = {**ADAPTIVE_MEAN_DEFAULTS, "return_indices": False}


class MaxPool1d(FunctionLayer):
    """The largest of each window of [n, channels, length]."""

    function, defaults = staticmethod(functional.max_pool1d), MAX_DEFAULTS


class MaxPool2d(FunctionLayer):
    """The largest of each window of [n, channels, height, width]."""

    function, defaults = staticmethod(functional.max_pool2d), MAX_DEFAULTS


class MaxPool3d(FunctionLayer):
    """The largest of each window of [n, channels, depth, height, width]."""

    function, defaults = staticmethod(functional.max_pool3d), MAX_DEFAULTS


class AvgPool1d(FunctionLayer):
    """The mean of each window of [n, channels, length]."""

    function, defaults = staticmethod(functional.avg_pool1d), MEAN_DEFAULTS


class AvgPool2d(FunctionLayer):
    """The mean of each window of [n, channels, height, width]."""

    function, defaults = (
        staticmethod(functional.avg_pool2d),
        {**MEAN_DEFAULTS, "divisor_override": None},
    )


class AvgPool3d(FunctionLayer):
    """The mean of each window of [n, channels, depth, height, width]."""

    function, defaults = (
        staticmethod(functional.avg_pool3d),
        {**MEAN_DEFAULTS, "divisor_override": None},
    )


class LPPool1d(FunctionLayer):
    """The p-norm of each window of [n, channels, length]."""

    function, defaults = staticmethod(functional.lp_pool1d), POWER_DEFAULTS


class LPPool2d(FunctionLayer):
    """The p-norm of each window of [n, channels, height, width]."""

    function, defaults = staticmethod(functional.lp_pool2d), POWER_DEFAULTS


class AdaptiveAvgPool1d(FunctionLayer):
    """Means over as many windows of [n, channels, length] as wanted."""

    function, defaults = staticmethod(functional.adaptive_avg_pool1d), ADAPTIVE_MEAN_DEFAULTS


class AdaptiveAvgPool2d(FunctionLayer):
    """Means over as many windows of [n, channels, height, width] as wanted."""

    function, defaults = staticmethod(functional.adaptive_avg_pool2d), ADAPTIVE_MEAN_DEFAULTS


class AdaptiveAvgPool3d(FunctionLayer):
    """Means over as many windows of [n, channels, depth, height, width] as wanted."""

    function, defaults = staticmethod(functional.adaptive_avg_pool3d), ADAPTIVE_MEAN_DEFAULTS


class AdaptiveMaxPool1d(FunctionLayer):
    """The largest of as many windows as wanted."""

    function, defaults = staticmethod(functional.adaptive_max_pool1d), ADAPTIVE_MAX_DEFAULTS


class AdaptiveMaxPool2d(FunctionLayer):
    """The largest of as many windows as wanted."""

    function, defaults = staticmethod(functional.adaptive_max_pool2d), ADAPTIVE_MAX_DEFAULTS


class AdaptiveMaxPool3d(FunctionLayer):
    """The largest of as many windows as wanted."""

    function, defaults = staticmethod(functional.adaptive_max_pool3d), ADAPTIVE_MAX_DEFAULTS


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


class PixelShuffle(FunctionLayer):
    """Channels [c * r * r, h, w] as pixels [c, h * r, w * r]."""

    function, defaults = staticmethod(functional.pixel_shuffle), {"upscale_factor": REQUIRED}


class PixelUnshuffle(FunctionLayer):
    """Pixels [c, h * r, w * r] as channels [c * r * r, h, w]."""

    function, defaults = staticmethod(functional.pixel_unshuffle), {"downscale_factor": REQUIRED}


class Unfold(FunctionLayer):
    """The windows of images as columns."""

    function = staticmethod(functional.unfold)
    defaults = {"kernel_size": REQUIRED, "dilation": 1, "padding": 0, "stride": 1}


class Fold(FunctionLayer):
    """Columns summed back into images."""

    function = staticmethod(functional.fold)
    defaults = {
        "output_size": REQUIRED,
        "kernel_size": REQUIRED,
        "dilation": 1,
        "padding": 0,
        "stride": 1,
    }


class Padding(Module):
    """Base of the paddings of `axes` spatial axes: one number, or two for each axis, the last axis
    first."""

    axes: ClassVar[int] = 0
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Any) -> None:
        sides = 2 * self.axes
        self.padding = tuple(padding) if isinstance(padding, list | tuple) else (padding,) * sides
        if len(self.padding) != sides:
            raise ShapeError(
                f"{type(self).__name__}: padding is {padding}; expected an int or {sides} of them",
                user_location(),
            )

    def forward(self, input: Any) -> Tensor:
        value = self.value if self.mode == "constant" else None
        return functional.pad(input, self.padding, self.mode, value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad(Padding):
    """Base of the paddings with a number."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad):
    """[n, channels, length] padded with a number."""

    axes = 1


class ConstantPad2d(ConstantPad):
    """[n, channels, height, width] padded with a number."""

    axes = 2


class ConstantPad3d(ConstantPad):
    """[n, channels, depth, height, width] padded with a number."""

    axes = 3


class ZeroPad1d(Padding):
    """[n, channels, length] padded with zeros."""

    axes = 1


class ZeroPad2d(Padding):
    """[n, channels, height, width] padded with zeros."""

    axes = 2


class ZeroPad3d(Padding):
    """[n, channels, depth, height, width] padded with zeros."""

    axes = 3


class ReflectionPad1d(Padding):
    """[n, channels, length] padded with the mirrored input."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(Padding):
    """[n, channels, height, width] padded with the mirrored input."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(Padding):
    """[n, channels, depth, height, width] padded with the mirrored input."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(Padding):
    """[n, channels, length] padded with the edge."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(Padding):
    """[n, channels, height, width] padded with the edge."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(Padding):
    """[n, channels, depth, height, width] padded with the edge."""

    axes, mode = 3, "replicate"


class CircularPad1d(Padding):
    """[n, channels, length] padded with the other end."""

    axes, mode = 1, "circular"


class CircularPad2d(Padding):
    """[n, channels, height, width] padded with the other end."""

    axes, mode = 2, "circular"


class CircularPad3d(Padding):
    """[n, channels, depth, height, width] padded with the other end."""

    axes, mode = 3, "circular"
