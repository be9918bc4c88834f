"""Simplifies once more, after the other graph passes: Graph -> Graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.passes.graph.simplify import Simplify


@dataclass(frozen=True)
class Cleanup(Simplify):
    """Simplifies what the passes between have made: casts, reshapes, folds of one chunk."""

    name = "cleanup"
