"""Rows of random graphs: passes, machine code, known and symbolic sizes, other machines."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from fuzz.control_judges import gradient_fault, machine_fault, staged_fault
from fuzz.coverage import covered, uncovered
from fuzz.unrolled import differentiated
from proof.row import Row, Tally, Verdict

from graphc.config import Method
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.substitute import substitute_graph
from graphc.passes.pipeline import GRAPH_PASSES
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.compiled import CompiledGraph
from graphc.testing.judge import (
    compiled_fault,
    feeds,
    guarded,
    is_symbolic,
    pass_fault,
    report,
)
from graphc.testing.pure_python import PurePython
from graphc.testing.random_control import control_graph, gradient_graph, staged
from graphc.testing.random_graphs import inputs_for, random_graph
from graphc.testing.random_values import SIZES_OF_N, sizes_of
from graphc.testing.rewrites import rewrite_fault

CONTROL_OPS = {"item", "loop", "switch"}  # of graphs with control flow
GENERATORS: tuple[Callable[[int], Graph], ...] = (control_graph, gradient_graph)


def judged(graph: Graph, seed: int, fault: Callable[[Graph], str]) -> Verdict:
    """The verdict on a graph; a fault is told with the graph, shrunk."""
    found = guarded(fault)(graph)
    return Verdict(report(graph, seed, fault) if found else "", covered(graph))


# ---- passes and rewrites


def passes(case: int) -> Verdict:
    """A graph after every pass, and every value before and after each rewrite of it."""
    return judged(random_graph(case), case, lambda g: pass_fault(g, case) or rewrite_fault(g, case))


def control_passes(case: int) -> Verdict:
    """The same for graphs with loops and branches; gradients against the loops written out."""
    if case % 5 == 4:
        written = differentiated(case // 5)
        return Verdict(gradient_fault(*written, case // 5), covered(written[0]))
    graph = GENERATORS[case % 2](case)
    return judged(graph, case, lambda g: staged_fault(g, case) or rewrite_fault(staged(g), case))


# ---- machine code

# how graphs are compiled: all optimisations, the build that checks every access, each pass off ...
BUILDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("all optimisations", {}),
    ("every access checked", {"check": "bounds"}),
    *((f"without {p.name}", {"disable": frozenset({p.name})}) for p in GRAPH_PASSES),
    ("without any pass", {"disable": frozenset(p.name for p in GRAPH_PASSES)}),
    ("products and convolutions as loops", {"method": Method.LOOPS}),
    ("products by OpenBLAS", {"method": Method.BLAS}),
)


def build_of(case: int) -> tuple[str, dict[str, Any]]:
    """The build of a case: each fourth is the usual one."""
    return BUILDS[0] if case % 4 == 0 else BUILDS[1 + case % (len(BUILDS) - 1)]


def compiled(case: int) -> Verdict:
    """A graph as machine code: in small chunks, on 1, 2 and 4 threads, in poisoned memory."""
    name, options = build_of(case)
    verdict = judged(
        random_graph(case), case, lambda g: compiled_fault(g, case, count=2, **options)
    )
    return Verdict(verdict.fault, verdict.seen | {name})


def control_compiled(case: int) -> Verdict:
    """The same for graphs with loops and branches."""
    name, options = build_of(case)
    graph = GENERATORS[case % 2](case)
    verdict = judged(graph, case, lambda g: machine_fault(g, case, count=2, **options))
    return Verdict(verdict.fault, verdict.seen | {name})


def all_covered(tally: Tally) -> Sequence[str]:
    """What a whole row should have met and did not."""
    missing = set(uncovered(tally.seen)) - CONTROL_OPS
    return [f"not covered: {name}" for name in sorted(missing)]


def all_built(tally: Tally) -> Sequence[str]:
    """The builds that no case had."""
    return [f"no graph was compiled {name}" for name, _ in BUILDS if name not in tally.seen]


# ---- known and symbolic sizes, other machines


def sized(case: int) -> Verdict:
    """A graph of symbolic sizes, and the graph with each size written in: one meaning, and one
    compiled result."""
    graph = random_graph(4 * (case // 2) + case % 2)  # half of the seeds have symbolic sizes
    assert is_symbolic(graph)
    return Verdict(guarded(lambda g: sized_fault(g, case))(graph), covered(graph))


def sized_fault(graph: Graph, case: int) -> str:
    """How a graph differs from itself at a known size."""
    n = SIZES_OF_N[case % len(SIZES_OF_N)]
    known = substitute_graph(graph, sizes_of(n))
    symbolic_code, known_code = CompiledGraph(graph), CompiledGraph(known)
    for special in (False, True):
        arrays = inputs_for(graph, case, special, n)
        wanted = list(interpret(graph, *arrays))
        if not all(map(same_bits, wanted, interpret(known, *arrays))):
            return f"interpreted, n = {n}: known sizes give another result"
        for code in (symbolic_code, known_code):
            wrong = disagreements(graph, arrays, wanted, code(arrays), loose=True)
            if wrong:
                which = "symbolic" if code is symbolic_code else "known"
                return f"compiled, n = {n}, {which} sizes: {wrong[0]}"
    return ""


def in_python(case: int) -> Verdict:
    """Kernels run as plain Python, which checks every index, give what machine code gives."""
    graph = random_graph(case)

    def fault(g: Graph) -> str:
        twin = PurePython(g)
        optimised = twin.made.program.graph
        for arrays in feeds(g, case, 1):
            wanted, got = list(interpret(optimised, *arrays)), twin.run(arrays)
            wrong = disagreements(optimised, arrays, wanted, got)
            if wrong:
                return f"kernels as Python: {wrong[0]}"
        return ""

    return judged(graph, case, fault)


def simulated(case: int) -> Verdict:
    """A graph on a simulated GPU, whose memory and threads are watched."""
    judge = importlib.import_module("fuzz.test_cuda_random").simulated_fault
    return judged(random_graph(case), case, lambda g: judge(g, case))


GRAPH_ROWS = (
    Row(
        "passes",
        "every pass and every rewrite keeps the meaning of random graphs, on special values too",
        20_000,
        "graphs",
        passes,
        all_covered,
    ),
    Row(
        "control-passes",
        "the same with loops and branches; gradients are those of the loops written out",
        2_000,
        "graphs",
        control_passes,
    ),
    Row(
        "compiled",
        "machine code gives what the oracle gives: each pass off, 1, 2, 4 threads, every access "
        "checked, poisoned memory",
        3_000,
        "graphs",
        compiled,
        lambda tally: [*all_covered(tally), *all_built(tally)],
    ),
    Row(
        "control-compiled",
        "the same with loops and branches",
        400,
        "graphs",
        control_compiled,
    ),
    Row("sizes", "known and symbolic sizes give one result", 300, "graphs", sized),
    Row("python", "kernels run as Python stay inside their buffers", 300, "graphs", in_python),
    Row(
        "simulator",
        "a simulated GPU gives what the oracle gives",
        60,
        "graphs",
        simulated,
        needs="greenlet",
    ),
)
