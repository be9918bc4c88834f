"""Random graphs with loops, branches and gradients through them (see test_random_graphs.py).

`PYTHONPATH=tests python tests/fuzz/test_random_control.py SEED` runs one seed.
"""

from __future__ import annotations

import sys
from functools import partial

import pytest
from fuzz.control_judges import gradient_fault, machine_fault, staged_fault
from fuzz.seeds import CHUNKS, share, tell
from fuzz.unrolled import differentiated

from graphc.ir.control import Loop, Switch
from graphc.ir.op import Control
from graphc.ir.text.graph import print_graph
from graphc.passes.pipeline import GRAPH_PASSES
from graphc.testing.judge import run_seeds
from graphc.testing.random_control import control_graph, deep_nodes, gradient_graph

NAMES = tuple(p.name for p in GRAPH_PASSES)

KINDS = {"control": control_graph, "gradient": gradient_graph}
COUNT = 1 / 8  # of the graphs without control flow


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
    found = run_seeds(seeds, partial(machine_fault, disable=off, count=1), KINDS[kind])
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("chunk", range(CHUNKS // 4))
def test_gradients_are_those_of_the_loop_written_out(
    chunk: int, pytestconfig: pytest.Config
) -> None:
    for seed in share(pytestconfig, chunk * 4, COUNT):
        graphs = differentiated(seed)
        fault = gradient_fault(*graphs, seed)
        assert not fault, f"seed {seed}: {fault}\n{print_graph(graphs[0])}"


def test_the_generator_covers_control_flow() -> None:
    """Every kind of loop and switch occurs, also two deep."""
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


if __name__ == "__main__":
    number = int(sys.argv[1])
    for make_graph in KINDS.values():
        tell(make_graph(number), number, (staged_fault, machine_fault))
