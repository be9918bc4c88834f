"""Folds cut so that many blocks of a GPU share each: Graph -> Graph.

A CPU folds many rows in a few chunks (`split_reductions`); a GPU needs hundreds of chunks, and
pieces of rows where rows are few and long.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Reduction
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import ReduceProd, ReduceSum
from graphc.ir.ops.shape import Reshape
from graphc.passes.graph.split_reductions import PARTIAL, split_reductions
from graphc.passes.rewrite.engine import rebuild


@dataclass(frozen=True)
class CutFolds:
    """The pass; its fields are what is tuned.

    Rows are folded by `chunks`: none up to `max_rows_unchunked`, else from `min_chunks` to
    `max_chunks`, each of at least `min_rows_per_chunk` rows; `chunks_if_unknown` where only a run
    knows how many rows there are.  A row of at least `min_row_to_cut` elements is cut into at most
    `max_pieces` of at least `min_piece` elements, unless there are more than `enough_rows`.
    """

    max_rows_unchunked: int = 512  # rows that columns of threads fold in one go
    min_chunks: int = 16
    max_chunks: int = 1024
    min_rows_per_chunk: int = 32
    chunks_if_unknown: int = 256
    min_row_to_cut: int = 1 << 14  # elements
    min_piece: int = 1024  # elements
    max_pieces: int = 64
    enough_rows: int = 64  # rows that keep a GPU busy as they are

    def __call__(self, graph: Graph) -> Graph:
        """The graph with its folds cut."""
        graph = rebuild(graph, lambda v: self._rows_first(v) if type(v.op) in PARTIAL else v)
        return split_reductions(graph, self.chunks)

    def chunks(self, rows: Size) -> int:
        """Into how many chunks rows are folded: enough for all multiprocessors, each of some
        rows."""
        if not isinstance(rows, int):
            return self.chunks_if_unknown
        if rows <= self.max_rows_unchunked:
            return 1
        chunks = self.min_chunks
        while chunks < self.max_chunks and chunks * 2 * self.min_rows_per_chunk <= rows:
            chunks *= 2
        return chunks

    def _rows_first(self, v: Value) -> Value:
        """A fold over rows and more as two (a channel's sum over a batch of images would be one
        row, of one warp); a fold of few and long rows as folds of their pieces, then of these."""
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
        """Into how many pieces to cut rows, the last axis of which is so long."""
        if not isinstance(rows, int) or not isinstance(last, int):
            return 1
        if rows > self.enough_rows or last < self.min_row_to_cut:
            return 1
        count = self.max_pieces
        while last % count or last // count < self.min_piece:
            count //= 2
        return count
