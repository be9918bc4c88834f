"""Planted miscompiles: each wrong line below must be found by the random graphs, or crafted ones.

If a mutant's text is gone, write another one for the same mistake.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from fuzz.planting import Mutant, m, plant

from graphc.ir.graph import Graph
from graphc.ir.ops.pointwise import maximum, where
from graphc.ir.text.graph import parse_graph
from graphc.passes.graph import simplify
from graphc.passes.rewrite.engine import holes, rule
from graphc.testing import judge, random_ops
from graphc.testing.judge import compiled_fault, guarded, pass_fault
from graphc.testing.random_graphs import random_graph

PASS_GRAPHS, COMPILED_GRAPHS = 3000, 250
x, y = holes("x y")


IN_PASSES = (
    m(
        "passes.graph.simplify:transpose_into_matmul",
        "flags[i], args[i] = not flags[i], a.args[0]",
        "args[i] = a.args[0]",
    ),
    m("passes.graph.simplify:transpose_into_matmul", " and a.op.axes == swapped", ""),
    m("passes.graph.simplify:pointwise_before_broadcast", "or a.op != views[0].op ", ""),
    m(
        "passes.graph.simplify:merge_transposes",
        "inner[a] for a in v.op.axes",
        "v.op.axes[a] for a in inner",
    ),
    m(
        "passes.graph.simplify:merge_broadcasts",
        "v.op.axes[a] for a in v.args[0].op.axes",
        "a for a in v.args[0].op.axes",
    ),
    m("passes.graph.simplify:drop_identity_view", "if not any(starts) and set(steps) <= {1}", ""),
    m("passes.graph.simplify:drop_identity_view", "if axes == tuple(range(len(axes)))", ""),
    m("passes.graph.simplify:divide_by_power_of_two", "abs(mantissa) != 0.5 or ", ""),
    m("passes.graph.simplify:merge_sums", "value == 0 and", "value == value and"),
    m(
        "passes.rewrite.engine:match",
        "repr(float(v.op.value)) == repr(float(p.literal))",
        "float(v.op.value) == float(p.literal)",
    ),
    m(
        "passes.rewrite.engine:match",
        "found.setdefault(p.hole, v) is v",
        "bool(found.setdefault(p.hole, v))",
    ),
    m("passes.rewrite.engine:Interner.__call__", "isinstance(v.op, State)", "False"),
    m(
        "passes.rewrite.engine:Interner.__call__",
        "(v.op, v.args, v.type,",
        "(type(v.op), v.args, v.type,",
    ),
    m("passes.rewrite.engine:_applies", "r.dtypes is None or", "True or"),
    m("ir.ops.shape:Full._key", "repr(self.value)", "float(self.value)"),
    m(
        "passes.graph.split_reductions:SplitReductions._split",
        "not leading or not op.axes",
        "not op.axes",
    ),
    m("ir.substitute:_field", "return dim.substitute(x, known)", "return x"),
    m("ir.graph:Graph.replace", "(done[old], done[new])", "(done[old], done[old])"),
    m(
        "ir.graph:Graph.replace",
        "tuple(done[v] for v in self.outputs)",
        "tuple(done[v] for v in self.outputs)[::-1]",
    ),
)
WRONG_RULES = (
    rule("add-zero", x + 0.0, x),
    rule("neg-sub", -(x - y), y - x),
    rule("max-as-where", maximum(x, y), where(x > y, x, y)),
)
IN_COMPILATION = (
    m("passes.memory.plan:Planner._in_place", "last.get(u) != number", "False"),
    m("passes.memory.plan:Planner._in_place", "and self.steps.together(kernel, u, v)", ""),
    m("passes.memory.plan:Planner._in_place", "or u in self.given", ""),
    m("ir.arena:lifetimes", "dies[r, written[r]] = i", "dies[r, written[r]] = i - 1"),
    m("ir.arena:lifetimes", "dies[v, written[v]] = len(program.kernels)", "pass"),
    m("ir.arena:place_of", "block.born <= other.dies", "block.born < other.dies"),
    m("ir.arena:place_of", "max(end, start + other.nbytes)", "start + other.nbytes"),
    m("passes.memory.order:_Scheduler.run", "yield from self.commits", "pass"),
    m("passes.memory.plan:Planner._last_uses", "last[storage(new)] = end", "pass"),
    m("passes.memory.plan:Planner._overwrites", "last.get(tenant, -1) > number", "False"),
    m(
        "passes.memory.plan:Planner._overwrites",
        " or self.steps.together(kernel, tenant, new)",
        " or True",
    ),
    m("passes.memory.in_place:_Walk.together", "u not in self.elsewhere and", ""),
    m("passes.fusion.row_stages:stages", "at[u] + _folds(u)", "at[u]"),
    m(
        "passes.fusion.groups:common_space",
        "a.inner is None or b.inner is None or a.inner == b.inner",
        "True",
    ),
    m("passes.fusion.fuse:Fuser._joins", "s.rows != merged.outer_axes", "False"),
    m("passes.fusion.merging:Merging.add_epilogues", " and self._in_step(v, group)", ""),
    m(
        "passes.fusion.groups:Groups.mergeable",
        " and not self.between(a, b) and not self.between(b, a)",
        "",
    ),
    m("passes.memory.plan:Planner._overwrites", "self.taken[new] > 1", "False"),
    m("codegen.lower.emitter:Emitter._view", "reversed(pieces)", "pieces"),
    m(
        "codegen.lower.fused:chunk_rows",
        "rows * (c + 1) // parts.chunks",
        "rows * (c + 1) // parts.chunks - 1",
    ),
    m(
        "codegen.loops.transform:_dense",
        "outer_step == dim.coefficient",
        "outer_step is not None or dim.coefficient",
    ),
    m("codegen.loops.transform:_uses", "fixed |= dim.symbols(offset)", "pass"),
    m("codegen.loops.printer:literal", "'-' if rounded < 0 else ''", "''"),
    m("codegen.loops.printer:wrap", "if operator and (dtype.name in WRAPPING_TYPES)", "if False"),
    m(
        "codegen.cpu.schedules.gemm:lower_gemm",
        "(first if op.ta else first * k, 0, first * n)",
        "(first * k, 0, first * n)",
    ),
    m("codegen.cpu.schedules.gemm:_cut", '{"lo.": low, "hi.": high}', '{"lo.": 0, "hi.": rows}'),
    m("codegen.lower.emitter:_insert", "result.insert(axis, i)", "result.insert(0, i)"),
    m("ir.ops.reduction:lowest", 'float("-inf")', "0.0"),
    m("ir.ops.shape:Dilate.pieces", "(i % s, 0, 1)", "(i % s, 0, s)"),
    m("session.host_engine:HostPlan._spare", ".copy()", ""),
    m("runtime.cpu.executable:Bound._copies", "if result.is_input", "if False"),
)
SPELLINGS = (
    ("pointwise", "Where", "where({0}, {2}, {1})"),
    ("pointwise", "Minimum", "maximum({0}, {1})"),
    ("logic", "Less", "({0} <= {1})"),
    ("pointwise", "Subtract", "({1} - {0})"),
)


# What random graphs of this size meet too seldom; every compiler mutant may be found by these too.
CRAFTED = (
    """graph @written_out(%a: f32[4,5,3]) {
  %s = reduce_sum %a {axes=[1]} : f32[4,3]
  %e = exp %s                   : f32[4,3]
  return %e
}""",
    """graph @read_later(%a: f32[n,n]) {
  %m  = matmul %a, %a             : f32[n,n]
  %v  = exp %m                    : f32[n,n]
  %r1 = matmul %v, %a             : f32[n,n]
  %r2 = matmul %m, %r1            : f32[n,n]
  return %r2
}""",
    """graph @read_later_in_a_map(%a: f32[n,n]) {
  %m  = matmul %a, %a             : f32[n,n]
  %s  = reduce_sum %m {axes=[1]}  : f32[n]
  %b  = broadcast %s {axes=[0]}   : f32[n,n]
  %v  = subtract %m, %b           : f32[n,n]
  %p  = matmul %v, %v             : f32[n,n]
  %q  = matmul %m, %p             : f32[n,n]
  return %q
}""",
    """graph @passed_on(%x: f32[n], var %a: f32[5], var %b: f32[5]) {
  %next = add %a, 1.0f32 : f32[5]
  return %x, %b <- %a, %a <- %next
}""",
    """graph @transposed(%a: f32[n,n]) {
  %m = matmul %a, %a            : f32[n,n]
  %t = transpose %m {axes=[1,0]} : f32[n,n]
  %e = exp %t                    : f32[n,n]
  %o = add %e, %m                : f32[n,n]
  return %o
}""",
)


def killer(fault: Callable[[Graph, int], str], most: int) -> int | None:
    """The first seed that finds a fault; -1 and down: a crafted graph."""
    for number, text in enumerate(CRAFTED):
        if most == COMPILED_GRAPHS and guarded(lambda g: fault(g, 1))(parse_graph(text)):
            return -1 - number
    for seed in range(most):
        graph = random_graph(seed)
        if guarded(lambda g, s=seed: fault(g, s))(graph):
            return seed
    return None


@pytest.mark.parametrize("mutant", IN_PASSES, ids=str)
def test_a_wrong_pass_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    assert killer(pass_fault, PASS_GRAPHS) is not None


@pytest.mark.parametrize("wrong", WRONG_RULES, ids=lambda r: r.name)
def test_a_wrong_rule_is_found(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "FUNCTIONS", simplify.FUNCTIONS)
    monkeypatch.setattr(judge, "RULES", (wrong, *simplify.RULES))
    monkeypatch.setattr(random_ops, "RULES", (wrong,) * 5 + simplify.RULES)
    assert killer(pass_fault, PASS_GRAPHS) is not None


@pytest.mark.parametrize("mutant", IN_COMPILATION, ids=str)
def test_a_wrong_compiler_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    assert killer(lambda g, s: compiled_fault(g, s, count=2), COMPILED_GRAPHS) is not None


@pytest.mark.parametrize(("module", "op", "spelling"), SPELLINGS)
def test_a_wrong_spelling_is_found(
    module: str, op: str, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = getattr(importlib.import_module(f"graphc.ir.ops.{module}"), op)
    monkeypatch.setattr(cls, "spelling", spelling)
    assert killer(lambda g, s: compiled_fault(g, s, count=1), COMPILED_GRAPHS) is not None


def test_there_are_enough_mutants() -> None:
    assert len(IN_PASSES) + len(WRONG_RULES) + len(IN_COMPILATION) + len(SPELLINGS) >= 50


def test_the_crafted_graphs_compile_right() -> None:
    for text in CRAFTED:
        assert not guarded(lambda g: compiled_fault(g, 1))(parse_graph(text))
