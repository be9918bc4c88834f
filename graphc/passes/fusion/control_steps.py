"""Prepares control ops for kernels.  Every result is stored.  Carries become variables that a step
or a branch updates, so the planner writes a new carry over the old one where it can."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.control import Loop, Switch
from graphc.ir.dim import Shape
from graphc.ir.graph import Graph, Value, closed, make, placeholder
from graphc.ir.op import Generator, Item, Pointwise, View
from graphc.ir.ops.state import Variable
from graphc.ir.program import Program
from graphc.ir.types import TupleType
from graphc.passes.autodiff.control import makes_all_steps
from graphc.passes.fusion.carried import with_carries_first
from graphc.passes.rewrite.inner_graphs import remade, replaced


def with_all_items(graph: Graph) -> tuple[Graph, dict[Value, list[Value]]]:
    """The graph with one `Item` for each result of each control op, and these items by op."""
    if not graph.controls:
        return graph, {}
    graph = _with_items_merged(with_carries_first(graph))
    existing = {(v.args[0], v.op.index): v for v in graph.nodes() if isinstance(v.op, Item)}
    results: dict[Value, list[Value]] = {}
    for v in graph.controls:
        assert isinstance(v.type, TupleType)
        for i in range(len(v.type.items)):
            item = existing[v, i] if (v, i) in existing else make(Item(i), (v,), "", v.loc)
            results.setdefault(v, []).append(item)
    return graph, results


def _with_items_merged(graph: Graph) -> Graph:
    """The graph with one `Item` where several take the same result."""
    first: dict[tuple[Value, int], Value] = {}
    twins = [
        v
        for v in graph.nodes()
        if isinstance(v.op, Item) and first.setdefault((v.args[0], v.op.index), v) is not v
    ]
    if not twins:
        return graph
    merged: dict[tuple[Value, int], Value] = {}

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if isinstance(v.op, Item):
            return merged.setdefault((args[0], v.op.index), remade(v, args))
        return remade(v, args)

    return replaced(graph, change)


def step_graphs(v: Value) -> list[Graph]:
    """The graphs of a control op from which its kernel's programs are made."""
    assert isinstance(v.op, Loop | Switch)
    return [_step_graph(g, v.op.carries) for g in v.op.graphs]


def _step_graph(body: Graph, carries: int) -> Graph:
    inputs = {
        x: _variable(x) if i < carries else placeholder(x.type, x.name)
        for i, x in enumerate(body.inputs)
    }
    graph = closed(body.name, body.outputs, inputs)
    updates = zip(graph.inputs[:carries], graph.outputs[:carries], strict=True)
    return Graph(graph.name, graph.inputs, graph.outputs[carries:], tuple(updates))


def as_step(program: Program) -> Program:
    """The program as a step of a control kernel, which commits nothing."""
    kernels = tuple(replace(k, commits=False) for k in program.kernels)
    return replace(program, kernels=kernels, step=True)


def _variable(x: Value) -> Value:
    return Value(Variable(x.type.dtype, x.type.shape), (), x.type, x.name)


def scan_space(v: Value) -> Shape | None:
    """(length, *shape) of a loop whose step is a map over one shape, so that each element goes
    through all steps by itself; None for any other loop."""
    op = v.op
    if not isinstance(op, Loop) or not makes_all_steps(v):
        return None
    body = op.body
    shapes = {x.type.shape for x in (*body.outputs, *body.inputs[: op.carries + op.slices])}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    same_each_step = set(body.inputs[op.carries + op.slices :])
    for w in body.nodes():
        if isinstance(w.op, View) and all(a in same_each_step for a in w.args):
            same_each_step.add(w)
        elif isinstance(w.op, Generator):
            if w.args or w.op.cost > 1:
                return None
            same_each_step.add(w)
        elif not isinstance(w.op, Pointwise) or w.op.can_fail or w.type.shape != shape:
            return None
    return (op.length, *shape) if body.nodes() else None
