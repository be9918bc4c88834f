"""Normalisations as modules, with PyTorch's names and arguments.

Running statistics are buffers.  In training, their updates are attached to the module's output: a
run that computes the output, or a gradient through it, updates them
(`graphc.frontend.with_update`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphc import init
from graphc.errors import ShapeError, user_location
from graphc.frontend.arguments import require_equal, shape_of, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import creation
from graphc.ir.types import f32, i64
from graphc.nn import functional
from graphc.nn.functional import norm
from graphc.nn.functional.activation import floats
from graphc.nn.layers.linear import positive
from graphc.nn.module import Buffer, Module, Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "RMSNorm",
]


class Channelled(Module):
    """Statistics of channels: the running ones as buffers, a weight and a bias as parameters."""

    ranks: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: Any,
        bias: bool,
    ) -> None:
        what = type(self).__name__
        n = (positive(what, "num_features", num_features),)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(init.ones(n, dtype)) if affine else None
        self.bias = Parameter(init.zeros(n, dtype)) if affine and bias else None
        track = track_running_stats
        self.running_mean = Buffer(init.zeros(n, dtype)) if track else None
        self.running_var = Buffer(init.ones(n, dtype)) if track else None
        self.num_batches_tracked = Buffer(creation.zeros((), i64)) if track else None

    def _checked(self, input: Any) -> Tensor:
        x = floats(type(self).__name__, input)
        if x.ndim not in self.ranks:
            wanted = " or ".join(map(str, self.ranks))
            raise ShapeError(
                f"{type(self).__name__}: input {x.type}: expected rank {wanted}", user_location()
            )
        return x

    def _features(self, x: Tensor, axis: int) -> None:
        require_equal(
            type(self).__name__,
            x.shape[axis],
            self.num_features,
            f"of axis {axis} of input {x.type} and num_features",
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm(Channelled):
    """Base of `BatchNorm1d`, `BatchNorm2d` and `BatchNorm3d`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = f32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, input: Any) -> Tensor:
        x, what = self._checked(input), type(self).__name__
        self._features(x, 1)
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        own = self.training or mean is None or var is None
        if not own or count is None or not self.training:
            return functional.batch_norm(
                x,
                None if own else mean,
                None if own else var,
                self.weight,
                self.bias,
                own,
                0.0,
                self.eps,
            )
        axes = (0, *range(2, x.ndim))
        out = norm.normalised(x, axes, self.eps)
        out = norm.tracked(what, out, x, axes, (mean, var), self.momentum, count)
        shape = (self.num_features, *[1] * (x.ndim - 2))
        return norm.scaled(what, out, self.weight, self.bias, shape)


class BatchNorm1d(BatchNorm):
    """Batch normalisation of [n, channels] or [n, channels, length].

    >>> import graphc as gc
    >>> with gc.Graph().as_default(), gc.Session() as sess:
    ...     norm = gc.nn.BatchNorm1d(1, momentum=0.5)
    ...     out = sess.run(norm(gc.asarray([[1.0], [3.0]])))
    ...     print(sess.value(norm.running_mean), sess.value(norm.running_var))
    [1.] [1.5]
    """

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation of [n, channels, height, width]."""

    ranks = (4,)


class BatchNorm3d(BatchNorm):
    """Batch normalisation of [n, channels, depth, height, width]."""

    ranks = (5,)


class InstanceNorm(Channelled):
    """Base of `InstanceNorm1d`, `InstanceNorm2d` and `InstanceNorm3d`; of inputs without a batch
    too."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = f32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, input: Any) -> Tensor:
        x = self._checked(input)
        batched = x.ndim == max(self.ranks)
        x = x if batched else x[None]
        if self.affine:
            self._features(x, 1)
        out = functional.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )
        return out if batched else out[0]


class InstanceNorm1d(InstanceNorm):
    """Instance normalisation of [n, channels, length]."""

    ranks = (2, 3)


class InstanceNorm2d(InstanceNorm):
    """Instance normalisation of [n, channels, height, width]."""

    ranks = (3, 4)


class InstanceNorm3d(InstanceNorm):
    """Instance normalisation of [n, channels, depth, height, width]."""

    ranks = (4, 5)


class LayerNorm(Module):
    """The input less its mean, over its deviation, taken over the last axes.

    >>> import graphc as gc
    >>> gc.nn.LayerNorm(4)
    LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = f32,
    ) -> None:
        self.normalized_shape = shape_of("LayerNorm", normalized_shape, "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(init.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(init.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, input: Any) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The input over its root mean square along the last axes."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = f32,
    ) -> None:
        self.normalized_shape = shape_of("RMSNorm", normalized_shape, "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(init.ones(shape, dtype)) if elementwise_affine else None

    def forward(self, input: Any) -> Tensor:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalised over groups of channels (axis 1) and all axes after them."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = f32,
        *,
        bias: bool = True,
    ) -> None:
        self.num_groups = positive("GroupNorm", "num_groups", num_groups)
        self.num_channels = positive("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ShapeError(
                f"GroupNorm: num_channels = {num_channels} does not divide into "
                f"num_groups = {num_groups}",
                user_location(),
            )
        self.eps, self.affine = eps, affine
        self.weight = Parameter(init.ones((num_channels,), dtype)) if affine else None
        self.bias = Parameter(init.zeros((num_channels,), dtype)) if affine and bias else None

    def forward(self, input: Any) -> Tensor:
        x = tensor("GroupNorm", input)
        if x.ndim > 1:
            require_equal(
                "GroupNorm",
                x.shape[1],
                self.num_channels,
                f"of axis 1 of input {x.type} and num_channels",
            )
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
