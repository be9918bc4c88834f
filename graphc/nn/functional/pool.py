"""Pooling as functions, with PyTorch's names and arguments: reductions over windows, which are
views (`graphc/ir/ops/window.py`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import integer
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw, reductions
from graphc.functions.creation import number
from graphc.functions.shaping import part, reshape
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.op import Number
from graphc.ir.ops.pooling import ReduceFirstMax
from graphc.ir.ops.reduction import ReduceSum, lowest
from graphc.ir.ops.window import Window, along
from graphc.ir.requirement import at_least
from graphc.nn.functional.sliding import images, per_axis, unbatched

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


class Windows(NamedTuple):
    """The windows that pooling folds: elements, and the axes along a window."""

    elements: Tensor
    axes: tuple[int, ...]


def trailing(elements: Tensor, axes: int) -> Windows:
    """Windows whose places are the last axes; they become one axis."""
    kept = elements.shape[: elements.ndim - axes]
    places = dim.product(elements.shape[len(kept) :])
    return Windows(reshape(elements, (*kept, places)), (len(kept),))


class PoolWindows:
    """The windows of one call: what slides, by how much, and over how many positions."""

    def __init__(
        self,
        what: str,
        axes: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: Any,
    ) -> None:
        self.what, self.axes, self.ceil = what, axes, bool(ceil_mode)
        self.kernel = per_axis(what, "kernel_size", kernel_size, axes, least=1)
        empty = stride is None or (isinstance(stride, list | tuple) and not stride)
        self.strides = self.kernel if empty else per_axis(what, "stride", stride, axes, least=1)
        self.padding = per_axis(what, "padding", padding, axes)
        self.dilations = per_axis(what, "dilation", dilation, axes, least=1)
        for p, k in zip(self.padding, self.kernel, strict=True):
            if 2 * p > k:
                raise ShapeError(
                    f"{what}: padding {self.padding} is more than half of kernel_size "
                    f"{self.kernel}",
                    user_location(),
                )

    def after(self, axis: int, size: Size) -> Size:
        """Padding after an axis: with `ceil_mode`, up to the end of the last window, which must
        begin inside the input or the padding before it."""
        stride, p = self.strides[axis], self.padding[axis]
        if not self.ceil:
            return p
        reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        most = dim.floordiv(size + 2 * p - reach + stride - 1, stride) + 1
        count = dim.minimum(most, dim.floordiv(size + p - 1, stride) + 1)
        return (count - 1) * stride + reach - size - p

    def windows(self, x: Tensor, value: Number) -> Windows:
        """The windows over x; `value` outside of x."""
        apart = self.kernel == self.strides and all(d == 1 for d in self.dilations)
        if apart and not self.ceil and not any(self.padding):
            self.check(x, self.padding)
            return tiles(x, self.kernel)
        after = tuple(self.after(a, n) for a, n in enumerate(x.shape[2:]))
        op = Window(self.strides, self.dilations, self.padding, after, value)
        self.check(x, after)
        return trailing(build(op, (along(x, self.kernel),)), len(self.kernel))

    def check(self, x: Tensor, after: Shape) -> None:
        """Raises `ShapeError` for windows that do not fit."""
        for a, size in enumerate(x.shape[2:]):
            room = size + self.padding[a] + after[a]
            problem = (
                f"kernel_size {self.kernel} (dilation {self.dilations}) does not fit into input "
                f"{x.type} with padding {self.padding}"
            )
            least = self.dilations[a] * (self.kernel[a] - 1) + 1
            require(self.what, at_least(room, least, problem))

    def counts(self, x: Tensor, axis: int, padded: bool) -> Tensor:
        """The number of elements of each window along an axis, with the padding if `padded`, but
        without what `ceil_mode` adds."""
        size, p = x.shape[2 + axis], self.padding[axis]
        inside = size + 2 * p if padded else size
        before = 0 if padded else p
        after = self.after(axis, size) - (p if padded else 0)
        op = Window((self.strides[axis],), (self.dilations[axis],), (before,), (after,), 0)
        ones = build(op, (along(number(1.0, x.dtype, (inside,)), (self.kernel[axis],)),))
        total = build(ReduceSum((1,)), (ones,))
        return reshape(total, (*total.shape, *(1,) * (self.axes - 1 - axis)))


def tiles(x: Tensor, kernel: tuple[int, ...]) -> Windows:
    """Windows that neither overlap nor leave gaps, by reshaping: a position and a place of the
    window for each axis of x, so that elements keep their order."""
    axes, shape = len(kernel), list(x.shape[:2])
    for a, k in enumerate(kernel):
        count = dim.floordiv(x.shape[2 + a], k)
        if count * k != x.shape[2 + a]:
            x = part(x, 2 + a, 0, count * k)
        shape += [count, k]
    return Windows(reshape(x, tuple(shape)), tuple(range(3, 3 + 2 * axes, 2)))


def largest(windows: Windows) -> Tensor:
    """The first maximum of each window."""
    out: Tensor = build(ReduceFirstMax(windows.axes), (windows.elements,))
    return out


def sums(windows: Windows) -> Tensor:
    return reductions.sum(windows.elements, windows.axes, dtype=windows.elements.dtype)


def _max_pool(
    what: str,
    axes: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
) -> Tensor:
    no_indices(what, return_indices)
    x, missing = images(what, input, axes, numbers=True)
    pool = PoolWindows(what, axes, kernel_size, stride, padding, dilation, ceil_mode)
    return unbatched(largest(pool.windows(x, lowest(x.dtype))), missing)


def no_indices(what: str, return_indices: Any) -> None:
    if return_indices:
        raise GraphError(
            f"{what}: return_indices is not supported; expected False", user_location()
        )


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window over `input` [n, c, l]; see `max_pool2d`.

    >>> import graphc as gc
    >>> max_pool1d(gc.zeros((2, 3, 8)), 3, stride=2).type
    f32[2,3,3]
    """
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window over `input` [n, c, h, w] (or [c, h, w]).

    `stride` is by default `kernel_size`; padding counts as the least value of the type.  Of
    elements that tie, the first gets the gradient; NaN is larger than all.  `return_indices=True`
    raises `GraphError`; arguments that do not fit, `ShapeError` and `DTypeError`.

    >>> import graphc as gc
    >>> max_pool2d(gc.zeros((5, 8, 28, 28)), 2).type
    f32[5,8,14,14]
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest element of each window over `input` [n, c, d, h, w]; see `max_pool2d`.

    >>> import graphc as gc
    >>> max_pool3d(gc.zeros((1, 2, 4, 4, 4)), 2).type
    f32[1,2,2,2,2]
    """
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def _avg_pool(
    what: str,
    axes: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Tensor:
    x, missing = images(what, input, axes)
    pool = PoolWindows(what, axes, kernel_size, stride, padding, 1, ceil_mode)
    total = sums(pool.windows(x, 0))
    if divisor_override is not None:
        divisor = integer(what, "divisor_override", divisor_override)
        if divisor == 0:
            raise GraphError(f"{what}: divisor_override is 0", user_location())
        return unbatched(pw.divide(total, float(divisor)), missing)
    uniform = not pool.ceil and (count_include_pad or not any(pool.padding))
    if uniform:
        count = 1
        for k in pool.kernel:
            count *= k
        return unbatched(pw.divide(total, float(count)), missing)
    for a in range(axes):
        total = pw.divide(total, pool.counts(x, a, bool(count_include_pad)))
    return unbatched(total, missing)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window over `input` [n, c, l]; see `avg_pool2d`.

    >>> import graphc as gc
    >>> avg_pool1d(gc.zeros((2, 3, 8)), 2).type
    f32[2,3,4]
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window over `input` [n, c, h, w] (or [c, h, w]).

    The sum is divided by `divisor_override`, else by the number of elements of the window: zeros of
    the padding count with `count_include_pad`, what `ceil_mode` adds never does.  Raises
    `ShapeError`, `DTypeError` and `GraphError` for arguments that do not fit.

    >>> import graphc as gc
    >>> avg_pool2d(gc.zeros((5, 8, 7, 7)), 2, ceil_mode=True).type
    f32[5,8,4,4]
    """
    return _avg_pool(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window over `input` [n, c, d, h, w]; see `avg_pool2d`.

    >>> import graphc as gc
    >>> avg_pool3d(gc.zeros((1, 2, 4, 4, 4)), 2).type
    f32[1,2,2,2,2]
    """
    return _avg_pool(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def _lp_pool(
    what: str, axes: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any
) -> Tensor:
    p = float(norm_type)
    if not p > 0.0:
        raise GraphError(
            f"{what}: norm_type is {norm_type}; expected a number above 0", user_location()
        )
    x, missing = images(what, input, axes)
    pool = PoolWindows(what, axes, kernel_size, stride, 0, 1, ceil_mode)
    total = sums(pool.windows(pw.pow(x, p), 0))
    flat = pw.less_equal(total, 0.0)  # where the gradient is 0, too, as that of a norm
    root = pw.pow(pw.where(flat, 1.0, total), 1.0 / p)
    return unbatched(pw.where(flat, 0.0, root), missing)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p)**(1/p) of each window over `input` [n, c, l], p being `norm_type`.

    >>> import graphc as gc
    >>> lp_pool1d(gc.zeros((2, 3, 8)), 2.0, 2).type
    f32[2,3,4]
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x**p)**(1/p) of each window over `input` [n, c, h, w], p being `norm_type`; 0 where
    the sum is negative.  Raises `ShapeError`, `DTypeError` and `GraphError`.

    >>> import graphc as gc
    >>> lp_pool2d(gc.zeros((5, 8, 7, 7)), 2.0, 2).type
    f32[5,8,3,3]
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)
