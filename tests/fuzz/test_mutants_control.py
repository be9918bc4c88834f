"""Planted miscompiles of loops and branches: the random graphs with control flow find each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fuzz.control_judges import gradient_fault, machine_fault, staged_fault
from fuzz.planting import Mutant, m, plant
from fuzz.unrolled import both_gradients, differentiated

from graphc.ir.graph import Graph
from graphc.ir.text.graph import parse_graph
from graphc.testing.judge import guarded
from graphc.testing.random_control import control_graph, gradient_graph

STAGED_GRAPHS, COMPILED_GRAPHS, GRADIENTS = 600, 120, 600

IN_PASSES = (
    m("passes.graph.shrink_loops:_merged", ".index(row)", ".index(row) * 0"),
    m("passes.graph.shrink_loops:_carries", "carry_of[v] not in fixed", "False"),
    m("passes.graph.shrink_loops:_carries", "({0} if op.whilst else set())", "set()"),
    m(
        "passes.graph.shrink_loops:_prune",
        "body.outputs[i] is body.inputs[i]",
        "body.outputs[i] in body.inputs[:n]",
    ),
    m("passes.graph.shrink_loops:_prune", "if not (op.whilst and i == 0)", ""),
    m("passes.graph.shrink_loops:_hoisted", "steady and not can_fail(v)", "not can_fail(v)"),
    m("passes.graph.sink_into_branches:_Sinking._sink", "self._users(a) <= {branch}", "True"),
    m("passes.graph.sink_into_branches:_Sinking._branch", "v in self.uses[number]", "True"),
    m("ir.control:Loop.parts", "operands[b:]", "operands[b:][::-1]"),
)
IN_GRADIENTS = (
    m("passes.autodiff.control:LoopGradient._backward", "not op.reverse", "op.reverse"),
    m("passes.autodiff.control:LoopGradient._backward", "s + self.parts[i]", "self.parts[i]"),
    m(
        "passes.autodiff.control:LoopGradient._backward",
        "self.cts.get(i + 1,",
        "self.cts.get(i + 2,",
    ),
    m("passes.autodiff.control:LoopGradient._sum", "not p.op.ta, p.op.tb", "p.op.ta, p.op.tb"),
)
IN_COMPILATION = (
    m("runtime.cpu.control:Step._updates", "if base in carries:", "if False:"),
    m("runtime.cpu.control:Step._updates", "before + after", "after[::-1]"),
    m(
        "runtime.cpu.control:_loop",
        "ArgumentStep(FIRST_BUFFER + 1 + i, sizes[i])",
        "ArgumentStep(FIRST_BUFFER + 1 + i)",
    ),
    m(
        "runtime.cpu.control:_loop",
        "ArgumentStep(items + 1 + i, rows[i])",
        "ArgumentStep(items + 1 + i, 0)",
    ),
    m("runtime.cpu.control:_loop", "[LoopBlock.REVERSE] = op.reverse", "[LoopBlock.REVERSE] = 0"),
    m("runtime.cpu.control:_loop", "address(cleared), len(outputs)", "address(cleared), 0"),
    m("runtime.cpu.control:_loop", "items + 1 if op.whilst else 0", "0"),
    m("runtime.cpu.control:_copies", "range(v.op.carries)", "range(v.op.carries - 1)"),
    m("runtime.cpu.control:_copies", "!= outer.place(items[i])", "== outer.place(items[i])"),
    m("runtime.cpu.control:_switch", "_copies(outer, kernel, v, items)", "(0, 0)"),
    m(
        "runtime.cpu.control:_switch",
        "ArgumentStep(items + i) for i in range(op.carries, len",
        "ArgumentStep(items) for i in range(op.carries, len",
    ),
    m("passes.memory.in_place:_depends", "if n == b", "if n == -1"),
    m("passes.memory.plan:Planner._overwrites", "last.get(tenant, -1) > number", "False"),
    m("passes.memory.plan:Planner._place", "= self.tenants[variable], v", "= variable, v"),
    m("runtime.cpu.control:Step._results", "early.append", "late.append"),
    m("runtime.cpu.control:Step._results", "elif base in x.external", "elif False"),
)


def killer(fault: Callable[[Graph, int], str], most: int) -> int | None:
    """The first seed that finds a fault; -1 and down: a crafted graph."""
    for number, text in enumerate(CRAFTED):
        if any(guarded(lambda g, s=s: fault(g, s))(parse_graph(text)) for s in range(4)):
            return -1 - number
    for seed in range(most):
        for graphs in (control_graph, gradient_graph):
            if guarded(lambda g, s=seed: fault(g, s))(graphs(seed)):
                return seed
    return None


CRAFTED = (
    """graph @swap(%a: f32[3], %b: f32[3], %n: i64[]) {
  %loop = loop %n, %a, %b {carries=2, slices=0, length=9} : (i64[], f32[3], f32[3]) {
    body graph @body(%a: f32[3], %b: f32[3]) {
      return %b, %a
    }
  }
  %x = item %loop {index=1} : f32[3]
  %y = item %loop {index=2} : f32[3]
  return %x, %y
}""",
    # an operand of a scatter, and of a loop, that is read besides
    """graph @besides(%a: f32[4]) {
  %n = full {value=3} : i64[]
  %last = full {value=3} : i64[4]
  %iota = iota {axis=0} : i64[4]
  %at = subtract %last, %iota : i64[4]
  %loop = loop %n, %a, %at {carries=1, slices=0, length=9} : (i64[], f32[4]) {
    body graph @body(%c: f32[4], %at: i64[4]) {
      %s = scatter_add %c, %at, %c {axis=0} : f32[4]
      %two = full {value=2} : i64[]
      %inner = loop %two, %s, %s, %at {carries=1, slices=0, length=2} : (i64[], f32[4]) {
        body graph @inner(%d: f32[4], %e: f32[4], %at: i64[4]) {
          %s = scatter_add %d, %at, %e {axis=0} : f32[4]
          return %s
        }
      }
      %y = item %inner {index=1} : f32[4]
      return %y
    }
  }
  %x = item %loop {index=1} : f32[4]
  return %x
}""",
    # branches that give back different operands
    """graph @either(%a: f32[4], %b: f32[4], %u: f32[2], %n: i64[]) {
  %at = iota {axis=0} : i64[2]
  %loop = loop %n, %a, %b, %at, %u {carries=2, slices=0, length=9} : (i64[], f32[4], f32[4]) {
    body graph @body(%a: f32[4], %b: f32[4], %at: i64[2], %u: f32[2]) {
      %s = reduce_sum %a {axes=[0]} : f32[]
      %more = greater %s, 1.0f32 : bool[]
      %index = cast %more : i64[]
      %switch = switch %index, %a, %b, %at, %u : (f32[4]) {
        branches graph @branch.0(%a: f32[4], %b: f32[4], %at: i64[2], %u: f32[2]) {
          return %b
        }
        branches graph @branch.1(%a: f32[4], %b: f32[4], %at: i64[2], %u: f32[2]) {
          %s = scatter_set %a, %at, %u {axis=0} : f32[4]
          return %s
        }
      }
      %x = item %switch {index=0} : f32[4]
      return %x, %b
    }
  }
  %x = item %loop {index=1} : f32[4]
  return %x
}""",
    # a reader of the new value needs what else reads the old one
    """graph @readers(%a: f32[4], %u: f32[2], %n: i64[]) {
  %at = iota {axis=0} : i64[2]
  %loop = loop %n, %a, %at, %u {carries=1, slices=0, length=9} : (i64[], f32[4], f32[9]) {
    body graph @body(%c: f32[4], %at: i64[2], %u: f32[2]) {
      %s = scatter_set %c, %at, %u {axis=0} : f32[4]
      %t = cumulative_sum %s {axis=0, reverse=false} : f32[4]
      %d = multiply %t, %c : f32[4]
      %r = reduce_sum %d {axes=[0]} : f32[]
      return %s, %r
    }
  }
  %x = item %loop {index=1} : f32[4]
  %y = item %loop {index=2} : f32[9]
  return %x, %y
}""",
    # two scatters, one over the other
    """graph @chain(%a: f32[4], %u: f32[2], %n: i64[]) {
  %at = iota {axis=0} : i64[2]
  %loop = loop %n, %a, %at, %u {carries=1, slices=0, length=9} : (i64[], f32[4]) {
    body graph @body(%c: f32[4], %at: i64[2], %u: f32[2]) {
      %s = scatter_add %c, %at, %u {axis=0} : f32[4]
      %t = scatter_mul %s, %at, %u {axis=0} : f32[4]
      return %t
    }
  }
  %x = item %loop {index=1} : f32[4]
  return %x
}""",
)

# One random graph in a hundred multiplies, in each step, by a matrix that all steps share.
RECURRENT = """graph @recurrent(%h: f64[2, 3], %w: f64[3, 4], %v: f64[3, 4]) {
  %n = full {value=3} : i64[]
  %loop = loop %n, %h, %w, %v {carries=1, slices=0, length=3} : (i64[], f64[2, 3]) {
    body graph @body(%h: f64[2, 3], %w: f64[3, 4], %v: f64[3, 4]) {
      %product = matmul %h, %w : f64[2, 4]
      %tanh = tanh %product : f64[2, 4]
      %next = matmul %tanh, %v {tb=true} : f64[2, 3]
      return %next
    }
  }
  %last = item %loop {index=1} : f64[2, 3]
  return %last
}"""


@pytest.mark.parametrize("mutant", IN_PASSES, ids=str)
def test_a_wrong_pass_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    assert killer(staged_fault, STAGED_GRAPHS) is not None


@pytest.mark.parametrize("mutant", IN_GRADIENTS, ids=str)
def test_a_wrong_gradient_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    crafted = (wrong_gradient(lambda: both_gradients(parse_graph(RECURRENT)), s) for s in range(4))
    random = (wrong_gradient(lambda s=s: differentiated(s), s) for s in range(GRADIENTS))
    assert any(crafted) or any(random)


def wrong_gradient(graphs: Callable[[], tuple[Graph, Graph]], seed: int) -> bool:
    """Whether a seed finds a fault of gradients; an exception is one too."""
    try:
        return bool(gradient_fault(*graphs(), seed))
    except Exception:
        return True


@pytest.mark.parametrize("mutant", IN_COMPILATION, ids=str)
def test_a_wrong_runtime_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, mutant)
    found = killer(lambda g, s: machine_fault(g, s, count=2), COMPILED_GRAPHS)
    assert found is not None


def test_the_crafted_graphs_are_right() -> None:
    for text in CRAFTED:
        assert not guarded(lambda g: staged_fault(g, 1))(parse_graph(text))
        assert not guarded(lambda g: machine_fault(g, 1))(parse_graph(text))
    assert not gradient_fault(*both_gradients(parse_graph(RECURRENT)), 1)
