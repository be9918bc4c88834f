"""Padding, patches and pixels moved between channels and space: views, with PyTorch's names."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import integer, known_size, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions.joining import concat
from graphc.functions.shaping import flip, part, permute_dims, reshape
from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.ops.reduction import Broadcast, ReduceSum
from graphc.ir.ops.shape import Pad
from graphc.ir.ops.window import Unwindow, Window, along, positions
from graphc.ir.requirement import at_least, equal, multiple
from graphc.nn.functional.sliding import images, per_axis, sizes_per_axis, unbatched

__all__ = ["fold", "pad", "pixel_shuffle", "pixel_unshuffle", "unfold"]

MAX_SIZE = (1 << 62) - 1  # of an axis
PADDING_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements added before and after the last axes: `pad` is (before, after) of the last axis,
    then of the one before it, and so on; negative numbers crop.

    `mode` is "constant" (`value`, by default 0), "reflect" (mirrored, the edge not repeated; less
    than the size of the axis), "replicate" (the edge repeated) or "circular" (from the other end;
    at most the size).  Unlike PyTorch, every mode takes any number of axes.  Raises `ShapeError`
    and `GraphError`.

    >>> import graphc as gc
    >>> pad(gc.zeros((2, 3)), (1, 2), mode="replicate").type
    f32[2,6]
    """
    x = tensor("pad", input)
    pairs = _pairs(x, pad)
    if mode not in PADDING_MODES:
        raise GraphError(
            f"pad: mode {mode!r}: expected one of {', '.join(PADDING_MODES)}", user_location()
        )
    if mode == "constant":
        return _constant(x, pairs, value)
    if value is not None and value != 0:
        raise GraphError(f"pad: mode {mode!r} takes no value, got {value!r}", user_location())
    for axis, (before, after) in pairs.items():
        x = _extended(x, axis, before, after, mode)
    return x


