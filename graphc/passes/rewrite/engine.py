"""Rebuilding graphs, and rules: equations over holes that a driver applies until none fires.

    x, y = holes("x y")
    rule("mul-one", x * 1.0, x)

Both sides are ordinary code over patterns.  A repeated hole means the same value; commutative ops
match either way round.  A rebuilt graph interns its values, so equal expressions become one (CSE).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.ir.graph import Graph, Value, full, make, over
from graphc.ir.op import Number, Op, Pointwise, State
from graphc.ir.ops.pointwise import Arithmetic
from graphc.ir.ops.shape import Full
from graphc.ir.types import DType


@dataclass
class Interner:
    """Equal (op, operands, type) are one value; inputs of a graph stay apart, and so does what is
    pinned to different devices."""

    known: dict[Any, Value] = field(default_factory=dict)

    def __call__(self, v: Value) -> Value:
        if isinstance(v.op, State):
            return v
        key = (v.op, v.args, v.type, v.device if v.args else "")
        return self.known.setdefault(key, v)

    def rebuild(self, v: Value, args: tuple[Value, ...]) -> Value:
        """v over other operands, interned."""
        return self(v if args == v.args else over(v, args))


def rebuild(graph: Graph, change: Callable[[Value], Value]) -> Graph:
    """The graph with `change` applied to every value, operands first, equal values merged."""
    intern = Interner()
    done: dict[Value, Value] = {v: v for v in graph.inputs}
    for v in graph.nodes():
        done[v] = intern(change(intern.rebuild(v, tuple(done[a] for a in v.args))))
    return graph.replace(done)


@dataclass(frozen=True, eq=False)
class Pattern(Arithmetic):
    """An op over patterns, a hole, or a literal."""

    op: Op | None
    args: tuple[Pattern, ...] = ()
    hole: str = ""
    literal: Number | None = None

    def apply(self, op: Op, args: Sequence[Any]) -> Pattern:
        """The pattern of `op` over patterns and numbers."""
        return Pattern(op, tuple(a if isinstance(a, Pattern) else lit(a) for a in args))


def lit(number: Number) -> Pattern:
    """A literal: matches a splat of that number (with its sign of zero)."""
    return Pattern(None, (), "", number)


def holes(names: str) -> tuple[Pattern, ...]:
    """Patterns that match anything, each one thing."""
    return tuple(Pattern(None, (), n) for n in names.split())


@dataclass(frozen=True, eq=False)
class Rule:
    """An equation.  `kind` is what it promises: "exact": the same bits; "stable": as close to the
    real result or closer, and finite where the left side overflows; "fast": equal over the reals
    only."""

    name: str
    left: Pattern
    right: Pattern
    kind: str = "exact"
    dtypes: tuple[DType, ...] | None = None


def rule(
    name: str,
    left: Pattern,
    right: Pattern | Number,
    kind: str = "exact",
    dtypes: tuple[DType, ...] | None = None,
) -> Rule:
    """An equation from left to right, for operands of the given element types (default: all)."""
    return Rule(name, left, right if isinstance(right, Pattern) else lit(right), kind, dtypes)


Matched = dict[str, Value]


def match(p: Pattern, v: Value, found: Matched) -> bool:
    """Whether v has the form p; fills in the holes."""
    if p.hole:
        return found.setdefault(p.hole, v) is v
    if p.literal is not None:
        return isinstance(v.op, Full) and repr(float(v.op.value)) == repr(float(p.literal))
    if p.op != v.op or len(p.args) != len(v.args):
        return False
    before = dict(found)
    if all(match(q, a, found) for q, a in zip(p.args, v.args, strict=True)):
        return True
    if isinstance(p.op, Pointwise) and p.op.commutative:
        found.clear()
        found.update(before)
        return all(match(q, a, found) for q, a in zip(p.args, reversed(v.args), strict=True))
    return False


def instantiate(p: Pattern, found: Matched, like: Value) -> Value:
    """The right side with its holes filled; a literal takes the type of `like`."""
    if p.hole:
        return found[p.hole]
    if p.literal is not None:
        return full(p.literal, like.type)
    assert p.op is not None
    inner = next((found[h] for h in _holes(p) if h in found), like)
    args = tuple(instantiate(a, found, inner) for a in p.args)
    return make(p.op, args, "", like.loc)


def _holes(p: Pattern) -> list[str]:
    return [p.hole] if p.hole else [h for a in p.args for h in _holes(a)]


class Rewriter:
    """Applies rules and functions to every value until none fires; counts what fired.

    `fuel` limits the number of rewrites, to find the first wrong one; `last` is the latest: its
    name and the value as it was.  `settled` are values to which nothing applies; as values do not
    change, that stays so, in later runs of the same rules too.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        functions: Sequence[Callable[[Value], Value | None]],
        settled: set[Value] | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.by_op: dict[Op | None, list[Rule]] = {}
        for r in rules:
            if not isinstance(r, Rule):
                raise GraphError(
                    f"Rewriter: rules holds {r!r}; expected rules, each made by rule",
                    user_location(),
                )
            self.by_op.setdefault(r.left.op, []).append(r)
        self.functions = functions
        self.settled = set() if settled is None else settled
        self.fired: Counter[str] = Counter()
        self.fuel: float = math.inf
        self.last: tuple[str, Value] | None = None

    def step(self, v: Value) -> Value | None:
        """One rewrite of v, or None."""
        if self.fuel <= 0 or v in self.settled:
            return None
        for r in self.by_op.get(v.op, ()):
            found: Matched = {}
            if match(r.left, v, found) and _applies(r, v):
                self._count(r.name, v)
                return instantiate(r.right, found, v)
        for f in self.functions:
            new = f(v)
            if new is not None and new is not v:
                self._count(f.__name__.replace("_", "-"), v)
                return new
        self.settled.add(v)
        return None

    def _count(self, name: str, v: Value) -> None:
        self.fired[name] += 1
        self.fuel -= 1
        self.last = name, v

    def run(self, graph: Graph) -> Graph:
        """The graph rewritten until nothing fires."""
        intern = Interner()
        done: dict[Value, Value] = {v: v for v in graph.inputs}

        def settle(v: Value) -> Value:
            stack = [v]
            while stack:
                top = stack[-1]
                waiting = [a for a in top.args if a not in done]
                if waiting:
                    stack.extend(reversed(waiting))
                    continue
                stack.pop()
                if top not in done:
                    done[top] = finish(top)
            return done[v]

        def finish(v: Value) -> Value:
            now = intern.rebuild(v, tuple(done[a] for a in v.args))
            for _ in range(100):
                new = self.step(now)
                if new is None:
                    break
                new = done[new] if new in done else settle(_keep_name(new, v))
                now = intern(_keep_name(new, v))
                if now in done:
                    break
            done[now] = now
            return now

        for v in graph.nodes():
            if v not in done:
                done[v] = finish(v)
        return graph.replace(done)


def _applies(r: Rule, v: Value) -> bool:
    return r.dtypes is None or (v.args[-1] if v.args else v).type.dtype in r.dtypes


def _keep_name(new: Value, old: Value) -> Value:
    """A rewritten value keeps the user's name, unless it has one or is an input."""
    if new.name or not old.name or not new.args:
        return new
    return Value(new.op, new.args, new.type, old.name, old.loc or new.loc)
