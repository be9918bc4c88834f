"""Joins many parts by a tree of concats, each of few parts: Graph -> Graph.

An element of a concat chooses the part that it reads, one test after the other: the code of a
kernel would grow with the number of parts, and the time of each element, too.  The concats inside
the tree are stored (`fusion/melting.py`); those of equal parts share one compiled kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.shape import Concat
from graphc.passes.base import Context, GraphPass, option
from graphc.passes.rewrite.inner_graphs import remade, replaced


@dataclass(frozen=True)
class SplitConcats(GraphPass):
    """Makes a concat of many parts a tree of concats of few."""

    name = "split-concats"
    max_parts: int = option(16, "parts of a concat, at most", at_least=2)

    def run(self, graph: Graph, context: Context) -> Graph:
        def change(v: Value, args: tuple[Value, ...]) -> Value:
            if not isinstance(v.op, Concat) or len(args) <= self.max_parts:
                return remade(v, args)
            parts = args
            while len(parts) > self.max_parts:
                cuts = range(0, len(parts), self.max_parts)
                groups = [parts[i : i + self.max_parts] for i in cuts]
                parts = tuple(g[0] if len(g) == 1 else make(v.op, g, "", v.loc) for g in groups)
            return make(v.op, parts, v.name, v.loc)

        return replaced(graph, change)
