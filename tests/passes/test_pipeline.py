"""The list of passes: their options, as text and as fields, their order, leaving them out."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from support.run import options

import graphc as gc
from graphc.config import Options
from graphc.errors import GraphcError, GraphError, VerifyError
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.ops.pointwise import Multiply
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.passes.base import Context, GraphPass, Pass, option
from graphc.passes.fusion.fuse import Fuse
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.simplify import Simplify
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.passes.memory.order import OrderKernels
from graphc.passes.parse import parse_passes
from graphc.passes.pipeline import (
    GRAPH_PASSES,
    ORDER,
    PASSES,
    check_order,
    check_sequence,
    optimise,
    run_pass,
    run_scheduling,
    schedule,
)
from graphc.passes.rewrite.inner_graphs import remade, replaced
from graphc.session.hooks import Hooks

NAMES = [p.name for p in PASSES]
ROWS = parse_graph("""graph @f(%x: f32[n,64]) {
  %s = reduce_sum %x {axes=[0]} : f32[64]
  return %s
}""")
SHORT = """graph @f(%x: f32[20,3]) {
  %s = reduce_sum %x {axes=[0]} : f32[3]
  return %s
}"""
MAPS = """graph @f(%x: f32[n]) {
  %a = exp %x  : f32[n]
  %b = tanh %a : f32[n]
  return %b
}"""
FEW = """graph @f(%x: f32[16,n]) {
  %s = reduce_sum %x {axes=[0]} : f32[n]
  %e = exp %s                   : f32[n]
  return %e
}"""
LOOP = parse_graph("""graph @f(%a: f32[3], %n: i64[]) {
  %loop = loop %n, %a {carries=1, slices=0, length=9} : (i64[], f32[3]) {
    body graph @body(%a: f32[3]) {
      %twice = add %a, %a : f32[3]
      return %twice
    }
  }
  %x = item %loop {index=1} : f32[3]
  return %x
}""")


# ---- the list


@pytest.mark.parametrize("p", PASSES, ids=str)
def test_every_pass_says_what_it_does_and_has_defaults(p: Pass) -> None:
    cls = type(p)
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    said = inspect.cleandoc(cls.__doc__ or "")
    assert said.endswith(".") and not said.startswith(f"{cls.__name__}("), "a docstring of its own"
    assert cls() == p and str(p) == p.name, "the list has default fields"
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", p.name)
    declared = {f.name for f in dataclasses.fields(cls)}
    assert {o.name for o in p.options()} == declared, "every field is an option"
    for o in p.options():
        assert o.allows(o.default) and o.says


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_what_two_passes_must_agree_on_has_one_default() -> None:
    assert Fuse().max_unrolled_elements == SplitReductions().max_unrolled_elements
    assert Cleanup().options() == Simplify().options()


def test_a_wrong_order_is_an_error() -> None:
    check_order(PASSES)
    for earlier, later, why in ORDER:
        others = [p for p in PASSES if type(p) is not later]
        at = next(i for i, p in enumerate(others) if type(p) is earlier)
        wrong = [*others[:at], later(), *others[at:]]
        with pytest.raises(VerifyError, match="must come before") as caught:
            check_order(wrong)
        if sum(b is later for _, b, _ in ORDER) == 1:
            assert f"{earlier.name} must come before {later.name}: {why}" in str(caught.value)


def test_a_program_is_made_last() -> None:
    check_sequence(PASSES)
    check_sequence([SplitReductions(), Simplify(), Fuse()])
    check_sequence([])
    for wrong in ("plan", "fuse,simplify", "fuse,plan,order", "fuse,fuse", "order,plan"):
        with pytest.raises(GraphcError, match="fuse, order and plan come last, in this order"):
            check_sequence(parse_passes(wrong, PASSES))


def test_a_program_pass_takes_no_graph() -> None:
    with pytest.raises(GraphcError, match="pass order cannot take a graph"):
        run_scheduling(OrderKernels(), ROWS, Context())


# ---- options


@pytest.mark.parametrize("chunks", [2, 16, 50])
def test_a_field_changes_what_a_pass_makes(chunks: int) -> None:
    (p,) = parse_passes(f"split-reductions{{chunks={chunks}}}", PASSES)
    assert p == SplitReductions(chunks=chunks)
    assert isinstance(p, GraphPass)
    assert f"{{axes=[0], chunks={chunks}}}" in print_graph(run_pass(p, ROWS, Context()))


def test_fields_of_fusion_change_kernels() -> None:
    short = parse_graph(SHORT)
    assert "partial_sum" in print_graph(SplitReductions()(short))
    assert SplitReductions(max_unrolled_elements=20)(short).outputs == short.outputs
    maps = parse_graph(MAPS)
    assert len(Fuse()(maps).kernels) == 1 and len(Fuse(max_members=1)(maps).kernels) == 2
    few = parse_graph(FEW)
    assert "%s ~ reduce_sum" in print_program(Fuse()(few)), "written out in the map that reads it"
    assert "%s = reduce_sum" in print_program(Fuse(max_unrolled_elements=0)(few))


def test_sizes_of_order_are_what_symbols_are() -> None:
    made = OrderKernels(small_size=3, large_size=7).assignments(Fuse()(ROWS))
    assert made == [{}], "nothing that is stored depends on n"
    maps = parse_graph(MAPS)
    assert OrderKernels(small_size=3, large_size=7).assignments(Fuse()(maps)) == [
        {"n": 3},
        {"n": 7},
    ]


def test_passes_are_read_as_they_are_spelled() -> None:
    text = (
        "simplify,split-reductions{chunks=32,max_whole_elements=1},cleanup,fuse,order{small_size=2}"
    )
    found = parse_passes(text, PASSES)
    assert ",".join(map(str, found)) == text
    spaced = (
        " simplify , split-reductions { max_whole_elements = 1 , chunks = 32 },,cleanup,fuse,\n"
    )
    assert parse_passes(f"{spaced}order{{small_size=2,}},", PASSES) == found
    assert parse_passes("  ", PASSES) == [] and parse_passes("plan{}", PASSES) == [PASSES[-1]]


@dataclass(frozen=True)
class Typed(GraphPass):
    """A pass with a field of every type."""

    name = "typed"
    count: int = option(1, "things", at_least=0)
    share: float = option(0.5, "of the things", at_least=0)
    eager: bool = option(False, "whether to begin at once")
    prefix: str = option("p", "what names begin with")

    def run(self, graph: Graph, context: Context) -> Graph:
        return graph


def test_fields_are_typed() -> None:
    (p,) = parse_passes("typed{count=7,share=1e-2,eager=true,prefix=q r}", [Typed()])
    assert p == Typed(7, 0.01, True, "q r")
    assert str(p) == "typed{count=7,share=0.01,eager=true,prefix=q r}"
    assert parse_passes("typed{share=2,prefix=}", [Typed()]) == [Typed(share=2.0, prefix="")]


WRONG = {
    "magic": r"no pass 'magic'; there are simplify, fold-transposes, .*, plan",
    "fuse,magic{a=1}": r"no pass 'magic'",
    "split-reductions{chunk=1}": r"split-reductions: no field 'chunk'; its fields .* chunks=16",
    "plan{a=1}": r"pass plan: no field 'a'; it has none",
    "split-reductions{chunks=many}": r"chunks is 'many'; expected a whole number of at least 1",
    "split-reductions{chunks=1.5}": r"chunks is '1\.5'; expected a whole number of at least 1",
    "split-reductions{chunks=}": r"chunks is ''; expected a whole number",
    "split-reductions{chunks}": r"chunks is ''; expected a whole number",
    "split-reductions{chunks=0}": r"chunks is '0'; expected a whole number of at least 1",
    "split-reductions{chunks=2,chunks=3}": r"split-reductions: chunks is set twice",
    "split-reductions{chunks=2": r"cannot read 'split-reductions\{chunks=2'; expected name",
    "split-reductions{chunks=2}fuse": r"cannot read 'split-reductions\{chunks=2\}fuse'",
    "{chunks=2}": r"cannot read '\{chunks=2\}'",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_text_is_a_typed_error(text: str) -> None:
    with pytest.raises(GraphcError, match=WRONG[text]):
        parse_passes(text, PASSES)


@pytest.mark.parametrize(
    "text, why",
    [
        ("share=nan", "share is 'nan'; expected a number of at least 0"),
        ("share=x", "share is 'x'; expected a number of at least 0"),
        ("eager=1", "eager is '1'; expected true or false"),
        ("eager=", "eager is ''; expected true or false"),
        ("count=-1", "count is '-1'; expected a whole number of at least 0"),
    ],
)
def test_wrong_values_name_pass_field_and_what_is_expected(text: str, why: str) -> None:
    with pytest.raises(GraphcError, match=re.escape(f"pass typed: {why}")):
        parse_passes(f"typed{{{text}}}", [Typed()])


@pytest.mark.parametrize("chunks", [0, -3, 2.0, True, "16", None])
def test_wrong_fields_in_python_are_typed_errors(chunks: object) -> None:
    with pytest.raises(GraphcError, match=r"split-reductions: chunks is .*; expected a whole"):
        SplitReductions(chunks=chunks)  # type: ignore[arg-type]


# ---- left out


def test_each_graph_pass_and_the_order_can_be_left_out() -> None:
    for name in (*(p.name for p in GRAPH_PASSES), "order"):
        made = schedule(optimise(ROWS, Options(disable=frozenset([name]))), disable={name})
        assert made.kernels and made.buffers
    split = optimise(ROWS, Options(disable=frozenset(["split-reductions"])))
    assert "partial_sum" not in print_graph(split)


@pytest.mark.parametrize("name", ["fuse", "plan"])
def test_what_makes_a_program_cannot_be_left_out(name: str) -> None:
    with pytest.raises(GraphcError, match=f"disable: {name} cannot be left out: .*order$"):
        optimise(ROWS, Options(disable=frozenset([name])))
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None])
        chosen = options(disable=frozenset([name]))
        with gc.Session(options=chosen) as sess, pytest.raises(GraphcError, match=name):
            sess.run(gc.exp(x), {x: [1]})


def test_a_name_of_no_pass_cannot_be_left_out() -> None:
    with pytest.raises(GraphcError, match=r"Options\.disable: no pass 'partial'; there are simpl"):
        optimise(ROWS, Options(disable=frozenset(["partial"])))
    with pytest.raises(GraphcError, match="no pass 'partial'"):
        schedule(ROWS, disable={"partial"})


def test_a_session_leaves_out_the_order_of_kernels() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 64], name="x")
        h = x
        for _ in range(4):
            h = gc.nn.functional.relu(gc.nn.Linear(64, 64)(h))
        fetches = [gc.sum(h), gc.optim.SGD(0.1).minimize(gc.sum(h))]
        fed = np.random.default_rng(1).uniform(-1, 1, (512, 64)).astype(np.float32)
        found: dict[frozenset[str], tuple[list[str], object]] = {}
        for off in (frozenset[str](), frozenset(["order"])):
            names: list[str] = []
            hooks = Hooks(observe=lambda made, n=names: n.extend(map(str, made.program.kernels)))
            with gc.Session(options=options(disable=off), hooks=hooks) as sess:
                found[off] = (names, sess.run(fetches, {x: fed})[0])
    (ordered, wanted), (plain, got) = found.values()
    assert got == wanted
    assert ordered != plain and sorted(ordered) == sorted(plain)


# ---- the user's own passes


@dataclass(frozen=True)
class Scale(GraphPass):
    """Multiplies what is added to itself: x + x becomes x * factor."""

    name = "scale"
    factor: float = option(2.0, "what is multiplied by")
    seen: ClassVar[list[str]] = []

    def run(self, graph: Graph, context: Context) -> Graph:
        self.seen.append(graph.name)

        def change(v: Value, args: tuple[Value, ...]) -> Value:
            if v.op.name != "add" or args[0] is not args[1]:
                return remade(v, args)
            factor = full(self.factor, v.type)
            return make(Multiply(), (args[0], factor), v.name, v.loc)

        return replaced(graph, change)


def test_a_pass_with_fields_runs_in_a_session() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None], name="x")
        for factor in (2.0, 3.0):
            with gc.Session(passes=[Scale(factor)]) as sess:
                np.testing.assert_array_equal(sess.run(x + x, {x: [1, 2]}), [factor, 2 * factor])


def test_a_pass_reaches_graphs_inside_and_a_function_does_not() -> None:
    Scale.seen.clear()
    inside: list[str] = []

    def look(graph: Graph) -> Graph:
        inside.append(graph.name)
        return graph

    made = optimise(LOOP, Options(passes=(Scale(2.0), look)))
    assert Scale.seen == ["body", "f"] and inside == ["f"]
    assert "multiply" in print_graph(made) and " add " not in print_graph(made)


def test_one_of_ours_runs_with_other_fields() -> None:
    """What `graphc opt` sets on the command line, a session sets by a pass of its own."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 3], name="x")
        texts: list[str] = []
        chosen = options(
            passes=(SplitReductions(chunks=5),),
            disable=frozenset(["split-reductions"]),
        )
        hooks = Hooks(observe=lambda made: texts.append(print_graph(made.optimised)))
        fed = np.arange(3 * 3001, dtype=np.float32).reshape(-1, 3) % 7
        with gc.Session(options=chosen, hooks=hooks) as sess:
            found = sess.run(gc.sum(x, axis=0), {x: fed})
    assert "chunks=5" in texts[0]
    np.testing.assert_array_equal(found, fed.sum(axis=0))  # whole numbers: exact


