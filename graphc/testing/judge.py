"""The judge of graphs: passes keep their meaning, and machine code gives what the oracle gives."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol
from unittest import mock

import numpy as np

from graphc.errors import GraphError, MiscompiledError, user_location
from graphc.ir.dim import symbols
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Control, Gather, Item, Scatter
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.ir.verify import verify
from graphc.passes.base import Context
from graphc.passes.graph import simplify as simplify_module
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import GRAPH_PASSES
from graphc.passes.rewrite.rules import RULES
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.compiled import CompiledGraph, small_chunks, small_products
from graphc.testing.random_control import deep_nodes
from graphc.testing.random_graphs import inputs_for, random_graph
from graphc.testing.random_values import SIZES_OF_N
from graphc.testing.shrinker import shrink

INEXACT_RULES = {r.name for r in RULES if r.kind != "exact"}
Fault = str  # the description of what is wrong; "" for a good graph


class Judge(Protocol):
    """A function that finds the fault of a graph, on feeds that a seed decides."""

    def __call__(self, graph: Graph, seed: int) -> Fault: ...


def is_symbolic(graph: Graph) -> bool:
    return any(symbols(s) for v in graph.inputs for s in v.type.shape)


def sizes_for(graph: Graph, seed: int, count: int) -> list[int]:
    """The values of n to try; just one for a graph without n."""
    if not is_symbolic(graph):
        return [1]
    return [SIZES_OF_N[(seed + i) % len(SIZES_OF_N)] for i in range(count)]


def feeds(graph: Graph, seed: int, count: int) -> list[list[Any]]:
    """Arrays to try a graph on: normal and special ones, for several sizes."""
    tried = [(n, special) for n in sizes_for(graph, seed, count) for special in (False, True)]
    return [inputs_for(graph, seed, special, n) for n, special in tried]


# ---- passes ----


def pass_fault(graph: Graph, seed: int, count: int = 1) -> Fault:
    """The first pass that changes the meaning of the graph, and how.

    Rules that are only `stable` are left out, for what is cut off after them (a comparison, a cast)
    may come out otherwise; where the graph has nothing of that kind they are tried too.
    """
    fault = ""
    for loose in (False, True):
        if loose and not (smooth(graph) and fired_rules(graph) & INEXACT_RULES):
            continue
        fault = fault or _pass_fault(graph, seed, count, loose)
    return fault or text_fault(graph, seed)


def _pass_fault(graph: Graph, seed: int, count: int, loose: bool) -> Fault:
    rules = RULES if loose else tuple(r for r in RULES if r.kind == "exact")
    stages = [("generator", verify(graph, "generator"))]
    stages.append(("unify_sizes", verify(unify_sizes(graph).graph, "unify_sizes")))
    with mock.patch.object(simplify_module, "RULES", rules):
        context = Context()
        for p in GRAPH_PASSES:
            result = p.run_deeply(stages[-1][1], context)
            stages.append((p.name, verify(result, p.name, context.trace.proven)))
    for arrays in feeds(graph, seed, count):
        wanted = list(interpret(graph, *arrays))
        for (_, before), (name, after) in itertools.pairwise(stages):
            if after is before:
                continue
            got = list(interpret(after, *arrays))
            wrong = disagreements(before, arrays, wanted, got, loose)
            if wrong:
                return f"pass {name}: {wrong[0]}"
            wanted = got
    return ""


def smooth(graph: Graph) -> bool:
    """Whether the graph has no op that turns a small difference into a jump."""
    return all(_smooth(v) for v in deep_nodes(graph))


def _smooth(v: Value) -> bool:
    if isinstance(v.op, Gather | Scatter) or getattr(v.op, "positional", False):
        return False
    if isinstance(v.op, Control | Item):  # `smooth` asks the values inside
        return True
    inward = any(a.type.dtype.is_float for a in v.args)
    jumps = v.op.name in ("sign", "floor", "ceil", "round", "trunc", "floor_divide", "remainder")
    return not inward or (v.type.dtype.is_float and not jumps)


def text_fault(graph: Graph, seed: int) -> Fault:
    """How a graph differs from the graph that its text parses to."""
    text = print_graph(graph)
    parsed = parse_graph(text)
    if print_graph(parsed) != text:
        return "text: printed differently after parsing"
    arrays = feeds(graph, seed, 1)[0]
    pairs = zip(interpret(graph, *arrays), interpret(parsed, *arrays), strict=True)
    return "" if all(same_bits(a, b) for a, b in pairs) else "text: parsed to another meaning"


# ---- compiled ----


def compiled_fault(graph: Graph, seed: int, count: int = 3, **changes: Any) -> Fault:
    """How the compiled program of a graph, by `Options(**changes)`, differs from the oracle (of the
    optimised graph)."""
    with small_products() if seed % 2 else contextlib.nullcontext():
        compiled = CompiledGraph(graph, **changes)
    program = compiled.executable.program
    text = print_program(program)
    if print_program(parse_program(text)) != text:
        return "text: the program is printed differently after parsing"
    optimised = program.graph
    for arrays in feeds(graph, seed, count):
        wanted = list(interpret(optimised, *arrays))
        once = compiled(arrays)
        wrong = disagreements(optimised, arrays, wanted, once)
        if wrong:
            return f"compiled, inputs {[a.shape for a in arrays]}: {wrong[0]}"
        with small_chunks():
            compiled.forget()
            chunked = compiled(arrays, 1, poison=0xFF)
            wrong = (
                []
                if all(map(same_bits, once, chunked))
                else disagreements(optimised, arrays, wanted, chunked)
            )
            if wrong:
                return f"compiled, in small chunks, inputs {[a.shape for a in arrays]}: {wrong[0]}"
            for threads in (2, 4):
                compiled.forget()
                if not all(map(same_bits, chunked, compiled(arrays, threads))):
                    return f"other bits on {threads} threads, inputs {[a.shape for a in arrays]}"
        compiled.forget()
    return ""


def fired_rules(graph: Graph, disable: frozenset[str] = frozenset()) -> set[str]:
    """The rules that the pipeline applies to a graph."""
    context = Context()
    now = unify_sizes(graph).graph
    for p in GRAPH_PASSES:
        if p.name not in disable:
            now = p.run_deeply(now, context)
    return set(context.trace.fired)


# ---- reports ----


def check_graph(graph: Graph, seed: int = 0) -> None:
    """Judges what graphc makes of a graph, and so of the ops in it, on random feeds that `seed`
    decides: every pass preserves the meaning, its text reads back, and machine code gives what the
    oracle gives, in small chunks and on two threads too.  Raises `MiscompiledError`, whose message
    shows the graph made smaller.

    >>> from graphc.testing import check_graph, random_graph
    >>> check_graph(random_graph(5))
    """
    if not isinstance(graph, Graph):
        raise GraphError(
            f"check_graph: graph is {graph!r}; expected a Graph, such as random_graph(3)",
            user_location(),
        )
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise GraphError(
            f"check_graph: seed is {seed!r}; expected a whole number of at least 0",
            user_location(),
        )
    with np.errstate(all="ignore"):
        for judge in (pass_fault, compiled_fault):
            if guarded(partial(judge, seed=seed))(graph):
                raise MiscompiledError(report(graph, seed, partial(judge, seed=seed)))


def guarded(fault: Callable[[Graph], Fault]) -> Callable[[Graph], Fault]:
    """A check that returns every exception as a fault."""

    def check(graph: Graph) -> Fault:
        try:
            return fault(graph)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    return check


def report(graph: Graph, seed: int, fault: Callable[[Graph], Fault]) -> str:
    """The seed, the fault and the shrunk graph."""
    check = guarded(fault)
    first = check(graph)
    kind = first.split(":")[0].split(",")[0]
    small = shrink(graph, lambda g: check(g).startswith(kind))
    return f"seed {seed}: {check(small) or first}\n{print_graph(small)}"


def run_seeds(
    seeds: Sequence[int],
    fault: Judge,
    graphs: Callable[[int], Graph] = random_graph,
) -> list[str]:
    """Reports of the seeds that fail (three are enough)."""
    reports: list[str] = []
    for seed in seeds:
        graph = graphs(seed)
        if guarded(partial(fault, seed=seed))(graph):
            reports.append(report(graph, seed, partial(fault, seed=seed)))
        if len(reports) == 3:
            break
    return reports
