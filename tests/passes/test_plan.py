"""Memory: the plan is what is allocated, places are used again, the last reader writes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import stage as staged

import graphc as gc
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.frontend.stage import stage
from graphc.ir import arena as layout_module
from graphc.ir.arena import ALIGNMENT_BYTES, ArenaBlock, ArenaLayout, layout, lifetimes, loads, pack
from graphc.ir.graph import Value
from graphc.ir.interpret import interpret
from graphc.ir.program import Place, PlannedBuffer, Program, launched, overwritten
from graphc.ir.text.graph import parse_graph
from graphc.passes.fusion.fuse import Fuse
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.plan import plan
from graphc.testing.closeness import same_bits
from graphc.testing.compiled import CompiledGraph
from graphc.testing.random_graphs import inputs_for, random_graph
from graphc.testing.random_values import SIZES_OF_N


def planned(text: str) -> Program:
    return plan(Fuse()(parse_graph(text)))


def buffer(program: Program, name: str) -> PlannedBuffer:
    return next(b for v, b in program.buffers.items() if v.name == name)


CHAIN = """graph @f(%x: f32[n,n]) {
  %a = matmul %x, %x : f32[n,n]
  %b = matmul %a, %x : f32[n,n]
  %c = matmul %b, %x : f32[n,n]
  %d = matmul %c, %x : f32[n,n]
  return %d
}"""


def value(program: Program, name: str) -> Value:
    return next(v for v in program.buffers if v.name == name)


def test_places_are_used_again() -> None:
    program = planned(CHAIN)
    for n in (1, 5, 64):
        one = -(-4 * n * n // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        places = layout(program, {"n": n})
        assert places.naive == 3 * one and places.arena == places.least == 2 * one
        a, b, c = (places.at(value(program, v), 3) for v in "abc")
        assert a == c != b


def test_the_last_reader_writes_in_place() -> None:
    program = planned("""graph @f(%x: f32[n,n], %y: f32[n,n]) {
  %a = matmul %x, %x : f32[n,n]
  %b = matmul %y, %y : f32[n,n]
  %s = reduce_sum %b {axes=[0]} : f32[n]
  %t = broadcast %s {axes=[1]} : f32[n,n]
  %c = add %a, %t : f32[n,n]
  %d = matmul %c, %x : f32[n,n]
  return %d, %s
}""")
    assert buffer(program, "c").over is value(program, "a")


def test_what_another_reads_later_is_kept() -> None:
    program = planned("""graph @f(%x: f32[8,8], %y: f32[4,8]) {
  %a = matmul %x, %x : f32[8,8]
  %e = exp %a : f32[8,8]
  %b = matmul %y, %e : f32[4,8]
  %c = matmul %b, %a : f32[4,8]
  return %c
}""")
    assert buffer(program, "e").over is None


def test_what_is_read_elsewhere_is_not_overwritten() -> None:
    program = planned("""graph @f(%x: f32[8,8]) {
  %a = matmul %x, %x : f32[8,8]
  %t = transpose %a {axes=[1, 0]} : f32[8,8]
  %s = add %a, %t : f32[8,8]
  %c = matmul %s, %x : f32[8,8]
  return %c
}""")
    assert buffer(program, "s").over is None


def test_a_commit_writes_the_variable() -> None:
    program = planned(
        """graph @f(var %w: f32[n0], %x: f32[n0]) {
  %h = multiply %w, %x : f32[n0]
  return %x, %w <- %h
}""".replace("n0", "8")
    )
    assert buffer(program, "h").place is Place.VARIABLE
    assert layout(program, {}).arena == 0


TRANSACTIONS = (
    """%h = multiply %w, 2.0f32 : f32[8]
  return %w <- %h, %v <- %w""",
    """return %w <- %v, %v <- %w""",
    """%h = add %w, %v : f32[8]
  return %w <- %h, %v <- %h""",
    """%h = add %w, %v : f32[8]
  %k = multiply %w, %v : f32[8]
  return %w, %v, %w <- %h, %v <- %k""",
    """%h = slice %w {starts=[7], steps=[-1]} : f32[8]
  return %w <- %h""",
    """%h = slice %w {starts=[7], steps=[-1]} : f32[8]
  %k = add %h, %v : f32[8]
  return %h, %w <- %k, %v <- %h""",
)


@pytest.mark.parametrize("body", TRANSACTIONS)
def test_updates_read_the_values_of_the_start(body: str) -> None:
    graph = parse_graph(f"graph @f(var %w: f32[8], var %v: f32[8]) {{\n  {body}\n}}")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(0, 1, 8).astype(np.float32) for _ in graph.inputs]
    made = CompiledGraph(graph)
    for _ in range(2):
        for w, g in zip(interpret(graph, *arrays), made(arrays), strict=True):
            np.testing.assert_allclose(w, g, rtol=1e-5)


def test_the_formula_is_what_is_allocated() -> None:
    for seed in range(60):
        graph = random_graph(seed)
        made = CompiledGraph(graph)
        program = made.executable.program
        for n in SIZES_OF_N[:4]:
            sizes = {"n": n, "m": n}
            bound = made.executable.bind(sizes)
            places = layout(program, sizes)
            assert places.least <= bound.layout.arena == places.arena <= places.naive
            assert bound.arena.nbytes == places.arena + ALIGNMENT_BYTES
            _disjoint(program, places)


def _disjoint(program: Program, places: ArenaLayout) -> None:
    """Values that live at the same time lie apart, inside the arena; in place, they only touch."""
    lives = list(lifetimes(program).items())
    for i, ((v, born), dies) in enumerate(lives):
        at, size = places.offsets[v][born], places.nbytes[v]
        assert at % ALIGNMENT_BYTES == 0 and at + size <= places.arena
        for (u, first), last in lives[:i]:
            start = places.offsets[u][first]
            apart = at + size <= start or start + places.nbytes[u] <= at
            assert apart or dies <= first or last <= born, f"{v.name} and {u.name} overlap"


def test_a_session_reports_its_arena() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 32], name="x")
        y = gc.sum(gc.exp(x @ gc.ones((32, 32))) @ gc.ones((32, 32)))
        with gc.Session(threads=1) as session:
            for rows in (3, 50):
                session.run(y, {x: np.ones((rows, 32), np.float32)})
                assert session.stats.arena_planned == session.stats.arena_allocated > 0


def test_one_arena_serves_a_session() -> None:
    """Plans of all sizes and fetches; those that were bound before it grew are bound again."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 16], name="x")
        w = np.eye(16, dtype=np.float32)
        y, z = gc.exp(x @ w) @ w, gc.tanh(gc.exp(x @ w) @ w) @ w
        with gc.Session(threads=1) as session:
            arenas = []
            for rows in (5, 900, 5, 40, 901, 5, 900):
                given = np.full((rows, 16), 0.5, np.float32)
                a, b = session.run(y, {x: given}), session.run(z, {x: given})
                np.testing.assert_allclose(a, np.exp(given), rtol=1e-6)
                np.testing.assert_allclose(b, np.tanh(np.exp(given)), rtol=1e-6)
                arenas.append(session.stats.arena_allocated)
                bounds = [p.bound for x in session._runners.values() for p in x.plans.values()]
                assert {b.arena_start for b in bounds} == {session.arena.start}
            assert arenas == sorted(arenas) and arenas[-1] == 2 * 901 * 64
            assert session.stats.arena_planned == arenas[-1]


