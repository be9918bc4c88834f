"""Memory: the plan is what is allocated, places are used again, the last reader writes in place."""

from __future__ import annotations

import numpy as np
import pytest
from random_graphs import SIZES_OF_N, inputs_for, random_graph
from support_run import CompiledGraph, same_bits

import graphc as gc
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.interpret import interpret
from graphc.ir.program import Buffer, Place, Program, storage
from graphc.ir.text import parse_graph
from graphc.passes.fuse import fuse
from graphc.passes.plan import ALIGN, aligned, known_less, plan


def planned(text: str) -> Program:
    return plan(fuse(parse_graph(text)))


def buffer(program: Program, name: str) -> Buffer:
    return next(b for v, b in program.buffers.items() if v.name == name)


CHAIN = """graph @f(%x: f32[n,n]) {
  %a = matmul %x, %x : f32[n,n]
  %b = matmul %a, %x : f32[n,n]
  %c = matmul %b, %x : f32[n,n]
  %d = matmul %c, %x : f32[n,n]
  return %d
}"""


def test_places_are_used_again() -> None:
    program = planned(CHAIN)
    assert program.naive == 3 * aligned(dim.parse("4*n*n"))
    assert program.arena == 2 * aligned(dim.parse("4*n*n"))
    assert buffer(program, "a").offset == buffer(program, "c").offset
    assert buffer(program, "a").offset != buffer(program, "b").offset


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
    assert buffer(program, "c").offset == buffer(program, "a").offset


def test_what_another_reads_later_is_kept() -> None:
    program = planned("""graph @f(%x: f32[8,8], %y: f32[4,8]) {
  %a = matmul %x, %x : f32[8,8]
  %e = exp %a : f32[8,8]
  %b = matmul %y, %e : f32[4,8]
  %c = matmul %b, %a : f32[4,8]
  return %c
}""")
    assert buffer(program, "e").offset != buffer(program, "a").offset


def test_what_is_read_elsewhere_is_not_overwritten() -> None:
    program = planned("""graph @f(%x: f32[8,8]) {
  %a = matmul %x, %x : f32[8,8]
  %t = transpose %a {axes=[1, 0]} : f32[8,8]
  %s = add %a, %t : f32[8,8]
  %c = matmul %s, %x : f32[8,8]
  return %c
}""")
    assert buffer(program, "s").offset != buffer(program, "a").offset


def test_a_commit_writes_the_variable() -> None:
    program = planned("""graph @f(var %w: f32[n0], %x: f32[n0]) {
  %h = multiply %w, %x : f32[n0]
  return %x, %w <- %h
}""".replace("n0", "8"))
    assert buffer(program, "h").place is Place.VARIABLE
    assert program.arena == 0


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
            assert bound.arena_bytes == dim.evaluate(program.arena, sizes)
            assert bound.arena.nbytes == bound.arena_bytes + ALIGN
            _disjoint(program, sizes, bound.arena_bytes)


def _disjoint(program: Program, sizes: dict[str, int], arena: int) -> None:
    """Values that live at the same time lie apart, inside the arena."""
    end = len(program.kernels)
    born: dict[Value, int] = {}
    dies: dict[Value, int] = {}
    for number, kernel in enumerate(program.kernels):
        born |= dict.fromkeys(kernel.writes, number)
        dies |= dict.fromkeys((*kernel.writes, *kernel.reads), number)
    dies |= dict.fromkeys((storage(r) for r in program.graph.results), end)
    placed = [
        (v, dim.evaluate(b.offset, sizes), dim.evaluate(v.type.nbytes, sizes))
        for v, b in program.buffers.items() if b.place is Place.ARENA
    ]
    for i, (v, at, size) in enumerate(placed):
        assert at % ALIGN == 0 and at + size <= arena
        for u, start, other in placed[:i]:
            apart = at + size <= start or start + other <= at
            never_meet = dies[v] <= born[u] or dies[u] <= born[v]
            assert apart or never_meet, f"{v.name} and {u.name} overlap"


def test_a_session_reports_its_arena() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 32], name="x")
        y = gc.sum(gc.exp(x @ gc.ones((32, 32))) @ gc.ones((32, 32)))
        with gc.Session(threads=1) as session:
            for rows in (3, 50):
                session.run(y, {x: np.ones((rows, 32), np.float32)})
                assert session.stats.arena_planned == session.stats.arena_allocated > 0


def test_poisoned_memory_changes_nothing() -> None:
    for seed in range(40):
        graph = random_graph(seed)
        arrays = inputs_for(graph, seed, False, 7)
        made = CompiledGraph(graph)
        first = made(arrays, poison=0)
        assert all(map(same_bits, first, made(arrays, poison=0xFF)))


def test_sizes_in_order() -> None:
    n = dim.symbol("n")
    assert known_less(3, 5) and not known_less(5, 3)
    assert known_less(2 * n, 3 * n) and not known_less(n, n * n)
    assert not known_less(n, 5)
    assert aligned(1) == ALIGN and aligned(ALIGN) == ALIGN
    assert dim.evaluate(aligned(4 * n), {"n": 17}) == 128


