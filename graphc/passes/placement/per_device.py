"""What the last passes do for one kind of device: Graph -> Graph.

Before placement a graph is simplified for all devices alike.  How it is best computed differs: a
CPU widens products of f16 and bf16, which tensor cores take as they are, and folds many rows in a
few chunks, where a GPU needs hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.config import Options
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Reduction
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import ReduceProd, ReduceSum
from graphc.ir.ops.shape import Reshape
from graphc.ir.types import bf16, f16, f32
from graphc.passes.base import Context, GraphPass
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.split_reductions import PARTIAL, SplitReductions
from graphc.passes.graph.widen_contractions import WidenContractions
from graphc.passes.pipeline import run_passes
from graphc.passes.rewrite.engine import rebuild
from graphc.passes.trace import Trace

MOST, UNKNOWN, ROWS = 1024, 256, 32  # chunks; of an unknown size; rows that repay a chunk
FEW = 512  # rows that columns of threads fold in one go
LONG, PIECE = 1 << 14, 1024  # elements of a row that is cut; of a piece, at least
BLOCKS = 64  # rows that keep a GPU busy as they are; pieces, at most


@dataclass(frozen=True)
class SplitReductionsForGpus(SplitReductions):
    """Splits reductions into so many chunks that all multiprocessors of a GPU share each."""

    def run(self, graph: Graph, context: Context) -> Graph:
        rows_first = rebuild(graph, lambda v: _rows_first(v) if type(v.op) in PARTIAL else v)
        return super().run(rows_first, context)

    def chunks_of(self, rows: Size) -> int:
        return chunks_of(rows)


LATE_PASSES: dict[str, tuple[GraphPass, ...]] = {  # those that placement comes before, by kind
    "cpu": (WidenContractions(), SplitReductions(), Cleanup()),
    "cuda": (SplitReductionsForGpus(), Cleanup()),
}
LATE = frozenset(p.name for passes in LATE_PASSES.values() for p in passes)


def tailored(graph: Graph, kind: str, options: Options, trace: Trace) -> Graph:
    """The graph of one device ("cpu" or "cuda") after the passes that placement came before."""
    context = Context(trace, options.fast_math)
    return run_passes(LATE_PASSES[kind], graph, context, options.disable)


def _rows_first(v: Value) -> Value:
    """A fold over rows and more as two (a channel's sum over a batch of images would be one row, of
    one warp); a fold of few and long rows as folds of their pieces, then of these."""
    op, (x,) = v.op, v.args
    assert isinstance(op, Reduction)
    inner = tuple(a for a in op.axes if set(range(a, x.type.rank)) <= set(op.axes))
    if not inner or len(op.axes) == x.type.rank:
        return v
    if v.type.dtype in (f16, bf16) and isinstance(op, ReduceSum | ReduceProd):
        wide = make(op, (make(Cast(f32), v.args, "", v.loc),), "", v.loc)
        cut = _rows_first(wide)
        return v if cut is wide else make(Cast(v.type.dtype), (cut,), v.name, v.loc)
    if len(inner) < len(op.axes):
        rows = make(type(op)(inner), (x,), "", v.loc)
        return make(type(op)(op.axes[: -len(inner)]), (rows,), v.name, v.loc)
    pieces = _pieces(dim.product(v.type.shape), x.type.shape[-1])
    if pieces == 1:
        return v
    *outer, last = x.type.shape
    assert isinstance(last, int)
    cut = make(Reshape((*outer, pieces, last // pieces)), (x,), "", v.loc)
    axes = (*op.axes[:-1], x.type.rank)
    parts = make(type(op)(axes), (cut,), "", v.loc)
    return make(type(op)((parts.type.rank - 1,)), (parts,), v.name, v.loc)


def _pieces(rows: Size, last: Size) -> int:
    """Into how many pieces to cut rows, the last axis of which is so long."""
    if not isinstance(rows, int) or not isinstance(last, int) or rows > BLOCKS or last < LONG:
        return 1
    count = BLOCKS
    while last % count or last // count < PIECE:
        count //= 2
    return count


def chunks_of(rows: Size) -> int:
    """Into how many chunks a GPU folds rows: enough for all multiprocessors, each of some rows."""
    if not isinstance(rows, int):
        return UNKNOWN
    if rows <= FEW:
        return 1
    chunks = 16
    while chunks < MOST and chunks * 2 * ROWS <= rows:
        chunks *= 2
    return chunks
