"""Folds transposes into matrix products and into constants: Graph -> Graph.

A product that is only read transposed is computed transposed: (a b)^T is b^T a^T.  Gradients of
layers with transposed weights are such products; without this pass, the update of the weights would
read them column by column.  A constant that a product reads transposed is transposed at compile
time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.shape import Constant, Data, Transpose
from graphc.passes.base import Context, GraphPass
from graphc.passes.rewrite.inner_graphs import remade, replaced


@dataclass(frozen=True)
class FoldTransposes(GraphPass):
    """Makes a product transposed if nothing else reads it, and lays constants out transposed."""

    name = "fold-transposes"

    def run(self, graph: Graph, context: Context) -> Graph:
        read_directly = set(graph.results)
        for v in graph.nodes():
            read_directly |= {a for a in v.args if not _transposes(v, a)}

        def change(v: Value, args: tuple[Value, ...]) -> Value:
            if v.args and _transposes(v, v.args[0]) and v.args[0] not in read_directly:
                a, b = args[0].args
                op = args[0].op
                assert isinstance(op, Matmul)
                return make(Matmul(ta=not op.tb, tb=not op.ta), (b, a), v.name, v.loc)
            if isinstance(v.op, Matmul) and v.op.tb and isinstance(args[1].op, Constant):
                return make(
                    Matmul(ta=v.op.ta), (args[0], _transposed_constant(args[1])), v.name, v.loc
                )
            return remade(v, args)

        return replaced(graph, change)


def _transposed_constant(v: Value) -> Value:
    """A constant with its last two axes exchanged."""
    assert isinstance(v.op, Constant)
    array = np.ascontiguousarray(np.swapaxes(v.op.value.array, -1, -2))
    return make(Constant(Data(array), v.op.dtype, array.shape), (), v.name, v.loc)


def _transposes(v: Value, product: Value) -> bool:
    """Whether v is a product with its last two axes exchanged."""
    rank = v.type.rank
    turned = Transpose((*range(rank - 2), rank - 1, rank - 2)) if rank >= 2 else None
    return isinstance(product.op, Matmul) and v.op == turned
