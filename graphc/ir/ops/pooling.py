"""The reduction of max pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.op import Number, sample
from graphc.ir.ops.logic import equal, not_equal
from graphc.ir.ops.pointwise import add, logical_or, multiply, where
from graphc.ir.ops.reduction import Extremum, ReduceMin, fold_extreme, highest, lowest
from graphc.ir.ops.shape import Iota
from graphc.ir.types import DType, TensorType, f32, f64, i32


class ReduceFirstMax(Extremum):
    """The largest over `axes`, as `ReduceMax`; but of elements that tie, the first alone gets the
    gradient, as in PyTorch's pooling."""

    axes: tuple[int, ...]
    combine = "maximum({0}, {1})"
    samples = (
        sample(f32[3, 4], axes=(1,)),
        sample(f64[5, 3], axes=(0,)),
        sample(i32[4, 5], axes=(1,)),
        sample(f32[3, 1], axes=(1,)),
        sample(f32[2, 3, 2, 2, 3], axes=(2, 4)),
    )

    def identity(self, dtype: DType) -> Number:
        return lowest(dtype)

    def reference(self, *arrays: Any) -> Any:
        return fold_extreme(np.maximum, arrays[0], self.axes)

    def check(self, x: TensorType) -> None:
        super().check(x)
        if not all(isinstance(x.shape[a], int) for a in self.axes[1:]):
            raise ShapeError(f"{self.name}: {x}: axes {self.axes[1:]} need known sizes")

    def _place(self, x: Any) -> Any:
        """The number of each element in its window."""
        *outer, last = self.axes
        position, step = x.apply(Iota(last, i32, x.type.shape), ()), x.type.shape[last]
        for a in reversed(outer):
            along_axis = x.apply(Iota(a, i32, x.type.shape), ())
            position, step = add(position, multiply(along_axis, step)), step * x.type.shape[a]
        return position

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        peak = self.back(out, x)
        hit = equal(x, peak)
        if x.type.dtype.is_float:
            hit = logical_or(hit, not_equal(x, x))  # the peak is NaN where x has one
        position = self._place(x)
        first = ReduceMin(self.axes)(where(hit, position, highest(i32)))
        return (where(equal(position, self.back(first, x)), self.back(ct, x), 0.0),)
