"""Folds over axes, and Broadcast, their adjoint.

Sums and products of narrow floats accumulate in f32 and are rounded once; those of integers wrap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Shape, Size
from graphc.ir.op import Number, Piece, Reduction, View, sample
from graphc.ir.ops.index_math import ints, others
from graphc.ir.ops.logic import equal, is_float, quiet, widened
from graphc.ir.ops.pointwise import cast, where
from graphc.ir.requirement import Requirement, all_equal
from graphc.ir.types import BOOLS, NUMBERS, DType, TensorType, bool_, f32, f64, i32, i64

FOLD_SAMPLES = (
    sample(f32[3, 4], axes=(1,)),
    sample(f32[5, 3], axes=(0,)),
    sample(f64[2, 3, 4], axes=(0, 2)),
    sample(f32[2, 3, 4], axes=(1,)),
    sample(f32[70], axes=(0,)),
    sample(i32[4, 5], axes=(0, 1)),
    sample(f32[1, 1], axes=(0, 1)),
)
EMPTY_SAMPLES = (
    sample(f32[0, 4], axes=(0,)),
    sample(f64[3, 0], axes=(0, 1)),
    sample(f32[4, 0], axes=(0,)),
)


def lowest(dtype: DType) -> Number:
    """The least value of a type."""
    if dtype.kind == "bool":
        return False
    return float("-inf") if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def highest(dtype: DType) -> Number:
    """The greatest value of a type."""
    if dtype.kind == "bool":
        return True
    return float("inf") if dtype.is_float else int(np.iinfo(dtype.numpy).max)


class Broadcast(View):
    """`axes` are the axes of the result that the operand has; along all others it repeats."""

    axes: tuple[int, ...]
    shape: Shape
    proved = True
    samples = (
        sample(f32[4], axes=(1,), shape=(3, 4)),
        sample(f64[()], axes=(), shape=(2, 0)),
        sample(f32[3], axes=(0,), shape=(3, 5)),
        sample(i32[2, 3], axes=(0, 2), shape=(2, 4, 3)),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return all_equal([self.shape[a] for a in self.axes], types[0].shape)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        rising = sorted(set(self.axes)) == list(self.axes)
        if not rising or len(self.axes) != x.rank or any(a >= len(self.shape) for a in self.axes):
            raise ShapeError(f"broadcast: axes {self.axes} do not place {x} in shape {self.shape}")
        return x.with_shape(self.shape)

    def pieces(self, index: tuple[Size, ...], *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, tuple(index[a] for a in self.axes)),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        place = tuple(slice(None) if a in self.axes else None for a in range(len(self.shape)))
        return np.broadcast_to(x[place], ints(self.shape))

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (reduce_sum(ct, others(len(self.shape), self.axes)),)


class Fold(Reduction, abstract=True):
    """A reduction of numbers."""

    axes: tuple[int, ...]

    def check(self, x: TensorType) -> None:
        if x.dtype not in NUMBERS:
            raise DTypeError(
                f"{self.name}: operand {x} holds no numbers; use gc.astype, or gc.any and gc.all"
            )

    def back(self, value: Any, x: Any) -> Any:
        """A result repeated to the shape of the operand."""
        return Broadcast(others(x.type.rank, self.axes), x.type.shape)(value)


class ReduceSum(Fold):
    """Sum over `axes`, which leave the shape; the empty sum is 0."""

    combine, samples = "({0} + {1})", FOLD_SAMPLES + EMPTY_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return 0

    def reference(self, *arrays: Any) -> Any:
        return quiet(lambda x: np.sum(x, axis=self.axes, dtype=x.dtype))(arrays[0])

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (self.back(ct, x),)


class ReduceProd(Fold):
    """Product over `axes`; the empty product is 1.  Its gradient is exact where factors are 0."""

    combine = "({0} * {1})"
    samples = FOLD_SAMPLES + EMPTY_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return 1

    def reference(self, *arrays: Any) -> Any:
        return quiet(lambda x: np.prod(x, axis=self.axes, dtype=x.dtype))(arrays[0])

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        """The product of the other factors: `rest` is that of the factors that are not 0.

        `zero` stands for the factors that are 0: it is 0, but has their derivative, so that second
        derivatives are exact too.
        """
        is_zero = equal(x, 0.0)
        factors = where(is_zero, 1.0, x)
        rest = ReduceProd(self.axes)(factors)
        zero = reduce_sum(where(is_zero, x, 0.0), self.axes)
        zeros = reduce_sum(cast(is_zero, x.type.dtype), self.axes)
        none, one, two = (equal(zeros, float(n)) for n in (0, 1, 2))
        plain = self.back(where(none, rest, where(one, rest * zero, 0.0)), x) / factors
        pair = self.back(where(two, rest * zero, 0.0), x) - self.back(where(two, rest, 0.0), x) * x
        single = self.back(where(one, rest, 0.0), x) + pair
        return (self.back(ct, x) * where(is_zero, single, plain),)


class Extremum(Fold, abstract=True):
    """The largest or smallest; NaN wins; elements that tie share the gradient evenly."""

    axes: tuple[int, ...]

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        hit = equal(x, self.back(out, x))
        share = ct / reduce_sum(cast(hit, x.type.dtype), self.axes)
        return (where(hit, self.back(share, x), 0.0),)


class ReduceMax(Extremum):
    """The largest over `axes`; of nothing, the least value of the type (-inf)."""

    combine, samples = "maximum({0}, {1})", FOLD_SAMPLES + EMPTY_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return lowest(dtype)

    def reference(self, *arrays: Any) -> Any:
        return fold_extreme(np.maximum, arrays[0], self.axes)


class ReduceMin(Extremum):
    """The smallest over `axes`; of nothing, the greatest value of the type (inf)."""

    combine, samples = "minimum({0}, {1})", FOLD_SAMPLES + EMPTY_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return highest(dtype)

    def reference(self, *arrays: Any) -> Any:
        return fold_extreme(np.minimum, arrays[0], self.axes)


def fold_extreme(function: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A fold by maximum or minimum; 0.0 is above -0.0 (semantics 2.2)."""
    least = function is np.minimum
    if not is_float(x):
        info = np.iinfo(x.dtype)
        return function.reduce(x, axis=axes, initial=info.max if least else info.min)
    folded = function.reduce(widened(x), axis=axes, initial=np.inf if least else -np.inf)
    either = np.any((x == 0) & (np.signbit(x) == least), axis=axes)
    zero = np.where(either == least, -0.0, 0.0).astype(folded.dtype)
    return np.where(folded == 0, zero, folded).astype(x.dtype)


