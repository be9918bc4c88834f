"""Reduces loops and switches to what is needed of them: Graph -> Graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.passes.base import Context, GraphPass
from graphc.passes.graph.shrink_loops import prune_loops
from graphc.passes.graph.sink_into_branches import sink_into_branches


@dataclass(frozen=True)
class ShrinkControl(GraphPass):
    """Drops what nothing needs of loops, computes before a loop what no step changes, and moves
    work into the one branch that needs it."""

    name = "shrink-control"

    def run(self, graph: Graph, context: Context) -> Graph:
        return sink_into_branches(prune_loops(graph)) if graph.controls else graph
