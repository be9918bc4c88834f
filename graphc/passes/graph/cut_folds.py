"""Cuts folds so that many blocks of a GPU share each: Graph -> Graph.

A CPU folds many rows in a few chunks (`split_reductions`); a GPU needs hundreds of chunks, and
pieces of rows where rows are few and long.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Reduction
from graphc.ir.ops.partial import PARTIAL
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import ReduceProd, ReduceSum
from graphc.ir.ops.shape import Reshape
from graphc.passes.base import Context, option
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.passes.rewrite.engine import rebuild


@dataclass(frozen=True)
class CutFolds(SplitReductions):
    """Splits reductions into so many chunks of rows, and pieces of long rows, that all
    multiprocessors of a GPU share each; takes the place of `split-reductions` there."""

    chunks: int = option(16, "chunks of rows, at least, where rows are split", at_least=1)
    max_rows_unchunked: int = option(
        512, "rows, at most, that columns of threads fold in one go", at_least=0
    )
    max_chunks: int = option(1024, "chunks of rows, at most", at_least=1)
    min_rows_per_chunk: int = option(32, "rows of a chunk, at least", at_least=1)
    chunks_if_unknown: int = option(
        256, "chunks where only a run knows how many rows there are", at_least=1
    )
    min_row_to_cut: int = option(1 << 14, "elements of a row, at least, that is cut", at_least=1)
    min_piece: int = option(1024, "elements of a piece of a row, at least", at_least=1)
    max_pieces: int = option(64, "pieces of a row, at most", at_least=1)
    enough_rows: int = option(64, "rows that keep a GPU busy as they are", at_least=0)

    def run(self, graph: Graph, context: Context) -> Graph:
        graph = rebuild(graph, lambda v: self._rows_first(v) if type(v.op) in PARTIAL else v)
        return super().run(graph, context)

    def chunks_of(self, rows: Size) -> int:
        """The number of chunks for so many rows: enough for all multiprocessors, each chunk of at
        least `min_rows_per_chunk` rows."""
        if not isinstance(rows, int):
            return self.chunks_if_unknown
        if rows <= self.max_rows_unchunked:
            return 1
        chunks = self.chunks
        while chunks < self.max_chunks and chunks * 2 * self.min_rows_per_chunk <= rows:
            chunks *= 2
        return chunks

    def _rows_first(self, v: Value) -> Value:
        """Splits a fold over rows and more into two (a channel's sum over a batch of images would
        be one row, for one warp).  Splits a fold of few long rows into folds of pieces of rows, and
        a fold over the pieces."""
        op, (x,) = v.op, v.args
        assert isinstance(op, Reduction)
        inner = tuple(a for a in op.axes if set(range(a, x.type.rank)) <= set(op.axes))
        if not inner or len(op.axes) == x.type.rank:
            return v
        if v.type.dtype.is_narrow and isinstance(op, ReduceSum | ReduceProd):
            wide = make(op, (make(Cast(v.type.dtype.accumulates), v.args, "", v.loc),), "", v.loc)
            cut = self._rows_first(wide)
            return v if cut is wide else make(Cast(v.type.dtype), (cut,), v.name, v.loc)
        if len(inner) < len(op.axes):
            rows = make(type(op)(inner), (x,), "", v.loc)
            return make(type(op)(op.axes[: -len(inner)]), (rows,), v.name, v.loc)
        pieces = self._pieces(dim.product(v.type.shape), x.type.shape[-1])
        if pieces == 1:
            return v
        *outer, last = x.type.shape
        assert isinstance(last, int)
        cut = make(Reshape((*outer, pieces, last // pieces)), (x,), "", v.loc)
        axes = (*op.axes[:-1], x.type.rank)
        parts = make(type(op)(axes), (cut,), "", v.loc)
        return make(type(op)((parts.type.rank - 1,)), (parts,), v.name, v.loc)

    def _pieces(self, rows: Size, last: Size) -> int:
        """The number of pieces for each of `rows` rows whose last axis has size `last`."""
        if not isinstance(rows, int) or not isinstance(last, int):
            return 1
        if rows > self.enough_rows or last < self.min_row_to_cut:
            return 1
        count = self.max_pieces
        while last % count or last // count < self.min_piece:
            count //= 2
        return count
