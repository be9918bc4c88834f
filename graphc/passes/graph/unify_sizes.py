"""Makes one size of sizes that must be equal: Graph -> Graph.

Operands of `add` may be `f32[n]` and `f32[m]`; then n = m must hold in every run.  This pass solves
the equations that ops state (`Op.requires`) and keeps what is left, equations and inequalities, for
the time when sizes are known.  From here on requirements lie beside the graph, so no later pass can
drop one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from graphc.errors import Location
from graphc.ir import dim
from graphc.ir.bounds import never_negative
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph, Value
from graphc.ir.inside import Condition
from graphc.ir.needs import stated, unproved
from graphc.ir.requirement import Origin, Relation, Requirement, all_equal, equal
from graphc.ir.substitute import substitute_graph
from graphc.ir.types import TensorType, each


@dataclass(frozen=True)
class Check:
    """What sizes must satisfy in every run, and the value that demands it; one that is `elsewhere`
    is of sizes that nothing here has, and holds for runs that know them."""

    requirement: Condition
    value: Value
    elsewhere: bool = False

    @property
    def origin(self) -> Origin:
        """Whose requirement it is: that of the value, or one that the value carries."""
        return self.requirement.origin or Origin(self.value.op.name, self.value.loc)

    @property
    def loc(self) -> Location | None:
        """The line that is at fault where it does not hold."""
        return self.origin.loc

    def __str__(self) -> str:
        where = f", at {self.loc}" if self.loc else ""
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
    present, told = _symbols(graph), _symbols_of(graph.inputs)
    untold: dict[str, tuple[Condition, Value]] = {}  # solved; only a feed that is no input has them
    for requirement, v in unproved(_stated(graph)):
        now = _resolved(requirement, known)
        solved = _solution(now) if requirement.symbols() <= present else None
        if solved is not None:
            known[solved[0]] = solved[1]
            if solved[0] not in told:
                untold[solved[0]] = requirement, v
        elif now.holds() is not True:
            kept.setdefault(now, v)
    declared = tuple(v.type for v in graph.inputs)
    if known:
        graph = substitute_graph(graph, {name: _resolve(s, known) for name, s in known.items()})
    left = {_resolved(r, known): v for r, v in kept.items()}
    checks = [
        Check(r, v, not r.symbols() <= present) for r, v in left.items() if r.holds() is not True
    ]
    for name, (r, v) in untold.items():
        same = equal(dim.symbol(name), _resolve(known[name], known), r.reason)
        checks.append(Check(replace(same, origin=r.origin), v, elsewhere=True))
    return Unified(graph, declared, tuple(checks))


def _symbols(graph: Graph) -> set[str]:
    """The names in the sizes of a graph's inputs and values."""
    return _symbols_of((*graph.inputs, *graph.every()))


def _symbols_of(values: Iterable[Value]) -> set[str]:
    sizes = {s for v in values for t in each(v.type) for s in t.shape if isinstance(s, Dim)}
    return set().union(*map(dim.symbols, sizes))


def _stated(graph: Graph) -> Iterator[tuple[Condition, Value]]:
    """What the values and the updates of a graph need."""
    yield from stated(graph.every())
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
