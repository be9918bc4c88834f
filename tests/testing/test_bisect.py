"""Planted faults: `bisect` names the right pass, rule or kernel, and shows it on a small graph that
reads back and shows it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fuzz.planting import m, plant
from support.run import options

import graphc as gc
from graphc.frontend.stage import stage
from graphc.ir.graph import Graph
from graphc.ir.ops.elementary import Exp, Exp2
from graphc.ir.ops.pointwise import Absolute, maximum, subtract
from graphc.ir.text.graph import parse_graph
from graphc.passes import pipeline
from graphc.passes.graph import simplify as simplify_module
from graphc.passes.graph.fold_transposes import FoldTransposes
from graphc.passes.graph.own_rules import OwnRules
from graphc.passes.rewrite.engine import holes, rebuild, rule
from graphc.testing.bisect import bisect_graph
from graphc.testing.culprit import Culprit
from graphc.testing.model_check import small_feeds

x, y = holes("x y")


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


def training_step() -> Graph:
    """A graph of hundreds of values."""
    data = gc.placeholder(gc.float32, [None, 6], name="data")
    h = data
    for i in range(4):
        w = gc.variable(gc.zeros((6, 6)), name=f"w{i}")
        h = gc.maximum(h @ w, 0.01 * h) - gc.mean(h, axis=0)
        h = gc.nn.functional.softmax(h + h, dim=1)
    loss = gc.mean(h * data)
    return stage([loss], (), gc.optim.Adam(0.01).minimize(loss).tensors).graph


def found(graph: Graph, **changes: Any) -> Culprit:
    """The culprit, whose text reads back as a small graph that shows it again."""
    cases = [arrays for _, arrays in small_feeds(graph, 0)]
    culprit, tried = bisect_graph(graph, cases, options(**changes))
    assert culprit is not None and tried
    small = parse_graph(str(culprit))
    assert 1 <= len(list(small.every())) <= 10
    again, _ = bisect_graph(small, [list(culprit.arrays)], options(**changes))
    assert again is not None
    assert again.what.split()[:1] == culprit.what.split()[:1]  # a pass, or a kernel
    return culprit


def test_nothing_is_wrong() -> None:
    graph = training_step()
    cases = [arrays for _, arrays in small_feeds(graph, 0)]
    assert bisect_graph(graph, cases, options()) == (None, len(cases))


# ---- passes


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("max-is-first", maximum(x, y), x),
        ("sub-is-add", subtract(x, y), x + y),
        ("twice-is-square", x + x, x * x),
    ],
)
def test_a_wrong_rule(name: str, left: Any, right: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = rule(name, left, right)
    monkeypatch.setattr(simplify_module, "RULES", (*simplify_module.RULES, wrong))
    culprit = found(training_step())
    assert culprit.what.startswith(f"pass simplify, rule {name}, firing ")
    assert not all(np.allclose(a, b) for a, b in zip(culprit.expected, culprit.got, strict=True))


def test_which_firing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three rewrites by one rule the second is wrong: its operand is negative."""
    a = gc.placeholder(gc.float32, [3], name="a")
    total = gc.abs(gc.exp(a)) * gc.abs(gc.exp(a + 1) - 100.0) * gc.abs(gc.exp(a + 2))
    wrong = rule("abs-dropped", x.apply(Absolute(), (x,)), x)
    monkeypatch.setattr(simplify_module, "RULES", (*simplify_module.RULES, wrong))
    culprit = found(stage([total]).graph)
    assert culprit.what.startswith("pass simplify, rule abs-dropped, firing 2 of 3: changes")
    assert [v.op.name for v in culprit.small.nodes()][-1] == "absolute"


def test_a_wrong_rule_inside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gc.placeholder(gc.float32, ["n", 3], name="rows")
    _, made = gc.scan(
        lambda c, r: (gc.cumsum(c + r, axis=0) * 0.5, gc.maximum(c, r) - gc.sum(c)),
        gc.zeros((3,)),
        rows,
    )
    wrong = rule("max-is-first", maximum(x, y), x)
    monkeypatch.setattr(simplify_module, "RULES", (*simplify_module.RULES, wrong))
    culprit = found(stage([gc.sum(made)]).graph)
    assert culprit.what.startswith("pass simplify, rule max-is-first, firing 1 of 1: changes")


def test_a_wrong_function_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(
        monkeypatch,
        m(
            "passes.graph.simplify:merge_transposes",
            "inner[a] for a in v.op.axes",
            "v.op.axes[a] for a in inner",
        ),
    )
    a = gc.placeholder(gc.float32, [3, 3, 3], name="a")
    turned = gc.transpose(gc.transpose(gc.exp(a), (1, 0, 2)), (2, 1, 0))
    culprit = found(stage([gc.sum(turned * 2.0, axis=0)]).graph)
    assert culprit.what.startswith("pass simplify, rule merge-transposes, firing 1 of 1: changes")


