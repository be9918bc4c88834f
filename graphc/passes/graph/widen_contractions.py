"""Computes products and convolutions of f16 and bf16 in f32, by register tiles: Graph -> Graph.

Their meaning is a sum in f32, rounded once (docs/semantics.md).  So the pass makes an f32
contraction of widened operands, and a cast that follows it like any map.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Contraction
from graphc.ir.ops.pointwise import Cast
from graphc.passes.base import Context, GraphPass
from graphc.passes.rewrite.inner_graphs import remade, replaced


@dataclass(frozen=True)
class WidenContractions(GraphPass):
    """Makes products and convolutions of narrow floats in f32, and rounds their results."""

    name = "widen-contractions"

    def run(self, graph: Graph, context: Context) -> Graph:
        def change(v: Value, args: tuple[Value, ...]) -> Value:
            if not isinstance(v.op, Contraction) or not v.type.dtype.is_narrow:
                return remade(v, args)
            wide = tuple(make(Cast(v.type.dtype.accumulates), (a,), "", a.loc) for a in args)
            return make(Cast(v.type.dtype), (make(v.op, wide, "", v.loc),), v.name, v.loc)

        return replaced(graph, change)