class Truth(Reduction, abstract=True):
    """A reduction of truth values."""

    axes: tuple[int, ...]
    differentiable = False

    def check(self, x: TensorType) -> None:
        if x.dtype not in BOOLS:
            raise DTypeError(f"{self.name}: operand {x} holds no truth values; compare it first")


BOOL_SAMPLES = (
    sample(bool_[3, 4], axes=(1,)),
    sample(bool_[5], axes=(0,)),
    sample(bool_[0, 2], axes=(0,)),
)


class ReduceAny(Truth):
    """Whether any holds; of nothing, no."""

    combine, samples = "({0} | {1})", BOOL_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return False

    def reference(self, *arrays: Any) -> Any:
        return np.any(arrays[0], axis=self.axes)


class ReduceAll(Truth):
    """Whether all hold; of nothing, yes."""

    combine, samples = "({0} & {1})", BOOL_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return True

    def reference(self, *arrays: Any) -> Any:
        return np.all(arrays[0], axis=self.axes)


class Positional(Fold, abstract=True):
    """The position of the extreme element along one axis: the first of equals, or the first NaN."""

    axes: tuple[int, ...]
    positional, differentiable = True, False

    def check(self, x: TensorType) -> None:
        super().check(x)
        if len(self.axes) != 1:
            raise ShapeError(f"{self.name}: takes one axis, got {self.axes}")
        if x.shape[self.axes[0]] == 0:
            raise ShapeError(f"{self.name}: axis {self.axes[0]} of {x} is empty")

    def result(self, dtype: DType) -> DType:
        return i64


POSITION_SAMPLES = (
    sample(f32[3, 4], axes=(1,)),
    sample(f64[5, 3], axes=(0,)),
    sample(i32[9], axes=(0,)),
)


class ReduceArgmax(Positional):
    """The position of the largest."""

    combine, samples = "greater_or_nan({1}, {0})", POSITION_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return lowest(dtype)

    def reference(self, *arrays: Any) -> Any:
        return np.argmax(widened(arrays[0]), axis=self.axes[0])


class ReduceArgmin(Positional):
    """The position of the smallest."""

    combine, samples = "less_or_nan({1}, {0})", POSITION_SAMPLES
    axes: tuple[int, ...]

    def identity(self, dtype: DType) -> Number:
        return highest(dtype)

    def reference(self, *arrays: Any) -> Any:
        return np.argmin(widened(arrays[0]), axis=self.axes[0])


def reduce_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """The sum over `axes`; x itself when there are none."""
    return ReduceSum(axes)(x) if axes else x
