"""Every rule on every element type it applies to, on special values.

An `exact` rule keeps every bit (of NaN only that it is one).  A `stable` rule is at least as close
to the real result as its left side, wherever that is finite.  `fast` rules are equations over
moderate numbers only.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Value, make
from graphc.ir.interpret import interpret
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.pointwise import absolute, maximum, where
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import ALL, FLOATS, DType, TensorType, bool_, f16, f32, f64, u8
from graphc.passes.rewrite.engine import Pattern, Rewriter, Rule, holes, instantiate, rule
from graphc.passes.rewrite.rules import RULES
from graphc.testing.closeness import equal_bits, spacing
from graphc.testing.samples import special_values

x, y, c = holes("x y c")


def hole_names(p: Pattern) -> set[str]:
    return {p.hole} if p.hole else set().union(*(hole_names(a) for a in p.args), set())


def both_sides(r: Rule, dtype: DType, count: int) -> Graph | None:
    """The two sides of a rule over inputs of one element type; None where the rule does not
    apply."""
    names = sorted(hole_names(r.left))
    for condition in (frozenset(["c"]) & set(names), frozenset()):
        found = {
            n: make(Placeholder(bool_ if n in condition else dtype, (count,)), (), n) for n in names
        }
        like = next((v for n, v in found.items() if n != "c"), found[names[0]])
        try:
            left = instantiate(r.left, found, like)
            operand = left.args[-1].type.dtype
            if r.dtypes is not None and operand not in r.dtypes:
                return None
            right = instantiate(r.right, found, left)
        except (GraphcError, OverflowError):
            continue
        return Graph("rule", tuple(found[n] for n in names), (left, right))
    return None


def cases() -> list[Any]:
    return [
        pytest.param(r, t, id=f"{r.name}-{t}")
        for r in RULES
        for t in ALL
        if both_sides(r, t, 1) is not None
    ]


def operands(graph: Graph) -> list[Any]:
    """All combinations of special values."""
    pools = [special_values(v.type.dtype) for v in graph.inputs]
    rows = list(itertools.product(*(range(len(p)) for p in pools)))
    return [p[[row[i] for row in rows]] for i, p in enumerate(pools)]


def sides_on(r: Rule, dtype: DType, arrays: list[Any]) -> tuple[Any, Any]:
    graph = both_sides(r, dtype, len(arrays[0]))
    assert graph is not None
    left, right = interpret(graph, *arrays)
    return left, right


def exact_fault(r: Rule, dtype: DType) -> str:
    """Where the sides of a rule differ, if they do."""
    probe = both_sides(r, dtype, 1)
    assert probe is not None
    arrays = operands(probe)
    left, right = sides_on(r, dtype, arrays)
    if left.dtype != right.dtype:
        return f"{left.dtype} becomes {right.dtype}"
    bad = np.flatnonzero(~equal_bits(left, right))
    return (
        ""
        if not bad.size
        else (
            f"{[a[bad[0]] for a in arrays]}: {left[bad[0]]!r} becomes {right[bad[0]]!r} "
            f"({bad.size} differ)"
        )
    )


@pytest.mark.parametrize(("r", "dtype"), [c for c in cases() if c.values[0].kind == "exact"])
def test_exact_rules_keep_every_bit(r: Rule, dtype: DType) -> None:
    assert exact_fault(r, dtype) == ""


def samples(dtype: DType, count: int) -> Iterator[list[Any]]:
    """Operands over many magnitudes, for one and for two holes."""
    rng = np.random.default_rng(11)
    sizes = np.exp2(rng.uniform(-30, 7, 4000)) * rng.choice([-1, 1], 4000)
    with np.errstate(over="ignore"):
        values = np.concatenate([sizes, rng.uniform(-100, 100, 4000), special_values(f64)]).astype(
            dtype.numpy
        )
    others = rng.permutation(values)
    yield [values, others][:count]


@pytest.mark.parametrize(("r", "dtype"), [c for c in cases() if c.values[0].kind == "stable"])
def test_stable_rules_come_no_farther_from_the_real_result(r: Rule, dtype: DType) -> None:
    probe = both_sides(r, dtype, 1)
    assert probe is not None
    assert dtype in FLOATS
    for arrays in samples(dtype, len(probe.inputs)):
        with np.errstate(all="ignore"):
            left, right = sides_on(r, dtype, arrays)
            real = true_value(r, arrays)
            w, g = widened(left).astype(np.longdouble), widened(right).astype(np.longdouble)
            unit = spacing(left)
            if r.name == "log-quotient":  # a difference is as good as its terms
                unit = np.maximum(unit, spacing(arrays[0]))
            before, after = np.abs(w - real), np.abs(g - real)
        judged = np.isfinite(w) & np.isfinite(real)
        worse = judged & ~(after <= before + 4 * unit)
        assert not np.any(worse), [
            (*(a[worse][0] for a in arrays), left[worse][0], right[worse][0], real[worse][0])
        ]


def true_value(r: Rule, arrays: list[Any]) -> Any:
    """The left side over the reals, as well as longdouble can tell."""
    a = [widened(v).astype(np.longdouble) for v in arrays]
    soft = lambda v: np.logaddexp(v, np.longdouble(0))  # noqa: E731
    meaning: dict[str, Any] = {
        "softplus": lambda v: soft(v),
        "log1p-exp": lambda v: soft(v),
        "log1p": np.log1p,
        "expm1": np.expm1,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "log-sigmoid": lambda v: -soft(-v),
        "log-exp": lambda v: v,
        "power-two": lambda v: v * v,
        "log-quotient": lambda v, w: v - np.log(w),
    }
    assert r.name in meaning, f"say what {r.name} means over the reals"
    return meaning[r.name](*a)


@pytest.mark.parametrize(
    ("r", "dtype"), [c for c in cases() if c.values[0].kind == "fast" and c.values[1] in (f32, f64)]
)
def test_fast_rules_hold_for_moderate_numbers(r: Rule, dtype: DType) -> None:
    rng = np.random.default_rng(3)
    probe = both_sides(r, dtype, 1)
    assert probe is not None
    arrays = [rng.uniform(0.1, 3, 50).astype(dtype.numpy) for _ in probe.inputs]
    left, right = sides_on(r, dtype, arrays)
    np.testing.assert_allclose(left, right, rtol=1e-5)


def test_every_rule_applies_to_something() -> None:
    tried = {c.values[0].name for c in cases()}
    assert {r.name for r in RULES} == tried


def test_names_are_distinct() -> None:
    assert [n for n, k in Counter(r.name for r in RULES).items() if k > 1] == []


@pytest.mark.parametrize("r", RULES, ids=lambda r: r.name)
def test_every_rule_fires_on_its_own_left_side(r: Rule) -> None:
    graphs = [g for t in ALL if (g := both_sides(r, t, 3)) is not None]
    rewriter = Rewriter([r], [])
    for graph in graphs:
        rewriter.run(Graph("left", graph.inputs, graph.outputs[:1]))
    assert rewriter.fired[r.name] == len(graphs)


WRONG = (
    rule("add-zero", x + 0.0, x, dtypes=FLOATS),  # -0.0 + 0.0 is 0.0
    rule("sub-self", x - x, 0.0, dtypes=FLOATS),  # inf, nan
    rule("mul-zero", x * 0.0, 0.0, dtypes=FLOATS),  # inf, nan, -1
    rule("neg-sub", -(x - y), y - x, dtypes=FLOATS),  # the sign of zero
    rule("abs-is-max", absolute(x), maximum(x, -x), dtypes=(u8,)),  # unsigned negation wraps
    rule("abs-positive", absolute(x), x, dtypes=(f16,)),
    rule("where-swapped", where(c, x, y), where(c, y, x)),
    rule("less-not-greater", where(x < y, x, y), where(y < x, y, x), dtypes=(f32,)),  # nan
    rule("divide-twice", 1 / (1 / x), x, dtypes=FLOATS),  # rounds
    rule("div-self", x / x, 1.0, dtypes=FLOATS),  # 0, inf, nan
)


@pytest.mark.parametrize("r", WRONG, ids=lambda r: r.name)
def test_a_wrong_rule_is_found(r: Rule) -> None:
    dtypes = [t for t in ALL if both_sides(r, t, 1) is not None]
    assert dtypes
    assert any(exact_fault(r, t) for t in dtypes)


def test_a_value_keeps_its_element_type() -> None:
    for r in RULES:
        for t in ALL:
            graph = both_sides(r, t, 2)
            if graph is not None:
                left, right = graph.outputs
                assert left.type == right.type == TensorType(left.type.dtype, (2,)), (r.name, t)


def test_floats_are_recognised() -> None:
    assert all(is_float(np.zeros(1, t.numpy)) for t in FLOATS)
    assert isinstance(both_sides(RULES[0], f32, 1).outputs[0], Value)  # type: ignore[union-attr]
