"""Adaptive pooling as functions, with PyTorch's names: windows that share an axis out evenly."""

from __future__ import annotations

from typing import Any

from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw, reductions
from graphc.functions.creation import number
from graphc.functions.shaping import permute_dims, reshape
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.op import Number
from graphc.ir.ops.reduction import ReduceSum, lowest
from graphc.ir.ops.window import Adaptive, along
from graphc.ir.requirement import at_least
from graphc.nn.functional.pool import Windows, largest, no_indices, sums, tiles, trailing
from graphc.nn.functional.sliding import images, sizes_per_axis, unbatched

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def _counts(what: str, x: Tensor, output_size: Any, axes: int) -> Shape:
    """The sizes of the result; None stands for the input's."""
    spatial = x.shape[2:]
    given = output_size if isinstance(output_size, list | tuple) else (output_size,) * axes
    if len(given) == axes:
        given = [n if v is None else v for v, n in zip(given, spatial, strict=True)]
    problem = f"input {x.type} has an empty spatial axis"
    require(what, *(at_least(n, 1, problem) for n in spatial))
    return sizes_per_axis(what, "output_size", list(given), axes)


def longest(size: Size, count: Size) -> Size:
    """A bound on the elements of the longest of `count` windows over `size`."""
    if isinstance(size, int) and isinstance(count, int):
        return max(-(-(o + 1) * size // count) - o * size // count for o in range(count))
    if size == count:
        return 1
    safe = count if isinstance(count, int) else dim.maximum(count, 1)
    return dim.floordiv(size + safe - 1, safe) + 1


def _even(x: Tensor, counts: Shape) -> Windows | None:
    """The windows as a reshape, if all have one known length; else None."""
    steps: list[int] = []
    for n, m in zip(x.shape[2:], counts, strict=True):
        step = 1 if n == m else dim.floordiv(n, m)
        if not isinstance(step, int) or step * m != n:
            return None
        steps.append(step)
    return tiles(x, tuple(steps))


def _windows(x: Tensor, counts: Shape, value: Number) -> Windows:
    """[n, c, *counts, *window]; `value` where a window is shorter than the longest."""
    pairs = list(zip(x.shape[2:], counts, strict=True))
    window = tuple(longest(n, m) for n, m in pairs)
    shares = tuple(longest(m, n) for n, m in pairs)
    return trailing(build(Adaptive(counts, window, value), (along(x, shares),)), len(counts))


def _lengths(x: Tensor, counts: Shape, axis: int) -> Tensor:
    """The number of elements of each window along an axis."""
    n, m = x.shape[2 + axis], counts[axis]
    ones = along(number(1.0, x.dtype, (n,)), (longest(m, n),))
    total = build(ReduceSum((1,)), (build(Adaptive((m,), (longest(n, m),), 0), (ones,)),))
    return reshape(total, (*total.shape, *(1,) * (len(counts) - 1 - axis)))


def _adaptive_avg(what: str, axes: int, input: Any, output_size: Any) -> Tensor:
    x, missing = images(what, input, axes)
    counts = _counts(what, x, output_size, axes)
    if all(n == 1 for n in counts):
        last = tuple(range(2, 2 + axes))
        return unbatched(reductions.mean(x, last, keepdims=True), missing)
    windows = _even(x, counts)
    if windows is not None:
        count = dim.product(tuple(windows.elements.shape[a] for a in windows.axes))
        total = pw.divide(sums(windows), float(dim.evaluate(count, {})))
        return unbatched(total, missing)
    total = x
    for a in reversed(range(axes)):
        if x.shape[2 + a] != counts[a]:
            total = pw.divide(_summed(total, 2 + a, counts[a]), _lengths(x, counts, a))
    return unbatched(total, missing)


def _summed(x: Tensor, axis: int, count: Size) -> Tensor:
    """The sums of windows along one axis."""
    size, last = x.shape[axis], x.ndim - 1
    order = (*(a for a in range(x.ndim) if a != axis), axis)
    shared = along(permute_dims(x, order), (longest(count, size),))
    total = sums(trailing(build(Adaptive((count,), (longest(size, count),), 0), (shared,)), 1))
    return permute_dims(total, (*range(axis), last, *range(axis, last)))


def _adaptive_max(
    what: str, axes: int, input: Any, output_size: Any, return_indices: Any
) -> Tensor:
    no_indices(what, return_indices)
    x, missing = images(what, input, axes, numbers=True)
    counts = _counts(what, x, output_size, axes)
    windows = _even(x, counts)
    if windows is None:
        windows = _windows(x, counts, lowest(x.dtype))
    return unbatched(largest(windows), missing)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """The means of `output_size` windows over `input` [n, c, l]; see `adaptive_avg_pool2d`.

    >>> import graphc as gc
    >>> adaptive_avg_pool1d(gc.zeros((2, 3, 8)), 3).type
    f32[2,3,3]
    """
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """The means of windows over `input` [n, c, h, w], as many as `output_size` says (a size, or
    one for each axis; None: the input's).  Window i of m over n elements has those from i*n // m
    to below (i+1)*n / m.  With `output_size` 1 it is global pooling.

    Raises `ShapeError` and `DTypeError` for arguments that do not fit.

    >>> import graphc as gc
    >>> adaptive_avg_pool2d(gc.zeros((5, 8, 7, 7)), (3, None)).type
    f32[5,8,3,7]
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Tensor:
    """The means of windows over `input` [n, c, d, h, w]; see `adaptive_avg_pool2d`.

    >>> import graphc as gc
    >>> adaptive_avg_pool3d(gc.zeros((1, 2, 4, 4, 4)), 2).type
    f32[1,2,2,2,2]
    """
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
    """The largest elements of windows over `input` [n, c, l]; see `adaptive_max_pool2d`.

    >>> import graphc as gc
    >>> adaptive_max_pool1d(gc.zeros((2, 3, 8)), 3).type
    f32[2,3,3]
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
    """The largest elements of the windows of `adaptive_avg_pool2d`; ties as in `max_pool2d`.

    >>> import graphc as gc
    >>> adaptive_max_pool2d(gc.zeros((5, 8, 7, 7)), 2).type
    f32[5,8,2,2]
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Tensor:
    """The largest elements of windows over `input` [n, c, d, h, w]; see `adaptive_max_pool2d`.

    >>> import graphc as gc
    >>> adaptive_max_pool3d(gc.zeros((1, 2, 4, 4, 4)), 2).type
    f32[1,2,2,2,2]
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)
