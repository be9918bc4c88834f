"""Judges of graphs with control flow: staged, compiled, differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import evaluate, interpret
from graphc.ir.verify import verify
from graphc.testing.closeness import disagreements
from graphc.testing.judge import Fault, compiled_fault, feeds, pass_fault
from graphc.testing.random_control import staged
from graphc.testing.random_graphs import inputs_for


def staged_fault(graph: Graph, seed: int) -> Fault:
    """How staging, or a pass over the staged graph, changes what a graph means."""
    after = verify(staged(graph), "stage")
    for arrays in feeds(graph, seed, 1):
        wanted, got = list(interpret(graph, *arrays)), list(interpret(after, *arrays))
        wrong = disagreements(graph, arrays, wanted, got)
        if wrong:
            return f"stage: {wrong[0]}"
    return pass_fault(after, seed)


def machine_fault(graph: Graph, seed: int, count: int = 3, **changes: Any) -> Fault:
    """How the compiled program differs from the oracle."""
    return compiled_fault(staged(graph), seed, count, **changes)


def gradient_fault(graph: Graph, plain: Graph, seed: int) -> Fault:
    """How the gradient of a graph with loops differs from that of the loops written out."""
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
