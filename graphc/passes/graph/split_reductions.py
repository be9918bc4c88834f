"""Splits reductions into two steps, where one step would be slow or serial: Graph -> Graph.

A fold over leading axes becomes a `Partial*` fold, which folds fixed chunks of rows, and a small
fold over the chunks, which melts into whatever reads it.  Chunk boundaries depend on the size
alone, so the bits do not depend on the number of threads.  A fold over all axes first folds rows.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from graphc.passes.base import Context, GraphPass, option
from graphc.passes.rewrite.engine import rebuild


@dataclass(frozen=True)
class SplitReductions(GraphPass):
    """Splits long reductions over leading axes into chunks of rows, and a short fold over these."""

    name = "split-reductions"
    chunks: int = option(16, "chunks of rows that a reduction is split into", at_least=1)
    max_unrolled_elements: int = option(
        16, "elements of a reduction, at most, that is written out where it is read", at_least=0
    )
    max_whole_elements: int = option(
        2048, "elements of an array, at most, that is folded in one step", at_least=0
    )

    def run(self, graph: Graph, context: Context) -> Graph:
        return rebuild(graph, lambda v: self._split(v) if type(v.op) in PARTIAL else v)

    def chunks_of(self, rows: Size) -> int:
        """The number of chunks that so many rows are split into (1: not at all)."""
        return self.chunks

    def _split(self, v: Value) -> Value:
        op, (x,) = v.op, v.args
        assert isinstance(op, Reduction)
        if v.type.dtype.is_narrow and isinstance(op, ReduceSum | ReduceProd):
            return self._split_in_f32(v)
        rank, last = x.type.rank, x.type.rank - 1
        leading = op.axes == tuple(range(len(op.axes)))
        folded = dim.product(tuple(x.type.shape[a] for a in op.axes))
        short = isinstance(folded, int) and folded <= self.max_unrolled_elements
        if not leading or not op.axes or short:
            return v
        if len(op.axes) == rank and isinstance(folded, int) and folded <= self.max_whole_elements:
            return v
        if len(op.axes) == rank and rank > 1:
            rows = make(type(op)((last,)), (x,), "", v.loc)
            return self._split(make(type(op)(op.axes[:-1]), (rows,), v.name, v.loc))
        count = self.chunks_of(folded)
        if count == 1:
            return v
        parts = make(PARTIAL[type(op)](op.axes, count), (x,), "", v.loc)
        return make(type(op)((0,)), (parts,), v.name, v.loc)

    def _split_in_f32(self, v: Value) -> Value:
        """Sums and products of narrow floats stay in f32 until the end (semantics 9.1)."""
        wide = make(v.op, (make(Cast(v.type.dtype.accumulates), v.args, "", v.loc),), "", v.loc)
        split = self._split(wide)
        return v if split is wide else make(Cast(v.type.dtype), (split,), v.name, v.loc)
