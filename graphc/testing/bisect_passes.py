"""Finds the first pass that changes what a graph means, and the rewrite that does it."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.config import Options
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array
from graphc.passes.base import GraphPass
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.oracle.check_passes import Checker, Feeds, WrongPass
from graphc.passes.pipeline import optimise
from graphc.testing.culprit import Culprit, Shrinker

BUDGET = 400  # smaller graphs that are tried


class _FoundError(Exception):
    """Ends the passes: `wrong` is the first that changes the meaning."""

    def __init__(self, wrong: WrongPass) -> None:
        self.wrong = wrong


def wrong_pass(graph: Graph, arrays: Sequence[Array], options: Options) -> Culprit | None:
    """The first pass that changes what a graph means on these arrays; None if none does."""
    feeds = Feeds(list(arrays), None)
    feeds = Feeds(feeds.arrays, feeds.meaning(graph))
    unified = unify_sizes(graph).graph
    difference = feeds.difference(unified)
    if difference:
        return _culprit("pass unify-sizes", difference, graph, arrays, feeds, unified)
    checker = Checker(unified, options.fast_math, feeds=feeds)

    def watch(p: GraphPass, made: Graph) -> None:
        wrong = checker.wrong(p, made)
        if wrong is not None:
            raise _FoundError(wrong)

    try:
        optimise(unified, options, watch=watch)
    except _FoundError as found:
        return _blamed(checker, found.wrong)
    return None


def _blamed(checker: Checker, wrong: WrongPass) -> Culprit:
    """What a wrong pass is to blame for, on a small graph."""
    p, rewrite = wrong.graph_pass, wrong.rewrite
    arrays = checker.feeds.arrays
    what = f"pass {p}"
    if rewrite is not None:
        what += f", rule {rewrite.rule}, firing {rewrite.firing} of {rewrite.firings}"
    if not wrong.pure:
        made = checker.again(p, wrong.before)
        what += " (called again it gives another graph, so it is no pure function)"
        return _culprit(what, wrong.difference, wrong.before, arrays, checker.feeds, made)

    def fails(graph: Graph, given: list[Array]) -> bool:
        feeds = Feeds(given, None)
        feeds = Feeds(given, feeds.meaning(graph))
        return bool(feeds.difference(checker.again(p, graph)))

    shrinker = Shrinker(fails, wrong.before, arrays)
    suspects = [rewrite.value] if rewrite is not None else []
    small, fed = shrinker.smallest(BUDGET, [*suspects, *_first_wrong(shrinker)])
    feeds = Feeds(fed, None)
    feeds = Feeds(fed, feeds.meaning(small))
    made = checker.again(p, small)
    return _culprit(what, wrong.difference, small, fed, feeds, made)


def _first_wrong(shrinker: Shrinker) -> list[Value]:
    """The first value, in order, that fails if all before it are asked for, too; found by
    halving."""
    graph = shrinker.graph
    nodes = [v for v in graph.nodes() if hasattr(v.type, "shape")]
    low, high = 0, len(nodes)
    while low < high:
        middle = (low + high) // 2
        if shrinker.fails(Graph(graph.name, graph.inputs, tuple(nodes[: middle + 1]))):
            high = middle
        else:
            low = middle + 1
    return nodes[low : low + 1]


def _culprit(
    what: str, difference: str, small: Graph, arrays: Sequence[Array], feeds: Feeds, made: Graph
) -> Culprit:
    got = feeds.meaning(made)
    expected = feeds.wanted or ()
    return Culprit(
        f"{what}: changes the meaning: {difference}", small, arrays, expected, got or expected
    )
