"""Every rewrite is judged by itself: the value before it and the value after it mean the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Value, make, topological
from graphc.ir.interpret import apply, bind_sizes
from graphc.ir.op import Item, State
from graphc.ir.types import TupleType
from graphc.passes.base import Context
from graphc.passes.graph import simplify as simplify_module
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import GRAPH_PASSES
from graphc.passes.rewrite.engine import Rewriter, Rule
from graphc.passes.rewrite.rules import RULES
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.judge import feeds
from graphc.testing.random_values import draw


class RewriteFault(AssertionError):
    """A rewrite changed what a value means."""


class Meanings:
    """What values are, for arrays of a graph's inputs; inputs of inner graphs are drawn."""

    def __init__(self, graph: Graph, arrays: Sequence[Any]) -> None:
        self.inputs = graph.inputs  # which tell all sizes
        self.sizes = bind_sizes(graph.inputs, arrays)
        self.known: dict[Value, Any] = dict(zip(graph.inputs, map(np.asarray, arrays), strict=True))
        self.rng = np.random.default_rng(len(graph.inputs))

    def of(self, v: Value) -> Any:
        """The array of a value, or several; None where an op rejects its operands."""
        for u in topological((v,)):
            if u not in self.known:
                self.known[u] = self._made(u)
        return self.known[v]

    def _made(self, u: Value) -> Any:
        if isinstance(u.op, State) and not u.args:
            return np.asarray(draw(self.rng, u.type, self.sizes, False))
        args = tuple(self.known[a] for a in u.args)
        if any(a is None for a in args):
            return None
        try:
            return apply(u, args, self.sizes)
        except (GraphcError, LookupError, ValueError):
            return None  # no meaning: an index beyond its axis, say

    def compare(self, name: str, before: Value, after: Value) -> None:
        """Raises `RewriteFault` unless both mean the same."""
        wanted, got = self.of(before), self.of(after)
        if wanted is None:
            return
        if isinstance(before.type, TupleType):
            for i in range(len(before.type.items)):
                self.compare(name, make(Item(i), (before,)), make(Item(i), (after,)))
            return
        if got is not None and same_bits(wanted, got):
            return
        inner = [u for u in topological((before,)) if isinstance(u.op, State) and not u.args]
        inputs = tuple(dict.fromkeys((*self.inputs, *inner)))
        wrong = (
            ["it has no meaning any more"]
            if got is None
            else disagreements(
                Graph("before", inputs, (before,)),
                [self.known[u] for u in inputs],
                [wanted],
                [got],
            )
        )
        if wrong:
            raise RewriteFault(f"rewrite {name} of {before.op.name}: {wrong[0]}")


class JudgedRewriter(Rewriter):
    """A rewriter whose every rewrite is compared with what it replaces."""

    def __init__(
        self,
        rules: Sequence[Rule],
        functions: Sequence[Callable[[Value], Value | None]],
        settled: set[Value] | None = None,
        *,
        meanings: Sequence[Meanings],
    ) -> None:
        super().__init__(rules, functions, settled)
        self.meanings = meanings

    def step(self, v: Value) -> Value | None:
        new = super().step(v)
        if new is not None:
            assert self.last is not None
            for m in self.meanings:
                m.compare(self.last[0], v, new)
        return new


def rewrite_fault(graph: Graph, seed: int) -> str:
    """The first rewrite that changes what its value means, by the exact rules; "" if none does."""
    graph = unify_sizes(graph).graph
    meanings = [Meanings(graph, arrays) for arrays in feeds(graph, seed, 1)]
    exact = tuple(r for r in RULES if r.kind == "exact")
    judged = partial(JudgedRewriter, meanings=meanings)
    with (
        mock.patch.object(simplify_module, "RULES", exact),
        mock.patch.object(simplify_module, "Rewriter", judged),
    ):
        context = Context()
        try:
            for p in GRAPH_PASSES:
                graph = p.run_deeply(graph, context)
        except RewriteFault as wrong:
            return str(wrong)
    return ""
