"""Programs as text and back, and the verifier of programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gc
from graphc.codegen.cpu.kernels import source_of
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.errors import ParseError, VerifyError
from graphc.frontend.group import Group
from graphc.frontend.stage import stage
from graphc.frontend.tensor import as_tensor
from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.graph import Value
from graphc.ir.program import Kernel, Place, Program, moved as moved_to, storage
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.passes.fusion.fuse import Fuse
from graphc.passes.fusion.reasons import why_not
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.plan import plan
from graphc.passes.memory.verify import verify_layout, verify_program
from graphc.passes.pipeline import schedule
from graphc.testing.random_graphs import random_graph

Fetches = list[gc.Tensor | Group]


def program_of(fetches: Fetches) -> Program:
    """The planned program of some fetches."""
    tensors = [f for f in fetches if isinstance(f, gc.Tensor)]
    effects = [t for f in fetches if isinstance(f, Group) for t in f.tensors]
    return lower(stage(tensors, (), effects).graph, Options()).program


def softmax_regression() -> Fetches:
    """A training step with variables, row kernels and sums by chunks."""
    x = gc.placeholder(gc.float32, ["n", 12], name="x")
    y = gc.placeholder(gc.int64, ["n"], name="y")
    w = gc.variable(gc.zeros((12, 5)), name="w")
    b = gc.variable(gc.zeros((5,)), name="b")
    loss = gc.nn.functional.cross_entropy(x @ w + b, y)
    return [gc.optim.SGD(0.1).minimize(loss), loss]


def mlp() -> Fetches:
    """Two layers, Adam: many variables, values that share the arena."""
    x = gc.placeholder(gc.float32, ["n", 16], name="x")
    w1 = gc.variable(gc.init.xavier_uniform((16, 8)), name="layer/w1")
    w2 = gc.variable(gc.init.xavier_uniform((8, 1)), name="layer/w2")
    loss = gc.mean(gc.square(gc.tanh(x @ w1) @ w2))
    return [gc.optim.Adam(0.01).minimize(loss), loss]


def partial_sums() -> Fetches:
    """Folds over rows, by chunks; a name that is also an op's."""
    x = gc.placeholder(gc.float32, ["n", 3], name="add")
    return [gc.sum(x, axis=0), gc.max(x * 2.0), gc.mean(x + 1.0, axis=0)]


def scatter_and_views() -> Fetches:
    """Scatter, constants small and large, literals that lie in memory, reshapes of results."""
    x = gc.placeholder(gc.float32, ["n", 4], name="x")
    table = gc.variable(np.zeros((7, 4), np.float32), name="table")
    added = gc.scatter_add(table, as_tensor(np.array([1, 2, 3])), gc.ones((3, 4)))
    large = as_tensor(np.arange(40, dtype=np.float32).reshape(10, 4))
    return [added, gc.reshape(x @ gc.transpose(table), (7, -1)), gc.reshape(x, (-1,)), x @ large.T]


def draws() -> Fetches:
    """Random numbers, a permutation, sizes as formulas."""
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    return [gc.random.normal((3, 4)), gc.random.permutation(9), gc.sum(x[1:, ::2], axis=1), x.T @ x]


def integers() -> Fetches:
    """Products and folds without BLAS, booleans, argmax."""
    x = gc.placeholder(gc.int32, ["n", 6], name="x")
    return [x @ x.T, gc.argmax(x, axis=1), gc.any(gc.greater(x, 3))]


MODELS = (softmax_regression, mlp, partial_sums, scatter_and_views, draws, integers)


@pytest.fixture(autouse=True)
def _own_graph() -> object:
    with gc.Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize("model", MODELS)
def test_round_trip(model: Callable[[], Fetches]) -> None:
    program = program_of(model())
    text = print_program(program)
    parsed = parse_program(text)
    assert print_program(parsed) == text
    assert [k.commits for k in parsed.kernels] == [k.commits for k in program.kernels]
    verify_program(parsed)
    for old, new in zip(program.kernels, parsed.kernels, strict=True):
        assert (old.domain, old.inner, len(old.body)) == (new.domain, new.inner, len(new.body))
        assert source_of(old) == source_of(new)
        for w, x in zip(old.writes, new.writes, strict=True):
            mine, theirs = program.buffers[w], parsed.buffers[x]
            assert mine == theirs and (mine.over is None) == (theirs.over is None)


