"""Control ops as kernels run them: every result is stored, and the carries of a loop are variables
that a step updates, so that the planner writes a new carry over the old one where it can."""

from __future__ import annotations

from graphc.ir.control import Loop
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Control, Item
from graphc.ir.ops.state import Variable
from graphc.ir.types import TupleType
from graphc.passes.inner import remade, replaced
from graphc.passes.tape import closed, inner


def with_all_items(graph: Graph) -> tuple[Graph, dict[Value, list[Value]]]:
    """The graph with one value for each result of each control op, and these values."""
    nodes = graph.nodes()
    if not any(isinstance(v.op, Control) for v in nodes):
        return graph, {}
    names = {(v.args[0], v.op.index): v.name for v in nodes if isinstance(v.op, Item) and v.name}
    found: dict[Value, list[Value]] = {}

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if isinstance(v.op, Item):
            return found[args[0]][v.op.index]
        made = remade(v, args)
        if isinstance(made.op, Control):
            assert isinstance(v.type, TupleType)
            found[made] = [
                make(Item(i), (made,), names.get((v, i), ""), v.loc)
                for i in range(len(v.type.items))
            ]
        return made

    return replaced(graph, change), found


def step_graphs(v: Value) -> list[Graph]:
    """The graphs of a control op, as programs are made of them."""
    if not isinstance(v.op, Loop):
        assert isinstance(v.op, Control)
        return list(v.op.graphs)
    op, body = v.op, v.op.body
    inputs = {
        x: _variable(x) if i < op.carries else inner(x.type, x.name)
        for i, x in enumerate(body.inputs)
    }
    graph = closed(body.name, body.outputs, inputs)
    updates = zip(graph.inputs[: op.carries], graph.outputs[: op.carries], strict=True)
    return [Graph(graph.name, graph.inputs, graph.outputs[op.carries :], tuple(updates))]


def _variable(x: Value) -> Value:
    return Value(Variable(x.type.dtype, x.type.shape), (), x.type, x.name)
