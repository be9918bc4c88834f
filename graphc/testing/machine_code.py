"""Checks of an op's kernels: indices inside buffers, and the reference's results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphc.ir.graph import Graph, Value, make
from graphc.ir.interpret import interpret
from graphc.ir.op import Foreign, Op, Opaque, Sample
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.state import Placeholder
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.compiled import POISON, CompiledGraph, small_chunks
from graphc.testing.faults import fault, judging
from graphc.testing.meaning import SIZE_CHANGES, accepted, other_sizes
from graphc.testing.pure_python import PurePython
from graphc.testing.samples import (
    make_op,
    one_op_graph,
    resized,
    sample_inputs,
    special_case,
    symbolic,
)

DISABLED_PASSES = frozenset(["simplify", "cleanup"])  # they would replace the op under test
MAX_PREPARED_ULPS = 300  # of 1.0: the most that results for prepared operands may differ
MAX_PURE_ELEMENTS = 600  # of a result whose kernel runs as plain Python, too


def check_indices(op_cls: type[Op], sample: Sample) -> None:
    """A kernel written by hand reads and writes inside its buffers, and writes every element of its
    result; what was there before does not matter."""
    if not issubclass(op_cls, Opaque) or issubclass(op_cls, Foreign):
        return
    for sized in other_sizes(op_cls, sample):
        graph, arrays = accepted(op_cls, sized), sample_inputs(op_cls, sized)
        if graph is None:
            continue
        with judging(op_cls, sized, "indices"):
            (wanted,) = interpret(graph, *arrays)
            if wanted.size > MAX_PURE_ELEMENTS:
                CompiledGraph(graph, disable=DISABLED_PASSES, check="bounds")(arrays)
                continue
            pure = PurePython(graph, disable=DISABLED_PASSES, check="bounds")
            (got,), (again,) = pure.run(arrays, POISON), pure.run(arrays, POISON ^ 0xFF)
            _require_same(got, again)
        agree(op_cls, sized, "kernel in Python", graph, arrays, wanted, got)


def _require_same(got: Any, again: Any) -> None:
    """Raises `AssertionError` for results, made in memory of other bits, that are not the same."""
    bits = [
        np.ascontiguousarray(a).view(np.uint8).reshape(*a.shape, a.itemsize) for a in (got, again)
    ]
    kept = np.argwhere((bits[0] != bits[1]).any(axis=-1))
    assert not len(kept), (
        f"element {kept[0].tolist()} of the result is not written, or is made of what was there "
        f"before ({len(kept)} of {got.size} elements)"
    )


def check_compiled(op_cls: type[Op], samples: Sequence[Sample]) -> None:
    """Machine code gives what the reference gives: with numbers and with symbols for sizes, on
    special values, in small chunks, on two threads, in poisoned memory."""
    tried = [case for s in samples for case in _cases(op_cls, s)]
    with judging(op_cls, samples[0], "compiled"):
        compiled = CompiledGraph(together(op_cls, [s for s, _ in tried]), disable=DISABLED_PASSES)
    _compare(op_cls, compiled, tried)
    named = [
        (s, symbolic(op_cls, s, f"n{i}_")[0])
        for i, s in enumerate(samples)
        if any(t.shape for t in s.types)
    ]
    named = [(s, n) for s, n in named if accepted(op_cls, n) is not None]
    if not named:
        return
    with judging(op_cls, named[0][0], "compiled, symbolic sizes"):
        compiled = CompiledGraph(together(op_cls, [n for _, n in named]), disable=DISABLED_PASSES)
    for change in (None, *SIZE_CHANGES):
        sized = [_resized(op_cls, s, change) for s, _ in named]
        _compare(op_cls, compiled, [(s, sample_inputs(op_cls, s)) for s in sized])


def together(op_cls: type[Op], samples: Sequence[Sample]) -> Graph:
    """One graph of an op on several samples, each with inputs of its own: one compilation."""
    inputs: list[Value] = []
    outputs: list[Value] = []
    for sample in samples:
        operands = tuple(
            make(Placeholder(t.dtype, t.shape), (), f"x{len(inputs) + i}")
            for i, t in enumerate(sample.types)
        )
        inputs += operands
        outputs.append(make(make_op(op_cls, sample), operands))
    return Graph("samples", tuple(inputs), tuple(outputs))


def results(compiled: CompiledGraph, arrays: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """For each result of a compiled graph, the oracle's array and its own.  Raises `AssertionError`
    unless two threads, in small chunks and poisoned memory, give the same bits."""
    got = compiled(arrays)
    with small_chunks():
        compiled.forget()
        again = compiled(arrays, threads=2, poison=0xFF)
    compiled.forget()
    assert all(map(same_bits, got, again)), (
        "two threads, in small chunks and dirty memory, give other bits than one thread: a kernel "
        "does not write just the elements of its share"
    )
    return zip(interpret(compiled.graph, *arrays), got, strict=True)


def _cases(op_cls: type[Op], sample: Sample) -> Iterator[tuple[Sample, list[Any]]]:
    """The sample with its arrays and with special values, and in other sizes unless symbols for
    them are tried."""
    yield sample, sample_inputs(op_cls, sample)
    if sample.special:
        graph, arrays = special_case(op_cls, sample)
        types = tuple(v.type for v in graph.inputs)
        yield dataclasses.replace(sample, types=types), arrays
    if accepted(op_cls, symbolic(op_cls, sample)[0]) is None:
        for sized in other_sizes(op_cls, sample)[1:]:
            if accepted(op_cls, sized) is not None:
                yield sized, sample_inputs(op_cls, sized)


def _resized(op_cls: type[Op], sample: Sample, change: Callable[[int], int] | None) -> Sample:
    """The sample in other sizes, if it may have them."""
    if change is None or not sample.special:
        return sample
    sized = resized(op_cls, sample, change)
    return sample if accepted(op_cls, sized) is None else sized


def _compare(
    op_cls: type[Op], compiled: CompiledGraph, tried: Sequence[tuple[Sample, list[Any]]]
) -> None:
    with judging(op_cls, tried[0][0], "compiled"):
        pairs = list(results(compiled, [a for _, arrays in tried for a in arrays]))
    for (sample, arrays), (wanted, got) in zip(tried, pairs, strict=True):
        agree(op_cls, sample, "compiled", one_op_graph(op_cls, sample), arrays, wanted, got)


def agree(
    op_cls: type[Op],
    sample: Sample,
    check: str,
    graph: Graph,
    arrays: Sequence[Any],
    wanted: Any,
    got: Any,
) -> None:
    """Raises `ConformanceError` unless a kernel's result is close enough to the reference's."""
    if sample.prepare is not None and is_float(wanted):  # a decomposition, say: as good as others
        eps = float(np.finfo(widened(wanted).dtype).eps)
        if np.allclose(got, wanted, rtol=MAX_PREPARED_ULPS * eps, atol=MAX_PREPARED_ULPS * eps):
            return
    wrong = disagreements(graph, arrays, [wanted], [got])
    if wrong:
        text = f"{wrong[0]}; the kernel or the reference is wrong"
        raise fault(op_cls, sample, check, text)
