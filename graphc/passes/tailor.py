"""What the last passes do for one kind of device: Graph -> Graph.

Before placement a graph is simplified for all devices alike.  How it is best computed differs: a
CPU widens products of f16 and bf16, which tensor cores take as they are, and folds many rows in a
few chunks, where a GPU needs hundreds.
"""

from __future__ import annotations

from graphc.config import Options
from graphc.ir.dim import Size
from graphc.ir.graph import Graph
from graphc.ir.verify import verify
from graphc.passes.inner import deeply
from graphc.passes.partial import split_reductions
from graphc.passes.pipeline import Trace, run_pass

LATE = frozenset({"widen", "partial", "cleanup"})  # passes that placement comes before
MOST, UNKNOWN, ROWS = 1024, 256, 32  # chunks; of an unknown size; rows that repay a chunk


def tailored(graph: Graph, kind: str, options: Options, trace: Trace) -> Graph:
    """The graph of one device ("cpu" or "cuda") after the passes that placement came before."""
    if kind == "cpu":
        for name in ("widen", "partial", "cleanup"):
            if name not in options.disable:
                graph = run_pass(name, graph, options.fast_math, trace)
        return graph
    if "partial" not in options.disable:
        with trace.span("partial"):
            graph = verify(deeply(graph, lambda g: split_reductions(g, chunks_of)), "partial",
                           trace.proven)
    if "cleanup" not in options.disable:
        graph = run_pass("cleanup", graph, options.fast_math, trace)
    return graph


def chunks_of(rows: Size) -> int:
    """Into how many chunks a GPU folds rows: enough for all multiprocessors, each of some rows."""
    if not isinstance(rows, int):
        return UNKNOWN
    chunks = 16
    while chunks < MOST and chunks * 2 * ROWS <= rows:
        chunks *= 2
    return chunks
