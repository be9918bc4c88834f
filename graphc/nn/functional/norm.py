"""Normalisations as functions, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, converted, integer, require_equal
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, Variable
from graphc.frontend.with_update import with_update
from graphc.functions import elementary as el, pointwise as pw, reductions
from graphc.functions.creation import size_tensor
from graphc.functions.shaping import reshape
from graphc.ir import dim as dims
from graphc.ir.dim import Size
from graphc.ir.requirement import at_least, equal, multiple
from graphc.ir.types import f32
from graphc.linalg import vector_norm
from graphc.nn.functional.activation import floats, real

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "normalize", "rms_norm"]

Axes = tuple[int, ...]


def normalised(x: Tensor, axes: Axes, eps: float) -> Tensor:
    """x less its mean, over its deviation, along axes."""
    wide = widened(x)
    off = pw.subtract(wide, reductions.mean(wide, axes, keepdims=True))
    spread = reductions.mean(pw.multiply(off, off), axes, keepdims=True)
    return converted(pw.multiply(off, el.rsqrt(pw.add(spread, eps))), x.dtype)


def scaled(what: str, x: Tensor, weight: Any, bias: Any, shape: Sequence[Size]) -> Tensor:
    """x * weight + bias, each None or of one shape that broadcasts after `shape`'s reshape."""
    out = x
    for function, name, given in ((pw.multiply, "weight", weight), (pw.add, "bias", bias)):
        if given is None:
            continue
        t = floats(what, given)
        wanted = tuple(s for s in shape if s != 1)
        count = dims.product(wanted)
        require(what, equal(t.type.count, count, f"{name} {t.type} has not {count} elements"))
        out = function(out, reshape(t, tuple(shape)))
    return out


def _last_axes(what: str, x: Tensor, normalized_shape: Any) -> tuple[Axes, tuple[Any, ...]]:
    shape = normalized_shape if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
    if not 0 < len(shape) <= x.ndim:
        raise ShapeError(
            f"{what}: normalized_shape {normalized_shape} does not fit {x.type}", user_location()
        )
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    for axis, size in zip(axes, shape, strict=True):
        require_equal(what, x.shape[axis], size, f"along axis {axis} of {x.type}")
    return axes, tuple(shape)


