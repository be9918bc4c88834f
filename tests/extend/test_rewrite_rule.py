"""Rules of a user's own: tried where they are declared, applied by a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.config import Options
from graphc.errors import GraphError, SessionError, VerifyError
from graphc.extend import FLOATS, GraphPass, Rule, f32, holes, lit, ops, rule
from graphc.passes.oracle.try_rule import rule_fault
from graphc.passes.rewrite.rules import RULES

x, y, z, q = holes("x y z q")
absolute, sqrt, transpose, summed = ops.Absolute(), ops.Sqrt(), ops.Transpose, ops.ReduceSum


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


def test_right_rules() -> None:
    made = [
        rule("square-of-abs", absolute(x) * absolute(x), x * x),
        rule("transposed-twice", transpose((1, 0))(transpose((1, 0))(x)), x),
        rule("self", x - x, 0.0, kind="fast", dtypes=FLOATS),
        rule("root", sqrt(x) * sqrt(x), x, kind="fast"),
        rule("choice", ops.Where()(z, x, x), x),
        rule("sum-of-minus", summed((0,))(-x), -summed((0,))(x), kind="stable", dtypes=(f32,)),
    ]
    assert [r.kind for r in made] == ["exact", "exact", "fast", "fast", "exact", "stable"]


FAULTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a free hole": ((x + y, x + z), {}, "hole 'z' is on the right side alone: nothing fills it"),
    "no end": ((z + q, q + z), {}, "rewriting its left side does not end; `wrong` fired again and"),
    "growth": ((x * y, x * y + 0.0 * x), {"kind": "fast", "dtypes": (f32,)}, "does not end"),
    "undone by ours": (
        (x - y, x + (-y)),
        {"dtypes": (f32,)},
        "does not end; `wrong` and `add-neg` fired again and again",
    ),
    "no kind": ((x + x, x * 2), {"kind": "bogus"}, "kind is 'bogus'; expected one of 'exact', 'st"),
    "one type": ((x + x, x * 2), {"dtypes": f32}, "dtypes is f32; expected a tuple of element typ"),
    "a hole on the left": ((x, x * 1), {}, "the left side is no expression over holes"),
    "a number on the left": ((lit(1), lit(2)), {}, "the left side is no expression over holes"),
    "text": ((x + x, "2 x"), {}, "the right side is '2 x'; expected an expression over holes"),
    "another value": ((x + x, x * x), {}, "for i8: x = 1: the left side is 2, the right side 1"),
    "minus zero": ((x + 0.0, x), {"dtypes": FLOATS}, "x = -0.0: the left side is 0.0, the right"),
    "infinity": ((x - x, 0.0), {"dtypes": FLOATS}, "x = inf: the left side is nan, the right side"),
    "swapped": (
        (ops.Where()(z, x, y), ops.Where()(z, y, x)),
        {},
        "for .*: z = .*: the left side is",
    ),
    "a fast one": ((x * 2.0, x * 3.0), {"kind": "fast"}, "the left side is .*, the right side"),
    "another type": (
        (x < y, x - y),
        {"dtypes": (f32,)},
        "the left side is bool.*, the right side f",
    ),
    "no right type": (
        (absolute(absolute(x)), sqrt(x)),
        {},
        "for i8: the right side has no type: .*; say which `dtypes`",
    ),
    "no left type": ((sqrt(x) & x, x), {}, "the left side has no type for any element type: .*"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_wrong_rule_is_refused(what: str) -> None:
    sides, options, message = FAULTS[what]
    with pytest.raises(GraphError, match=f"rule: 'wrong': .*{message}") as raised:
        rule("wrong", *sides, **options)
    assert raised.value.location is not None and raised.value.location.file == __file__


@pytest.mark.parametrize("r", RULES, ids=lambda r: r.name)
def test_graphc_s_own_rules_pass(r: Rule) -> None:
    assert rule_fault(r) == ""


def test_a_session_applies_rules() -> None:
    seen: list[str] = []

    def watch(graph: Any) -> Any:
        seen[:] = [v.op.name for v in graph.nodes()]
        return graph

    t = gc.placeholder(gc.float32, ["n"], name="t")
    out = gc.abs(t) * gc.abs(t)
    given = np.array([-3.0, 2.0], np.float32)
    square = rule("square-of-abs", absolute(x) * absolute(x), x * x)
    with gc.Session(rules=[square], passes=[watch]) as sess:
        np.testing.assert_array_equal(sess.run(out, {t: given}), [9.0, 4.0])
    assert seen == ["multiply"]
    with gc.Session(passes=[watch]) as sess:
        sess.run(out, {t: given})
    assert seen == ["absolute", "multiply"]


def test_fast_rules_need_fast_math() -> None:
    root = ops.Cbrt()(x)
    cube = rule("cube-of-root", root * root * root, x, kind="fast")
    t = gc.placeholder(gc.float32, ["n"], name="t")
    out = gc.cbrt(t) * gc.cbrt(t) * gc.cbrt(t)
    for fast, kernels in ((False, ["cbrt", "multiply", "multiply"]), (True, [])):
        seen: list[list[str]] = []

        def watch(graph: Any, seen: Any = seen) -> Any:
            seen.append([v.op.name for v in graph.nodes()])
            return graph

        options = Options(fast_math=fast)
        with gc.Session(rules=[cube], passes=[watch], options=options) as sess:
            sess.run(out, {t: [8.0]})
        assert seen == [kernels]


def test_rules_of_a_session_are_judged_together() -> None:
    there = Rule("there", absolute(x) * absolute(y), x * y, "exact", (f32,))
    plus = rule("plus", x + x, 2.0 * x, kind="fast", dtypes=(f32,))
    times = rule("times", 2.0 * x, x + x, kind="fast", dtypes=(f32,))
    for rules, message in (
        ([plus, times], "rules: rewriting its left side does not end; `plus` and `times` fired"),
        ([plus, plus], "rules: two rules are called 'plus'"),
        ([there], "rule 'there': for f32: .*the left side is"),
        ([Rule("free", x + y, z)], "rule 'free': hole 'z' is on the right side alone"),
        ([x + y], "rules holds .*; expected rules, each made by graphc.extend.rule"),
        (plus, "rules is .*; expected a list of rules"),
    ):
        with pytest.raises(SessionError, match=f"Session: {message}"):
            gc.Session(rules=rules)  # type: ignore[arg-type]


class Unnamed(GraphPass):
    def run(self, graph: Any, context: Any) -> Any:
        return graph


class Simplest(Unnamed):
    name = "simplify"


class Lacking(GraphPass):
    name = "lacking"

    def run(self, graph: Any) -> Any:  # type: ignore[override]
        return graph


def test_what_is_no_pass() -> None:
    for passes, message in (
        ([Unnamed], r"passes holds the class Unnamed; expected one of it: Unnamed\(\)"),
        ([Unnamed()], "pass Unnamed has no name; declare `name = ...` in the class"),
        ([Simplest()], "pass Simplest has the name of graphc's own pass 'simplify'"),
        ([Lacking()], r"pass lacking: run is called as \(self, graph, context\), but takes"),
        ([lambda: 3], r"pass <lambda> is called as \(graph\), but takes \(\)"),
        ([3], "passes holds 3; expected functions Graph -> Graph, or GraphPass"),
        (print, "passes is <built-in function print>; expected a list of functions"),
    ):
        with pytest.raises((SessionError, GraphError), match=f"Session: {message}"):
            gc.Session(passes=passes)  # type: ignore[arg-type]


def test_a_wrong_rule_in_a_run_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    """Were a rule to pass the trial and be wrong, check="passes" would name it."""
    monkeypatch.setattr("graphc.session.own_passes.rule_fault", lambda r: "")
    wrong = Rule("abs-is-minus", absolute(x), -x, "exact", (f32,))
    t = gc.placeholder(gc.float32, ["n"], name="t")
    checked = gc.Session(rules=[wrong], options=Options(check="passes", cache_dir=tmp_path))
    with checked, pytest.raises(VerifyError, match="by rule `abs-is-minus`") as raised:
        checked.run(gc.abs(t) + 1.0, {t: [1.0]})
    assert "graphc opt" not in str(raised.value)
