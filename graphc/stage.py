"""Tensors -> Graph: what a run must compute, cut out of what the user declared.

Assignments become updates of the graph; custom gradients and `stop_gradient`, which matter only to
differentiation, disappear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.differentiate import WithGradient
from graphc.errors import GraphError, Location
from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.pointwise import StopGradient
from graphc.ir.ops.state import Assign, Placeholder, RunCounter, Variable
from graphc.passes.inner import without_markers
from graphc.passes.loops import merge_loops
from graphc.tensor import Tensor


@dataclass(frozen=True)
class Staged:
    """A graph, and which tensor each of its inputs stands for."""

    graph: Graph
    inputs: tuple[Tensor, ...]


def reachable(roots: Iterable[Tensor], fed: Iterable[Tensor]) -> list[Tensor]:
    """What `roots` need, operands first, not looking behind what is fed or behind variables."""
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
    return order


def stage(
    fetches: Sequence[Tensor], fed: Sequence[Tensor] = (), effects: Sequence[Tensor] = (),
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
    for v in reachable([*fetches, *effects], fed):
        if v in fed_set or isinstance(v.op, Placeholder | Variable | RunCounter):
            done[v] = _input(v, v in fed_set)
            inputs.append((v, done[v]))
            continue
        args = tuple(done[a] for a in v.args)
        match v.op:
            case Assign():
                _update(updates, args, v)
                done[v] = args[1]
            case _:
                done[v] = make(v.op, args, v.name, v.loc)
    graph = Graph(name, tuple(i for _, i in inputs), tuple(done[f] for f in fetches),
                  tuple((old, new) for old, (new, _) in updates.items()))
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
            "chain the second assignment on the first one's value", v.loc)
    updates[old] = (new, v.loc)
