"""What the last passes do for one device's part of a graph: Graph -> Graph.

Before placement a graph is simplified for all devices alike.  How it is best computed differs: a
CPU widens products of narrow floats, which tensor cores take as they are, and folds many rows in a
few chunks, where a GPU needs hundreds.  Which passes these are, a target says (`Target.late`).
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
    """The options of the passes before placement: without those that wait for it, which are the
    host's last passes."""
    return replace(options, disable=options.disable | {late.name for late in host.late})


def tailored(graph: Graph, target: Target, options: Options, trace: Trace) -> Graph:
    """The graph of one device after its target's last passes."""
    return run_passes(target.late, graph, Context(trace, options.fast_math), options.disable)
