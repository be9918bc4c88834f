"""Convolutions as functions, with PyTorch's names, arguments and layouts."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import integer, require_equal, same_type, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw
from graphc.functions.shaping import reshape
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.requirement import at_least, multiple
from graphc.nn.functional.sliding import images, per_axis, unbatched

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of `input` [n, c, l] with `weight` [o, c / groups, k]; see `conv2d`.

    >>> import graphc as gc
    >>> conv1d(gc.zeros((2, 3, 8)), gc.zeros((4, 3, 3)), padding="same").type
    f32[2,4,8]
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of `input` [n, c, h, w] (or [c, h, w]) with `weight` [o, c / groups, kh,
    kw]: [n, o, h', w'], plus `bias` [o].

    `stride`, `padding` and `dilation` are ints or one for each axis; padding may be "valid" (0) or
    "same" (the size of the input, stride 1).  Floats only.  Raises `ShapeError`, `DTypeError` and
    `GraphError` for arguments that do not fit.

    >>> import graphc as gc
    >>> conv2d(gc.zeros((5, 3, 28, 28)), gc.zeros((8, 3, 3, 3)), gc.zeros((8,)), stride=2).type
    f32[5,8,13,13]
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of `input` [n, c, d, h, w] with `weight` [o, c / groups, kd, kh, kw]; see
    `conv2d`.

    >>> import graphc as gc
    >>> conv3d(gc.zeros((1, 2, 4, 5, 6)), gc.zeros((3, 2, 2, 2, 2))).type
    f32[1,3,3,4,5]
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    what: str,
    axes: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Tensor:
    x, w, missing = _operands(what, axes, input, weight)
    count = _groups(what, groups, w.shape[0], "output channels")
    require_equal(
        what,
        x.shape[1],
        w.shape[1] * count,
        f"(input channels, weight channels times groups) of {x.type} and {w.type}",
    )
    strides = per_axis(what, "stride", stride, axes, least=1)
    dilations = per_axis(what, "dilation", dilation, axes, least=1)
    before, after = _padding(what, padding, w, strides, dilations)
    _check_room(what, x, w, dilations, before, after)
    out = build(Convolution(strides, dilations, before, after, count), (x, w))
    return unbatched(_biased(what, out, bias), missing)


def _operands(what: str, axes: int, input: Any, weight: Any) -> tuple[Tensor, Tensor, bool]:
    """Input and weight in one element type."""
    x, missing = images(what, input, axes)
    w = tensor(what, weight)
    if w.ndim != axes + 2:
        raise ShapeError(
            f"{what}: weight {w.type} has rank {w.ndim}; expected {axes + 2}", user_location()
        )
    x, w = same_type(what, x, w)
    return x, w, missing


def _groups(what: str, groups: Any, channels: Size, name: str) -> int:
    count = integer(what, "groups", groups)
    problem = f"groups is {count}; expected a divisor of {channels} {name}"
    if count < 1:
        raise ShapeError(f"{what}: {problem}", user_location())
    require(what, multiple(channels, count, problem))
    return count


def _padding(
    what: str, padding: Any, w: Tensor, strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """The padding before and after each axis."""
    axes = len(strides)
    if not isinstance(padding, str):
        widths = per_axis(what, "padding", padding, axes)
        return widths, widths
    if padding == "valid":
        return (0,) * axes, (0,) * axes
    if padding != "same":
        raise GraphError(
            f"{what}: padding {padding!r}: expected ints, 'valid' or 'same'", user_location()
        )
    if any(s != 1 for s in strides):
        raise ShapeError(f"{what}: padding 'same' needs stride 1, got {strides}", user_location())
    total = [d * (k - 1) for d, k in zip(dilations, w.shape[2:], strict=True)]
    before = tuple(dim.floordiv(t, 2) for t in total)
    return before, tuple(t - b for t, b in zip(total, before, strict=True))


def _check_room(
    what: str,
    x: Tensor,
    w: Tensor,
    dilations: tuple[int, ...],
    before: tuple[Size, ...],
    after: tuple[Size, ...],
) -> None:
    """Raises `ShapeError` where the kernel is empty, or larger than the padded input."""
    for n, k, d, a, b in zip(x.shape[2:], w.shape[2:], dilations, before, after, strict=True):
        if k == 0:
            raise ShapeError(
                f"{what}: the kernel of weight {w.type} has no elements", user_location()
            )
        problem = (
            f"the kernel of weight {w.type} (dilation {dilations}) does not fit into input "
            f"{x.type} with padding {before}"
        )
        require(what, at_least(n + a + b, d * (k - 1) + 1, problem), at_least(k, 1, problem))


def _biased(what: str, out: Tensor, bias: Any) -> Tensor:
    """The result with one number added to each channel."""
    if bias is None:
        return out
    b = tensor(what, bias)
    if b.ndim != 1:
        raise ShapeError(f"{what}: bias {b.type} has rank {b.ndim}; expected 1", user_location())
    require_equal(what, b.shape[0], out.shape[1], f"of bias {b.type} and the output's channels")
    return pw.add(out, reshape(b, (b.shape[0], *(1,) * (out.ndim - 2))))


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The gradient of `conv1d` by its input, as a function; see `conv_transpose2d`.

    >>> import graphc as gc
    >>> conv_transpose1d(gc.zeros((2, 4, 5)), gc.zeros((4, 3, 3)), stride=2).type
    f32[2,3,11]
    """
    return _transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The gradient of `conv2d` by its input, as a function: `input` [n, c, h, w], `weight` [c,
    o / groups, kh, kw], result [n, o, h', w'] with h' = (h - 1) * stride - 2 * padding + dilation *
    (kh - 1) + output_padding + 1.

    `output_padding` must be below the stride or the dilation.  Raises `ShapeError` and `DTypeError`
    for arguments that do not fit.

    >>> import graphc as gc
    >>> conv_transpose2d(gc.zeros((5, 8, 7, 7)), gc.zeros((8, 3, 4, 4)), stride=2, padding=1).type
    f32[5,3,14,14]
    """
    return _transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The gradient of `conv3d` by its input, as a function; see `conv_transpose2d`.

    >>> import graphc as gc
    >>> conv_transpose3d(gc.zeros((1, 2, 3, 3, 3)), gc.zeros((2, 4, 2, 2, 2))).type
    f32[1,4,4,4,4]
    """
    return _transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def _transposed(
    what: str,
    axes: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Tensor:
    y, w, missing = _operands(what, axes, input, weight)
    count = _groups(what, groups, y.shape[1], "input channels")
    require_equal(what, y.shape[1], w.shape[0], f"(channels) of {y.type} and {w.type}")
    strides = per_axis(what, "stride", stride, axes, least=1)
    dilations = per_axis(what, "dilation", dilation, axes, least=1)
    pads = per_axis(what, "padding", padding, axes)
    extra = per_axis(what, "output_padding", output_padding, axes)
    for e, s, d in zip(extra, strides, dilations, strict=True):
        if e >= max(s, d):
            raise ShapeError(
                f"{what}: output_padding {e} is not below the stride {s} or the dilation {d}",
                user_location(),
            )
    spatial = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, k, s, d, p, e in zip(
            y.shape[2:], w.shape[2:], strides, dilations, pads, extra, strict=True
        )
    )
    problem = f"the result of {y.type} and {w.type} would have the size {list(spatial)}"
    require(what, *(at_least(n, 1, problem) for n in spatial))
    after = tuple(p - e for p, e in zip(pads, extra, strict=True))
    op = ConvolutionInput(strides, dilations, pads, after, count, spatial=spatial)
    return unbatched(_biased(what, build(op, (y, w)), bias), missing)
