"""Pooling as modules, with PyTorch's names and arguments."""

from __future__ import annotations

from graphc.nn import functional
from graphc.nn.layers.function_layer import REQUIRED, FunctionLayer

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
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
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