def test_poisoned_memory_changes_nothing() -> None:
    for seed in range(40):
        graph = random_graph(seed)
        arrays = inputs_for(graph, seed, False, 7)
        made = CompiledGraph(graph)
        first = made(arrays, poison=0)
        assert all(map(same_bits, first, made(arrays, poison=0xFF)))


def test_gaps_are_filled() -> None:
    """A small block goes into the tightest gap that is free while it is needed."""
    blocks = [
        ArenaBlock(0, 1, 640),
        ArenaBlock(2, 3, 128),
        ArenaBlock(1, 3, 256),
        ArenaBlock(0, 2, 64),
        ArenaBlock(0, 3, 0),
    ]
    assert loads(blocks, 3) == [704, 960, 448, 384]
    offsets, total = pack(blocks)
    assert total == 960
    _apart(blocks, offsets)


def _apart(blocks: list[ArenaBlock], offsets: list[int]) -> None:
    for i, a in enumerate(blocks):
        for j, b in enumerate(blocks[:i]):
            if a.nbytes and b.nbytes and a.born <= b.dies and b.born <= a.dies:
                assert offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]


def test_packing_is_sound_and_tight(mean: float = 1.05, worst: float = 1.3) -> None:
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(60):
        count = int(rng.integers(1, 40))
        spans = np.sort(rng.integers(0, 50, (count, 2)), axis=1).tolist()
        sizes = (rng.integers(0, 40, count) ** 2 * ALIGNMENT_BYTES).tolist()
        blocks = [ArenaBlock(born, dies, n) for (born, dies), n in zip(spans, sizes, strict=True)]
        offsets, total = pack(blocks)
        _apart(blocks, offsets)
        assert all(at + b.nbytes <= total for at, b in zip(offsets, blocks, strict=True))
        ratios.append(total / max(1, *loads(blocks, 50)))
    assert min(ratios) >= 1.0 and float(np.mean(ratios)) < mean and max(ratios) < worst


