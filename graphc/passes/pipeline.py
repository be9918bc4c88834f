"""The passes, in order, and why in that order.  The verifier runs after each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from graphc.config import Options
from graphc.errors import GraphcError, GraphError, VerifyError
from graphc.ir.graph import Graph, Value
from graphc.ir.program import Program
from graphc.ir.verify import verify
from graphc.passes.base import Context, FunctionPass, GraphPass, Pass, ProgramPass
from graphc.passes.fusion.fuse import Fuse
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.fold_transposes import FoldTransposes
from graphc.passes.graph.shrink_control import ShrinkControl
from graphc.passes.graph.simplify import Simplify
from graphc.passes.graph.split_concats import SplitConcats
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.passes.graph.widen_contractions import WidenContractions
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.plan import PlanMemory
from graphc.passes.memory.verify import verify_program
from graphc.passes.trace import Trace

Watch = Callable[[GraphPass, Graph], None]
PASSES: tuple[Pass, ...] = (
    Simplify(),
    FoldTransposes(),
    WidenContractions(),
    ShrinkControl(),
    SplitConcats(),
    SplitReductions(),
    Cleanup(),
    Fuse(),  # from here on, what is compiled is a program
    OrderKernels(),
    PlanMemory(),
)
ORDER: tuple[tuple[type[Pass], type[Pass], str], ...] = (
    (Simplify, FoldTransposes, "transposes of transposes are gone, and products know theirs"),
    (Simplify, WidenContractions, "a product that a rule removes need not be widened"),
    (WidenContractions, Cleanup, "operands may be casts of what is wide already"),
    (FoldTransposes, Cleanup, "a product that is made transposed may be one that exists"),
    (Simplify, ShrinkControl, "what simplifies away need not be carried, kept or sunk"),
    (ShrinkControl, SplitReductions, "operands that are dropped need not be split"),
    (Simplify, SplitReductions, "a reduction that a rule removes need not be split"),
    (Simplify, SplitConcats, "parts that a rule removes need not be joined"),
    (SplitConcats, Cleanup, "a tree's inner concats may exist already"),
    (SplitReductions, Cleanup, "splitting leaves reshapes and folds of one chunk"),
    (Cleanup, Fuse, "a value that is computed twice would be in two kernels"),
    (Fuse, OrderKernels, "kernels are what is put in order"),
    (OrderKernels, PlanMemory, "who may take whose place depends on the order"),
)


def check_order(passes: Sequence[Pass]) -> None:
    """Raises `VerifyError` if one of the `ORDER` stands before what must come before it."""
    place = {type(p): i for i, p in enumerate(passes)}
    for earlier, later, why in ORDER:
        if place[earlier] > place[later]:
            raise VerifyError(f"passes: {earlier.name} must come before {later.name}: {why}")


check_order(PASSES)
GRAPH_PASSES = tuple(p for p in PASSES if isinstance(p, GraphPass))
PROGRAM_PASSES = tuple(p for p in PASSES if not isinstance(p, GraphPass))


def check_sequence(passes: Sequence[Pass]) -> None:
    """Raises `GraphcError` unless a graph can go through these passes: graph passes in any order,
    then those that make a program and improve it, in theirs."""
    count = sum(isinstance(p, GraphPass) for p in passes)
    late = [p.name for p in passes[count:]]
    in_order = [p.name for p in PROGRAM_PASSES if p.name in late]
    if late != in_order or (late and late[0] != Fuse.name):
        *names, last = (p.name for p in PROGRAM_PASSES)
        raise GraphcError(
            f"{', '.join(names)} and {last} come last, in this order: they make a program of the "
            "graph"
        )


def check_disabled(names: Collection[str]) -> None:
    """Raises `GraphcError` for names of no pass, and of passes that no compilation can do
    without."""
    known = {p.name: p for p in PASSES}
    for name in sorted(names):
        if name not in known:
            raise GraphcError(f"Options.disable: no pass {name!r}; there are {', '.join(known)}")
        if known[name].required:
            raise GraphcError(
                f"Options.disable: {name} cannot be left out: {known[name].required}; "
                f"those that can are {', '.join(n for n, p in known.items() if not p.required)}"
            )


def optimise(
    graph: Graph, options: Options, trace: Trace | None = None, watch: Watch | None = None
) -> Graph:
    """The graph after all graph passes but those that `options.disable` names.

    The user's own passes run after the first, so that they see simple graphs and what they leave
    is simplified again.  `watch` is shown what each pass made.
    """
    check_disabled(options.disable)
    trace = trace or Trace()
    context = Context(trace, options.fast_math, watch=watch)
    graph = verify(graph, "stage", trace.proven)
    first, *others = GRAPH_PASSES
    graph = run_passes([first], graph, context, options.disable)
    for p in map(_as_pass, options.passes):
        wanted = [v.type for v in graph.results]
        graph = run_pass(p, graph, context)
        if [v.type for v in graph.results] != wanted:
            raise GraphError(f"pass {p} changed the types of the graph's results")
    return run_passes(others, graph, context, options.disable)


def _as_pass(function: Callable[[Graph], Graph]) -> GraphPass:
    """A pass that a session was given: one of ours, or a function."""
    if not callable(function):
        raise GraphError(
            f"passes: got {function!r}; expected functions Graph -> Graph, or GraphPass"
        )
    return function if isinstance(function, GraphPass) else FunctionPass(function)


def run_passes(
    passes: Sequence[GraphPass], graph: Graph, context: Context, disable: Collection[str] = ()
) -> Graph:
    """The graph after these passes, but those that `disable` names."""
    for p in passes:
        if p.name not in disable:
            graph = run_pass(p, graph, context)
    return graph


def run_pass(p: GraphPass, graph: Graph, context: Context) -> Graph:
    """The graph after one pass and the verifier."""
    with context.trace.span(str(p)):
        graph = verify(p.run_deeply(graph, context), str(p), context.trace.proven)
    if context.watch:
        context.watch(p, graph)
    return graph


def run_scheduling(p: Pass, current: Graph | Program, context: Context) -> Program:
    """The program that a pass makes, of a graph if it is `Fuse`, else of a program."""
    match p, current:
        case Fuse(), Graph():
            return p.run(current, context)
        case ProgramPass(), Program():
            return p.run(current, context)
    raise GraphcError(f"pass {p} cannot take a {type(current).__name__.lower()}")


def schedule(
    graph: Graph,
    takes_epilogue: Callable[[Value], bool] | None = None,
    disable: Collection[str] = (),
) -> Program:
    """The graph as planned kernels, without the passes that `disable` names.  `takes_epilogue`
    tells which contractions a map may follow (default: those of a CPU's register tiles)."""
    check_disabled(disable)
    context = Context(takes_epilogue=takes_epilogue)
    current: Graph | Program = graph
    for p in PROGRAM_PASSES:
        if p.name not in disable:
            current = run_scheduling(p, current, context)
    assert isinstance(current, Program)
    return verify_program(current)