@pytest.mark.parametrize("model", MODELS)
def test_before_planning(model: Callable[[], Fetches]) -> None:
    program = Fuse()(program_of(model()).graph)
    text = print_program(program)
    assert "@cpu" not in text and "arena" not in text
    assert print_program(parse_program(text)) == text


def test_planning_a_parsed_program() -> None:
    program = program_of(mlp())
    again = plan(OrderKernels()(parse_program(print_program(Fuse()(program.graph)))))
    assert print_program(again) == print_program(program)


def test_data_can_be_left_out() -> None:
    program = program_of(scatter_and_views())
    text = print_program(program, elide=True)
    assert "value=…" in text and "base64" not in text and "dense[1, 2, 3]" in text
    with pytest.raises(ParseError, match="left out"):
        parse_program(text)
    assert "value=…" in print_graph(program.graph, elide=True)


def test_sizes_with_division_are_no_comments() -> None:
    text = "graph @f(%x: f32[n//2]) {\n  %y = add %x, 1.0f32 : f32[n//2] // note\n  return %y\n}\n"
    assert str(parse_graph(text).outputs[0].type) == "f32[n//2]"


BAD = (
    ("program @main(", "programme @main(", "expected `program"),
    ("%h: f32[n] @out", "%nope: f32[n] @out", "no result"),
    ("%h: f32[n] @out", "%h: f32[4] @out", "declared"),
    ("@out", "@moon", "expected out"),
    ("domain=[n, 3]", "extent=[n, 3]", "domain"),
    ("inner=[1]", "inner=[7]", "no.* axes|not axes"),
    ("arena cpu", "// arena cpu", "arena first"),
    ("kernel %x", "kernel %q", "not defined"),
    ("return %h", "return %q", "not defined"),
    ("  return %h\n}", "", "no `return`"),
    ("%h = reduce", "%e = reduce", "twice"),
    ("return %h", "return %x", "%e, which no result hangs on"),
    ("-> %h: f32[n] @out {", "->", "outside|expected"),
)


@pytest.mark.parametrize(("old", "new", "why"), BAD)
def test_malformed(old: str, new: str, why: str) -> None:
    good = """program @main(%x: f32[n,3]) {
  arena cpu = 0 bytes (0 without reuse)
  kernel %x {domain=[n, 3], inner=[1]} -> %h: f32[n] @out {
    %e = exp %x : f32[n,3]
    %h = reduce_sum %e {axes=[1]} : f32[n]
  }
  return %h
}
"""
    parse_program(good)
    with pytest.raises(ParseError, match=why) as caught:
        parse_program(good.replace(old, new))
    assert caught.value.line >= 1


# ---- the verifier ----


def changed(program: Program, number: int, **fields: object) -> Program:
    """The program with one kernel changed."""
    kernels = list(program.kernels)
    kernels[number] = dataclasses.replace(kernels[number], **fields)  # type: ignore[arg-type]
    return dataclasses.replace(program, kernels=tuple(kernels))


def moved(program: Program, v: Value, **fields: object) -> Program:
    """The program with one buffer changed."""
    buffers = {**program.buffers, v: dataclasses.replace(program.buffers[v], **fields)}  # type: ignore[arg-type]
    return dataclasses.replace(program, buffers=buffers)


def rejects(program: Program, why: str) -> None:
    """The verifier says why a program is broken."""
    with pytest.raises(VerifyError, match=why):
        verify_program(program)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_verifies(model: Callable[[], Fetches]) -> None:
    verify_program(program_of(model()))


def test_order_is_checked() -> None:
    program = program_of(mlp())
    kernels = program.kernels
    copied = dataclasses.replace(kernels[0])
    rejects(dataclasses.replace(program, kernels=kernels[::-1]), "before|is none")
    rejects(dataclasses.replace(program, kernels=kernels[1:]), "before")
    twice = (kernels[0], copied, *kernels[1:])
    rejects(dataclasses.replace(program, kernels=twice), "as kernel 0 does")
    rejects(dataclasses.replace(program, kernels=kernels[:-1]), "computed by no kernel")


