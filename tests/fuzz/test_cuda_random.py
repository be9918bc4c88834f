"""Random graphs on a simulated device: what its CUDA text computes is what the oracle does.

`--graphc-fuzz N` sets how many (3 of 100 graphs; `--graphc-fuzz-seed` the first seed).  A failure
prints the seed and the graph, shrunk; `PYTHONPATH=tests python tests/fuzz/test_cuda_random.py SEED`
runs one seed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fuzz.seeds import CHUNKS, share, tell
from support.device import SimulatedGraph, few_chunks, runs_on_a_gpu

from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Contraction
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.scan import CumulativeProd, CumulativeSum
from graphc.testing import closeness
from graphc.testing.closeness import disagreements
from graphc.testing.judge import Fault, feeds, run_seeds
from graphc.testing.random_graphs import random_graph

FRACTION = 0.03
TINY = 1e-30
CHUNKS_OF_ROWS = 6  # few, for a simulator has few threads
pytest.importorskip("greenlet", reason="threads that meet are simulated by greenlets")


class Parallel(closeness.Disturbed):
    """A device sums running totals in another order than the oracle."""

    def disturb(self, v: Value, args: Sequence[Any], exact: Any) -> Any:
        total = isinstance(v.op, CumulativeSum | CumulativeProd)
        if not (total and is_float(exact) and exact.size):
            return super().disturb(v, args, exact)
        with np.errstate(all="ignore"):
            size = np.abs(widened(args[0]))
            reach = np.asarray(v.op.reference(np.where(np.isfinite(size), size, 0)))
        return self._move(exact, reach, 8 + 2 * exact.size, np.isinf(reach))


def simulated_fault(graph: Graph, seed: int, count: int = 1) -> Fault:
    """How a graph on a simulated device differs from the oracle (of the optimised graph)."""
    if not runs_on_a_gpu(graph):
        return ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closeness, "Disturbed", Parallel)
        return _fault(SimulatedGraph(graph, few_chunks(CHUNKS_OF_ROWS)), graph, seed, count)


def _fault(made: SimulatedGraph, graph: Graph, seed: int, count: int) -> Fault:
    multiplies = any(isinstance(v.op, Contraction) for v in graph.nodes())
    for arrays in feeds(graph, seed, count):
        arrays = [normal(a) for a in arrays] if multiplies else arrays
        wanted = list(interpret(made.graph, *arrays))
        wrong = disagreements(made.graph, arrays, wanted, made(arrays))
        if wrong:
            return f"simulated, inputs {[a.shape for a in arrays]}: {wrong[0]}"
    return ""


def normal(array: Any) -> Any:
    """The array with zeros for what is too small for a tensor core's sums of three products."""
    if not is_float(array):
        return array
    with np.errstate(all="ignore"):
        return np.where(np.abs(widened(array)) < TINY, np.zeros_like(array), array)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_simulated_is_interpreted(chunk: int, pytestconfig: pytest.Config) -> None:
    found = run_seeds(share(pytestconfig, chunk, FRACTION), simulated_fault)
    assert not found, "\n\n".join(found)


if __name__ == "__main__":
    number = int(sys.argv[1])
    tell(random_graph(number), number, (simulated_fault,))
