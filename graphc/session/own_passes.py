"""The passes and rules that a session was given, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from graphc.config import Options
from graphc.errors import SessionError, user_location
from graphc.frontend.boundary import short
from graphc.frontend.signatures import require_takes
from graphc.ir.graph import Graph
from graphc.passes.base import GraphPass
from graphc.passes.graph.own_rules import OwnRules
from graphc.passes.oracle.try_rule import rule_fault, rules_fault
from graphc.passes.pipeline import PASSES
from graphc.passes.rewrite.engine import Rule

GraphFunction = Callable[[Graph], Graph]
T = TypeVar("T")


def own_passes(
    passes: Sequence[GraphFunction], rules: Sequence[Rule], options: Options | None
) -> tuple[GraphFunction, ...]:
    """The passes that a session runs besides graphc's; the one that applies rules comes first.
    Raises `SessionError` for what is no pass or rule, and `GraphError` for a signature that does
    not fit."""
    for p in _listed("passes", passes, "functions Graph -> Graph, or GraphPass"):
        check_pass("Session: pass", p)
    given = _listed("rules", rules, "rules, each made by graphc.extend.rule")
    chosen = tuple(passes) or (options.passes if options is not None else ())
    if not given:
        return chosen
    for r in given:
        if not isinstance(r, Rule):
            raise SessionError(
                f"Session: rules holds {short(r)}; expected rules, each made by graphc.extend.rule",
                user_location(),
            )
        fault = rule_fault(r)
        if fault:
            raise SessionError(f"Session: rule {r.name!r}: {fault}", user_location())
    fault = rules_fault(given)
    if fault:
        raise SessionError(f"Session: rules: {fault}", user_location())
    return (OwnRules(rules=tuple(given)), *chosen)


def _listed(what: str, given: Sequence[T], wanted: str) -> list[T]:
    if not isinstance(given, list | tuple):
        raise SessionError(
            f"Session: {what} is {short(given)}; expected a list of {wanted}", user_location()
        )
    return list(given)


def check_pass(what: str, p: GraphFunction) -> None:
    """Raises unless this can be called as a pass; `what` begins the message for one that is almost
    a pass."""
    if isinstance(p, type) and issubclass(p, GraphPass):
        raise SessionError(
            f"Session: passes holds the class {p.__name__}; expected one of it: {p.__name__}()",
            user_location(),
        )
    if not callable(p) or isinstance(p, type):
        raise SessionError(
            f"Session: passes holds {short(p)}; expected functions Graph -> Graph, or GraphPass",
            user_location(),
        )
    if not isinstance(p, GraphPass):
        require_takes(f"{what} {getattr(p, '__name__', short(p))}", p, ["graph"])
        return
    kind = type(p)
    if not isinstance(getattr(p, "name", None), str):
        raise SessionError(
            f"{what} {kind.__name__} has no name; declare `name = ...` in the class",
            user_location(),
        )
    if any(q.name == p.name and not isinstance(p, type(q)) for q in PASSES):
        raise SessionError(
            f"{what} {kind.__name__} has the name of graphc's own pass {p.name!r}; choose another",
            user_location(),
        )
    require_takes(f"{what} {p.name}: run", kind.run, ["self", "graph", "context"])
