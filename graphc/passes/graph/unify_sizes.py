"""Makes one size of sizes that must be equal: Graph -> Graph.

Operands of `add` may be `f32[n]` and `f32[m]`; then n = m must hold in every run.  This pass solves
the equations that ops state (`Op.requires`) and keeps what is left, equations and inequalities, for
the time when sizes are known.  From here on requirements lie beside the graph, so no later pass can
drop one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.bounds import never_negative
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph, Value
from graphc.ir.inside import Condition, requirements
from graphc.ir.requirement import Relation, Requirement, all_equal, at_least
from graphc.ir.substitute import substitute_graph
from graphc.ir.types import TensorType, TupleType


@dataclass(frozen=True)
class Check:
    """What sizes must satisfy in every run, and the value that demands it."""

    requirement: Condition
    value: Value

    def __str__(self) -> str:
        where = f", at {self.value.loc}" if self.value.loc else ""
        return f"{self.requirement}{where}"


@dataclass(frozen=True)
class Unified:
    """A graph with fewer symbols; `declared` are the types its inputs had."""

    graph: Graph
    declared: tuple[TensorType, ...]
    checks: tuple[Check, ...]


def unify_sizes(graph: Graph) -> Unified:
    """Solves the size equations of a graph."""
    known: dict[str, Size] = {}
    kept: dict[Condition, Value] = {}
    for requirement, v in _stated(graph):
        if requirement.holds() is True:
            continue
        now = _resolved(requirement, known)
        solved = _solution(now)
        if solved is not None:
            known[solved[0]] = solved[1]
        elif now.holds() is not True:
            kept.setdefault(now, v)
    declared = tuple(v.type for v in graph.inputs)
    if known:
        graph = substitute_graph(graph, {name: _resolve(s, known) for name, s in known.items()})
    left = {_resolved(r, known): v for r, v in kept.items()}
    checks = tuple(Check(r, v) for r, v in left.items() if r.holds() is not True)
    return Unified(graph, declared, checks)


def _stated(graph: Graph) -> Iterator[tuple[Condition, Value]]:
    """What each value needs: its op, who made it, and that its own sizes are not negative."""
    plain: set[Size] = set()
    for v in graph.every():
        for r in (*v.needs, *requirements(v.op, [x.type for x in v.args])):
            yield r, v
        types = v.type.items if isinstance(v.type, TupleType) else (v.type,)
        for size in {s for t in types for s in t.shape if isinstance(s, Dim)} - plain:
            plain.add(size)
            yield at_least(size, 0, f"a size of {v.type}"), v
    for old, new in graph.updates:
        for r in all_equal(old.type.shape, new.type.shape):
            yield r, new


def _resolve(size: Size, known: dict[str, Size]) -> Size:
    """The size with known symbols replaced, until none is left."""
    while dim.symbols(size) & known.keys():
        size = dim.substitute(size, known)
    return size


def _resolved(requirement: Condition, known: dict[str, Size]) -> Condition:
    while requirement.symbols() & known.keys():
        requirement = requirement.resolved(known)
    return requirement


def _solution(equation: Condition) -> tuple[str, Size] | None:
    """A symbol, and what an equation says it must be.

    That is one side, if that is a plain symbol that the other lacks; else any symbol that the
    equation, divided by the common factor of its terms, has once.
    """
    if not isinstance(equation, Requirement) or equation.relation is not Relation.EQUAL:
        return None
    a, b = equation.left, equation.right
    for unknown, other in ((b, a), (a, b)):
        if str(unknown).isidentifier() and str(unknown) not in dim.symbols(other):
            return str(unknown), other
    gap = a - b
    if not isinstance(gap, Dim):
        return None
    common = math.gcd(*(factor for _, factor in gap.terms))
    for monomial, factor in reversed(gap.terms):
        name = monomial[0].text if len(monomial) == 1 else ""
        if not name.isidentifier() or abs(factor) != common or not dim.is_linear(gap, {name}):
            continue
        rest = dim.divide(gap - factor * dim.symbol(name), -factor)[0]
        if name not in dim.symbols(rest) and never_negative(rest):
            return name, rest
    return None
