"""Diagonals of matrices, and matrices from diagonals: views, each the other's adjoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dim import Shape, Size, maximum, minimum
from graphc.ir.op import Piece, View, sample
from graphc.ir.ops.index_math import Index, ints
from graphc.ir.requirement import Requirement, equal
from graphc.ir.types import TensorType, f32, f64, i32


def length(rows: Size, columns: Size, offset: int) -> Size:
    """The number of elements on a diagonal."""
    down, right = max(-offset, 0), max(offset, 0)
    return maximum(minimum(rows - down, columns - right), 0)


class Diagonal(View):
    """Element i of the last axis is x[..., i, i + offset]; a negative offset is below the main
    diagonal."""

    offset: int
    proved = True
    samples = (
        sample(f32[3, 3], offset=0),
        sample(f64[2, 3, 5], offset=1),
        sample(f32[4, 2], offset=-2),
        sample(i32[3, 3], offset=5),
        sample(f32[0, 3], offset=0),
        sample(f32[1, 1], offset=0),
    )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.rank < 2:
            raise ShapeError(f"diagonal: {x} is no matrix; expected rank 2 or more")
        return x.with_shape((*x.shape[:-2], length(x.shape[-2], x.shape[-1], self.offset)))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        i = index[-1]
        return (Piece(0, (*index[:-1], i + max(-self.offset, 0), i + max(self.offset, 0))),)

    def reference(self, *arrays: Any) -> Any:
        return np.ascontiguousarray(np.diagonal(arrays[0], self.offset, axis1=-2, axis2=-1))

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (OnDiagonal(self.offset, x.type.shape[-2:])(ct),)


class OnDiagonal(View):
    """Matrices of shape `matrix` in the last two axes: x on diagonal `offset`, zeros elsewhere."""

    offset: int
    matrix: Shape
    proved = True
    samples = (
        sample(f32[3], offset=0, matrix=(3, 3)),
        sample(f64[2, 3], offset=1, matrix=(3, 5)),
        sample(f32[2], offset=-2, matrix=(4, 2)),
        sample(i32[0], offset=5, matrix=(3, 3)),
        sample(f32[0], offset=0, matrix=(0, 3)),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return (equal(length(self.matrix[0], self.matrix[1], self.offset), types[0].shape[-1]),)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.rank < 1 or len(self.matrix) != 2:
            raise ShapeError(f"on_diagonal: {x} does not fit a matrix of shape {list(self.matrix)}")
        return x.with_shape((*x.shape[:-1], *self.matrix))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        i, j = index[-2:]
        at = i - max(-self.offset, 0)
        bounds = ((j - i, self.offset, self.offset + 1), (at, 0, types[0].shape[-1]))
        return (Piece(0, (*index[:-2], at), bounds),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        out = np.zeros((*x.shape[:-1], *ints(self.matrix)), x.dtype)
        i = np.arange(x.shape[-1])
        out[..., i + max(-self.offset, 0), i + max(self.offset, 0)] = x
        return out

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (Diagonal(self.offset)(ct),)
