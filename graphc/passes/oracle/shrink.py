"""Smaller graphs that still show a fault: for errors that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphc.ir import dim
from graphc.ir.graph import Graph, Value, make, topological
from graphc.ir.op import State
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import TensorType, f32

MAX_ATTEMPTS = 400  # smaller graphs that are tried


def neighbourhood(root: Value, depth: int) -> Graph:
    """The graph of one value, cut `depth` operands away: what lies behind is fed."""
    cut: dict[Value, Value] = {}
    level = [root]
    seen = {root}
    for _ in range(depth):
        level = list(dict.fromkeys(a for v in level for a in v.args if a not in seen))
        seen.update(level)
    for v in level:
        if v.args:
            cut[v] = _input(v.type, len(cut))
    return _cut(Graph("wrong", (), (root,)), cut)


def shrink(graph: Graph, fails: Callable[[Graph], bool]) -> Graph:
    """A smaller graph that still fails: fewer results, operands or inputs for values."""
    attempts = 0
    progress = fails(graph)
    while progress and attempts < MAX_ATTEMPTS:
        progress = False
        for smaller in _smaller(graph):
            attempts += 1
            if fails(smaller):
                graph, progress = smaller, True
                break
            if attempts >= MAX_ATTEMPTS:
                break
    return graph


def _smaller(graph: Graph) -> Iterator[Graph]:
    """Graphs a little smaller, the most promising first."""
    if len(graph.results) > 1:
        for v in graph.results:
            yield _cut(Graph(graph.name, (), (v,)), {})
    for v in reversed(graph.nodes()):
        for a in v.args:
            if a.type == v.type:
                yield _cut(graph, {v: a})
        if v.args and v not in graph.results:
            yield _cut(graph, {v: _input(v.type, len(graph.inputs))})


def _input(type: TensorType, number: int) -> Value:
    return make(Placeholder(type.dtype, type.shape), (), f"cut{number}")


def _cut(graph: Graph, replaced: dict[Value, Value]) -> Graph:
    """The graph with values replaced; its inputs are those that are left and tell its sizes."""
    done: dict[Value, Value] = dict(replaced)
    for v in topological(graph.results, replaced):
        args = tuple(done[a] for a in v.args)
        done[v] = v if args == v.args else Value(v.op, args, v.type, v.name)
    outputs = tuple(done[v] for v in graph.outputs)
    updates = tuple((old, done[new]) for old, new in graph.updates)
    reached = topological((*outputs, *(v for pair in updates for v in pair)))
    inputs = [v for v in reached if not v.args and isinstance(v.op, State)]
    told = {str(s) for v in inputs for s in v.type.shape}
    wanted = {name for v in reached for s in v.type.shape for name in dim.symbols(s)}
    for name in sorted(wanted - told):
        inputs.append(make(Placeholder(f32, (dim.symbol(name),)), (), f"size_{name}"))
    return Graph(graph.name, tuple(inputs), outputs, updates)