def test_bodies_are_checked() -> None:
    program = program_of(softmax_regression())
    number = max(range(len(program.kernels)), key=lambda n: len(program.kernels[n].body))
    kernel: Kernel = program.kernels[number]
    rejects(changed(program, number, reads=kernel.reads[1:]), "does not read")
    rejects(changed(program, number, body=kernel.body[::-1]), "before it is computed")
    rejects(
        changed(program, number, writes=(*kernel.writes, program.graph.inputs[0])),
        "does not compute",
    )
    rejects(changed(program, number, body=(program.graph.inputs[0], *kernel.body)), "an input")


def test_commits_are_checked() -> None:
    program = program_of(mlp())
    last = len(program.kernels) - 1
    assert program.kernels[last].commits
    rejects(changed(program, last, commits=False), "without being a commit|is none")
    rejects(changed(program, 0, commits=True), "is none")
    place = {v: b for v, b in program.buffers.items() if b.place is Place.VARIABLE}
    assert len(place) >= 2
    one, other = list(place)[:2]
    rejects(moved(program, one, over=place[other].over), "does not take it|while it still")


def test_reading_an_overwritten_variable_is_an_error() -> None:
    text = """program @f(var %w: f32[8], var %u: f32[8]) {
  arena cpu = 0 (0 without reuse)
  commit kernel %w -> %a: f32[8] @var(%w) {
    %a = add %w, 1.0f32 : f32[8]
  }
  commit kernel %w, %u -> %b: f32[8] @var(%u) {
    %b = add %w, %u : f32[8]
  }
  return %w <- %a, %u <- %b
}
"""
    rejects(parse_program(text), "has overwritten")
    flipped = "%r ~ slice %w {starts=[7], steps=[-1]} : f32[8]"
    reverse = text.replace("    %a = add %w", f"    {flipped}\n    %a = add %r")
    rejects(parse_program(reverse), "still reads it")


def test_a_commit_that_can_fail_is_an_error() -> None:
    graph = parse_graph("""graph @f(var %w: f32[5], %t: f32[n], %i: i64[5]) {
  %k = take %t, %i {axis=0} : f32[5]
  %s = add %w, %k           : f32[5]
  return %w <- %s
}
""")
    program = lower(graph, Options()).program
    assert not any(k.commits for k in program.kernels)
    rejects(changed(program, 0, commits=True), "can fail")


def test_a_failing_run_changes_no_variable() -> None:
    w = gc.variable(np.zeros(4, np.float32), name="w")
    u = gc.variable(np.zeros(2, np.float32), name="u")
    t = gc.placeholder(gc.float32, [None], name="t")
    i = gc.placeholder(gc.int64, [4], name="i")
    step = gc.group(u.assign_add(1.0), w.assign_add(gc.take(t, i)))
    with gc.Session() as sess:
        with pytest.raises(gc.errors.GraphcError, match="out of range"):
            sess.run(step, {t: np.ones(3, np.float32), i: np.array([0, 1, 2, 9])})
        assert not sess.value(w).any() and not sess.value(u).any()
        sess.run(step, {t: np.ones(3, np.float32), i: np.array([0, 1, 2, 0])})
        assert sess.value(w).all() and sess.value(u).all()


def test_wrong_places_are_found() -> None:
    program = program_of(mlp())
    arena = [v for v, b in program.buffers.items() if b.place is Place.ARENA]
    rejects(moved(program, arena[0], nbytes=program.buffers[arena[0]].nbytes + 1), "of its size")
    rejects(moved(program, arena[0], place=Place.INPUT), "input or constant")
    good = {v: program.buffers[v].over for v in arena}
    wrong = [(v, u) for v in arena for u in arena if u is not v and good[v] is not u]
    for v, u in wrong:
        rejects(moved(program, v, over=u), "takes the place|overwrites|take one place")


