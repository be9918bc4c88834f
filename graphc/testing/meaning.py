"""Checks of an op's meaning: its type rule, reference and text, in all sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Foreign, Op, Pointwise, Sample
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.testing.closeness import same_bits
from graphc.testing.faults import fault, judging
from graphc.testing.samples import (
    one_op_graph,
    resized,
    sample_inputs,
    special_case,
    symbolic,
)

POINTWISE_SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (3, 0), (2, 3, 5))
SIZE_CHANGES: tuple[Callable[[int], int], ...] = (lambda s: 0, lambda s: 1, lambda s: 2 * s + 1)


def check_type(op_cls: type[Op], sample: Sample) -> None:
    """The type rule gives the type of the reference's result."""
    with judging(op_cls, sample, "type"):
        graph = verify(one_op_graph(op_cls, sample), "check_op")
    _check_result(op_cls, sample, "type", graph, sample_inputs(op_cls, sample))


def check_special_values(op_cls: type[Op], sample: Sample) -> None:
    """The reference takes ±0, ±inf, nan and extremes (for a sample whose operands may be these)."""
    if sample.special:
        with judging(op_cls, sample, "special values"):
            graph, arrays = special_case(op_cls, sample)
        _check_result(op_cls, sample, "special values", graph, arrays)


def _check_result(
    op_cls: type[Op], sample: Sample, check: str, graph: Graph, arrays: Sequence[Any]
) -> None:
    """The reference gives the declared type, and leaves its operands alone."""
    (out,) = graph.outputs
    before = [np.array(a, copy=True) for a in arrays]
    with judging(op_cls, sample, check):
        result = np.asarray(out.op.reference(*arrays))
    if result.shape != out.type.shape or result.dtype != out.type.dtype.numpy:
        raise fault(
            op_cls,
            sample,
            check,
            f"infer gives {out.type}, reference gives {result.dtype}{list(result.shape)}; "
            "mend whichever is wrong",
        )
    for i, (a, b) in enumerate(zip(arrays, before, strict=True)):
        if a.tobytes() != b.tobytes():
            raise fault(op_cls, sample, check, f"reference wrote to its operand {i}; copy it first")


def check_text(op_cls: type[Op], sample: Sample) -> None:
    """The op's text parses to a graph that prints the same text and gives the same results."""
    if issubclass(op_cls, Foreign):  # holds Python code, which text cannot
        return
    with judging(op_cls, sample, "text"):
        graph = one_op_graph(op_cls, sample)
        text = print_graph(graph)
        parsed = parse_graph(text)
        again = print_graph(parsed)
        arrays = sample_inputs(op_cls, sample)
        wanted, got = interpret(graph, *arrays), interpret(parsed, *arrays)
    if again != text:
        raise fault(op_cls, sample, "text", f"printed\n{text}parsed, and printed again\n{again}")
    if not all(map(same_bits, wanted, got)):
        raise fault(op_cls, sample, "text", f"another result after parsing\n{text}")


# ---- sizes


def check_sizes(op_cls: type[Op], sample: Sample) -> None:
    """With symbols for its sizes the op gives what it gives with numbers, at the sample's sizes and
    at others, 0 and 1 among them.  An op may refuse sizes: its `infer` raises `GraphcError`."""
    for sized in other_sizes(op_cls, sample):
        with judging(op_cls, sized, "sizes"):
            static = accepted(op_cls, sized)
        if static is None:
            continue
        arrays = sample_inputs(op_cls, sized)
        _check_result(op_cls, sized, "sizes", static, arrays)
        with judging(op_cls, sized, "symbolic sizes"):
            graph = accepted(op_cls, symbolic(op_cls, sized)[0])
            if graph is None:
                continue
            (wanted,), (got,) = interpret(static, *arrays), interpret(graph, *arrays)
        if not same_bits(wanted, got):
            at = ", ".join(map(str, sized.types))
            raise fault(
                op_cls, sized, "symbolic sizes", f"expected {wanted}, got {got}, of operands {at}"
            )


def other_sizes(op_cls: type[Op], sample: Sample) -> list[Sample]:
    """The sample and, if its operands may be any values, the sample in other sizes."""
    if not sample.special:
        return [sample]
    sized = [sample, *(resized(op_cls, sample, change) for change in SIZE_CHANGES)]
    if issubclass(op_cls, Pointwise):
        sized += [shaped(sample, shape) for shape in POINTWISE_SHAPES]
    return sized


def shaped(sample: Sample, shape: tuple[int, ...]) -> Sample:
    """The sample with operands of another shape."""
    return dataclasses.replace(sample, types=tuple(t.with_shape(shape) for t in sample.types))


def accepted(op_cls: type[Op], sample: Sample) -> Graph | None:
    """The graph of the op; None if it refuses these sizes."""
    try:
        return one_op_graph(op_cls, sample)
    except GraphcError:
        return None
