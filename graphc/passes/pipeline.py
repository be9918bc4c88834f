"""The passes, in order, and why in that order.  The verifier runs after each."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from graphc.config import Options
from graphc.errors import GraphcError, GraphError
from graphc.ir.graph import Graph, Value
from graphc.ir.program import Program
from graphc.ir.verify import verify
from graphc.passes.fusion.fuse import fuse
from graphc.passes.fusion.predicates import takes_epilogue
from graphc.passes.graph.fold_transposes import turn_products
from graphc.passes.graph.shrink_loops import prune_loops
from graphc.passes.graph.simplify import simplify
from graphc.passes.graph.sink_into_branches import sink_into_branches
from graphc.passes.graph.split_reductions import split_reductions
from graphc.passes.graph.widen_contractions import widen_contractions
from graphc.passes.memory.order import ordered
from graphc.passes.memory.plan import plan
from graphc.passes.memory.verify import verify_program
from graphc.passes.rewrite.inner_graphs import deeply


def shrink_control(graph: Graph) -> Graph:
    """The graph with loops and switches reduced to what is needed of them."""
    if not graph.controls:
        return graph
    return sink_into_branches(prune_loops(graph))


@dataclass(frozen=True)
class Span:
    """A stage of a compilation: when it began and ended, in nanoseconds of `perf_counter_ns`."""

    name: str
    start: int
    end: int


@dataclass
class Trace:
    """What the passes did: rule counts, times, and each graph if asked for."""

    fired: Counter[str] = field(default_factory=Counter)
    spans: list[Span] = field(default_factory=list)
    watch: Callable[[str, Graph], None] | None = None
    proven: set[Value] = field(default_factory=set)  # values that the verifier has seen
    still: set[Value] = field(default_factory=set)  # values to which no rule applies

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Notes how long the block takes."""
        start = time.perf_counter_ns()
        yield
        self.spans.append(Span(name, start, time.perf_counter_ns()))


def simplified(graph: Graph, trace: Trace, fast_math: bool) -> Graph:
    """The graph after the rules."""
    return simplify(graph, trace.fired, fast_math, trace.still)


PASSES: dict[str, Callable[[Graph, Trace, bool], Graph]] = {
    "simplify": simplified,
    "turn": lambda graph, trace, fast: turn_products(graph),
    "widen": lambda graph, trace, fast: widen_contractions(graph),
    "control": lambda graph, trace, fast: shrink_control(graph),
    "partial": lambda graph, trace, fast: split_reductions(graph),
    "cleanup": simplified,
}
ORDER = (
    ("simplify", "turn", "transposes of transposes are gone, and products know what they turn"),
    ("simplify", "widen", "a product that a rule removes need not be widened"),
    ("widen", "cleanup", "operands may be casts of what is wide already"),
    ("turn", "cleanup", "a product that is made turned may be one that exists"),
    ("simplify", "control", "what simplifies away need not be carried, kept or sunk"),
    ("control", "partial", "operands that are dropped need not be split"),
    ("simplify", "partial", "a reduction that a rule removes need not be split"),
    ("partial", "cleanup", "splitting leaves reshapes and folds of one chunk"),
)


def _check_order() -> None:
    place = {name: i for i, name in enumerate(PASSES)}
    for earlier, later, why in ORDER:
        assert place[earlier] < place[later], f"{earlier} must come before {later}: {why}"


_check_order()


def optimise(graph: Graph, options: Options, trace: Trace | None = None) -> Graph:
    """The graph after all graph passes but those that `options.disable` names.

    The user's own passes run after the first, so that they see simple graphs and what they leave
    is simplified again.
    """
    trace = trace or Trace()
    verify(graph, "stage", trace.proven)
    for place, name in enumerate(PASSES):
        if place == 1:
            graph = _own_passes(graph, options, trace)
        if name not in options.disable:
            graph = run_pass(name, graph, options.fast_math, trace)
    return graph


def _own_passes(graph: Graph, options: Options, trace: Trace) -> Graph:
    """The graph after the passes that a session was given.  Raises `GraphError` for a bad one."""
    for change in options.passes:
        name = getattr(change, "__name__", repr(change))
        made = change(graph)
        if not isinstance(made, Graph):
            raise GraphError(f"pass {name} gave {made!r}; expected a Graph")
        if [v.type for v in made.results] != [v.type for v in graph.results]:
            raise GraphError(f"pass {name} changed the types of the graph's results")
        graph = verify(made, name, trace.proven)
        if trace.watch:
            trace.watch(name, graph)
    return graph


def run_pass(name: str, graph: Graph, fast_math: bool, trace: Trace) -> Graph:
    """One pass and the verifier.  Raises `GraphcError` for an unknown name."""
    if name not in PASSES:
        raise GraphcError(f"no pass {name!r}; there are {', '.join(PASSES)}")
    with trace.span(name):
        graph = deeply(graph, lambda g: PASSES[name](g, trace, fast_math))
        graph = verify(graph, name, trace.proven)
    if trace.watch:
        trace.watch(name, graph)
    return graph


def schedule(graph: Graph, takes: Callable[[Value], bool] = takes_epilogue) -> Program:
    """The graph as planned kernels; `takes` tells which contractions a map may follow."""
    return verify_program(plan(ordered(fuse(graph, takes))))
