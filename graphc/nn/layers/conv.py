"""Convolutions as modules, with PyTorch's arguments, initial values and state dict."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import integer
from graphc.frontend.tensor import Tensor
from graphc.ir.types import f32
from graphc.nn import functional
from graphc.nn.functional.activation import floats
from graphc.nn.layers.linear import near_zero, positive
from graphc.nn.module import Module

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
CONVOLUTION_BY_AXES = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED_BY_AXES = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def spread(what: str, argument: str, value: Any, axes: int, least: int = 0) -> tuple[int, ...]:
    """An int for each spatial axis, from one or as many."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(given) != axes:
        raise ShapeError(
            f"{what}: {argument} is {value}; expected an int or {axes} of them", user_location()
        )
    return tuple(positive(what, argument, v, least) for v in given)


class ConvolutionLayer(Module):
    """The base of all convolutions: sizes, a weight and a bias."""

    axes: ClassVar[int] = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        dtype: Any,
        transposed: bool,
    ) -> None:
        what, axes = type(self).__name__, self.axes
        self.in_channels = positive(what, "in_channels", in_channels)
        self.out_channels = positive(what, "out_channels", out_channels)
        self.groups = positive(what, "groups", groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ShapeError(
                    f"{what}: {name} = {channels} does not divide into groups = {groups}",
                    user_location(),
                )
        self.kernel_size = spread(what, "kernel_size", kernel_size, axes, 1)
        self.stride = spread(what, "stride", stride, axes, 1)
        self.padding = (
            padding if isinstance(padding, str) else spread(what, "padding", padding, axes)
        )
        self.dilation = spread(what, "dilation", dilation, axes, 1)
        pair = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        shape = (pair[0], pair[1] // groups, *self.kernel_size)
        fan = math.prod(shape[1:])
        self.weight = near_zero(shape, fan, dtype)
        self.bias = near_zero((out_channels,), fan, dtype) if bias else None

    def extra_repr(self) -> str:
        shown = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        ]
        plain: dict[str, Any] = {
            "padding": (0,) * self.axes,
            "dilation": (1,) * self.axes,
            "output_padding": (0,) * self.axes,
            "groups": 1,
        }
        for name, usual in plain.items():
            if getattr(self, name, usual) != usual:
                shown.append(f"{name}={getattr(self, name)}")
        shown += ["bias=False"] if self.bias is None else []
        shown += [f"padding_mode={self.padding_mode}"] if self._padded_otherwise() else []
        return ", ".join(shown)

    padding_mode: str = "zeros"

    def _padded_otherwise(self) -> bool:
        return self.padding_mode != "zeros"


class ConvNd(ConvolutionLayer):
    """Base of `Conv1d`, `Conv2d` and `Conv3d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = f32,
    ) -> None:
        if padding_mode not in PADDING_MODES:
            raise GraphError(
                f"{type(self).__name__}: padding_mode {padding_mode!r}: expected one "
                f"of {', '.join(PADDING_MODES)}",
                user_location(),
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            dtype,
            False,
        )
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise GraphError(
                f"{type(self).__name__}: padding {padding!r}: expected 'valid', 'same' or ints",
                user_location(),
            )
        self.padding_mode = padding_mode

    def forward(self, input: Any) -> Tensor:
        x, padding = input, self.padding
        if self._padded_otherwise() and padding != "valid":
            x = functional.pad(floats(type(self).__name__, x), self._sides(), self.padding_mode)
            padding = (0,) * self.axes
        return CONVOLUTION_BY_AXES[self.axes](
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _sides(self) -> list[int]:
        """Before and after each spatial axis, the last first."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(t // 2, t - t // 2) for t in totals]
        else:
            pairs = [(int(p), int(p)) for p in self.padding]
        return [side for pair in reversed(pairs) for side in pair]


class Conv1d(ConvNd):
    """Convolution of [n, in, length].

    >>> import graphc as gc
    >>> gc.nn.Conv1d(3, 4, 5, padding="same")(gc.zeros((2, 3, 8))).type
    f32[2,4,8]
    """

    axes = 1


class Conv2d(ConvNd):
    """Convolution of [n, in, height, width].

    >>> import graphc as gc
    >>> conv = gc.nn.Conv2d(3, 4, 3, stride=2, padding=1)
    >>> conv, conv(gc.zeros((2, 3, 8, 8))).type
    (Conv2d(3, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)), f32[2,4,4,4])
    """

    axes = 2


class Conv3d(ConvNd):
    """Convolution of [n, in, depth, height, width]."""

    axes = 3


class ConvTransposeNd(ConvolutionLayer):
    """Base of `ConvTranspose1d`, `ConvTranspose2d` and `ConvTranspose3d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        dtype: Any = f32,
    ) -> None:
        what = type(self).__name__
        if padding_mode != "zeros" or isinstance(padding, str):
            raise GraphError(
                f"{what}: padding_mode {padding_mode!r}, padding {padding!r}: "
                "expected 'zeros' and ints",
                user_location(),
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            dtype,
            True,
        )
        self.output_padding = spread(what, "output_padding", output_padding, self.axes)

    def forward(self, input: Any, output_size: Any = None) -> Tensor:
        """`output_size`: the spatial sizes of the result, from which the output padding follows."""
        x = floats(type(self).__name__, input)
        more = self.output_padding if output_size is None else self._missing(x, output_size)
        return TRANSPOSED_BY_AXES[self.axes](
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _missing(self, x: Tensor, output_size: Any) -> tuple[int, ...]:
        what = type(self).__name__
        wanted = [integer(what, "output_size", s) for s in output_size][-self.axes :]
        sizes = [integer(what, "a spatial size of the input", s) for s in x.shape[-self.axes :]]
        if len(wanted) != self.axes:
            raise ShapeError(
                f"{what}: output_size {output_size}: expected {self.axes} sizes", user_location()
            )
        pads = self.padding
        assert not isinstance(pads, str)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                sizes, self.stride, pads, self.dilation, self.kernel_size, strict=True
            )
        ]
        more = tuple(w - m for w, m in zip(wanted, least, strict=True))
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            raise ShapeError(
                f"{what}: output_size {list(wanted)}: expected at least {least}, and "
                f"less than a stride {list(self.stride)} more",
                user_location(),
            )
        return more


class ConvTranspose1d(ConvTransposeNd):
    """Transposed convolution of [n, in, length]."""

    axes = 1


class ConvTranspose2d(ConvTransposeNd):
    """Transposed convolution of [n, in, height, width].

    >>> import graphc as gc
    >>> back = gc.nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)
    >>> back(gc.zeros((2, 4, 4, 4)), output_size=(8, 8)).type
    f32[2,3,8,8]
    """

    axes = 2


class ConvTranspose3d(ConvTransposeNd):
    """Transposed convolution of [n, in, depth, height, width]."""

    axes = 3
