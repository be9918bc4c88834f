"""All checks of a model: its own ops, the passes over its graphs, and its machine code.

Each check gives a line that says what was done, or raises the error that says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from graphc.config import Options
from graphc.errors import MiscompiledError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Array, Foreign, Op, Sample
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.oracle.check_passes import Checker, Feeds, draw
from graphc.passes.pipeline import GRAPH_PASSES, optimise
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.compiled import CompiledGraph, small_chunks
from graphc.testing.conformance import check_op
from graphc.testing.samples import built_in, case_id

SIZES = (1, 2, 5, 0)  # that the symbols of a graph get, each a little larger than the one before
MAX_SAMPLES = 3  # of the uses of an op, where its class has no samples


def check_model(
    graphs: Sequence[Graph], declared: Sequence[Value], seed: int, options: Options
) -> Iterator[str]:
    """Judges the own ops of some graphs and of what else is declared (an op whose gradient alone is
    run is in no graph), then each graph; yields what was done.

    Raises `ConformanceError`, `VerifyError` or `MiscompiledError`.
    """
    for op_cls, samples in own_ops([*declared, *(v for g in graphs for v in g.every())]).items():
        if issubclass(op_cls, Foreign):
            yield f"op {op_cls.name}: calls Python, which its own tests have to judge"
            continue
        check_op(op_cls, samples)
        shown = "; ".join(case_id(s) for s in samples or op_cls.samples)
        yield f"op {op_cls.name}: is what it declares, by graphc.testing.check_op, on {shown}"
    for graph in graphs:
        yield from _check_graph(graph, seed, options)


def own_ops(values: Sequence[Value]) -> dict[type[Op], list[Sample]]:
    """The ops of values that are not graphc's own; for those without samples, some of their
    uses."""
    found: dict[type[Op], list[Sample]] = {}
    for v in values:
        op_cls = type(v.op)
        if built_in(op_cls):
            continue
        uses = found.setdefault(op_cls, [])
        use = _use(v)
        if not op_cls.samples and use not in uses and len(uses) < MAX_SAMPLES:
            uses.append(use)
    return found


def _use(v: Value) -> Sample:
    """The use of an op as a sample: unknown sizes are 3, 4, ..."""
    sizes: dict[str, int] = {}
    for a in v.args:
        for size in a.type.shape:
            for name in dim.symbols(size):
                sizes.setdefault(name, 3 + len(sizes))
    types = tuple(a.type.with_shape(dim.numbers(a.type.shape, sizes)) for a in v.args)
    fields = {f.name: _number(getattr(v.op, f.name), sizes) for f in v.op.fields()}
    return Sample(types, fields, special=False)


def _number(field: object, sizes: dict[str, int]) -> object:
    """A field with numbers for its sizes."""
    if isinstance(field, tuple):
        return tuple(_number(x, sizes) for x in field)
    return dim.evaluate(field, sizes) if isinstance(field, dim.Dim) else field


def _check_graph(graph: Graph, seed: int, options: Options) -> Iterator[str]:
    """Judges the passes over a graph, and its machine code."""
    what = title(graph)
    unified = unify_sizes(graph).graph
    checker = Checker(unified, options.fast_math, options.cache_dir / "wrong")
    optimise(unified, options, watch=checker.watch)
    passes = f"{len(GRAPH_PASSES) + len(options.passes)} passes"
    if checker.feeds.wanted is None:
        yield f"{what}: it rejects random feeds; after each of {passes} its form is valid"
    else:
        yield f"{what}: {passes} keep its meaning"
    compiled = CompiledGraph(
        graph, passes=options.passes, fast_math=options.fast_math, cache_dir=options.cache_dir
    )
    tried = list(small_feeds(graph, seed))
    for sizes, arrays in tried:
        _compare(what, compiled, sizes, arrays)
    if tried:
        shown = "; ".join(sizes for sizes, _ in tried)
        yield f"{what}: machine code on one thread and two is as the oracle, with {shown}"
    else:
        yield f"{what}: machine code was not run"


def title(graph: Graph) -> str:
    """What a graph computes and updates, in words."""
    results = [f"%{v.name or v.op.name}" for v in graph.outputs]
    results += [f"%{old.name} <-" for old, _ in graph.updates]
    more = f" and {len(results) - 3} more" if len(results) > 3 else ""
    return f"graph of {', '.join(results[:3])}{more}"


def small_feeds(graph: Graph, seed: int) -> Iterator[tuple[str, list[Array]]]:
    """Sizes in words, and random arrays of these sizes that the graph accepts."""
    names = sorted({s for v in graph.inputs for size in v.type.shape for s in dim.symbols(size)})
    for base in SIZES if names else SIZES[:1]:
        sizes = {name: base + i if base else 0 for i, name in enumerate(names)}
        for largest in (3, 1):  # indices of small tables may all have to be 0
            rng = np.random.default_rng([seed, base])
            arrays = [draw(rng, v.type, sizes, largest) for v in graph.inputs]
            if Feeds(arrays, None).meaning(graph) is not None:
                shown = ", ".join(f"{name}={n}" for name, n in sizes.items())
                yield shown or "its own sizes", arrays
                break


def _compare(what: str, compiled: CompiledGraph, sizes: str, arrays: list[Array]) -> None:
    """Raises `MiscompiledError` unless machine code gives what the oracle gives."""
    optimised = compiled.executable.program.graph
    with np.errstate(all="ignore"):
        wanted = list(interpret(optimised, *arrays))
        once = compiled(arrays)
        wrong = disagreements(optimised, arrays, wanted, once)
        if not wrong:
            with small_chunks():
                compiled.forget()
                shared = compiled(arrays, 2, poison=0xFF)
            compiled.forget()
            if not all(map(same_bits, once, shared)):
                wrong = disagreements(optimised, arrays, wanted, shared)
                wrong = [f"on two threads: {fault}" for fault in wrong]
    if wrong:
        raise MiscompiledError(f"{what}, with {sizes}: {wrong[0]}")