def test_a_wrong_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FoldTransposes, "run", lambda self, graph, context: base_two(graph))
    culprit = found(training_step())
    assert culprit.what.startswith("pass fold-transposes: changes the meaning")
    assert [v.op.name for v in culprit.small.nodes()] == ["exp"]


def base_two(graph: Graph) -> Graph:
    """A user's wrong pass."""
    return rebuild(graph, lambda v: replace(v, op=Exp2()) if isinstance(v.op, Exp) else v)


def test_a_users_wrong_pass() -> None:
    culprit = found(training_step(), passes=(base_two,))
    assert culprit.what.startswith("pass base_two: changes the meaning")
    assert "exp" in [v.op.name for v in culprit.small.nodes()]


def test_a_users_wrong_rule() -> None:
    rules = (rule("max-is-first", maximum(x, y), x),)
    culprit = found(training_step(), passes=(OwnRules(rules=rules),))
    assert culprit.what.startswith("pass own-rules, rule max-is-first, firing ")


def test_a_pass_that_is_no_function() -> None:
    calls: list[int] = []

    def now_and_then(graph: Graph) -> Graph:
        calls.append(1)
        return base_two(graph) if len(calls) == 1 else graph

    a = gc.placeholder(gc.float32, ["n"], name="a")
    graph = stage([gc.exp(a)]).graph
    cases = [arrays for _, arrays in small_feeds(graph, 0)]
    culprit, _ = bisect_graph(graph, cases, options(passes=(now_and_then,)))
    assert culprit is not None and "it is no pure function" in culprit.what


# ---- kernels


def softmax_of_sums() -> Graph:
    a = gc.placeholder(gc.float32, ["n", 5], name="a")
    b = gc.placeholder(gc.float32, [5, 5], name="b")
    rows = gc.nn.functional.softmax(a @ b, dim=1)
    return stage(
        [gc.cumsum(gc.exp(rows) * 2.0 - gc.max(rows, axis=1, keepdims=True), axis=0)]
    ).graph


@pytest.mark.parametrize("spelling", ["exp({0} + 1)", "({0} * 2.0)"])
def test_a_wrong_spelling(spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exp, "spelling", spelling)
    culprit = found(softmax_of_sums())
    assert culprit.what.startswith("kernel ") and "exp" in culprit.what
    assert "wrong as plain Python, too" in culprit.what
    assert [v.op.name for v in culprit.small.nodes()] == ["exp"]


def test_a_wrong_start_of_a_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, m("ir.ops.reduction:lowest", 'float("-inf")', "0.0"))
    a = gc.placeholder(gc.float32, ["n", 5], name="a")
    culprit = found(stage([gc.cumsum(gc.max(-gc.exp(gc.tanh(a)), axis=1), axis=0)]).graph)
    assert culprit.what.startswith("kernel ") and "plain Python, too" in culprit.what
    assert [v.op.name for v in culprit.small.nodes()] == ["reduce_max"]


def test_a_wrong_line_of_the_printer(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = "codegen.loops.printer:literal"
    plant(monkeypatch, m(sign, "'-' if rounded < 0 else ''", "''"))
    a = gc.placeholder(gc.float32, ["n", 5], name="a")
    masked = gc.exp(gc.where(a > 0, gc.tanh(a), -np.inf))
    culprit = found(stage([gc.cumsum(masked, axis=0)]).graph)
    assert culprit.what.startswith("kernel ") and "plain Python, too" in culprit.what
    assert "full" in [v.op.name for v in culprit.small.nodes()]


def test_a_wrong_kernel_in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exp, "spelling", "exp({0} + 1)")
    rows = gc.placeholder(gc.float32, ["n", 3], name="rows")
    last, _ = gc.scan(lambda c, r: (gc.cumsum(gc.exp(c) * r, axis=0), c), gc.zeros((3,)), rows)
    culprit = found(stage([gc.tanh(last)]).graph)
    assert culprit.what.startswith("kernel ") and ", in step 0" in culprit.what
    assert [v.op.name for v in culprit.small.nodes()] == ["exp"]


READ_LATER = """graph @read_later(%a: f32[n,n]) {
  %m  = matmul %a, %a             : f32[n,n]
  %v  = exp %m                    : f32[n,n]
  %r1 = matmul %v, %a             : f32[n,n]
  %r2 = matmul %m, %r1            : f32[n,n]
  return %r2
}"""


def test_a_plan_that_overwrites(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, m("passes.memory.plan:Planner._in_place", "last.get(u) != number", "False"))
    monkeypatch.setattr(pipeline, "verify_program", lambda program: program)  # it would see that
    culprit = found(parse_graph(READ_LATER))
    assert culprit.what.startswith(
        "the plan of kernels: %m: f32[n,n] is overwritten before kernel "
    )
    assert "(matmul) reads it" in culprit.what
