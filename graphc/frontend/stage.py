"""Tensors -> Graph: what a run must compute, cut out of what the user declared.

Assignments and `with_update` become updates of the graph.  Custom gradients and `stop_gradient`,
which matter only to differentiation, disappear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.config import Options
from graphc.errors import GraphError, Location
from graphc.frontend.tensor import Tensor
from graphc.frontend.with_update import updates_of
from graphc.ir.graph import Graph, Value, over
from graphc.ir.machine import HOST
from graphc.ir.ops.markers import BeforeUpdate, WithGradient, WithUpdate
from graphc.ir.ops.pointwise import StopGradient
from graphc.ir.ops.state import Assign, Placeholder, RunCounter, Variable
from graphc.ir.text.graph import print_graph
from graphc.passes.graph.shrink_loops import merge_loops
from graphc.passes.rewrite.inner_graphs import without_markers


@dataclass(frozen=True)
class Staged:
    """A graph, and the tensor that each of its inputs stands for."""

    graph: Graph
    inputs: tuple[Tensor, ...]

    @property
    def key(self) -> Any:
        """Equal for equal graphs.  The text alone is not enough: it leaves out the Python
        functions that ops hold, the devices that lines are pinned to, and what sizes must be."""
        nodes = self.graph.nodes()
        return (
            print_graph(self.graph),
            tuple(v.op for v in nodes),
            tuple(v.device for v in (*self.graph.inputs, *nodes)),
            tuple(v.needs for v in self.graph.every()),
        )


def reachable(
    roots: Iterable[Tensor], fed: Iterable[Tensor], earlier: Mapping[Value, Tensor] | None = None
) -> list[Tensor]:
    """The tensors that `roots` need, operands first; the walk stops at fed tensors and variables.

    `earlier` maps a value to one more tensor that must come before it.
    """
    before = earlier or {}
    fed_set = set(fed)
    order: list[Tensor] = []
    seen: set[Value] = set()
    stack: list[tuple[Value, bool]] = [(r, False) for r in reversed(list(roots))]
    while stack:
        v, done = stack.pop()
        if done:
            order.append(v)  # type: ignore[arg-type]
        elif v not in seen:
            seen.add(v)
            stack.append((v, True))
            if v not in fed_set:
                stack += [(a, False) for a in reversed(v.args)]
                stack += [(before[v], False)] if v in before else []
    return order


def chained(order: Sequence[Tensor]) -> tuple[dict[Value, Tensor], dict[Value, Tensor]]:
    """For the `with_update`s in a run: the value that each starts from, if an earlier one updates
    the same variable in this run; and the final value of each variable."""
    by_order = {v.op.order: v for v in order if isinstance(v.op, WithUpdate)}
    starts = [v for v in order if isinstance(v.op, BeforeUpdate) and v.op.order in by_order]
    earlier: dict[Value, Tensor] = {}
    last: dict[Value, Tensor] = {}
    for number in sorted(by_order):
        for v in starts:
            if v.op == BeforeUpdate(number) and v.args[0] in last:
                earlier[v] = last[v.args[0]]
        last.update(updates_of(by_order[number]))
    return earlier, last


def stage(
    fetches: Sequence[Tensor],
    fed: Sequence[Tensor] = (),
    effects: Sequence[Tensor] = (),
    name: str = "main",
) -> Staged:
    """The graph that computes `fetches` and makes the assignments that `fetches` and `effects`
    need, with the tensors `fed` as inputs.

    Raises `GraphError` for two assignments of one variable that are both needed.
    """
    done: dict[Value, Value] = {}
    inputs: list[tuple[Tensor, Value]] = []
    updates: dict[Value, tuple[Value, Location | None]] = {}
    fed_set = set(fed)
    order = reachable([*fetches, *effects], fed)
    earlier, last = chained(order)
    for v in reachable([*fetches, *effects], fed, earlier) if earlier else order:
        if v in fed_set or isinstance(v.op, Placeholder | Variable | RunCounter):
            done[v] = _input(v, v in fed_set)
            inputs.append((v, done[v]))
            continue
        args = tuple(done[a] for a in v.args)
        match v.op:
            case Assign():
                _update(updates, args, v)
                done[v] = args[1]
            case BeforeUpdate():
                done[v] = done[earlier[v]] if v in earlier else args[0]
            case WithUpdate():
                done[v] = args[0]
            case _:
                done[v] = over(v, args)
    for variable, new in last.items():
        _update(updates, (done[variable], done[new]), new)
    graph = Graph(
        name,
        tuple(i for _, i in inputs),
        tuple(done[f] for f in fetches),
        tuple((old, new) for old, (new, _) in updates.items()),
    )
    graph = without_markers(merge_loops(graph), (WithGradient, StopGradient))
    return Staged(graph, tuple(t for t, _ in inputs))


def _input(v: Tensor, fed: bool) -> Value:
    op = Placeholder(v.dtype, v.shape) if fed else v.op
    return Value(op, (), v.type, v.name or v.op.name, v.loc)


def _update(
    updates: dict[Value, tuple[Value, Location | None]], args: tuple[Value, ...], v: Tensor
) -> None:
    old, new = args
    if not isinstance(old.op, Variable):
        raise GraphError(
            f"variable {old.name!r} is fed and assigned in one run; feed it in a run that does not "
            "assign it, or use Session.load",
            v.loc,
        )
    if old in updates:
        raise GraphError(
            f"variable {old.name!r} is assigned twice in one run, also at {updates[old][1]}; "
            "chain the second assignment on the first one's value",
            v.loc,
        )
    updates[old] = (new, v.loc)


def is_placed(graph: Graph, options: Options) -> bool:
    """Whether a graph is for more than the host: the session has devices, or a line is pinned."""
    if options.device not in ("", HOST) or options.devices:
        return True
    return any(v.device not in ("", HOST) for v in (*graph.inputs, *graph.nodes()))
