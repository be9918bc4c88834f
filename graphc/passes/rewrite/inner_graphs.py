"""Passes over graphs inside graphs: what is done to a graph is done to those in its ops first."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Graph, Value, make, over
from graphc.ir.op import Control, Op, State
from graphc.passes.rewrite.engine import rebuild

Pass = Callable[[Graph], Graph]


def deeply(graph: Graph, change: Pass) -> Graph:
    """`change` of the graph whose inner graphs have been changed likewise."""
    if graph.controls:
        graph = rebuild(graph, lambda v: _over(v, lambda g: deeply(g, change)))
    return change(graph)


def _over(v: Value, change: Pass) -> Value:
    if not isinstance(v.op, Control):
        return v
    return make(v.op.over([change(g) for g in v.op.graphs]), v.args, v.name, v.loc, v.needs)


def replaced(graph: Graph, change: Callable[[Value, tuple[Value, ...]], Value]) -> Graph:
    """The graph with each value made anew by `change(value, operands)`."""
    done: dict[Value, Value] = {v: v for v in graph.inputs}
    for v in graph.nodes():
        done[v] = change(v, tuple(done[a] for a in v.args))
    return graph.replace(done)


def remade(v: Value, args: tuple[Value, ...]) -> Value:
    """v over other operands."""
    same = all(a is b for a, b in zip(v.args, args, strict=True))
    return v if same or isinstance(v.op, State) else over(v, args)


def without_markers(graph: Graph, markers: tuple[type[Op], ...]) -> Graph:
    """The graph without ops that stand for their first operand."""

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        return args[0] if isinstance(v.op, markers) else remade(v, args)

    return deeply(graph, lambda g: replaced(g, change))
