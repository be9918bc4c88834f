"""A rule is tried where it is declared: its sides are built over every element type, its left side
is rewritten until nothing fires, and both sides are computed, on special values too.

graphc's own rules are judged by `tests/passes/test_rules.py`, more closely.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.dim import numbers
from graphc.ir.graph import Graph, Value, make
from graphc.ir.interpret import interpret
from graphc.ir.op import Array
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import ALL, DType, TensorType, bf16, bool_
from graphc.passes.oracle.values import equal_bits, special_values
from graphc.passes.rewrite.engine import Pattern, Rewriter, Rule, instantiate
from graphc.passes.rewrite.rules import RULES

TRIED = tuple(t for t in ALL if t != bf16)  # bf16 is computed in f32, and slow to import
KINDS = ("exact", "stable", "fast")
SHAPES = ((3,), (3, 3), (), (3, 3, 3), (3, 3, 3, 3))  # of the holes; a rule may need an axis
MAX_REWRITES = 200  # of one left side
MAX_COMBINATIONS = 4000  # of special values
TOLERANCE = {"f16": 1e-2, "bf16": 1e-1, "f32": 1e-4, "f64": 1e-9}


def hole_names(p: Pattern) -> list[str]:
    """The holes of a pattern, each once."""
    found = [p.hole] if p.hole else [h for a in p.args for h in hole_names(a)]
    return list(dict.fromkeys(found))


@functools.cache
def rule_fault(r: Rule) -> str:
    """What is wrong with a rule; "" if nothing is."""
    return _form_fault(r) or _meaning_fault(r)


def rules_fault(rules: Sequence[Rule]) -> str:
    """What is wrong with rules that are applied together; "" if nothing is."""
    for r in rules:
        fault = _endless(r, rules)
        if fault:
            return fault
    names = [r.name for r in (*rules, *RULES)]
    twice = next((r.name for r in rules if names.count(r.name) > 1), "")
    return f"two rules are called {twice!r}" if twice else ""


def _form_fault(r: Rule) -> str:
    if not isinstance(r.name, str) or not r.name:
        return f"the name is {r.name!r}; expected text"
    if not isinstance(r.left, Pattern) or r.left.op is None:
        return "the left side is no expression over holes: an op is what a rule is found by"
    if r.kind not in KINDS:
        return f"kind is {r.kind!r}; expected one of {', '.join(map(repr, KINDS))}"
    if r.dtypes is not None and (
        not isinstance(r.dtypes, tuple) or not all(isinstance(t, DType) for t in r.dtypes)
    ):
        return f"dtypes is {r.dtypes!r}; expected a tuple of element types"
    free = [h for h in hole_names(r.right) if h not in hole_names(r.left)]
    return f"hole {free[0]!r} is on the right side alone: nothing fills it" if free else ""


def _meaning_fault(r: Rule) -> str:
    """The first fault on the element types that the rule applies to."""
    tried = list(_tries(r))
    if not tried:
        dtypes = "any element type" if r.dtypes is None else ", ".join(map(str, r.dtypes))
        return f"the left side has no type for {dtypes}: {_type_error(r)}"
    for t in tried:
        fault = t.fault(r)
        if fault:
            return f"for {t.dtype}: {fault}"
    return _endless(r, (r,))


@dataclass(frozen=True)
class _Try:
    """The left side of a rule over inputs of some types."""

    dtype: DType
    inputs: dict[str, Value]
    left: Value

    def fault(self, r: Rule) -> str:
        try:
            right = instantiate(r.right, dict(self.inputs), self.left)
        except (GraphcError, ValueError, TypeError, OverflowError) as error:
            said = error.message if isinstance(error, GraphcError) else str(error)
            return f"the right side has no type: {said}; say which `dtypes` the rule is for"
        if right.type != self.left.type:
            return f"the left side is {self.left.type}, the right side {right.type}"
        graph = Graph("rule", tuple(self.inputs.values()), (self.left, right))
        for arrays in self.operands(r.kind == "exact"):
            with np.errstate(all="ignore"):
                left, got = map(np.asarray, interpret(graph, *arrays))
            wrong = self.differs(r, left, got)
            if np.any(wrong):
                at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
                given = ", ".join(
                    f"{name} = {a[at] if a.shape == wrong.shape else a.tolist()}"
                    for name, a in zip(self.inputs, arrays, strict=True)
                )
                return f"{given}: the left side is {left[at]}, the right side {got[at]}"
        return ""

    def differs(self, r: Rule, left: Array, right: Array) -> Any:
        """Where the sides differ by more than the kind of rule allows."""
        if r.kind == "exact" or self.left.type.dtype.name not in TOLERANCE:
            return ~np.asarray(equal_bits(left, right))
        rtol = TOLERANCE[self.left.type.dtype.name]
        a, b = left.astype(np.float64), right.astype(np.float64)
        with np.errstate(all="ignore"):
            return np.isfinite(a) & ~np.isclose(b, a, rtol=rtol, atol=rtol)

    def operands(self, special: bool) -> Iterator[list[Array]]:
        """Moderate numbers, and combinations of special values."""
        rng = np.random.default_rng(7)
        types = [v.type for v in self.inputs.values()]
        yield [_moderate(rng, t) for t in types]
        pools = [special_values(t.dtype) for t in types]
        rows = list(itertools.islice(itertools.product(*pools), 50_000)) if special else []
        if len(rows) > MAX_COMBINATIONS:
            rows = [rows[i] for i in rng.choice(len(rows), MAX_COMBINATIONS, replace=False)]
        count = max(1, types[0].count if isinstance(types[0].count, int) else 1)
        for first in range(0, len(rows), count):
            some = [rows[(first + i) % len(rows)] for i in range(count)]
            yield [
                np.array([row[i] for row in some], t.dtype.numpy).reshape(t.shape)
                for i, t in enumerate(types)
            ]


def _moderate(rng: np.random.Generator, t: TensorType) -> Array:
    drawn = rng.uniform(0.1, 3.0, numbers(t.shape, {}))
    return np.asarray(drawn > 1.5 if t.dtype == bool_ else drawn).astype(t.dtype.numpy)


def _tries(r: Rule) -> Iterator[_Try]:
    """The left side over each element type that has one."""
    for dtype in r.dtypes or TRIED:
        found = _typed(r, dtype)
        operand = found.left.args[-1] if found and found.left.args else found and found.left
        if found and operand and (r.dtypes is None or operand.type.dtype in r.dtypes):
            yield found


def _typed(r: Rule, dtype: DType) -> _Try | None:
    """The left side over holes of one element type, conditions among them; None if it has no
    type."""
    names = hole_names(r.left)
    for shape in SHAPES:
        for count in range(min(len(names), 3) + 1):
            for conditions in itertools.combinations(names, count):
                inputs = {n: _input(n, bool_ if n in conditions else dtype, shape) for n in names}
                like = next((v for n, v in inputs.items() if n not in conditions), None)
                try:
                    left = instantiate(r.left, dict(inputs), like or _input("like", dtype, shape))
                except (GraphcError, ValueError, TypeError, LookupError, OverflowError):
                    continue  # another shape or condition may fit
                return _Try(dtype, inputs, left)
    return None


def _type_error(r: Rule) -> str:
    """Why the left side has no type."""
    dtype = r.dtypes[0] if r.dtypes else ALL[-1]
    inputs = {n: _input(n, dtype, SHAPES[0]) for n in hole_names(r.left)}
    try:
        instantiate(r.left, inputs, _input("like", dtype, SHAPES[0]))
    except (GraphcError, ValueError, TypeError, LookupError, OverflowError) as error:
        return error.message if isinstance(error, GraphcError) else str(error)
    return "its operands are of other types"


def _input(name: str, dtype: DType, shape: tuple[int, ...]) -> Value:
    return make(Placeholder(dtype, shape), (), name)


def _endless(r: Rule, rules: Sequence[Rule]) -> str:
    """Which rules rewrite the left side of one without end, graphc's own among them; "" if none
    do."""
    for t in _tries(r):
        rewriter = Rewriter([*rules, *RULES], ())
        rewriter.fuel = MAX_REWRITES
        try:
            rewriter.run(Graph("left", tuple(t.inputs.values()), (t.left,)))
            endless = rewriter.fuel <= 0
        except RecursionError:
            endless = True
        if endless:
            names = " and ".join(f"`{name}`" for name, n in rewriter.fired.items() if n > 10)
            return f"rewriting its left side does not end; {names} fired again and again"
    return ""