def layer_norm(
    input: Any,
    normalized_shape: int | Sequence[Size],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Tensor:
    """The input less its mean, over its deviation, taken over the last axes (`normalized_shape`).

    >>> import graphc as gc
    >>> layer_norm(gc.zeros((5, 3)), 3, gc.ones((3,))).type
    f32[5,3]
    """
    x = floats("layer_norm", input)
    axes, _ = _last_axes("layer_norm", x, normalized_shape)
    out = normalised(x, axes, real("layer_norm", "eps", eps))
    out = out if weight is None else pw.multiply(out, weight)
    return out if bias is None else pw.add(out, bias)


def rms_norm(
    input: Any,
    normalized_shape: int | Sequence[Size],
    weight: Any = None,
    eps: float | None = None,
) -> Tensor:
    """The input over its root mean square along the last axes; `eps` None: the type's epsilon
    (Zhang and Sennrich 2019).

    >>> import graphc as gc
    >>> rms_norm(gc.zeros((5, 3)), (3,)).type
    f32[5,3]
    """
    x = floats("rms_norm", input)
    axes, _ = _last_axes("rms_norm", x, normalized_shape)
    small = 2.0 ** (1 - {16: 11, 32: 24, 64: 53}[x.dtype.bits]) if eps is None else eps
    wide = widened(x)
    square = reductions.mean(pw.multiply(wide, wide), axes, keepdims=True)
    out = pw.multiply(wide, el.rsqrt(pw.add(square, real("rms_norm", "eps", small))))
    out = converted(out, x.dtype)
    return out if weight is None else pw.multiply(out, weight)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalised over groups of channels (axis 1) and all axes after them (Wu and He 2018).

    >>> import graphc as gc
    >>> group_norm(gc.zeros((5, 6, 4)), 3).type
    f32[5,6,4]
    """
    x = floats("group_norm", input)
    groups = integer("group_norm", "num_groups", num_groups)
    if x.ndim < 2:
        raise ShapeError(
            f"group_norm: input {x.type}: expected [n, channels, ...]", user_location()
        )
    channels = x.shape[1]
    problem = f"{channels} channels of {x.type} do not split into num_groups = {groups}"
    if groups <= 0:
        raise ShapeError(f"group_norm: {problem}", user_location())
    require("group_norm", multiple(channels, groups, problem))
    each = dims.floordiv(channels, groups)
    split = reshape(x, (x.shape[0], groups, each, *x.shape[2:]))
    axes = tuple(range(2, split.ndim))
    out = reshape(normalised(split, axes, real("group_norm", "eps", eps)), x.shape)
    return scaled("group_norm", out, weight, bias, _channels(x, 1))


def _channels(x: Tensor, axis: int) -> tuple[Size, ...]:
    return (x.shape[axis], *[1] * (x.ndim - axis - 1))


def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised over all axes but the channels' (axis 1) (Ioffe and Szegedy 2015).

    In training the statistics are the batch's, and running ones that are variables move towards
    them by `momentum` whenever the result, or a gradient through it, is computed (the variance
    being that of n - 1).  Else the running ones are used.

    >>> import graphc as gc
    >>> batch_norm(gc.zeros((5, 3, 4)), gc.zeros((3,)), gc.ones((3,))).type
    f32[5,3,4]
    """
    x = floats("batch_norm", input)
    _require_channels("batch_norm", x)
    axes = (0, *range(2, x.ndim))
    small = real("batch_norm", "eps", eps)
    if training:
        out = normalised(x, axes, small)
        out = tracked("batch_norm", out, x, axes, (running_mean, running_var), momentum)
    else:
        if running_mean is None or running_var is None:
            raise GraphError(
                "batch_norm: running_mean and running_var are needed unless training",
                user_location(),
            )
        shape = _channels(x, 1)
        mean, var = (
            reshape(_per_channel("batch_norm", n, t, x), shape)
            for n, t in (("running_mean", running_mean), ("running_var", running_var))
        )
        out = pw.multiply(pw.subtract(x, mean), el.rsqrt(pw.add(var, small)))
        out = converted(out, x.dtype)
    return scaled("batch_norm", out, weight, bias, _channels(x, 1))


def _require_channels(what: str, x: Tensor) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{what}: input {x.type}: expected [n, channels, ...]", user_location())


def _per_channel(what: str, name: str, given: Any, x: Tensor) -> Tensor:
    t = floats(what, given)
    problem = f"{name} {t.type}: expected one element for each of the {x.shape[1]} channels"
    if t.ndim != 1:
        raise ShapeError(f"{what}: {problem} of {x.type}", user_location())
    require(what, equal(t.shape[0], x.shape[1], f"{problem} of {x.type}"))
    return t


def tracked(
    what: str,
    out: Tensor,
    x: Tensor,
    axes: Axes,
    running: tuple[Any, Any],
    momentum: Any,
    count: Variable | None = None,
) -> Tensor:
    """`out`, with the running statistics (variables, or None) moved towards those of x.

    `momentum` None: the mean of all batches, counted by `count`, which goes up in any case.
    """
    values = dims.product(tuple(x.shape[a] for a in axes))
    problem = f"{x.type} has {values} value a channel; training needs more than one"
    require(what, at_least(values, 2, problem))
    if not all(isinstance(r, Variable) for r in running):
        return out
    for name, r in zip(("running_mean", "running_var"), running, strict=True):
        _per_channel(what, name, r, x)
    if momentum is None and count is None:
        raise GraphError(f"{what}: momentum is None; expected a number", user_location())
    news = _statistics(widened(pw.stop_gradient(x)), axes, values)

    def step(old_mean: Tensor, old_var: Tensor, *seen: Tensor) -> tuple[Tensor, ...]:
        ticks = tuple(pw.add(n, 1) for n in seen)
        rate = pw.divide(1.0, converted(ticks[0], f32)) if momentum is None else momentum
        moved = (
            pw.add(old, pw.multiply(pw.subtract(converted(new, old.dtype), old), rate))
            for old, new in zip((old_mean, old_var), news, strict=True)
        )
        return (*moved, *ticks)

    variables = (*running, *(() if count is None else (count,)))
    result: Tensor = with_update(out, variables, step)
    return result


def _statistics(x: Tensor, axes: Axes, values: Size) -> tuple[Tensor, Tensor]:
    """Mean and variance (of n - 1) of each channel along axes, and the mean of those if the first
    axis is not among them."""
    mean = reductions.mean(x, axes, keepdims=True)
    off = pw.subtract(x, mean)
    spare = pw.maximum(pw.subtract(size_tensor(values, x.dtype), 1.0), 1.0)
    var = pw.divide(reductions.sum(pw.multiply(off, off), axes), spare)
    mean = reshape(mean, var.shape)
    return (mean, var) if 0 in axes else (reductions.mean(mean, 0), reductions.mean(var, 0))


def widened(x: Tensor) -> Tensor:
    """The tensor in a type to take statistics in: at least f32."""
    return x if x.dtype.bits > 16 else converted(x, f32)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised over the axes after the channels' (axis 1), each example for itself (Ulyanov et
    al. 2016); without `use_input_stats`, by the running statistics.

    >>> import graphc as gc
    >>> instance_norm(gc.zeros((5, 3, 4))).type
    f32[5,3,4]
    """
    x = floats("instance_norm", input)
    if x.ndim < 3:
        raise ShapeError(
            f"instance_norm: input {x.type}: expected [n, channels, size, ...]", user_location()
        )
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = tuple(range(2, x.ndim))
    out = normalised(x, axes, real("instance_norm", "eps", eps))
    out = tracked("instance_norm", out, x, axes, (running_mean, running_var), momentum)
    return scaled("instance_norm", out, weight, bias, _channels(x, 1))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """The input over its p-norm along `dim`, which counts as at least `eps`."""
    x = floats("normalize", input)
    axis = axis_of("normalize", dim, x.ndim, "dim")
    return pw.divide(x, pw.maximum(p_norm(x, real("normalize", "p", p), axis, True), eps))


def not_below(x: Tensor, least: float) -> Tensor:
    """The larger of x and a number, with the gradient of x alone, as PyTorch's clamps in place."""
    return pw.add(x, pw.stop_gradient(pw.subtract(pw.maximum(x, least), x)))


def p_norm(x: Tensor, p: float, axis: int, keepdims: bool) -> Tensor:
    """The p-norm along an axis; its gradient where it is 0 is 0, as in PyTorch."""
    return vector_norm(x, axis=axis, keepdims=keepdims, ord=p)
