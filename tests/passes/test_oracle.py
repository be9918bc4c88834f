"""check="passes": a wrong rewrite is found, its rule named, a small graph written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.run import options

import graphc as gc
from graphc.errors import VerifyError
from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.pointwise import Add, maximum, subtract
from graphc.ir.text.graph import parse_graph
from graphc.passes.base import Context, GraphPass, option
from graphc.passes.graph import simplify as simplify_module
from graphc.passes.graph.simplify import Simplify
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.passes.oracle.check_passes import Checker, Feeds
from graphc.passes.rewrite.engine import holes, rebuild, rule

x, y = holes("x y")
WRONG_RULES = {
    "max-is-first": rule("max-is-first", maximum(x, y), x),
    "sub-is-add": rule("sub-is-add", subtract(x, y), x + y),
    "twice-is-square": rule("twice-is-square", x + x, x * x),
    "neg-dropped": rule("neg-dropped", -(x * y), x * y),
}


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def big_model() -> tuple[Any, Any, dict[Any, Any]]:
    """A training step with hundreds of values, all wrong rules among them."""
    data = gc.placeholder(gc.float32, [None, 6], name="data")
    labels = gc.placeholder(gc.int64, [None], name="labels")
    h = data
    for i in range(6):
        w = gc.variable(gc.random.normal((6, 6)), name=f"w{i}")
        h = gc.maximum(h @ w, 0.01 * h) - gc.mean(h, axis=0)
        h = h + h
    loss = gc.nn.functional.cross_entropy(-(h * data), labels)
    step = gc.optim.Adam(0.01).minimize(loss)
    return loss, step, {data: np.ones((4, 6)), labels: [0, 1, 2, 3]}


@pytest.mark.parametrize("name", WRONG_RULES)
def test_a_planted_rule_is_found(name: str, monkeypatch: Any, tmp_path: Path) -> None:
    loss, step, feeds = big_model()
    monkeypatch.setattr(simplify_module, "RULES", (*simplify_module.RULES, WRONG_RULES[name]))
    chosen = options(check="passes", cache_dir=tmp_path)
    with gc.Session(options=chosen) as sess, pytest.raises(VerifyError) as caught:
        sess.run([loss, step], feeds)
    message = str(caught.value)
    assert "pass `simplify` changed the meaning" in message
    assert f"rule `{name}`" in message
    file = re.search(r"(\S+\.gir)", message)
    assert file is not None and Path(file[1]).parent == tmp_path / "wrong"
    graph = parse_graph(Path(file[1]).read_text())
    assert len(graph.nodes()) + len(graph.inputs) <= 10
    assert Feeds.of(graph).difference(Simplify()(graph)), "the small graph shows it"
    with pytest.raises(VerifyError, match=name):
        Checker(graph, folder=tmp_path).watch(Simplify(), Simplify()(graph))
    monkeypatch.undo()
    assert not Feeds.of(graph).difference(Simplify()(graph))


def test_a_wrong_function_is_found(monkeypatch: Any, tmp_path: Path) -> None:
    def lose_products(v: Value) -> Value | None:
        return (
            v.args[0]
            if v.op.name == "multiply" and v.args[0].type == v.type and v.args[0].args
            else None
        )

    loss, step, feeds = big_model()
    monkeypatch.setattr(simplify_module, "FUNCTIONS", (*simplify_module.FUNCTIONS, lose_products))
    sess = gc.Session(options=options(check="passes", cache_dir=tmp_path))
    with sess, pytest.raises(VerifyError, match="rule `lose-products`"):
        sess.run([loss, step], feeds)


def test_a_wrong_pass_is_found(monkeypatch: Any, tmp_path: Path) -> None:
    def wrong(p: SplitReductions, graph: Graph, context: Context) -> Graph:
        done = {v: v for v in graph.inputs}
        for v in graph.nodes():
            args = tuple(done[a] for a in v.args)
            swapped = v.op.name == "subtract" and args[0].type == args[1].type
            done[v] = make(v.op, args[::-1] if swapped else args, v.name)
        return graph.replace(done)

    monkeypatch.setattr(SplitReductions, "run", wrong)
    loss, step, feeds = big_model()
    sess = gc.Session(options=options(check="passes", cache_dir=tmp_path))
    with (
        sess,
        pytest.raises(VerifyError, match="pass `split-reductions` changed the meaning") as caught,
    ):
        sess.run([loss, step], feeds)
    (file,) = (tmp_path / "wrong").glob("split-reductions-*.gir")
    assert len(parse_graph(file.read_text()).nodes()) <= 3 and str(file) in str(caught.value)


def as_sum(graph: Graph) -> Graph:
    """Makes sums of differences, wrongly."""
    return rebuild(graph, lambda v: v if v.op.name != "subtract" else make(Add(), v.args, v.name))


@dataclass(frozen=True)
class AsSum(GraphPass):
    """The same as a class with a field."""

    name = "as-sum"
    depth: int = option(1, "levels", at_least=0)

    def run(self, graph: Graph, context: Context) -> Graph:
        return as_sum(graph)


@pytest.mark.parametrize("own", [as_sum, AsSum(2)], ids=["function", "class"])
def test_a_users_pass_is_reported(own: Any, tmp_path: Path) -> None:
    """The graphs before and after differ, and the command line is not asked for the pass."""
    a, b = (gc.placeholder(gc.float32, [None], name=name) for name in "ab")
    checked = gc.Session(passes=[own], options=options(check="passes", cache_dir=tmp_path))
    with checked, pytest.raises(VerifyError, match=r"pass `as.sum") as caught:
        checked.run(gc.exp(a - b) * 2.0, {a: [1], b: [2]})
    message = str(caught.value)
    before, after = message.split("becomes\n")
    assert "%subtract = subtract %a, %b" in before and "%add = add %a, %b" in after
    assert "graphc opt" not in message and "graphc.extend.parse_graph reads its text" in message
    (file,) = (tmp_path / "wrong").glob("*.gir")
    assert "graphc opt" not in file.read_text() and len(parse_graph(file.read_text()).nodes()) == 1


def test_a_pass_that_is_no_function_is_reported(tmp_path: Path) -> None:
    calls: list[Graph] = []

    def first_time(graph: Graph) -> Graph:
        calls.append(graph)
        return as_sum(graph) if len(calls) == 1 else graph

    a, b = (gc.placeholder(gc.float32, [None], name=name) for name in "ab")
    checked = gc.Session(passes=[first_time], options=options(check="passes", cache_dir=tmp_path))
    with checked, pytest.raises(VerifyError, match="so it is no pure function") as caught:
        checked.run(gc.exp(a - b) * 2.0, {a: [1], b: [2]})
    before, after = str(caught.value).split("becomes\n")
    assert "%subtract = subtract" in before and "= add %a, %b" in after


def test_right_passes_pass(monkeypatch: Any) -> None:
    loss, step, feeds = big_model()
    monkeypatch.setenv("GRAPHC_CHECK", "passes")
    with gc.Session(options=options(check="passes")) as sess:
        checked = sess.run([loss, step], feeds)
    with gc.Session() as sess:
        assert sess.options.check == "passes"
        assert sess.run([loss, step], feeds)[0] == checked[0]


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(simplify_module, "RULES", (WRONG_RULES["sub-is-add"],))
    (tmp_path / "file").write_text("")
    graph = parse_graph(
        "graph @g(%a: f32[n], %b: f32[n]) {\n  %c = subtract %a, %b : f32[n]\n  return %c\n}\n"
    )
    with pytest.raises(VerifyError, match="sub-is-add"):
        Checker(graph, folder=tmp_path / "file").watch(Simplify(), Simplify()(graph))


def test_rules_that_never_end_are_named(monkeypatch: Any) -> None:
    loop = rule("round-and-round", subtract(x, y), y - x)
    monkeypatch.setattr(simplify_module, "RULES", (loop,))
    a, b = (gc.placeholder(gc.float32, [None]) for _ in "ab")
    with (
        gc.Session(options=options()) as sess,
        pytest.raises(VerifyError, match=r"does not end.*round-and-round"),
    ):
        sess.run(a - b, {a: [1], b: [2]})
