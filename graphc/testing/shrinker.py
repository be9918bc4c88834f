"""A reducer of failing graphs: fewer results, values replaced by operands or by inputs, inner
graphs made smaller too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphc.errors import GraphcError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, full, make, topological
from graphc.ir.op import Control
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import TupleType

Cut = Callable[[Graph, Value, Value], None]


def shrink(
    graph: Graph,
    fails: Callable[[Graph], bool],
    budget: int = 400,
    cut: Cut = lambda graph, value, fed: None,
) -> Graph:
    """A smaller graph that still fails.  `cut` is told of each value of a graph for which an input
    is tried."""
    tried = 0
    progress = True
    while progress and tried < budget:
        progress = False
        for smaller in _smaller(graph, cut):
            tried += 1
            if tried >= budget:
                break
            if fails(smaller):
                graph, progress = smaller, True
                break
    return without_unused(graph)


def _smaller(graph: Graph, cut: Cut) -> Iterator[Graph]:
    yield from _fewer_results(graph)
    read = {a for v in graph.nodes() for a in v.args}
    for i, v in enumerate(graph.outputs):
        if v.args and v not in read:  # the operands instead of the result
            below = [b for a in v.args for b in (a.args if isinstance(a.type, TupleType) else (a,))]
            outputs = (*graph.outputs[:i], *below, *graph.outputs[i + 1 :])
            yield without_unused(Graph(graph.name, graph.inputs, outputs, graph.updates))
    for v in reversed(graph.nodes()):
        if isinstance(v.type, TupleType):
            continue
        for a in v.args:
            if a.type == v.type:
                yield without_unused(replaced(graph, v, a))
        if v.args:
            new = make(Placeholder(v.type.dtype, v.type.shape), (), f"cut{len(graph.inputs)}")
            cut(graph, v, new)
            extended = Graph(graph.name, (*graph.inputs, new), graph.outputs, graph.updates)
            yield without_unused(replaced(extended, v, new))
    for v in graph.nodes():
        if isinstance(v.op, Control):
            for op in _smaller_ops(v.op):
                try:
                    yield without_unused(replaced(graph, v, make(op, v.args, v.name)))
                except GraphcError:
                    continue


def _fewer_results(graph: Graph) -> Iterator[Graph]:
    outputs, updates = graph.outputs, graph.updates
    if len(graph.results) < 2:
        return
    for i in range(len(outputs)):
        fewer = outputs[:i] + outputs[i + 1 :]
        yield without_unused(Graph(graph.name, graph.inputs, fewer, updates))
    for i in range(len(updates)):
        kept = updates[:i] + updates[i + 1 :]
        yield without_unused(Graph(graph.name, graph.inputs, outputs, kept))


def _smaller_ops(op: Control) -> Iterator[Control]:
    """The op over inner graphs with the same inputs and types of outputs, but less inside."""
    graphs = list(op.graphs)
    for number, g in enumerate(graphs):
        for small in _smaller_inside(g):
            yield op.over([*graphs[:number], small, *graphs[number + 1 :]])


def _smaller_inside(graph: Graph) -> Iterator[Graph]:
    for v in reversed(graph.nodes()):
        if isinstance(v.op, Control):
            for op in _smaller_ops(v.op):
                yield replaced(graph, v, make(op, v.args, v.name))
        if isinstance(v.type, TupleType) or not v.args:
            continue
        same = [a for a in (*v.args, *graph.inputs) if a.type == v.type]
        for a in [*dict.fromkeys(same), full(1, v.type)]:
            yield replaced(graph, v, a)


def replaced(graph: Graph, old: Value, new: Value) -> Graph:
    """The graph with `new` for `old`."""
    done: dict[Value, Value] = {v: v for v in graph.inputs}
    for v in graph.nodes():
        if v is old:
            done[v] = new
        else:
            args = tuple(done[a] for a in v.args)
            done[v] = v if args == v.args else Value(v.op, args, v.type, v.name)
    return graph.replace(done)


def without_unused(graph: Graph) -> Graph:
    """The graph without inputs that nothing needs, but those that tell sizes."""
    reached = set(topological(graph.results)) | {old for old, _ in graph.updates}
    types = [t for v in reached for t in getattr(v.type, "items", (v.type,))]
    wanted = set().union(*(dim.symbols(s) for t in types for s in t.shape), set())
    kept: list[Value] = []
    told: set[str] = set()
    for v in graph.inputs:
        symbols = {str(s) for s in v.type.shape if str(s).isidentifier()}
        if v in reached or symbols & (wanted - told):
            kept.append(v)
            told |= symbols
    return Graph(graph.name, tuple(kept), graph.outputs, graph.updates)
