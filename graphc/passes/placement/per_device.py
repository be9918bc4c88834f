"""Runs the last passes, which differ by device, on the graph of one segment: Graph -> Graph.

The passes before placement treat all devices alike.  The best form of a graph differs: a CPU widens
products of narrow floats, which tensor cores take as they are, and folds many rows in a few chunks,
where a GPU needs hundreds.  `Target.late` lists these passes.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.config import Options
from graphc.ir.graph import Graph
from graphc.passes.base import Context
from graphc.passes.pipeline import run_passes
from graphc.passes.target import Target
from graphc.passes.trace import Trace


def before_placement(options: Options, host: Target) -> Options:
    """The options of the passes before placement: they disable the host's last passes, which run
    after it."""
    return replace(options, disable=options.disable | {late.name for late in host.late})


def tailored(graph: Graph, target: Target, options: Options, trace: Trace) -> Graph:
    """The graph of one device after its target's last passes."""
    return run_passes(target.late, graph, Context(trace, options.fast_math), options.disable)
