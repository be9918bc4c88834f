"""Invariants of a Graph.  The verifier runs after every pass, in production too.

A violation is a bug in a pass, so the error names the pass and the value, never the user.
"""

from __future__ import annotations

from graphc.errors import GraphcError, VerifyError
from graphc.ir.graph import Graph, Value, typecheck
from graphc.ir.op import OPS, Control
from graphc.ir.ops.state import Placeholder, RunCounter, Variable


def verify(graph: Graph, after: str, proven: set[Value] | None = None) -> Graph:
    """The graph itself, if every invariant holds.  Raises `VerifyError` naming the pass `after`.
    Values in `proven` were verified by an earlier call and are skipped; verified ones are added.

    Invariants: inputs are distinct placeholders, variables or the run counter and have no operands;
    every other value is a registered op whose operands are defined and whose type is the inferred
    one; only variables are updated, each once, with a value of their type.
    """
    proven = set() if proven is None else proven
    known = set(graph.inputs)
    if len(known) != len(graph.inputs):
        raise _broken(after, "an input occurs twice")
    for v in graph.inputs:
        if not isinstance(v.op, Placeholder | Variable | RunCounter) or v.args:
            raise _broken(after, f"input {v!r} is no placeholder, variable or counter")
    for v in graph.nodes():
        if v in proven:
            continue
        _verify_value(v, after)
        if isinstance(v.op, Control):
            for inner in v.op.graphs:
                _verify_inner(inner, after, proven)
        proven.add(v)
    seen: set[Value] = set()
    for old, new in graph.updates:
        if old not in known or not isinstance(old.op, Variable) or old in seen:
            raise _broken(
                after, f"update of {old!r}, which is no variable of the graph, or a second one"
            )
        if old.type != new.type:
            raise _broken(after, f"{old!r} takes {new!r} of another type")
        seen.add(old)
    return graph


def _verify_inner(graph: Graph, after: str, proven: set[Value]) -> None:
    if graph.updates or any(not isinstance(v.op, Placeholder) for v in graph.inputs):
        raise _broken(after, f"inner graph @{graph.name} has inputs that are no placeholders")
    verify(graph, after, proven)


def _verify_value(v: Value, after: str) -> None:
    if isinstance(v.op, Placeholder | Variable | RunCounter):
        raise _broken(after, f"{v!r} is used but is no input of the graph")
    if v.op.name not in OPS:
        raise _broken(after, f"{v!r}: op is not registered")
    try:
        wanted = typecheck(v.op, v.args, v.loc)
    except (GraphcError, ValueError, TypeError, IndexError) as error:
        raise _broken(after, f"{v!r} does not type: {error}") from error
    if wanted != v.type:
        raise _broken(after, f"{v!r} has type {v.type} but its op gives {wanted}")


def _broken(after: str, what: str) -> VerifyError:
    return VerifyError(f"after pass `{after}`: {what}")
