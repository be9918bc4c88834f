"""What the tests of placement share: machines, pins, and running segments one after another."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import graphc as gc
from graphc.compiler.targets import targets
from graphc.config import Options
from graphc.errors import Location
from graphc.frontend.stage import stage
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.ops.state import Variable
from graphc.ir.verify import verify
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import optimise
from graphc.passes.placement.place import place
from graphc.passes.placement.placed import Placed, PlaceOptions
from graphc.passes.placement.segments import Segments

TWO = gc.Machine([gc.DeviceSpec("cuda:0", like="H100")])
THREE = gc.Machine([gc.DeviceSpec("cuda:0", like="H100"), gc.DeviceSpec("cuda:1", like="A100")])


def staged(fetches: Sequence[Any], effects: Sequence[Any] = ()) -> Graph:
    """The optimised graph of tensors."""
    graph = stage(list(fetches), effects=list(effects)).graph
    return optimise(unify_sizes(graph).graph, Options())


def placed(
    fetches: Sequence[Any], effects: Sequence[Any] = (), machine: gc.Machine = TWO, **options: Any
) -> Placed:
    """The placed graph of tensors, verified."""
    made = place(staged(fetches, effects), machine, targets(), options=PlaceOptions(**options))
    verify(made.graph, "place")
    return made


def at(made: Placed, name: str) -> str:
    """The device of the value of that name."""
    found = {made.device[v] for v, o in made.origin.items() if o.name == name and v.op == o.op}
    (device,) = found
    return device


def of_op(made: Placed, op: str) -> list[Value]:
    """The values of an op."""
    return [v for v in made.graph.nodes() if v.op.name == op]


def pin_some(graph: Graph, rng: random.Random, share: float, names: Sequence[str]) -> Graph:
    """The graph with a share of its variables and values pinned."""

    def pinned(v: Value, args: tuple[Value, ...]) -> Value:
        loc = Location("model.py", 1, rng.choice(names)) if rng.random() < share else None
        return Value(v.op, args, v.type, v.name, loc)

    done = {v: pinned(v, ()) if isinstance(v.op, Variable) else v for v in graph.inputs}
    for v in graph.nodes():
        done[v] = pinned(v, tuple(done[a] for a in v.args))
    return graph.replace(done)


def run_segments(made: Placed, cut: Segments, arrays: Sequence[Any]) -> list[Any]:
    """The outputs and then the new values of variables, by the oracle, segment by segment."""
    env = dict(zip(made.graph.inputs, arrays, strict=True))
    new: dict[Value, Any] = {}
    for part in cut.parts:
        verify(part.graph, "segments")
        found = interpret(part.graph, *(env[s] for s in part.sources))
        results = found[: len(part.results)]
        env |= dict(zip(part.results, results, strict=True))
        olds = [old for old, _ in part.graph.updates]
        new |= dict(zip(olds, found[len(part.results) :], strict=True))
    for old, value in cut.deferred:
        assert old not in new
        new[old] = env[value]
    return [*(env[v] for v in cut.outputs), *(new[old] for old, _ in made.graph.updates)]
