"""Applies a session's own rules together with graphc's: Graph -> Graph."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from graphc.ir.graph import Value
from graphc.passes.graph.simplify import Simplify
from graphc.passes.rewrite.engine import Rewriter, Rule


@dataclass(frozen=True)
class OwnRules(Simplify):
    """Simplifies by rules that a session was given, which are asked first, and by graphc's own."""

    name = "own-rules"
    rules: tuple[Rule, ...] = ()

    def settles(self, fast_math: bool) -> Hashable:
        return self.max_window_side, fast_math, self.rules

    def rewriter(self, fast_math: bool, settled: set[Value] | None = None) -> Rewriter:
        ours = super().rewriter(fast_math, settled)
        own = [r for r in self.rules if fast_math or r.kind != "fast"]
        return Rewriter([*own, *ours.rules], ours.functions, settled)
