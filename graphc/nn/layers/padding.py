"""Padding, pixels as channels and windows as columns, as modules under PyTorch's names."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.errors import ShapeError, user_location
from graphc.frontend.tensor import Tensor
from graphc.nn import functional
from graphc.nn.layers.function_layer import REQUIRED, FunctionLayer
from graphc.nn.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Fold",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Unfold",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


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
