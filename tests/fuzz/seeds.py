"""Seeds of random graphs, shared out among tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from graphc.ir.graph import Graph
from graphc.ir.text.graph import print_graph
from graphc.testing.judge import Judge, guarded, report

CHUNKS = 20
GRAPHS = 2000  # in a run that does not say `--graphc-fuzz`


def share(config: pytest.Config, chunk: int, fraction: float = 1.0) -> range:
    """The seeds of one chunk of a fraction of all graphs."""
    given = config.getoption("graphc_fuzz")
    total = int((GRAPHS if given is None else given) * fraction)
    first = config.getoption("graphc_fuzz_seed")
    return range(first + total * chunk // CHUNKS, first + total * (chunk + 1) // CHUNKS)


def tell(graph: Graph, seed: int, judges: Sequence[Judge]) -> None:
    """Prints a graph, and what each judge finds wrong."""
    print(print_graph(graph))
    for judge in judges:
        fault = partial(judge, seed=seed)
        with np.errstate(all="ignore"):
            found = report(graph, seed, fault) if guarded(fault)(graph) else "holds"
        print(judge.__name__, ":", found)  # type: ignore[attr-defined]
