"""Reductions in two steps, where one step would be slow or serial: Graph -> Graph.

A fold over leading axes becomes a `Partial*` fold, which folds fixed chunks of rows, and a small
fold over the chunks, which melts into whatever reads it.  Chunk boundaries depend on the size
alone, so the bits do not depend on the number of threads.  A fold over all axes first folds rows.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Reduction
from graphc.ir.ops.partial import PARTIAL
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import (
    ReduceProd,
    ReduceSum,
)
from graphc.passes.rewrite.engine import rebuild

CHUNKS = 16
UNROLL = 16  # folds of at most this many elements are written out in place
SMALL = 2048  # a fold of at most this many elements stays one step


def split_reductions(graph: Graph, chunks: Callable[[Size], int] = lambda rows: CHUNKS) -> Graph:
    """Splits the folds that gain from it, of so many rows into so many chunks (1: not at all)."""
    return rebuild(graph, lambda v: _split(v, chunks) if type(v.op) in PARTIAL else v)


def _split(v: Value, chunks: Callable[[Size], int]) -> Value:
    op, (x,) = v.op, v.args
    assert isinstance(op, Reduction)
    if v.type.dtype.is_narrow and isinstance(op, ReduceSum | ReduceProd):
        return _split_in_f32(v, chunks)
    rank, last = x.type.rank, x.type.rank - 1
    leading = op.axes == tuple(range(len(op.axes)))
    folded = dim.product(tuple(x.type.shape[a] for a in op.axes))
    if not leading or not op.axes or (isinstance(folded, int) and folded <= UNROLL):
        return v
    if len(op.axes) == rank and isinstance(folded, int) and folded <= SMALL:
        return v
    if len(op.axes) == rank and rank > 1:
        rows = make(type(op)((last,)), (x,), "", v.loc)
        return _split(make(type(op)(op.axes[:-1]), (rows,), v.name, v.loc), chunks)
    count = chunks(folded)
    if count == 1:
        return v
    parts = make(PARTIAL[type(op)](op.axes, count), (x,), "", v.loc)
    return make(type(op)((0,)), (parts,), v.name, v.loc)


def _split_in_f32(v: Value, chunks: Callable[[Size], int]) -> Value:
    """Sums and products of narrow floats stay in f32 until the end (semantics 9.1)."""
    wide = make(v.op, (make(Cast(v.type.dtype.accumulates), v.args, "", v.loc),), "", v.loc)
    split = _split(wide, chunks)
    return v if split is wide else make(Cast(v.type.dtype), (split,), v.name, v.loc)
