"""The base class of ops on matrices by LAPACK, and helpers for their meanings and gradients.

The ops are in `lapack_solve.py` and `lapack_orthogonal.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Shape, Size, product
from graphc.ir.op import Opaque
from graphc.ir.ops.logic import Greater, GreaterEqual
from graphc.ir.ops.matmul import swap
from graphc.ir.ops.pointwise import Where
from graphc.ir.ops.shape import Iota
from graphc.ir.requirement import Requirement, equal
from graphc.ir.types import TensorType, f32, f64, i64

MALLOC_AND_FREE = ("malloc", "free")  # routines of kernels that need memory of their own


def spread(*arrays: Any) -> tuple[Any, ...]:
    """Samples: matrices with a heavy, rising diagonal, so that every factorisation is stable."""
    spread_out = []
    for a in arrays:
        rows, columns = a.shape[-2:]
        spread_out.append(a * 0.25 + 3 * np.eye(rows, columns) * (1 + np.arange(rows))[:, None])
    return tuple(spread_out)


def each(compute: Callable[..., Any], shape: tuple[int, ...], *arrays: Any) -> Any:
    """`compute` of each matrix of a batch; NaN where it cannot be computed, or where the first
    array holds an infinity or a NaN."""
    lead = arrays[0].shape[:-2]
    out = np.full((*lead, *shape), np.nan, arrays[0].dtype)
    for at in np.ndindex(*lead):
        matrices = [a[at] for a in arrays]
        try:
            if np.isfinite(matrices[0]).all():
                out[at] = compute(*matrices)
        except np.linalg.LinAlgError:
            out[at] = np.nan
    return out


def triangle(x: Any, lower: bool, strict: bool = False) -> Any:
    """x with 0 outside of a triangle; `strict` leaves out the diagonal."""
    shape, rank = x.type.shape, x.type.rank
    i, j = (x.apply(Iota(axis, i64, shape), ()) for axis in (rank - 2, rank - 1))
    inside = (Greater if strict else GreaterEqual)()(*((i, j) if lower else (j, i)))
    return Where()(inside, x, 0.0)


def symmetric(x: Any) -> Any:
    """(x + x') / 2."""
    return (x + swap(x)) * 0.5


class Matrices(Opaque, abstract=True):
    """A kernel that takes each matrix in the last two axes of its first operand by itself."""

    batch: Size
    rows: Size
    columns: Size
    square: ClassVar[bool] = True

    @classmethod
    def on(cls, x: Any, *others: Any, **fields: Any) -> Any:
        """The result of this op on operands, its sizes taken from them."""
        shape = x.type.shape
        return cls(product(shape[:-2]), shape[-2], shape[-1], **fields)(x, *others)

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        *lead, rows, columns = types[0].shape
        from_fields = (
            equal(self.batch, product(tuple(lead))),
            equal(self.rows, rows),
            equal(self.columns, columns),
        )
        return (*from_fields, equal(rows, columns)) if self.square else from_fields

    def infer(self, *types: TensorType) -> TensorType:
        x = types[0]
        if x.rank < 2:
            raise ShapeError(f"{self.name}: {x} is no matrix; expected rank 2 or more")
        for t in types:
            if t.dtype not in (f32, f64) or t.dtype != x.dtype:
                raise DTypeError(
                    f"{self.name}: {t} is not of type f32 or f64 as all operands "
                    "must be; use gc.astype"
                )
        return x.with_shape((*x.shape[:-2], *self.result(x)))

    def result(self, x: TensorType) -> Shape:
        """The last axes of the result."""
        return x.shape[-2:]

    def extent(self, out: TensorType) -> Size:
        return self.batch

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.rows, self.columns)
