"""Images of another size, with PyTorch's `interpolate`: one axis after the other."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, build
from graphc.functions import pointwise as pw
from graphc.functions.creation import iota, size_tensor
from graphc.functions.shaping import reshape
from graphc.ir.dim import Shape, Size
from graphc.ir.ops.gather import Take
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.requirement import at_least
from graphc.ir.types import DType, f32, f64, i64
from graphc.nn.functional.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from graphc.nn.functional.sliding import images, sizes_per_axis, unbatched

__all__ = ["interpolate"]

AXES_OF_MODE = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
RESAMPLING_MODES = ("nearest", "nearest-exact", *AXES_OF_MODE, "area")
CUBIC_COEFFICIENT = -0.75  # `a` of the cubic convolution (Keys 1981), as in PyTorch


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` [n, c, *spatial] at another spatial `size`, or at `scale_factor` times its size
    (rounded down); ints and floats, or one for each axis.

    `mode` is "nearest" (PyTorch's, which rounds down), "nearest-exact", "linear" (1 spatial axis),
    "bilinear", "bicubic" (2), "trilinear" (3) or "area" (adaptive mean).  With `align_corners`
    (linear and cubic modes), the corner elements keep their values.  Positions use the given scale
    factor, unless `recompute_scale_factor`.  `antialias=True` raises `GraphError`; so do wrong
    words; sizes that do not fit raise `ShapeError`.

    >>> import graphc as gc
    >>> interpolate(gc.zeros((1, 3, 4, 5)), scale_factor=2, mode="bilinear").type
    f32[1,3,8,10]
    """
    x, missing = _operand(input)
    axes = x.ndim - 2
    _check_mode(x, axes, mode, align_corners, antialias)
    sizes, scales = _targets(x, axes, size, scale_factor)
    if recompute_scale_factor:
        if size is not None:
            raise GraphError(
                "interpolate: recompute_scale_factor needs scale_factor, not size", user_location()
            )
        scales = (None,) * axes
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[axes - 1]
        return unbatched(pool(x, sizes), missing)
    for a in range(axes):
        x = _Axis(x, 2 + a, sizes[a], scales[a], bool(align_corners)).resampled(mode)
    return unbatched(x, missing)


def _operand(input: Any) -> tuple[Tensor, bool]:
    rank = getattr(input, "ndim", 4)
    return images("interpolate", input, min(max(int(rank) - 2, 1), 3))


def _check_mode(
    x: Tensor, axes: int, mode: Any, align_corners: bool | None, antialias: bool
) -> None:
    if mode not in RESAMPLING_MODES:
        raise GraphError(
            f"interpolate: mode {mode!r}: expected one of {', '.join(RESAMPLING_MODES)}",
            user_location(),
        )
    if AXES_OF_MODE.get(mode, axes) != axes:
        raise ShapeError(
            f"interpolate: mode {mode!r} wants {AXES_OF_MODE[mode]} spatial axes, input "
            f"{x.type} has {axes}",
            user_location(),
        )
    if align_corners is not None and mode not in AXES_OF_MODE:
        raise GraphError(f"interpolate: mode {mode!r} takes no align_corners", user_location())
    if antialias:
        raise GraphError("interpolate: antialias is not supported; expected False", user_location())


def _targets(
    x: Tensor, axes: int, size: Any, scale_factor: Any
) -> tuple[Shape, tuple[float | None, ...]]:
    """The sizes of the result, and the scales that were given."""
    if (size is None) == (scale_factor is None):
        raise GraphError("interpolate: expected one of size and scale_factor", user_location())
    for n in x.shape[2:]:
        if n == 0:
            raise ShapeError(f"interpolate: input {x.type} has an empty axis", user_location())
    if size is not None:
        return sizes_per_axis("interpolate", "size", size, axes), (None,) * axes
    given = scale_factor if isinstance(scale_factor, list | tuple) else (scale_factor,) * axes
    if len(given) != axes:
        raise ShapeError(
            f"interpolate: scale_factor {scale_factor} has {len(given)} values; expected {axes}",
            user_location(),
        )
    scales = [float(s) for s in given]
    if not all(0.0 < s < 1e9 for s in scales):
        raise ShapeError(
            f"interpolate: scale_factor is {scale_factor}; expected above 0", user_location()
        )
    sizes = tuple(_scaled(x, n, s) for n, s in zip(x.shape[2:], scales, strict=True))
    return sizes, tuple(scales)


