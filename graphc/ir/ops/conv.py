"""The bilinear relation Y = convolution(X, W) as three ops, each the gradient of the others.

    Convolution        (X, W)  -> Y
    ConvolutionInput   (dY, W) -> dX      also known as transposed convolution
    ConvolutionWeight  (X, dY) -> dW

X is [n, c, *spatial], W is [o, c / groups, *kernel], Y is [n, o, *positions]: a cross-correlation,
as in PyTorch.  Padding contributes nothing; it may differ at both ends, and negative padding at the
high end leaves out positions.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.op import Contraction, sample
from graphc.ir.ops.index_math import ints
from graphc.ir.ops.logic import quiet
from graphc.ir.ops.window import check_geometry, positions
from graphc.ir.requirement import Requirement, all_equal, equal
from graphc.ir.types import NUMBERS, TensorType, f32, f64, i32


def _fields(strides: Any, dilations: Any, before: Any, after: Any, groups: int) -> dict[str, Any]:
    return {
        "strides": strides,
        "dilations": dilations,
        "before": before,
        "after": after,
        "groups": groups,
    }


PLAIN_FIELDS = _fields((1,), (1,), (0,), (0,), 1)
STRIDED_FIELDS = _fields((2, 1), (1, 2), (1, 2), (0, 3), 1)
GROUPED_FIELDS = _fields((1, 2), (1, 1), (1, 0), (1, 0), 2)
DEPTHWISE_FIELDS = _fields((2, 1), (1, 1), (1, 1), (1, 1), 3)
CUBE_FIELDS = _fields((1, 2, 1), (2, 1, 1), (1, 0, 1), (1, 1, 0), 1)
POINT_FIELDS = _fields((1, 1), (1, 1), (0, 0), (0, 0), 1)


class Convolving(Contraction, abstract=True):
    """What the three ops share: the geometry of windows over the input."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Size, ...]
    after: tuple[Size, ...]
    groups: int
    result: ClassVar[int]  # which of (X, W, Y) the op computes

    def parts(self, *types: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        """The types of X, W and Y, from the types of two of them."""
        raise NotImplementedError(self.name)

    @property
    def geometry(self) -> dict[str, Any]:
        """The fields that the three share."""
        return {f.name: getattr(self, f.name) for f in Convolving.fields()}

    def positions(self, spatial: Shape, kernel: Shape) -> Shape:
        """The sizes of Y's spatial axes."""
        zipped = zip(
            spatial, kernel, self.strides, self.dilations, self.before, self.after, strict=True
        )
        return tuple(positions(n, k, s, d, a + b) for n, k, s, d, a, b in zipped)

    def check(self, *types: TensorType) -> None:
        """Raises `ShapeError` or `DTypeError` for operands and fields that do not fit."""
        a, b = types
        check_geometry(self.name, self.strides, self.dilations, self.before, self.after)
        rank = len(self.strides) + 2
        if a.rank != rank or b.rank != rank or rank < 3:
            raise ShapeError(
                f"{self.name}: {a} and {b}: expected tensors of rank {rank}, with "
                f"{rank - 2} spatial axes"
            )
        if a.dtype != b.dtype or a.dtype not in NUMBERS:
            raise DTypeError(f"{self.name}: element types {a.dtype} and {b.dtype}; use gc.astype")
        if self.groups < 1:
            raise ShapeError(f"{self.name}: groups is {self.groups}; expected at least 1")

    def check_result(self, x: TensorType, w: TensorType, y: TensorType) -> None:
        """Raises `ShapeError` where channels do not divide or a window does not fit."""
        for what, count in (("input", x.shape[1]), ("output", y.shape[1])):
            if isinstance(count, int) and count % self.groups:
                raise ShapeError(
                    f"{self.name}: {count} {what} channels do not divide into {self.groups} groups"
                )
        if any(isinstance(k, int) and k < 1 for k in w.shape[2:]):
            raise ShapeError(f"{self.name}: the kernel of {w} has no elements")
        if any(isinstance(n, int) and n < 0 for n in y.shape[2:]):
            raise ShapeError(
                f"{self.name}: a kernel of {list(w.shape[2:])} (dilations "
                f"{self.dilations}) does not fit into {x} (padding {self.before} and "
                f"{self.after})"
            )

    def infer(self, *types: TensorType) -> TensorType:
        self.check(*types)
        roles = self.parts(*types)
        self.check_result(*roles)
        return roles[self.result]

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        x, w, y = self.parts(*types)
        counts = self.positions(x.shape[2:], w.shape[2:])
        return (
            equal(x.shape[0], y.shape[0]),
            equal(x.shape[1], w.shape[1] * self.groups),
            equal(w.shape[0], y.shape[1]),
            *all_equal(counts, y.shape[2:]),
        )

    def products(self, *types: TensorType) -> Size:
        """How many multiplications the result takes."""
        _, w, y = self.parts(*types)
        return dim.product((*y.shape, *w.shape[1:]))

    def places(self, spatial: Shape, kernel: Shape) -> Any:
        """For each place in the kernel: its index, and the elements of X and of Y that it meets."""
        counts = ints(self.positions(spatial, kernel))
        low = ints(self.before)
        for k in itertools.product(*map(range, ints(kernel))):
            at_x, at_y = [], []
            for a, size in enumerate(ints(spatial)):
                at = np.arange(max(counts[a], 0)) * self.strides[a] - low[a]
                at = at + k[a] * self.dilations[a]
                here = (at >= 0) & (at < size)
                at_x.append(at[here])
                at_y.append(np.flatnonzero(here))
            yield k, np.ix_(*at_x), np.ix_(*at_y)

    def grouped(self, a: Any, axis: int) -> Any:
        """The channels at an axis of an array as [groups, channels of a group]."""
        g = self.groups
        return a.reshape(*a.shape[:axis], g, a.shape[axis] // g, *a.shape[axis + 1 :])

    def window(self, x: TensorType, w: TensorType) -> Shape:
        """The shape of Y."""
        return (x.shape[0], w.shape[0], *self.positions(x.shape[2:], w.shape[2:]))


class Convolution(Convolving):
    """Y[n, o, p] = sum over c and k of X[n, c, p * stride + k * dilation - before] W[o, c, k]."""

    result = 2
    samples = (
        sample(f32[2, 3, 7], f32[4, 3, 3], special=False, **PLAIN_FIELDS),
        sample(f64[2, 2, 6, 5], f64[3, 2, 3, 2], special=False, **STRIDED_FIELDS),
        sample(f32[1, 4, 5, 6], f32[6, 2, 3, 2], special=False, **GROUPED_FIELDS),
        sample(f64[2, 3, 5, 4], f64[6, 1, 3, 3], special=False, **DEPTHWISE_FIELDS),
        sample(f32[1, 2, 4, 3, 2], f32[2, 2, 2, 2, 1], special=False, **CUBE_FIELDS),
        sample(f32[2, 3, 4, 4], f32[5, 3, 1, 1], special=False, **POINT_FIELDS),
        sample(f32[0, 2, 4], f32[3, 2, 2], special=False, **PLAIN_FIELDS),
        sample(f32[2, 0, 4], f32[3, 0, 2], special=False, **PLAIN_FIELDS),
        sample(i32[2, 2, 5], i32[3, 2, 2], special=False, **PLAIN_FIELDS),
    )

    def parts(self, *types: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        x, w = types
        return x, w, x.with_shape(self.window(x, w))

    def reference(self, *arrays: Any) -> Any:
        return quiet(self._reference)(*arrays)

    def _reference(self, x: Any, w: Any) -> Any:
        kernel, spatial = w.shape[2:], x.shape[2:]
        counts = ints(self.positions(spatial, kernel))
        out = np.zeros((x.shape[0], w.shape[0], *counts), x.dtype)
        y, xg, wg = self.grouped(out, 1), self.grouped(x, 1), self.grouped(w, 0)
        for k, at_x, at_y in self.places(spatial, kernel):
            part = np.einsum("ngc...,goc->ngo...", xg[(..., *at_x)], wg[(..., *k)])
            y[(..., *at_y)] += part
        return out

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, w = args
        return (
            ConvolutionInput(**self.geometry, spatial=x.type.shape[2:])(ct, w),
            ConvolutionWeight(**self.geometry, kernel=w.type.shape[2:])(x, ct),
        )


class ConvolutionInput(Convolving):
    """dX[n, c, p * stride + k * dilation - before] = sum over o and all such p and k of
    dY[n, o, p] W[o, c, k]."""

    spatial: Shape
    result = 0
    samples = (
        sample(f32[2, 4, 5], f32[4, 3, 3], special=False, spatial=(7,), **PLAIN_FIELDS),
        sample(f64[2, 3, 3, 8], f64[3, 2, 3, 2], special=False, spatial=(6, 5), **STRIDED_FIELDS),
        sample(f32[1, 6, 5, 3], f32[6, 2, 3, 2], special=False, spatial=(5, 6), **GROUPED_FIELDS),
        sample(f64[2, 6, 3, 4], f64[6, 1, 3, 3], special=False, spatial=(5, 4), **DEPTHWISE_FIELDS),
        sample(
            f32[1, 2, 4, 2, 3], f32[2, 2, 2, 2, 1], special=False, spatial=(4, 3, 2), **CUBE_FIELDS
        ),
        sample(f32[2, 5, 4, 4], f32[5, 3, 1, 1], special=False, spatial=(4, 4), **POINT_FIELDS),
        sample(f32[2, 0, 3], f32[0, 2, 2], special=False, spatial=(4,), **PLAIN_FIELDS),
        sample(i32[2, 3, 4], i32[3, 2, 2], special=False, spatial=(5,), **PLAIN_FIELDS),
    )

    def parts(self, *types: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        y, w = types
        x = y.with_shape((y.shape[0], w.shape[1] * self.groups, *self.spatial))
        return x, w, y

    def reference(self, *arrays: Any) -> Any:
        return quiet(self._reference)(*arrays)

    def _reference(self, y: Any, w: Any) -> Any:
        kernel, spatial = w.shape[2:], ints(self.spatial)
        out = np.zeros((y.shape[0], w.shape[1] * self.groups, *spatial), y.dtype)
        x, yg, wg = self.grouped(out, 1), self.grouped(y, 1), self.grouped(w, 0)
        for k, at_x, at_y in self.places(spatial, kernel):
            part = np.einsum("ngo...,goc->ngc...", yg[(..., *at_y)], wg[(..., *k)])
            x[(..., *at_x)] += part
        return out

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        y, w = args
        return (
            Convolution(**self.geometry)(ct, w),
            ConvolutionWeight(**self.geometry, kernel=w.type.shape[2:])(ct, y),
        )


class ConvolutionWeight(Convolving):
    """dW[o, c, k] = sum over n and p of X[n, c, p * stride + k * dilation - before] dY[n, o, p]."""

    kernel: Shape
    result = 1
    samples = (
        sample(f32[2, 3, 7], f32[2, 4, 5], special=False, kernel=(3,), **PLAIN_FIELDS),
        sample(f64[2, 2, 6, 5], f64[2, 3, 3, 8], special=False, kernel=(3, 2), **STRIDED_FIELDS),
        sample(f32[1, 4, 5, 6], f32[1, 6, 5, 3], special=False, kernel=(3, 2), **GROUPED_FIELDS),
        sample(f64[2, 3, 5, 4], f64[2, 6, 3, 4], special=False, kernel=(3, 3), **DEPTHWISE_FIELDS),
        sample(
            f32[1, 2, 4, 3, 2], f32[1, 2, 4, 2, 3], special=False, kernel=(2, 2, 1), **CUBE_FIELDS
        ),
        sample(f32[2, 3, 4, 4], f32[2, 5, 4, 4], special=False, kernel=(1, 1), **POINT_FIELDS),
        sample(f32[0, 2, 4], f32[0, 3, 3], special=False, kernel=(2,), **PLAIN_FIELDS),
        sample(i32[2, 2, 5], i32[2, 3, 4], special=False, kernel=(2,), **PLAIN_FIELDS),
    )

    def parts(self, *types: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        x, y = types
        shape = (y.shape[1], dim.floordiv(x.shape[1], self.groups), *self.kernel)
        return x, x.with_shape(shape), y

    def reference(self, *arrays: Any) -> Any:
        return quiet(self._reference)(*arrays)

    def _reference(self, x: Any, y: Any) -> Any:
        kernel, spatial = ints(self.kernel), x.shape[2:]
        out = np.zeros((y.shape[1], x.shape[1] // self.groups, *kernel), x.dtype)
        w, xg, yg = self.grouped(out, 0), self.grouped(x, 1), self.grouped(y, 1)
        for k, at_x, at_y in self.places(spatial, kernel):
            parts = []
            for a, at in ((xg, at_x), (yg, at_y)):
                part = a[(..., *at)]
                parts.append(part.reshape(*part.shape[:3], int(np.prod(part.shape[3:]))))
            w[(..., *k)] = np.einsum("ngcp,ngop->goc", *parts)
        return out

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, y = args
        return (
            ConvolutionInput(**self.geometry, spatial=x.type.shape[2:])(y, ct),
            Convolution(**self.geometry)(x, ct),
        )
