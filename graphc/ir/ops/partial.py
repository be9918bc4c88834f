"""Folds of chunks of rows: the first of the two steps of a large reduction.

`passes/graph/split_reductions.py` builds them; nobody writes them by hand.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphc.ir.op import Number, Reduction, sample
from graphc.ir.ops.reduction import (
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReduceSum,
)
from graphc.ir.types import DType, TensorType, bool_, f32


class Partial(Reduction, abstract=True):
    """Folds over leading axes, by chunks: chunk c takes rows [R*c//chunks, R*(c+1)//chunks)."""

    axes: tuple[int, ...]
    chunks: int
    whole: ClassVar[type[Reduction]]
    differentiable = False

    @property
    def combine(self) -> str:  # type: ignore[override]
        return self.whole.combine

    def identity(self, dtype: DType) -> Number:
        return self.whole(self.axes).identity(dtype)

    def infer(self, *types: TensorType) -> TensorType:
        kept = self.whole(self.axes).infer(*types)
        return kept.with_shape((self.chunks, *kept.shape))

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        rows = x.reshape((int(np.prod(x.shape[: len(self.axes)])), *x.shape[len(self.axes) :]))
        n, c = len(rows), self.chunks
        parts = [rows[n * i // c : n * (i + 1) // c] for i in range(c)]
        return np.stack([np.asarray(self.whole((0,)).reference(p)) for p in parts])


FLOAT_SAMPLES = (sample(f32[37, 3], axes=(0,), chunks=4), sample(f32[2, 3], axes=(0, 1), chunks=4))


BOOL_SAMPLES = (sample(bool_[37, 3], axes=(0,), chunks=4),)


class PartialSum(Partial):
    """Sums of chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceSum, FLOAT_SAMPLES


class PartialProd(Partial):
    """Products of chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceProd, FLOAT_SAMPLES


class PartialMax(Partial):
    """The largest of chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceMax, FLOAT_SAMPLES


class PartialMin(Partial):
    """The smallest of chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceMin, FLOAT_SAMPLES


class PartialAny(Partial):
    """Whether any holds, by chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceAny, BOOL_SAMPLES


class PartialAll(Partial):
    """Whether all hold, by chunks of rows."""

    axes: tuple[int, ...]
    chunks: int
    whole, samples = ReduceAll, BOOL_SAMPLES


PARTIAL: dict[type[Reduction], type[Partial]] = {
    p.whole: p for p in (PartialSum, PartialProd, PartialMax, PartialMin, PartialAny, PartialAll)
}
