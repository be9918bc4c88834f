"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Size
from graphc.ir.op import Contraction, sample
from graphc.ir.ops.logic import quiet
from graphc.ir.ops.shape import Transpose
from graphc.ir.requirement import Requirement, all_equal, equal
from graphc.ir.types import NUMBERS, TensorType, f32, f64, i32


class Matmul(Contraction):
    """Products of the matrices in the last two axes; the axes before them are a common batch.

    `ta` and `tb` transpose the matrices of the left and the right operand.
    """

    ta: bool = False
    tb: bool = False
    samples = (
        sample(f32[3, 4], f32[4, 5]),
        sample(f64[4, 3], f64[4, 2], ta=True),
        sample(f32[2, 3], f32[4, 3], tb=True),
        sample(f64[2, 3, 4], f64[2, 4, 1]),
        sample(f32[5, 2, 3], f32[5, 4, 2], ta=True, tb=True),
        sample(f32[3, 0], f32[0, 2]),
        sample(f64[0, 3], f64[3, 2]),
        sample(i32[2, 3], i32[3, 4]),
        sample(f32[1, 1], f32[1, 1]),
        sample(f32[17, 33], f32[33, 65]),
    )

    def sizes(self, a: TensorType, b: TensorType) -> tuple[Size, Size, Size, Size]:
        """(m, k, k of the right operand, n)."""
        m, k = (a.shape[-1], a.shape[-2]) if self.ta else (a.shape[-2], a.shape[-1])
        k2, n = (b.shape[-1], b.shape[-2]) if self.tb else (b.shape[-2], b.shape[-1])
        return m, k, k2, n

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        a, b = types
        _, k, k2, _ = self.sizes(a, b)
        return (equal(k, k2), *all_equal(a.shape[:-2], b.shape[:-2]))

    def infer(self, *types: TensorType) -> TensorType:
        a, b = types
        if a.rank < 2 or a.rank != b.rank:
            raise ShapeError(f"matmul: operands {a} and {b} are not matrices of one rank")
        if a.dtype != b.dtype or a.dtype not in NUMBERS:
            raise DTypeError(f"matmul: element types {a.dtype} and {b.dtype}; use gc.astype")
        m, k, k2, n = self.sizes(a, b)
        if isinstance(k, int) and isinstance(k2, int) and k != k2:
            left = f"{k} (axis {a.rank - 1 - self.ta} of {a})"
            right = f"{k2} (axis {b.rank - 2 + self.tb} of {b})"
            raise ShapeError(f"matmul: inner sizes differ: {left} and {right}")
        return a.with_shape((*a.shape[:-2], m, n))

    def reference(self, *arrays: Any) -> Any:
        a, b = arrays
        a = np.swapaxes(a, -1, -2) if self.ta else a
        b = np.swapaxes(b, -1, -2) if self.tb else b
        return quiet(np.matmul)(a, b)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        a, b = args
        if self.ta:
            da = Matmul(self.tb, True)(b, ct)
        else:
            da = Matmul(False, not self.tb)(ct, b)
        if self.tb:
            db = Matmul(True, self.ta)(ct, a)
        else:
            db = Matmul(not self.ta, False)(a, ct)
        return da, db


def swap(x: Any) -> Any:
    """The matrices in the last two axes transposed."""
    rank = x.type.rank
    return Transpose((*range(rank - 2), rank - 1, rank - 2))(x)
