"""Random graphs: each pass preserves meaning, and compiled programs compute what the oracle does.

`--graphc-fuzz N` sets how many graphs (`--graphc-fuzz-seed` the first seed).  A failure prints the
seed and the graph, shrunk; `PYTHONPATH=tests python tests/fuzz/test_random_graphs.py SEED` runs one
seed.
"""

from __future__ import annotations

import sys
from functools import partial

import pytest
from fuzz.coverage import INPUTS, OUTSIDE, covered, uncovered
from fuzz.seeds import CHUNKS, share, tell

from graphc.passes.pipeline import GRAPH_PASSES
from graphc.testing.compiled import CompiledGraph
from graphc.testing.judge import compiled_fault, feeds, pass_fault, run_seeds
from graphc.testing.random_control import control_graph
from graphc.testing.random_graphs import random_graph
from graphc.testing.random_values import SIZES_OF_N
from graphc.testing.shrinker import shrink

NAMES = tuple(p.name for p in GRAPH_PASSES)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_pass_preserves_meaning(chunk: int, pytestconfig: pytest.Config) -> None:
    found = run_seeds(share(pytestconfig, chunk), pass_fault)
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_compiled_is_interpreted(chunk: int, pytestconfig: pytest.Config) -> None:
    """Whatever the size, poisoned memory, chunks and threads; one compilation serves all sizes."""
    found = run_seeds(share(pytestconfig, chunk, 0.15), compiled_fault)
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("disabled", [*NAMES, "all"])
def test_compiled_without_a_pass(disabled: str, pytestconfig: pytest.Config) -> None:
    """Each pass off in turn, and all off."""
    off = frozenset(NAMES if disabled == "all" else [disabled])
    seeds = share(pytestconfig, list([*NAMES, "all"]).index(disabled), 0.1)
    found = run_seeds(seeds, partial(compiled_fault, disable=off, count=1))
    assert not found, "\n\n".join(found)


def test_one_compilation_serves_every_size() -> None:
    made = CompiledGraph(random_graph(0))
    before = made.built.compilations + made.built.cache_hits
    for arrays in feeds(made.graph, 0, len(SIZES_OF_N)):
        made(arrays)
    assert made.built.compilations + made.built.cache_hits == before


def test_the_generator_covers_the_ops_and_rules() -> None:
    seen: set[str] = set()
    for seed in range(600):
        seen |= covered(random_graph(seed))
    for seed in range(20):
        seen |= covered(control_graph(seed))
    assert not uncovered(seen)
    assert not seen & set().union(*OUTSIDE.values()) - INPUTS


def test_the_shrinker_keeps_the_fault() -> None:
    graph = next(
        g for g in map(random_graph, range(300)) if any(v.op.name == "tanh" for v in g.nodes())
    )
    small = shrink(graph, lambda g: any(v.op.name == "tanh" for v in g.nodes()))
    assert len(small.nodes()) <= 2


if __name__ == "__main__":
    number = int(sys.argv[1])
    tell(random_graph(number), number, (pass_fault, compiled_fault))
