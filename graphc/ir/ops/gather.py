"""Elements by computed position: gathers, and scatters, their adjoints.

Indices count from the end when negative.  One out of range makes the run fail with an error that
names the op and the index; nothing is clamped in silence.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.dim import Size
from graphc.ir.op import Gather, Pointwise, Scatter, sample
from graphc.ir.ops.index_math import others
from graphc.ir.ops.logic import quiet
from graphc.ir.ops.shape import Full
from graphc.ir.requirement import Requirement, all_equal, equal
from graphc.ir.types import INTS, NUMBERS, DType, TensorType, f32, f64, i32, i64

Index = tuple[Size, ...]


def checked(name: str, indices: Any, extent: int) -> Any:
    """Indices made non-negative.  Raises `GraphError` for one out of range."""
    bad = outside(indices, extent)
    if np.any(bad):
        worst = indices[bad].flat[0]
        raise GraphError(f"{name}: index {worst} is out of range for a size of {extent}")
    wide = indices.astype(np.int64)
    return np.where(wide < 0, wide + extent, wide)


def outside(indices: Any, extent: int) -> Any:
    """Where indices are not in [-extent, extent).

    NumPy 2.0 crashes at times when it compares an array with a number that its type does not hold
    (u8 with -4, i8 with 200), so all are widened first.
    """
    if indices.dtype == np.uint64:
        return indices >= np.uint64(extent)
    wide = indices.astype(np.int64)
    return (wide < -extent) | (wide >= extent)


class CheckIndex(Pointwise):
    """An index made non-negative (i64); the run fails where it is not in [-size, size)."""

    size: Size
    arity, accepts, differentiable, can_fail = 1, INTS, False, True
    spelling = "check_index({0}, {1}, status)"
    samples = (sample(i32[5], size=9, special=False), sample(i64[3], size=2, special=False))

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.size,)

    def result(self, *dtypes: DType) -> DType:
        return i64

    def reference(self, x: Any) -> Any:
        return checked(self.name, x, int(self.size))  # type: ignore[arg-type]


def _check(name: str, x: TensorType, indices: TensorType, axis: int) -> None:
    if not 0 <= axis < x.rank:
        raise ShapeError(f"{name}: axis {axis} is not an axis of {x}")
    if indices.dtype not in INTS:
        raise DTypeError(f"{name}: indices {indices} are no integers; use gc.astype")


class Take(Gather):
    """Slices of x along `axis`, at positions `indices`, whose axes replace that axis."""

    axis: int
    samples = (
        sample(f32[5, 3], i32[4], axis=0, special=False),
        sample(f64[3, 4], i64[2, 2], axis=1, special=False),
        sample(f32[5], i32[()], axis=0, special=False),
        sample(f32[3, 2], i32[0], axis=0, special=False),
    )

    def infer(self, *types: TensorType) -> TensorType:
        x, indices = types
        _check(self.name, x, indices, self.axis)
        return x.with_shape(x.shape[: self.axis] + indices.shape + x.shape[self.axis + 1 :])

    def extent(self, x: TensorType) -> Size:
        return x.shape[self.axis]

    def locate(self, index: Index, x: TensorType, indices: TensorType) -> Index:
        return index[self.axis : self.axis + indices.rank]

    def source(self, index: Index, found: Size, x: TensorType, indices: TensorType) -> Index:
        return (*index[: self.axis], found, *index[self.axis + indices.rank :])

    def reference(self, *arrays: Any) -> Any:
        x, indices = arrays
        return np.take(x, checked(self.name, indices, x.shape[self.axis]), axis=self.axis)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, indices = args
        return ScatterAdd(self.axis)(zeros_like(x), indices, ct), None


class TakeAlongAxis(Gather):
    """Elements of x along `axis`, one for each of `indices`, which has x's rank."""

    axis: int
    samples = (
        sample(f32[3, 5], i32[3, 2], axis=1, special=False),
        sample(f64[4, 2], i64[1, 2], axis=0, special=False),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        x, indices = types
        return tuple(equal(x.shape[a], indices.shape[a]) for a in others(x.rank, (self.axis,)))

    def infer(self, *types: TensorType) -> TensorType:
        x, indices = types
        _check(self.name, x, indices, self.axis)
        if x.rank != indices.rank:
            raise ShapeError(f"take_along_axis: indices {indices} have not the rank of {x}")
        return x.with_shape(indices.shape)

    def extent(self, x: TensorType) -> Size:
        return x.shape[self.axis]

    def locate(self, index: Index, x: TensorType, indices: TensorType) -> Index:
        return index

    def source(self, index: Index, found: Size, x: TensorType, indices: TensorType) -> Index:
        return (*index[: self.axis], found, *index[self.axis + 1 :])

    def reference(self, *arrays: Any) -> Any:
        x, indices = arrays
        positions = checked(self.name, indices, x.shape[self.axis])
        return np.take_along_axis(x, positions, axis=self.axis)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, indices = args
        return ScatterAddAlongAxis(self.axis)(zeros_like(x), indices, ct), None


class ScatterSlices(Scatter, abstract=True):
    """x with `updates` combined into its slices along `axis` at `indices`, in order of updates."""

    axis: int
    accepts: ClassVar[tuple[DType, ...]] = NUMBERS

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        x, indices, updates = types
        wanted = x.shape[: self.axis] + indices.shape + x.shape[self.axis + 1 :]
        return all_equal(wanted, updates.shape)

    def infer(self, *types: TensorType) -> TensorType:
        x, indices, updates = types
        _check(self.name, x, indices, self.axis)
        if x.dtype not in self.accepts:
            raise DTypeError(f"{self.name}: operand {x} holds no numbers; use gc.astype")
        if x.dtype != updates.dtype or updates.rank != x.rank - 1 + indices.rank:
            raise ShapeError(f"{self.name}: updates {updates} do not fit {x} at indices {indices}")
        return x

    def extent(self, x: TensorType) -> Size:
        return x.shape[self.axis]

    def locate(self, index: Index, *types: TensorType) -> Index:
        return index[self.axis : self.axis + types[1].rank]

    def target(self, index: Index, found: Size, *types: TensorType) -> Index:
        return (*index[: self.axis], found, *index[self.axis + types[1].rank :])

    def merge(self, x: Any, y: Any) -> Any:
        """The reference of `combine`."""
        raise NotImplementedError(self.name)

    def reference(self, *arrays: Any) -> Any:
        x, indices, updates = arrays
        out = x.copy()
        positions = checked(self.name, indices, x.shape[self.axis])
        rows = np.moveaxis(out, self.axis, 0)
        last = tuple(range(self.axis, self.axis + indices.ndim))
        steps = np.moveaxis(updates, last, tuple(range(indices.ndim)))
        for number in np.ndindex(*indices.shape):
            rows[positions[number]] = self.merge(rows[positions[number]], steps[number])
        return out


SCATTER_SAMPLES = (
    sample(f32[5, 3], i32[4], f32[4, 3], axis=0, special=False),
    sample(f64[3, 4], i64[2, 2], f64[3, 2, 2], axis=1, special=False),
    sample(f32[3, 2], i32[0], f32[0, 2], axis=0, special=False),
    sample(f32[3], i32[5], f32[5], axis=0, special=False),
)


class ScatterAdd(ScatterSlices):
    """x with `updates` added to its slices along `axis` at `indices`; repeated indices add up."""

    axis: int
    samples = SCATTER_SAMPLES

    def merge(self, x: Any, y: Any) -> Any:
        return quiet(np.add)(x, y)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        return ct, None, Take(self.axis)(ct, args[1])


class ScatterAddAlongAxis(Scatter):
    """x with each of `updates` added at its position along `axis`; repeated positions add up."""

    axis: int
    samples = (sample(f32[3, 5], i32[3, 2], f32[3, 2], axis=1, special=False),)

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        x, indices, updates = types
        same = all_equal(indices.shape, updates.shape)
        along = others(x.rank, (self.axis,))
        return same + tuple(equal(x.shape[a], indices.shape[a]) for a in along)

    def infer(self, *types: TensorType) -> TensorType:
        x, indices, updates = types
        _check(self.name, x, indices, self.axis)
        if x.dtype != updates.dtype or not x.rank == indices.rank == updates.rank:
            raise ShapeError(f"{self.name}: updates {updates} do not fit {x} at indices {indices}")
        return x

    def extent(self, x: TensorType) -> Size:
        return x.shape[self.axis]

    def locate(self, index: Index, *types: TensorType) -> Index:
        return index

    def target(self, index: Index, found: Size, *types: TensorType) -> Index:
        return (*index[: self.axis], found, *index[self.axis + 1 :])

    def reference(self, *arrays: Any) -> Any:
        x, indices, updates = arrays
        out = x.copy()
        positions = checked(self.name, indices, x.shape[self.axis])
        place = list(np.indices(indices.shape))
        place[self.axis] = positions
        with np.errstate(all="ignore"):
            np.add.at(out, tuple(place), updates)
        return out

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        return ct, None, TakeAlongAxis(self.axis)(ct, args[1])


def zeros_like(x: Any) -> Any:
    """Zeros of x's type."""
    zero = 0.0 if x.type.dtype.is_float else 0
    return x.apply(Full(zero, x.type.dtype, x.type.shape), ())
