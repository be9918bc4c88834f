"""Loops written out step by step: what the gradients of random loops are judged against."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphcError
from graphc.ir.control import Loop, Switch
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.op import Item
from graphc.ir.ops.shape import Concat, Full, Reshape, Slice
from graphc.ir.types import f64
from graphc.passes.autodiff.reverse import gradients
from graphc.testing.random_control import ControlBuilder, deep_nodes


class Unknown(GraphcError):
    """The number of steps is not in the graph."""


def unrolled(graph: Graph) -> Graph:
    """The graph without loops.  Raises `Unknown`."""
    return Graph(graph.name, graph.inputs, tuple(_inlined(graph, graph.inputs)))


def _inlined(graph: Graph, args: Sequence[Value]) -> list[Value]:
    done = dict(zip(graph.inputs, args, strict=True))
    several: dict[Value, list[Value]] = {}
    for v in graph.nodes():
        if isinstance(v.op, Item) and v.args[0] in several:
            done[v] = several[v.args[0]][v.op.index]
            continue
        operands = tuple(done[a] for a in v.args)
        if isinstance(v.op, Loop):
            several[v] = _written_out(v.op, operands)
        elif isinstance(v.op, Switch):
            done[v] = make(v.op.over([unrolled(g) for g in v.op.branches]), operands)
        else:
            done[v] = make(v.op, operands)
    return [done[v] for v in graph.outputs]


def _written_out(op: Loop, args: Sequence[Value]) -> list[Value]:
    if op.whilst or not isinstance(op.length, int) or not isinstance(args[0].op, Full):
        raise Unknown("steps")
    wanted, length = int(args[0].op.value), op.length
    steps = max(0, min(wanted, length) if op.bounded else wanted)
    carries, arrays, constants = op.parts(args[1:])
    rows: list[dict[int, Value]] = [{} for _ in range(op.rows)]
    for t in sorted(range(steps), reverse=op.reverse):
        slices = [_slice(x, t) for x in arrays]
        made = _inlined(op.body, [*carries, *slices, *constants])
        carries = made[: op.carries]
        for row, new in zip(rows, made[op.carries :], strict=True):
            row[t] = new
    outs = op.body.outputs[op.carries :]
    stacked = [_stacked(row, v, length) for row, v in zip(rows, outs, strict=True)]
    return [full(steps, args[0].type), *carries, *stacked]


def _slice(x: Value, t: int) -> Value:
    shape, rank = x.type.shape, x.type.rank
    starts, ones = (t, *[0] * (rank - 1)), (1,) * rank
    return make(Reshape(shape[1:]), (make(Slice(starts, ones, (1, *shape[1:])), (x,)),))


def _stacked(row: dict[int, Value], like: Value, length: int) -> Value:
    t = like.type.with_shape((1, *like.type.shape))
    if not length:
        return full(0, like.type.with_shape((0, *like.type.shape)))
    parts = [make(Reshape(t.shape), (row[i],)) if i in row else full(0, t) for i in range(length)]
    return make(Concat(0), tuple(parts))


def differentiated(seed: int) -> tuple[Graph, Graph]:
    """Gradients of a random graph with loops, and of the same graph without."""
    for attempt in range(300):
        builder = ControlBuilder(seed + 1_000_003 * attempt + 31, 6, False, False, False)
        builder.dtypes = [f64, f64, f64]
        try:
            graph = builder.graph(f"unrolled_{seed}")
            if not any(isinstance(v.op, Loop) for v in deep_nodes(graph)):
                continue
            graph = Graph(graph.name, graph.inputs, graph.outputs)
            return both_gradients(graph)
        except (GraphcError, OverflowError):
            continue
    raise AssertionError(f"seed {seed} gives no graph")


def both_gradients(graph: Graph) -> tuple[Graph, Graph]:
    """Gradients of a graph with loops, and of the same graph without.  Raises `Unknown`."""
    return _gradients(graph), _gradients(unrolled(graph))


def _gradients(graph: Graph) -> Graph:
    ys = [v for v in graph.outputs if v.type.dtype.is_float]
    xs = [v for v in graph.inputs if v.type.dtype.is_float]
    found = gradients(ys, xs, [None] * len(ys))
    zeros = [full(0.0, x.type) if g is None else g for g, x in zip(found, xs, strict=True)]
    return Graph(graph.name, graph.inputs, (*graph.outputs, *zeros))
