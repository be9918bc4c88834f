"""Scans, sorts, searches, scatters and diagonals for random graphs."""

from __future__ import annotations

from graphc.ir.graph import Value, make
from graphc.ir.ops.diagonal import Diagonal, OnDiagonal
from graphc.ir.ops.gather import ScatterAdd
from graphc.ir.ops.scan import (
    CumulativeMax,
    CumulativeMin,
    CumulativeProd,
    CumulativeSum,
    LinearRecurrence,
)
from graphc.ir.ops.scatter import ScatterMax, ScatterMin, ScatterMul, ScatterSet
from graphc.ir.ops.sort import Argsort, SearchSorted, Sort, TopK, upper
from graphc.ir.types import NUMBERS, f32, f64
from graphc.testing.random_views import Views

SCATTERS = (ScatterAdd, ScatterAdd, ScatterSet, ScatterMul, ScatterMin, ScatterMax)


def numbers(b: Views) -> Value | None:
    """A value that holds numbers and has axes."""
    return b.value(lambda v: v.type.rank > 0 and v.type.dtype in NUMBERS)


def scan(b: Views) -> Value:
    """A running fold along some axis."""
    x = numbers(b)
    if x is None:
        return b.view()
    axis, reverse = int(b.rng.integers(x.type.rank)), b.chance(0.4)
    if x.type.dtype in (f32, f64) and b.chance(0.3):
        return make(LinearRecurrence(axis, reverse), (x, b.like(x.type)), b.name())
    wide = x.type.dtype in CumulativeSum.accepts
    kinds = [CumulativeMax, CumulativeMin, *([CumulativeSum, CumulativeProd] if wide else [])]
    return make(b.pick(kinds)(axis, reverse), (x,), b.name())


def order(b: Views) -> Value:
    """Elements or positions in order, the first k, or a search."""
    x = numbers(b)
    if x is None:
        return b.view()
    down, n = b.chance(0.5), x.type.shape[-1]
    if x.type.rank == 1 and b.chance(0.4):
        values = b.value(lambda v: v.type.dtype == x.type.dtype) or x
        return make(SearchSorted(down), (x, values), b.name())
    if b.chance(0.3):
        k = b.pick([n, min(n, 1), min(n, 3)]) if isinstance(n, int) else n
        return make(TopK(descending=down, k=k), (x,), b.name())
    halves = make(b.pick([Sort, Sort, Argsort])(down), (x,), b.name())
    return halves if b.chance(0.1) else upper(halves)


def diagonal(b: Views) -> Value:
    """A diagonal, or a matrix that has one."""
    x = b.any_value()
    offset = int(b.pick([0, 0, 1, -1, 3]))
    if x.type.rank > 1 and b.chance(0.6):
        return make(Diagonal(offset), (x,), b.name())
    if x.type.rank == 0:
        return b.view()
    n = x.type.shape[-1]
    matrix = (n + max(-offset, 0), n + max(offset, 0))
    return make(OnDiagonal(offset, matrix), (x,), b.name())