def _scaled(x: Tensor, size: Size, scale: float) -> Size:
    if isinstance(size, int):
        return _any_left(x, math.floor(size * scale), scale)
    top, bottom = scale.as_integer_ratio()
    if bottom > 1 << 20:
        raise ShapeError(
            f"interpolate: scale_factor {scale} of a symbolic size must be a simple "
            "fraction, such as 0.5; or give size",
            user_location(),
        )
    return _any_left(x, size * top // bottom, scale)


def _any_left(x: Tensor, size: Size, scale: float) -> Size:
    """The new size, which must not be 0."""
    problem = f"scale_factor {scale} leaves nothing of {x.type}"
    require("interpolate", at_least(size, 1, problem))
    return size


class _Axis:
    """One axis on its way to another size."""

    def __init__(
        self, x: Tensor, axis: int, count: Size, scale: float | None, corners: bool
    ) -> None:
        self.x, self.axis, self.count, self.corners = x, axis, count, corners
        self.size: Size = x.shape[axis]
        self.given = scale
        self.real: DType = f64 if x.dtype == f64 else f32

    def resampled(self, mode: str) -> Tensor:
        """The tensor at the new size of the axis."""
        if mode == "nearest":
            return self.nearest(0.0)
        if mode == "nearest-exact":
            return self.nearest(0.5)
        if self.size == self.count and (self.given is None or self.given == 1.0):
            return self.x
        return self.cubic() if mode == "bicubic" else self.linear()

    def number(self, size: Size) -> Tensor:
        return size_tensor(size, self.real)

    def places(self) -> Tensor:
        """0, 1, ... as reals."""
        return pw.astype(iota((self.count,), 0), self.real)

    def step(self) -> Tensor | float:
        """The distance in the input between neighbours of the result."""
        if self.given is not None:
            return 1.0 / self.given
        if isinstance(self.size, int) and isinstance(self.count, int):
            return self.size / self.count
        return pw.divide(self.number(self.size), self.number(self.count))

    def nearest(self, offset: float) -> Tensor:
        """Element floor((i + offset) * step); whole factors repeat elements."""
        size, count = self.size, self.count
        whole = self.given if self.given is not None else None
        if whole is None and isinstance(size, int) and isinstance(count, int):
            whole = count / size
        if whole is not None and whole == int(whole) and count == size * int(whole):
            return self.repeated(int(whole))
        at = pw.floor(pw.multiply(pw.add(self.places(), offset), self.step()))
        return self.take(self.clamped(pw.astype(at, i64)))

    def repeated(self, times: int) -> Tensor:
        shape = self.x.shape
        axes = tuple(a for a in range(len(shape) + 1) if a != self.axis + 1)
        grown = (*shape[: self.axis + 1], times, *shape[self.axis + 1 :])
        out: Tensor = build(Broadcast(axes, grown), (self.x,))
        return reshape(out, (*shape[: self.axis], self.count, *shape[self.axis + 1 :]))

    def clamped(self, at: Tensor) -> Tensor:
        """Indices moved into the axis."""
        last = size_tensor(self.size - 1, i64)
        return pw.maximum(pw.minimum(at, last), 0)

    def take(self, at: Tensor) -> Tensor:
        out: Tensor = build(Take(self.axis), (self.x, at))
        return out

    def sources(self) -> Tensor:
        """The positions in the input of the elements of the result."""
        places = self.places()
        if not self.corners:
            return pw.subtract(pw.multiply(pw.add(places, 0.5), self.step()), 0.5)
        if isinstance(self.size, int) and isinstance(self.count, int):
            return pw.multiply(places, (self.size - 1) / max(self.count - 1, 1))
        gaps = pw.maximum(self.number(self.count - 1), 1.0)
        return pw.multiply(places, pw.divide(self.number(self.size - 1), gaps))

    def column(self, weights: Tensor) -> Tensor:
        """Weights of positions, shaped to multiply the result."""
        after = self.x.ndim - 1 - self.axis
        cast = pw.astype(weights, self.x.dtype)
        return reshape(cast, (self.count, *(1,) * after))

    def linear(self) -> Tensor:
        at = pw.maximum(self.sources(), 0.0)
        below = pw.floor(at)
        share = pw.subtract(at, below)
        index = pw.astype(below, i64)
        first, second = self.take(self.clamped(index)), self.take(self.clamped(pw.add(index, 1)))
        return pw.add(
            pw.multiply(first, self.column(pw.subtract(1.0, share))),
            pw.multiply(second, self.column(share)),
        )

    def cubic(self) -> Tensor:
        """Cubic convolution over four neighbours, those outside clamped to the edge."""
        at = self.sources()
        below = pw.floor(at)
        t = pw.subtract(at, below)
        index = pw.astype(below, i64)
        rest = pw.subtract(1.0, t)
        weights = (_far(pw.add(t, 1.0)), _near(t), _near(rest), _far(pw.add(rest, 1.0)))
        total: Any = None
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            tap = self.take(self.clamped(pw.add(index, offset)))
            term = pw.multiply(tap, self.column(weight))
            total = term if total is None else pw.add(total, term)
        out: Tensor = total
        return out


def _near(t: Tensor) -> Tensor:
    """The cubic kernel for distances up to 1: (a + 2) t^3 - (a + 3) t^2 + 1."""
    inner = pw.subtract(pw.multiply(t, CUBIC_COEFFICIENT + 2.0), CUBIC_COEFFICIENT + 3.0)
    return pw.add(pw.multiply(pw.multiply(inner, t), t), 1.0)


def _far(t: Tensor) -> Tensor:
    """The cubic kernel for distances from 1 to 2: a t^3 - 5a t^2 + 8a t - 4a."""
    inner = pw.multiply(pw.subtract(t, 5.0), CUBIC_COEFFICIENT)
    inner = pw.add(pw.multiply(inner, t), 8.0 * CUBIC_COEFFICIENT)
    return pw.subtract(pw.multiply(inner, t), 4.0 * CUBIC_COEFFICIENT)
