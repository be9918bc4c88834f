"""What the last passes do for one device's part of a graph: Graph -> Graph.

Before placement a graph is simplified for all devices alike.  How it is best computed differs: a
CPU widens products of narrow floats, which tensor cores take as they are, and folds many rows in a
few chunks, where a GPU needs hundreds.  Which passes these are, a target says (`Target.late`).
"""

from __future__ import annotations

from dataclasses import replace

from graphc.config import Options
from graphc.ir.graph import Graph
from graphc.ir.verify import verify
from graphc.passes.pipeline import Trace
from graphc.passes.rewrite.inner_graphs import deeply
from graphc.passes.target import LatePass, Target


def before_placement(options: Options, host: Target) -> Options:
    """The options of the passes before placement: without those that wait for it, which are the
    host's last passes."""
    return replace(options, disable=options.disable | {late.name for late in host.late})


def tailored(graph: Graph, target: Target, options: Options, trace: Trace) -> Graph:
    """The graph of one device after its target's last passes."""
    for late in target.late:
        if late.name not in options.disable:
            graph = _changed(graph, late, options.fast_math, trace)
    return graph


def _changed(graph: Graph, late: LatePass, fast_math: bool, trace: Trace) -> Graph:
    """The graph, and the graphs inside its ops, after one pass, verified."""
    with trace.span(late.name):
        graph = deeply(graph, lambda g: late.change(g, trace, fast_math))
        graph = verify(graph, late.name, trace.proven)
    if trace.watch:
        trace.watch(late.name, graph)
    return graph