def test_a_trace_names_passes_with_their_fields() -> None:
    context = Context()
    run_pass(SplitReductions(chunks=5), ROWS, context)
    assert [s.name for s in context.trace.spans] == ["split-reductions{chunks=5}"]


def test_what_is_settled_for_one_pass_is_not_for_another() -> None:
    """Two passes of other fields apply other rules: the second must look at every value again."""
    context = Context()
    Simplify(max_window_side=0).run(ROWS, context)
    Cleanup().run(ROWS, context)
    assert set(context.trace.settled) == {(0, False), (8, False)}


@pytest.mark.parametrize("wrong", [None, "text"])
def test_a_pass_that_gives_no_graph_is_an_error(wrong: object) -> None:
    def broken(graph: Graph) -> Graph:
        return wrong  # type: ignore[return-value]

    with pytest.raises(GraphError, match=f"pass broken gave {wrong!r}; expected a Graph") as raised:
        optimise(ROWS, Options(passes=(broken,)))
    assert raised.value.location is not None
    assert raised.value.location.text.startswith("def broken")
    with pytest.raises(GraphError, match="expected functions Graph -> Graph, or GraphPass"):
        optimise(ROWS, Options(passes=(wrong,)))  # type: ignore[arg-type]


def declared_with(default: object, least: object = None) -> type[GraphPass]:
    """A pass of one field."""

    @dataclass(frozen=True)
    class Own(GraphPass):
        name = "own"
        most: int = option(default, "of it", at_least=least)  # type: ignore[type-var, arg-type]

        def run(self, graph: Graph, context: Context) -> Graph:
            return graph

    return Own


@pytest.mark.parametrize(
    "default, least",
    [(None, None), ((1, 2), None), ([], None), (gc.float32, None), ("a", 1), (True, 0), (3, "a")],
    ids=str,
)
def test_a_default_that_the_command_line_could_not_read(default: object, least: object) -> None:
    with pytest.raises(GraphError, match=r"option: the default is .*expected a whole") as caught:
        declared_with(default, least)
    assert caught.value.location is not None and caught.value.location.file == __file__


def test_a_pass_that_is_almost_one() -> None:
    class NoRun(GraphPass):
        name = "no-run"

    class Undecorated(GraphPass):
        name = "undecorated"
        most: int = option(3, "of it")

        def run(self, graph: Graph, context: Context) -> Graph:
            return graph

    for kind, fields, said in (
        (NoRun, {}, "pass NoRun: there is no method run"),
        (Undecorated, {}, "pass Undecorated: most would be no field"),
        (Undecorated, {"most": 4}, "write @dataclass"),
    ):
        with pytest.raises(GraphError, match=said) as caught:
            kind(**fields)
        assert caught.value.location is not None and caught.value.location.file == __file__