def test_overlaps_are_found() -> None:
    """The verifier of layouts, on layouts that are wrong."""
    program = program_of(mlp())
    right = layout(program, {"n": 50})
    verify_layout(program, right)
    found = 0
    for v, at in right.offsets.items():
        for other in right.offsets.values():
            if program.buffers[v].over is None and [*at.values()] != [*other.values()]:
                other = dict.fromkeys(at, *other.values())
                broken = dataclasses.replace(right, offsets={**right.offsets, v: other})
                try:
                    verify_layout(program, broken)
                except VerifyError:
                    found += 1
    assert found > 10
    high = {v: dict.fromkeys(at, right.arena) for v, at in right.offsets.items()}
    with pytest.raises(VerifyError, match="leaves"):
        verify_layout(program, dataclasses.replace(right, offsets=high))


AGAIN = """program @f(%x: f32[n,n]) {
  arena cpu = 49152 bytes for n=64 (49152 without reuse)
  matmul %x, %x -> %a: f32[n,n] @cpu
  matmul %a, %x -> %b: f32[n,n] @cpu
  matmul %b, %b -> %c: f32[n,n] @cpu
  again %a
  matmul %c, %a -> %d: f32[n,n] @out
  return %d
}
"""


def test_a_kernel_may_run_again() -> None:
    program = verify_program(parse_program(AGAIN))
    assert print_program(program) == AGAIN.replace("arena cpu = 49152", "arena cpu = 32768")
    assert program.kernels[3] is program.kernels[0]
    places = layout(program, {"n": 4})
    assert places.arena == 2 * 64 and places.naive == 3 * 64
    over = AGAIN.replace("%b: f32[n,n] @cpu", "%b: f32[n,n] @cpu(%a)")
    rejects(parse_program(over), "overwrites")


def test_what_can_fail_runs_once() -> None:
    text = """program @f(%t: f32[n], %i: i64[4]) {
  arena cpu = 0
  kernel %t, %i -> %a: f32[4] @out {
    %a = take %t, %i {axis=0} : f32[4]
  }
  again %a
  return %a
}
"""
    rejects(parse_program(text), "runs again")
    with pytest.raises(ParseError, match="no kernel above"):
        parse_program(text.replace("again %a", "again %t"))


# ---- reasons ----


def test_why_not() -> None:
    x = gc.placeholder(gc.float32, [32, 8], name="x")
    w = gc.variable(gc.zeros((8, 8)), name="w")
    h = gc.exp(x)
    p = h @ w
    total = gc.sum(gc.tanh(p), axis=1)
    graph = lower(stage([total, h]).graph, Options()).optimised
    by_op = {v.op.name: v for v in graph.nodes()}
    assert "operands must lie in memory" in why_not(graph, by_op["exp"], by_op["matmul"])
    assert why_not(graph, by_op["tanh"], by_op["reduce_sum"]) == ""
    assert "input" in why_not(graph, graph.inputs[0], by_op["exp"])


def test_storage_looks_through_reshapes() -> None:
    x = gc.placeholder(gc.float32, ["n", 4], name="x")
    graph = stage([gc.reshape(gc.exp(x), (-1,))]).graph
    assert storage(graph.outputs[0]).op.name == "exp"
    assert dim.product(graph.outputs[0].type.shape) == dim.product(x.type.shape)


@pytest.mark.parametrize("seed", range(60))
def test_round_trip_of_random_graphs(seed: int) -> None:
    program = lower(random_graph(seed), Options()).program
    text = print_program(program)
    parsed = parse_program(text)
    assert print_program(parsed) == text
    for old, new in zip(program.kernels, parsed.kernels, strict=True):
        assert source_of(old) == source_of(new)


def test_programs_of_devices_say_where_their_arena_lies() -> None:
    graph = parse_graph("""graph @f(%x: f32[n,300]) {
  %e = exp %x : f32[n,300]
  %m = matmul %e, %e {ta=false, tb=true} : f32[n,n]
  return %m
}""")
    program = moved_to(schedule(graph), "cuda:0")
    text = print_program(program)
    assert "arena cuda:0 = " in text and "@cuda:0" in text and "cpu" not in text
    again = parse_program(text)
    assert again.device == "cuda:0" and print_program(again) == text
