"""Products that are only read transposed are made transposed: (a b)^T is b^T a^T.

Gradients of layers whose weights lie transposed are such products; what updates the weights would
read them column by column.
"""

from __future__ import annotations

from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.linalg import Matmul
from graphc.ir.ops.shape import Transpose
from graphc.passes.inner import remade, replaced


def turn_products(graph: Graph) -> Graph:
    """The graph with products turned that nothing reads as they are."""
    kept = set(graph.results)
    for v in graph.nodes():
        kept |= {a for a in v.args if not _turns(v, a)}

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if v.args and _turns(v, v.args[0]) and v.args[0] not in kept:
            a, b = args[0].args
            op = args[0].op
            assert isinstance(op, Matmul)
            return make(Matmul(ta=not op.tb, tb=not op.ta), (b, a), v.name, v.loc)
        return remade(v, args)

    return replaced(graph, change)


def _turns(v: Value, product: Value) -> bool:
    """Whether v is a product with its last two axes exchanged."""
    rank = v.type.rank
    turned = Transpose((*range(rank - 2), rank - 1, rank - 2)) if rank >= 2 else None
    return isinstance(product.op, Matmul) and v.op == turned