def test_many_blocks_are_packed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "MAX_BLOCKS_TO_COMPARE", 0)
    test_packing_is_sound_and_tight(1.3, 2.5)
    a, b, c = 640, 64, 320
    blocks = [
        ArenaBlock(0, 1, a),
        ArenaBlock(1, 9, b),
        ArenaBlock(2, 3, c),
        ArenaBlock(2, 3, c),
        ArenaBlock(4, 5, 2 * c),
    ]
    offsets, total = pack(blocks)
    _apart(blocks, offsets)
    assert total == a + b, "gaps that touch are one"


def test_gradients_wait_for_no_one() -> None:
    """A weight's gradient is made as soon as it can be: its operands need not wait for the rest."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 64], name="x")
        h = x
        for _ in range(12):
            h = gc.nn.functional.relu(gc.nn.Linear(64, 64)(h))
        train = gc.optim.SGD(0.1).minimize(gc.sum(h))
        graph = lower(stage([], [x], list(train.tensors)).graph, Options()).optimised
    fused = Fuse()(graph)
    early, late = (layout(plan(p), {"n": 4096}) for p in (OrderKernels()(fused), fused))
    assert early.arena < 0.7 * late.arena
    assert early.arena <= 1.02 * early.least


def test_python_functions_keep_their_order() -> None:
    seen = []

    def noted(name: str, factor: int) -> Callable[[Any], Any]:
        def call(a: Any) -> Any:
            seen.append(name)
            return a[: len(a) // factor]

        return call

    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [64], name="x")
        a = gc.py_func(noted("large", 1), [x], gc.float32[64], stateful=True)
        b = gc.py_func(noted("small", 8), [x], gc.float32[8], stateful=True)
        with gc.Session(threads=1) as session:
            session.run([gc.sum(gc.exp(a)), gc.sum(gc.exp(b))], {x: np.ones(64, np.float32)})
    assert seen == ["large", "small"]


def test_branches_share_their_memory() -> None:
    """Only one of them runs."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [64, 64], name="x")
        y = gc.cond(gc.sum(x) > 0.0, lambda: (x @ x) @ x, lambda: (x @ x.T) @ x)
        with gc.Session(threads=1) as session:
            for sign in (1.0, -1.0):
                got = session.run(y, {x: sign * np.eye(64, dtype=np.float32)})
                np.testing.assert_array_equal(got, sign * np.eye(64))
            assert session.stats.arena_planned < 2.5 * 64 * 64 * 4


def test_two_results_over_two_operands() -> None:
    """A kernel knows which of its results overwrite operands: to LLVM, buffers of different
    arguments are different memory, and it moved a load behind a store."""
    a, b = (np.random.default_rng(i).uniform(-1, 1, (2, 3, 3)) for i in (0, 1))
    x, y = (gc.placeholder(gc.float64, [2, 3, 3]) for _ in range(2))
    difference = x @ y - y @ x
    row, column = gc.arange(3)[:, None], gc.arange(3)
    low = gc.where(row >= column, difference, 0.0)
    below = gc.where(row > column, difference, 0.0)
    total = low + gc.permute_dims(below, (0, 2, 1))
    graph = staged([total])
    seen = [overwritten(p, k) for p, k in launched(lower(graph, Options()).program)]
    assert any(len(over) == 2 for over in seen)
    with gc.Session() as sess:
        got = sess.run(total, {x: a, y: b})
    d = a @ b - b @ a
    np.testing.assert_allclose(got, np.tril(d) + np.swapaxes(np.tril(d, -1), 1, 2), atol=1e-12)
