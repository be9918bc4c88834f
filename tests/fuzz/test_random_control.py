"""Random graphs with loops, branches and gradients through them (see test_random_graphs.py).

`python tests/fuzz/test_random_control.py SEED` runs one seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from fuzz.control import control_graph, deep_nodes, gradient_graph, staged
from fuzz.graphs import inputs_for
from fuzz.test_random_graphs import (
    CHUNKS,
    NAMES,
    Fault,
    compiled_fault,
    feeds,
    guarded,
    pass_fault,
    report,
    run_seeds,
    share,
)
from fuzz.unrolled import differentiated
from support.run import disagreements

from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import evaluate, interpret
from graphc.ir.op import Control
from graphc.ir.text.graph import print_graph
from graphc.ir.verify import verify

KINDS = {"control": control_graph, "gradient": gradient_graph}
COUNT = 1 / 8  # of the graphs without control flow


def staged_fault(graph: Graph, seed: int) -> Fault:
    """How staging, or a pass over the staged graph, changes what a graph means."""
    after = verify(staged(graph), "stage")
    for arrays in feeds(graph, seed, 1):
        wanted, got = list(interpret(graph, *arrays)), list(interpret(after, *arrays))
        wrong = disagreements(graph, arrays, wanted, got)
        if wrong:
            return f"stage: {wrong[0]}"
    return pass_fault(after, seed)


def machine_fault(
    graph: Graph, seed: int, disable: frozenset[str] = frozenset(), count: int = 3
) -> Fault:
    """How the compiled program differs from the oracle."""
    return compiled_fault(staged(graph), seed, disable, count)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", range(CHUNKS // 4))
def test_every_pass_preserves_meaning(chunk: int, kind: str, pytestconfig: pytest.Config) -> None:
    seeds = share(pytestconfig, chunk * 4, COUNT * 4)
    found = run_seeds(seeds, staged_fault, KINDS[kind])
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", range(CHUNKS // 4))
def test_compiled_is_interpreted(chunk: int, kind: str, pytestconfig: pytest.Config) -> None:
    found = run_seeds(share(pytestconfig, chunk * 4, COUNT / 2), machine_fault, KINDS[kind])
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("disabled", [*NAMES, "all"])
def test_compiled_without_a_pass(disabled: str, kind: str, pytestconfig: pytest.Config) -> None:
    off = frozenset(NAMES if disabled == "all" else [disabled])
    seeds = share(pytestconfig, list([*NAMES, "all"]).index(disabled), COUNT / 2)
    found = run_seeds(seeds, lambda g, s: machine_fault(g, s, off, count=1), KINDS[kind])
    assert not found, "\n\n".join(found)


def gradient_fault(seed: int) -> Fault:
    """How the gradient of a graph with loops differs from that of the loops written out."""
    graph, plain = differentiated(seed)
    arrays = inputs_for(graph, seed, False, 1)
    finite = True

    def watch(_: Value, array: object) -> None:
        nonlocal finite
        parts = array if isinstance(array, tuple) else (array,)
        finite = finite and all(bool(np.isfinite(np.asarray(p, np.float64)).all()) for p in parts)

    wanted, got = list(evaluate(plain, arrays, watch)), list(evaluate(graph, arrays, watch))
    near = (np.allclose(w, g, rtol=1e-7, atol=1e-12) for w, g in zip(wanted, got, strict=True))
    if not finite or all(near):  # with infinities, 0 times a derivative may be NaN
        return ""
    wrong = disagreements(plain, arrays, wanted, got, loose=True)
    return f"gradient: {wrong[0]}" if wrong else ""


@pytest.mark.parametrize("chunk", range(CHUNKS // 4))
def test_gradients_are_those_of_the_loop_written_out(
    chunk: int, pytestconfig: pytest.Config
) -> None:
    for seed in share(pytestconfig, chunk * 4, COUNT):
        fault = gradient_fault(seed)
        assert not fault, f"seed {seed}: {fault}\n{print_graph(differentiated(seed)[0])}"


def test_the_generator_covers_control_flow() -> None:
    """Every kind of loop and switch occurs, also two deep."""
    from graphc.ir.control import Loop, Switch

    nodes = [v for seed in range(150) for v in deep_nodes(control_graph(seed))]
    loops = [v.op for v in nodes if isinstance(v.op, Loop)]
    for field in ("reverse", "whilst", "slices", "rows", "carries", "bounded"):
        assert {bool(getattr(op, field)) for op in loops} == {False, True}, field
    assert {0, 1, -1} < {op.length for op in loops}
    assert any(not isinstance(op.length, int) for op in loops)
    assert any(isinstance(v.op, Control) for op in loops for v in op.body.nodes())
    assert {len(v.op.branches) for v in nodes if isinstance(v.op, Switch)} == {2, 3}
    swaps = [
        op
        for op in loops
        for i, v in enumerate(op.body.outputs[: op.carries])
        if v in op.body.inputs[: op.carries] and v is not op.body.inputs[i]
    ]
    assert swaps


FAULTS: tuple[Callable[[Graph, int], Fault], ...] = (staged_fault, machine_fault)

if __name__ == "__main__":
    number = int(sys.argv[1])
    for make_graph in KINDS.values():
        shown = make_graph(number)
        print(print_graph(shown))
        for test in FAULTS:
            with np.errstate(all="ignore"):
                failed = guarded(lambda g, t=test: t(g, number))(shown)
                print(
                    test.__name__,
                    ":",
                    report(shown, number, lambda g, t=test: t(g, number)) if failed else "holds",
                )
