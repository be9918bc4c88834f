"""Sliding windows as views: what pooling, unfold and fold are made of.

A window view keeps one axis for each position and one for each place inside the window, so an
ordinary reduction over the latter pools, and fusion makes the view free.  `Window` and `Unwindow`
are adjoint to each other, and `Adaptive` to itself, so gradients of every order are windows again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.op import Number, Piece, View, sample
from graphc.ir.ops.index_math import Index, ints
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.types import TensorType, f32, f64, i32

Place = tuple[Any, Any, Any]  # along an axis: position, place inside the window, validity


def positions(size: Size, kernel: Size, stride: int, dilation: int, around: Size) -> Size:
    """How many positions a window has along an axis of `size` with `around` elements of padding.

    Symbolic sizes that turn out to be too small give 0.
    """
    last = size + around - dilation * (kernel - 1) - 1
    count = dim.floordiv(last, stride) + 1
    return count if isinstance(count, int) or _never_negative(count) else dim.maximum(count, 0)


def _never_negative(size: Size) -> bool:
    """Whether a size that grows with all its symbols is at least 0 where they are 0."""
    return _grows(size) and dim.evaluate(size, dict.fromkeys(dim.symbols(size), 0)) >= 0


def _grows(size: Size) -> bool:
    if isinstance(size, int):
        return True
    plain = all(c > 0 for m, c in size.terms if m)
    return plain and all(_grows_atom(atom) for m, _ in size.terms for atom in m)


def _grows_atom(atom: dim.Atom) -> bool:
    if atom.function == "symbol":
        return True
    a, b = atom.operands
    if atom.function == "//":
        return _grows(a) and isinstance(b, int) and b > 0
    return atom.function in ("min", "max") and _grows(a) and _grows(b)


def check_geometry(
    name: str, strides: Sequence[int], dilations: Sequence[int], *sides: Sequence[Size]
) -> None:
    """Raises `ShapeError` for strides and dilations below 1, or of another number of axes."""
    axes = len(strides)
    if any(len(s) != axes for s in (dilations, *sides)):
        raise ShapeError(f"{name}: strides {strides} are not for as many axes as the other fields")
    for what, values in (("strides", strides), ("dilations", dilations)):
        if any(v < 1 for v in values):
            raise ShapeError(f"{name}: {what} {tuple(values)}: expected numbers above 0")


def taken(x: Any, places: Sequence[Place], value: Number) -> Any:
    """x read at all combinations of places along its last axes; `value` where a place is not
    valid."""
    count = len(places)
    index: list[Any] = [None] * (2 * count)
    valid: Any = np.ones((1,) * (2 * count), bool)
    for axis, (at, inner, here) in enumerate(places):
        along = [1] * (2 * count)
        along[axis], along[count + axis] = here.shape
        index[axis] = np.where(here, at, 0).reshape(along)
        index[count + axis] = np.where(here, inner, 0).reshape(along)
        valid = valid & here.reshape(along)
    shape = x.shape[: x.ndim - 2 * count] + valid.shape
    fill = np.asarray(value).astype(x.dtype)
    if not valid.any():  # perhaps x is empty
        return np.full(shape, fill, x.dtype)
    return np.where(valid, x[(..., *index)], fill).astype(x.dtype)


class Window(View):
    """out[..., o, k] = x[..., o * stride + k * dilation - before, k] over pairs of last axes;
    `value` where that lies outside of x.

    x is [..., *spatial, *kernel], usually broadcast along the kernel's axes (`windows`).
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Size, ...]
    after: tuple[Size, ...]
    value: Number
    proved = True
    samples = (
        sample(f32[2, 7, 3], strides=(2,), dilations=(1,), before=(0,), after=(0,), value=0),
        sample(
            f64[5, 4, 2, 3], strides=(1, 2), dilations=(2, 1), before=(1, 2), after=(1, 0), value=0
        ),
        sample(i32[6, 2], strides=(3,), dilations=(1,), before=(1,), after=(2,), value=-7),
        sample(f32[0, 3, 2], strides=(1,), dilations=(1,), before=(0,), after=(0,), value=0),
    )

    @property
    def filler(self) -> Number:
        return self.value

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check_geometry(self.name, self.strides, self.dilations, self.before, self.after)
        n = len(self.strides)
        if x.rank < 2 * n:
            raise ShapeError(f"window: {x} has not {n} spatial axes and as many of a window")
        spatial, kernel = x.shape[x.rank - 2 * n : x.rank - n], x.shape[x.rank - n :]
        counts = tuple(
            positions(size, k, s, d, a + b)
            for size, k, s, d, a, b in zip(
                spatial, kernel, self.strides, self.dilations, self.before, self.after, strict=True
            )
        )
        if any(isinstance(c, int) and c < 0 for c in counts):
            raise ShapeError(f"window: of {list(kernel)} does not fit into {x}")
        return x.with_shape((*x.shape[: x.rank - 2 * n], *counts, *kernel))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        n, shape = len(self.strides), types[0].shape
        lead, o, k = index[: len(index) - 2 * n], index[len(index) - 2 * n : -n], index[-n:]
        moved, bounds = [], []
        for a in range(n):
            at = o[a] * self.strides[a] + k[a] * self.dilations[a] - self.before[a]
            moved.append(at)
            if self.before[a] != 0 or self.after[a] != 0:
                bounds.append((at, 0, shape[len(lead) + a]))
        return (Piece(0, (*lead, *moved, *k), tuple(bounds)),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        n = len(self.strides)
        low, high = ints(self.before), ints(self.after)
        places = []
        for a, (s, d) in enumerate(zip(self.strides, self.dilations, strict=True)):
            size, kernel = x.shape[x.ndim - 2 * n + a], x.shape[x.ndim - n + a]
            o = np.arange(*ints((positions(size, kernel, s, d, low[a] + high[a]),)))[:, None]
            k = np.arange(kernel)[None]
            at = o * s + k * d - low[a]
            places.append((at, k + 0 * o, (at >= 0) & (at < size)))
        return taken(x, places, self.value)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        n, shape = len(self.strides), x.type.shape
        spatial = shape[len(shape) - 2 * n : len(shape) - n]
        return (Unwindow(self.strides, self.dilations, self.before, spatial)(ct),)


class Unwindow(View):
    """out[..., h, k] = x[..., o, k] for the position o whose window has element h at its place k,
    0 where there is none.

    x is [..., *positions, *kernel]; the sum of the result over the kernel's axes adds up windows
    that overlap.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Size, ...]
    spatial: Shape
    proved = True
    samples = (
        sample(f32[2, 3, 3], strides=(2,), dilations=(1,), before=(0,), spatial=(7,)),
        sample(f64[3, 3, 2, 3], strides=(1, 2), dilations=(2, 1), before=(1, 2), spatial=(5, 4)),
    )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        check_geometry(self.name, self.strides, self.dilations, self.before, self.spatial)
        n = len(self.strides)
        if x.rank < 2 * n:
            raise ShapeError(f"unwindow: {x} has not {n} axes of positions and as many of a window")
        return x.with_shape((*x.shape[: x.rank - 2 * n], *self.spatial, *x.shape[x.rank - n :]))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        n, shape = len(self.strides), types[0].shape
        lead, h, k = index[: len(index) - 2 * n], index[len(index) - 2 * n : -n], index[-n:]
        moved: list[Size] = []
        bounds: list[tuple[Size, Size, Size]] = []
        for a, s in enumerate(self.strides):
            at = h[a] + self.before[a] - k[a] * self.dilations[a]
            if s != 1:
                bounds.append((dim.modulo(at, s), 0, 1))
            at = dim.floordiv(at, s)
            moved.append(at)
            bounds.append((at, 0, shape[len(lead) + a]))
        return (Piece(0, (*lead, *moved, *k), tuple(bounds)),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        n, low, spatial = len(self.strides), ints(self.before), ints(self.spatial)
        places = []
        for a, (s, d) in enumerate(zip(self.strides, self.dilations, strict=True)):
            count, kernel = x.shape[x.ndim - 2 * n + a], x.shape[x.ndim - n + a]
            h, k = np.arange(spatial[a])[:, None], np.arange(kernel)[None]
            at = h + low[a] - k * d
            here = (at % s == 0) & (at >= 0) & (at // s < count)
            places.append((at // s, k + 0 * h, here))
        return taken(x, places, 0)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        n, shape = len(self.strides), x.type.shape
        counts, kernel = shape[len(shape) - 2 * n : len(shape) - n], shape[len(shape) - n :]
        high = tuple(
            (c - 1) * s + d * (k - 1) + 1 - size - a
            for c, k, s, d, size, a in zip(
                counts, kernel, self.strides, self.dilations, self.spatial, self.before, strict=True
            )
        )
        return (Window(self.strides, self.dilations, self.before, high, 0)(ct),)


class Adaptive(View):
    """Windows that share an axis of n out over m positions: position o has the elements from
    o*n // m to below (o+1)*n / m.

    x is [..., *n, *shares] and the result [..., *m, *window]: out[..., o, k] = x[..., h, j] for
    element h at place k of o's window, j its place among the positions that share h.  So with n and
    m swapped, the op is its own adjoint.
    """

    counts: Shape
    window: Shape
    value: Number
    samples = (
        sample(f32[2, 7, 2], counts=(3,), window=(3,), value=0),
        sample(f64[5, 4, 2, 1], counts=(3, 2), window=(3, 2), value=0),
        sample(f32[3, 3], counts=(7,), window=(2,), value=0),
        sample(i32[6, 1], counts=(2,), window=(3,), value=-7),
    )

    @property
    def filler(self) -> Number:
        return self.value

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        n = len(self.counts)
        if x.rank < 2 * n or len(self.window) != n:
            raise ShapeError(f"adaptive: {x} does not fit {n} axes and window {self.window}")
        return x.with_shape((*x.shape[: x.rank - 2 * n], *self.counts, *self.window))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        count, shape = len(self.counts), types[0].shape
        lead = index[: len(index) - 2 * count]
        o, k = index[len(lead) : len(index) - count], index[len(index) - count :]
        moved, inner, bounds = [], [], []
        for a, m in enumerate(self.counts):
            n = shape[len(lead) + a]
            at = dim.floordiv(o[a] * n, m) + k[a]
            moved.append(at)
            inner.append(o[a] - dim.floordiv(at * m, n))
            bounds.append((at, 0, dim.floordiv(o[a] * n + n + m - 1, m)))
        return (Piece(0, (*lead, *moved, *inner), tuple(bounds)),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        count, places = len(self.counts), []
        for a, (m, window) in enumerate(zip(ints(self.counts), ints(self.window), strict=True)):
            n = x.shape[x.ndim - 2 * count + a]
            o, k = np.arange(m)[:, None], np.arange(window)[None]
            at = o * n // max(m, 1) + k
            end = ((o + 1) * n + m - 1) // max(m, 1)
            places.append((at, o - at * m // max(n, 1), at < end))
        return taken(x, places, self.value)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        count, shape = len(self.counts), x.type.shape
        spatial, shares = shape[len(shape) - 2 * count : -count], shape[-count:]
        return (Adaptive(spatial, shares, 0)(ct),)


def along(x: Any, sizes: Shape) -> Any:
    """x repeated along new last axes: what windows are taken of."""
    rank, shape = x.type.rank, x.type.shape
    return Broadcast(tuple(range(rank)), (*shape, *sizes))(x)