def _pairs(x: Tensor, pad: Any) -> dict[int, tuple[Size, Size]]:
    """Axis -> (before, after), where either is not 0."""
    given = list(pad) if isinstance(pad, list | tuple) else [pad]
    if len(given) % 2 or len(given) > 2 * x.ndim:
        raise ShapeError(
            f"pad: pad {pad} does not fit {x.type}; expected (before, after) of the "
            "last axis, then of the one before it",
            user_location(),
        )
    widths = [w if isinstance(w, Dim) else integer("pad", "pad", w) for w in given]
    pairs = {x.ndim - 1 - i // 2: (widths[i], widths[i + 1]) for i in range(0, len(widths), 2)}
    for axis, (before, after) in pairs.items():
        size = x.shape[axis] + before + after
        problem = f"pad {pad} makes axis {axis} of {x.type} have size {size}"
        require("pad", at_least(size, 0, problem), at_least(MAX_SIZE, size, problem))
    return {axis: pair for axis, pair in pairs.items() if pair != (0, 0)}


def _constant(x: Tensor, pairs: dict[int, tuple[Size, Size]], value: float | None) -> Tensor:
    number = 0 if value is None else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise GraphError(f"pad: value must be a number, got {value!r}", user_location())
    if not x.dtype.is_float and number != int(number):
        raise GraphError(f"pad: value {number} is no {x.dtype}", user_location())
    fill = float(number) if x.dtype.is_float else int(number)
    tensor("pad", fill, x.dtype)  # refuses what does not fit
    low = tuple(pairs.get(a, (0, 0))[0] for a in range(x.ndim))
    high = tuple(pairs.get(a, (0, 0))[1] for a in range(x.ndim))
    return build(Pad(low, high, fill), (x,)) if pairs else x


def _extended(x: Tensor, axis: int, before: Size, after: Size, mode: str) -> Tensor:
    """An axis cropped where a width is negative, and continued where it is positive."""
    crop = [min(w, 0) if isinstance(w, int) else 0 for w in (before, after)]
    if any(crop):
        x = part(x, axis, -crop[0], x.shape[axis] + crop[0] + crop[1])
    size, sides = x.shape[axis], []
    for width, at_start in ((before, True), (after, False)):
        if isinstance(width, int) and width <= 0:
            continue
        _check_width(x, axis, width, mode)
        sides.append((at_start, _side(x, axis, size, width, mode, at_start)))
    parts = [s for first, s in sides if first] + [x] + [s for first, s in sides if not first]
    return concat(parts, axis) if len(parts) > 1 else x


def _side(x: Tensor, axis: int, size: Size, width: Size, mode: str, start: bool) -> Tensor:
    """The elements that continue an axis at one end."""
    if mode == "replicate":
        edge = part(x, axis, 0 if start else size - 1, 1)
        shape = tuple(width if a == axis else n for a, n in enumerate(x.shape))
        kept = tuple(a for a in range(x.ndim) if a != axis)
        line = reshape(edge, tuple(x.shape[a] for a in kept))
        return build(Broadcast(kept, shape), (line,))
    if mode == "circular":
        return part(x, axis, size - width if start else 0, width)
    return flip(part(x, axis, 1 if start else size - width - 1, width), axis)


def _check_width(x: Tensor, axis: int, width: Size, mode: str) -> None:
    """Requires no more padding than the axis can give."""
    size = x.shape[axis]
    room = {"reflect": size - 1, "circular": size, "replicate": width}[mode]
    problem = f"mode {mode!r} cannot add {width} elements to axis {axis} of {x.type}"
    require("pad", at_least(room, width, problem), at_least(size, 1, problem))


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """[..., c * r * r, h, w] -> [..., c, h * r, w * r]: channels become pixels.

    Raises `ShapeError` for channels that r * r does not divide.

    >>> import graphc as gc
    >>> pixel_shuffle(gc.zeros((1, 8, 4, 4)), 2).type
    f32[1,2,8,8]
    """
    x, r = _pixels("pixel_shuffle", input, "upscale_factor", upscale_factor)
    lead, (c, h, w) = x.shape[:-3], x.shape[-3:]
    problem = f"{c} channels of {x.type} are no multiple of {r * r}"
    require("pixel_shuffle", multiple(c, r * r, problem))
    n = len(lead)
    split = reshape(x, (*lead, dim.floordiv(c, r * r), r, r, h, w))
    moved = permute_dims(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(moved, (*lead, dim.floordiv(c, r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """[..., c, h * r, w * r] -> [..., c * r * r, h, w]: the inverse of `pixel_shuffle`.

    >>> import graphc as gc
    >>> pixel_unshuffle(gc.zeros((1, 2, 8, 8)), 2).type
    f32[1,8,4,4]
    """
    x, r = _pixels("pixel_unshuffle", input, "downscale_factor", downscale_factor)
    lead, (c, h, w) = x.shape[:-3], x.shape[-3:]
    for size in (h, w):
        problem = f"size {size} of {x.type} is no multiple of {r}"
        require("pixel_unshuffle", multiple(size, r, problem))
    n, down = len(lead), (dim.floordiv(h, r), dim.floordiv(w, r))
    split = reshape(x, (*lead, c, down[0], r, down[1], r))
    moved = permute_dims(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(moved, (*lead, c * r * r, *down))


def _pixels(what: str, input: Any, argument: str, factor: Any) -> tuple[Tensor, int]:
    x = tensor(what, input)
    if x.ndim < 3:
        raise ShapeError(
            f"{what}: input {x.type} has rank {x.ndim}; expected at least 3, [..., c, h, w]",
            user_location(),
        )
    return x, per_axis(what, argument, factor, 1, least=1)[0]


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows over `input` [n, c, h, w] as columns: [n, c * kh * kw, positions].

    Raises `ShapeError` for arguments that do not fit.

    >>> import graphc as gc
    >>> unfold(gc.zeros((1, 3, 6, 6)), 3).type
    f32[1,27,16]
    """
    x, missing = images("unfold", input, 2, numbers=True)
    kernel, dilations, pads, strides = _geometry("unfold", kernel_size, dilation, padding, stride)
    for n, k, d, p in zip(x.shape[2:], kernel, dilations, pads, strict=True):
        problem = f"kernel_size {kernel} (dilation {dilations}) does not fit into {x.type}"
        require("unfold", at_least(n + 2 * p, d * (k - 1) + 1, f"{problem} with padding {pads}"))
    windows = build(Window(strides, dilations, pads, pads, 0), (along(x, kernel),))
    n, c, oh, ow, kh, kw = windows.shape
    moved = permute_dims(windows, (0, 1, 4, 5, 2, 3))
    return unbatched(reshape(moved, (n, c * kh * kw, oh * ow)), missing)


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The adjoint of `unfold`: columns [n, c * kh * kw, positions] added up where they came from,
    [n, c, *output_size].  Raises `ShapeError` for arguments that do not fit.

    >>> import graphc as gc
    >>> fold(gc.zeros((1, 27, 16)), 6, 3).type
    f32[1,3,6,6]
    """
    x, missing = images("fold", input, 1, numbers=True)
    kernel, dilations, pads, strides = _geometry("fold", kernel_size, dilation, padding, stride)
    spatial = sizes_per_axis("fold", "output_size", output_size, 2)
    taps = kernel[0] * kernel[1]
    rows = known_size("fold", x, 1)
    counts = tuple(
        positions(n, k, s, d, 2 * p)
        for n, k, s, d, p in zip(spatial, kernel, strides, dilations, pads, strict=True)
    )
    problem = (
        f"input {x.type} is not [n, c * {taps}, {counts[0] * counts[1]}], as output_size {spatial} "
        f"and kernel_size {kernel} want"
    )
    require("fold", multiple(rows, taps, problem), *(at_least(c, 1, problem) for c in counts))
    require("fold", equal(counts[0] * counts[1], x.shape[2], problem))
    split = reshape(x, (x.shape[0], rows // taps, *kernel, *counts))
    moved = permute_dims(split, (0, 1, 4, 5, 2, 3))
    spread = build(Unwindow(strides, dilations, pads, spatial), (moved,))
    return unbatched(build(ReduceSum((4, 5)), (spread,)), missing)


def _geometry(
    what: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return (
        per_axis(what, "kernel_size", kernel_size, 2, least=1),
        per_axis(what, "dilation", dilation, 2, least=1),
        per_axis(what, "padding", padding, 2),
        per_axis(what, "stride", stride, 2, least=1),
    )
