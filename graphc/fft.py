"""Discrete Fourier transforms, under NumPy's names.

graphc has no complex types: a complex tensor is a float one whose last axis, of size 2, holds the
real and the imaginary part (`torch.view_as_real`).  `axis` and `axes` count the axes before it, so
`axis=-1` is the last axis of the complex tensor.  Any length: with small prime factors through one
mixed-radix kernel, else through Bluestein's convolution (Bluestein 1970); a symbolic length always
takes the kernel, whose cost grows with the largest prime factor.  Semantics 15.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import (
    Axis,
    axes_of,
    axis_of,
    converted,
    element_type,
    size_of,
    tensor,
)
from graphc.frontend.boundary import guard, require, short
from graphc.frontend.tensor import Tensor, as_tensor, build
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.creation import iota, size_tensor
from graphc.functions.joining import concat, stack
from graphc.functions.shaping import flip, moveaxis, part, reshape
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.fourier import Fft, roots
from graphc.ir.ops.shape import Pad
from graphc.ir.requirement import at_least, equal
from graphc.ir.types import DType, f32, f64, i64
from graphc.public import publish

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "irfft",
    "rfft",
    "rfftfreq",
]

LARGEST_FACTOR = 61  # prime factors above it go to Bluestein's convolution
STORED_ROOTS = 1 << 16  # the roots of longer transforms are computed in each run
NORMS = ("backward", "ortho", "forward")


def fft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform of complex x [..., 2] along one axis.

    `n` crops the axis or fills it up with zeros.  `norm` says which direction is divided by n:
    "backward" the inverse one, "forward" this one, "ortho" both, by its root.  Raises `ShapeError`,
    `DTypeError` (x must be f32 or f64), `GraphError`.

    >>> import graphc as gc
    >>> gc.fft.fft(gc.zeros((5, 12, 2)), n=8).type
    f32[5,8,2]
    """
    return _along("fft", x, n, axis, norm, False)


def ifft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`.

    >>> import graphc as gc
    >>> gc.fft.ifft(gc.zeros((5, 12, 2))).type
    f32[5,12,2]
    """
    return _along("ifft", x, n, axis, norm, True)


def rfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The first n // 2 + 1 elements of the transform of real x [...]: the others mirror them.

    `axis` counts the axes of x; the result has one more, of size 2.  Raises as `fft` does.

    >>> import graphc as gc
    >>> gc.fft.rfft(gc.zeros((5, 12))).type
    f32[5,7,2]
    """
    t = _floats("rfft", x)
    along = axis_of("fft.rfft", axis, t.ndim)
    z = _padded(reshape(t, (*t.shape, 1)), t.ndim, 2)
    z = _resized("rfft", z, along, n)
    whole = _whole("rfft", z, along, norm, False)
    return part(whole, along, 0, dim.floordiv(z.shape[along], 2) + 1)


def irfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`: real, of length `n`, by default 2 * (m - 1) for m elements along the
    axis.

    The imaginary parts of element 0 and, for even n, of element n // 2 count as 0.  Raises as
    `fft` does.

    >>> import graphc as gc
    >>> gc.fft.irfft(gc.zeros((5, 7, 2))).type
    f32[5,12]
    """
    t = _complex("irfft", x)
    along = axis_of("fft.irfft", axis, t.ndim - 1)
    length = 2 * (t.shape[along] - 1) if n is None else size_of("fft.irfft", "n", n)
    _not_empty("irfft", length)
    half = _resized("irfft", t, along, dim.floordiv(length, 2) + 1)
    tail = flip(part(half, along, 1, dim.floordiv(length + 1, 2) - 1), along)
    full = concat([half, pw.multiply(tail, _signs(t.dtype, 1.0, -1.0))], axis=along)
    return _whole("irfft", full, along, norm, True)[..., 0]


def fft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str = "backward") -> Tensor:
    """The transform of complex x [..., 2] along two axes, cropped or filled up to sizes `s`.

    >>> import graphc as gc
    >>> gc.fft.fft2(gc.zeros((5, 8, 8, 2))).type
    f32[5,8,8,2]
    """
    return _several("fft2", x, s, axes, norm, False)


def ifft2(x: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str = "backward") -> Tensor:
    """The inverse of `fft2`."""
    return _several("ifft2", x, s, axes, norm, True)


def fftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The transform of complex x [..., 2] along several axes (None: all, or the last of as many as
    `s` names)."""
    return _several("fftn", x, s, axes, norm, False)


def ifftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The inverse of `fftn`."""
    return _several("ifftn", x, s, axes, norm, True)


def fftshift(x: Any, axes: Axis = None, *, real: bool = False) -> Tensor:
    """Frequency 0 moved to the middle of complex x [..., 2], along axes (None: all); with `real`, x
    is an ordinary tensor, as `fftfreq` gives.

    >>> import graphc as gc
    >>> with gc.Session() as sess:
    ...     sess.run(gc.fft.fftshift(gc.fft.fftfreq(4), real=True))
    array([-0.5 , -0.25,  0.  ,  0.25], dtype=float32)
    """
    return _shifted("fftshift", x, axes, real, 1)


def ifftshift(x: Any, axes: Axis = None, *, real: bool = False) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, real, 0)


def fftfreq(n: Any, d: float = 1.0, dtype: Any = f32) -> Tensor:
    """The frequencies [n] that `fft` of n samples, `d` apart, tells of.

    >>> import graphc as gc
    >>> gc.fft.fftfreq(5).type
    f32[5]
    """
    size, kind = _line("fftfreq", n, dtype)
    k = iota((size,), 0, i64)
    middle = size_tensor(dim.floordiv(size + 1, 2), i64)
    turns = pw.where(pw.less(k, middle), k, pw.subtract(k, size_tensor(size, i64)))
    return pw.divide(converted(turns, kind), pw.multiply(size_tensor(size, kind), d))


def rfftfreq(n: Any, d: float = 1.0, dtype: Any = f32) -> Tensor:
    """The frequencies [n // 2 + 1] that `rfft` of n samples, `d` apart, tells of."""
    size, kind = _line("rfftfreq", n, dtype)
    k = iota((dim.floordiv(size, 2) + 1,), 0, kind)
    return pw.divide(k, pw.multiply(size_tensor(size, kind), d))


# ---- arguments ----


def _line(what: str, n: Any, dtype: Any) -> tuple[Size, DType]:
    size, kind = size_of(f"fft.{what}", "n", n), element_type(f"fft.{what}", dtype)
    _not_empty(what, size)
    if not kind.is_float:
        raise DTypeError(f"fft.{what}: dtype {kind} is no float type", user_location())
    return size, kind


def _floats(what: str, x: Any) -> Tensor:
    t = tensor(f"fft.{what}", x)
    if t.dtype not in (f32, f64):
        raise DTypeError(
            f"fft.{what}: x is {t.type}; expected element type f32 or f64. Use gc.astype to "
            "convert it",
            user_location(),
        )
    return t


def _complex(what: str, x: Any) -> Tensor:
    t = _floats(what, x)
    problem = (
        f"x is {t.type}; expected complex numbers: a last axis of size 2 (real and imaginary part) "
        "behind the others. Use gc.stack([re, im], axis=-1)"
    )
    if t.ndim < 2:
        raise ShapeError(f"fft.{what}: {problem}", user_location())
    require(f"fft.{what}", equal(t.shape[-1], 2, problem))
    return t


def _not_empty(what: str, n: Size) -> None:
    require(f"fft.{what}", at_least(n, 1, f"a transform of {n} elements; expected 1 or more"))


def _resized(what: str, t: Tensor, axis: int, n: Any) -> Tensor:
    """The axis cropped, or filled up with zeros, to length n."""
    size = t.shape[axis] if n is None else size_of(f"fft.{what}", "n", n)
    _not_empty(what, size)
    return _padded(t, axis, size)


def _padded(t: Tensor, axis: int, size: Size) -> Tensor:
    if size == t.shape[axis]:
        return t
    high = tuple(size - t.shape[a] if a == axis else 0 for a in range(t.ndim))
    return build(Pad((0,) * t.ndim, high, 0), (t,))


# ---- transforms ----


def _along(what: str, x: Any, n: Any, axis: Any, norm: str, inverse: bool) -> Tensor:
    t = _complex(what, x)
    along = axis_of(f"fft.{what}", axis, t.ndim - 1)
    return _whole(what, _resized(what, t, along, n), along, norm, inverse)


def _several(what: str, x: Any, s: Any, axes: Any, norm: str, inverse: bool) -> Tensor:
    t = _complex(what, x)
    sizes = None if s is None else list(s if isinstance(s, list | tuple) else [s])
    if axes is None:
        axes = range(t.ndim - 1) if sizes is None else range(-len(sizes), 0)
    places = [
        axis_of(f"fft.{what}", a, t.ndim - 1, "axes")
        for a in (axes if isinstance(axes, list | tuple | range) else [axes])
    ]
    wrong = what.endswith("2") and len(places) != 2
    if wrong or (sizes is not None and len(sizes) != len(places)):
        raise ShapeError(
            f"fft.{what}: axes {short(axes)} and s {short(s)}: expected as many sizes as axes"
            + (", which are two" if wrong else ""),
            user_location(),
        )
    for a, n in zip(places, sizes or [None] * len(places), strict=True):
        t = _whole(what, _resized(what, t, a, n), a, norm, inverse)
    return t


def _whole(what: str, t: Tensor, axis: int, norm: str, inverse: bool) -> Tensor:
    """The scaled transform of complex t along an axis."""
    if norm not in NORMS:
        raise GraphError(
            f"fft.{what}: norm must be 'backward', 'ortho' or 'forward', got {short(norm)}",
            user_location(),
        )
    n, last = t.shape[axis], t.ndim - 2
    out = moveaxis(_unscaled(moveaxis(t, axis, last), inverse), last, axis)
    if norm == "ortho":
        return pw.divide(out, el.sqrt(size_tensor(n, t.dtype)))
    return pw.divide(out, size_tensor(n, t.dtype)) if inverse == (norm == "backward") else out


def _unscaled(t: Tensor, inverse: bool) -> Tensor:
    n = t.shape[-2]
    if isinstance(n, int) and _rough(n):
        return _bluestein(t, n, inverse)
    return _kernel(t, inverse)


def _kernel(t: Tensor, inverse: bool) -> Tensor:
    n = t.shape[-2]
    return build(Fft(dim.product(t.shape[:-2]), n, inverse), (t, _roots(n, t.dtype)))


def _rough(n: int) -> bool:
    """Whether n has a prime factor that is too large for the kernel."""
    for p in range(2, LARGEST_FACTOR + 1):
        while n % p == 0:
            n //= p
    return n > 1


def _roots(n: Size, dtype: DType) -> Tensor:
    """The n-th roots of unity [n, 2]: a constant, or for unknown and large n, graph."""
    if isinstance(n, int) and n <= STORED_ROOTS:
        return as_tensor(roots(n).astype(dtype.numpy))
    return converted(_circle(iota((n,), 0, i64), n), dtype)


def _circle(k: Tensor, n: Size) -> Tensor:
    """exp(-2 pi i k / n), in f64."""
    angle = pw.multiply(pw.divide(converted(k, f64), size_tensor(n, f64)), -2 * math.pi)
    return stack([el.cos(angle), el.sin(angle)], axis=-1)


def _bluestein(t: Tensor, n: int, inverse: bool) -> Tensor:
    """j k = (j**2 + k**2 - (k - j)**2) / 2 makes a convolution of the transform, which two
    transforms of a power of two do."""
    size = 1 << (2 * n - 2).bit_length()
    chirp = _chirp(n, t.dtype)
    chirp = pw.multiply(chirp, _signs(t.dtype, 1.0, -1.0)) if inverse else chirp
    conjugate = pw.multiply(chirp, _signs(t.dtype, 1.0, -1.0))
    around = build(Pad((size - 2 * n + 1, 0), (0, 0), 0), (flip(conjugate[1:], 0),))
    spectrum = _kernel(concat([conjugate, around], axis=0), False)
    padded = _padded(_times(t, chirp), t.ndim - 2, size)
    back = _kernel(_times(_kernel(padded, False), spectrum), True)
    return pw.divide(_times(part(back, t.ndim - 2, 0, n), chirp), float(size))


def _chirp(n: int, dtype: DType) -> Tensor:
    """exp(-pi i k**2 / n) for k below n."""
    if n <= STORED_ROOTS:
        return as_tensor(roots(2 * n)[np.arange(n) ** 2 % (2 * n)].astype(dtype.numpy))
    k = iota((n,), 0, i64)
    return converted(_circle(pw.remainder(pw.multiply(k, k), 2 * n), 2 * n), dtype)


def _times(z: Tensor, w: Tensor) -> Tensor:
    """The products of complex numbers."""
    re, im = w[..., :1], w[..., 1:]
    turned = pw.multiply(flip(z, -1), _signs(z.dtype, -1.0, 1.0))
    return pw.add(pw.multiply(z, re), pw.multiply(turned, im))


def _signs(dtype: DType, re: float, im: float) -> Tensor:
    return as_tensor(np.array([re, im], dtype.numpy))


def _shifted(what: str, x: Any, axes: Axis, real: bool, up: int) -> Tensor:
    t = tensor(f"fft.{what}", x) if real else _complex(what, x)
    for a in axes_of(f"fft.{what}", axes, t.ndim if real else t.ndim - 1):
        n = t.shape[a]
        cut = dim.floordiv(n + up, 2)
        t = concat([part(t, a, cut, n - cut), part(t, a, 0, cut)], axis=a)
    return t


guard(globals(), __name__, "fft.")
publish(globals())
