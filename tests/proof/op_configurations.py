"""The configurations in which the gradients of an op are judged: its samples, in other sizes, of
other values, with ties, with symbols for sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from proof.slopes import Derived, compiled_fault, derived, gradient_fault, weighed

import graphc as gc
from graphc.frontend.tensor import build
from graphc.ir.op import Op, Pointwise, Sample
from graphc.ir.types import f64
from graphc.testing.meaning import SIZE_CHANGES, accepted, shaped
from graphc.testing.samples import case_id, in_f64, make_op, resized, sample_inputs, symbolic

FIXED = ("adaptive",)  # whose window has to fit its sizes
MAX_SAMPLES = 4  # of an op, that are also tried in other sizes
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (7,), (3, 0), (2, 3, 5))
ONCE: frozenset[str] = frozenset()  # ops that can be differentiated but once
MORE_SIZES = (*SIZE_CHANGES, lambda s: s + 2, lambda s: 7)


@dataclass(frozen=True)
class Configuration:
    """Operands of an op: the sample in f64 whose fields they go with, and that in their sizes."""

    group: Sample
    sample: Sample
    arrays: Sequence[Any]
    smooth: bool = True  # else there are ties, where differences say nothing


def configurations(op_cls: type[Op], seed: int) -> list[Configuration]:
    """Samples in f64, each in other sizes and with ties; at least ten."""
    samples = {str(in_f64(s)): in_f64(s) for s in op_cls.samples}
    tried = [s for s in samples.values() if is_differentiated(op_cls, s)]
    found = []
    for i, group in enumerate(tried):
        more = other_sizes(op_cls, group) if i < MAX_SAMPLES else []
        for s in (group, *more):
            home = group if fits(group, s) else s
            found.append(Configuration(home, s, sample_inputs(op_cls, s, 31 + seed)))
        if i < MAX_SAMPLES and group.special and group.low < 0:
            found.append(Configuration(group, group, tied(op_cls, group, seed), smooth=False))
    for again in range(10 - len(found)):
        group = tried[again % len(tried)]
        arrays = sample_inputs(op_cls, group, 100 + 10 * seed + again)
        found.append(Configuration(group, group, arrays))
    return found


def fits(group: Sample, sized: Sample) -> bool:
    """Whether a sample in other sizes is the first with a value for each of its sizes but 0."""
    named: dict[Any, Any] = {0: 0}
    pairs = zip(group.types, sized.types, strict=True)
    return all(
        a.rank == b.rank
        and all(named.setdefault(s, t) == t for s, t in zip(a.shape, b.shape, strict=True))
        for a, b in pairs
    )


def is_differentiated(op_cls: type[Op], sample: Sample) -> bool:
    """Whether the op takes the sample, and gives f64 of f64."""
    graph = accepted(op_cls, sample)
    floats = any(t.dtype == f64 for t in sample.types)
    return graph is not None and floats and graph.outputs[0].type.dtype == f64


def other_sizes(op_cls: type[Op], sample: Sample) -> list[Sample]:
    """The sample in other sizes that the op takes."""
    if not sample.special or op_cls.name in FIXED:
        return []
    sized = [resized(op_cls, sample, change) for change in MORE_SIZES]
    if issubclass(op_cls, Pointwise):
        sized += [shaped(sample, shape) for shape in SHAPES]
    return [s for s in sized if is_differentiated(op_cls, s)]


def tied(op_cls: type[Op], sample: Sample, seed: int) -> list[Any]:
    """Operands of few values, so that some tie and some are 0."""
    return [
        np.asarray(np.rint(a), a.dtype) if a.dtype.kind == "f" else a
        for a in sample_inputs(op_cls, sample, 57 + seed)
    ]


def op_fault(op_cls: type[Op], tried: Sequence[Configuration]) -> str:
    """What is wrong with the gradients of an op, in the first configuration that shows it."""
    order = 1 if op_cls.name in ONCE else 2
    for c in tried:
        fault = difference_fault(op_cls, c, order) if c.smooth else ""
        if fault:
            return f"{case_id(c.sample)}: {fault}"
    for kind in ("known", "symbolic"):
        fault = compiled_together(op_cls, tried, kind == "symbolic", order)
        if fault:
            return f"{kind} sizes: {fault}"
    return ""


def difference_fault(op_cls: type[Op], c: Configuration, order: int) -> str:
    """How the interpreted gradients differ from differences."""
    with gc.Graph().as_default():
        operands, out = applied(op_cls, c.sample)
        return gradient_fault(weighed(operands, [out], c.arrays, order), c.arrays)


def applied(op_cls: type[Op], sample: Sample) -> tuple[list[Any], Any]:
    operands = [gc.placeholder(t.dtype, t.shape) for t in sample.types]
    return operands, build(make_op(op_cls, sample), tuple(operands))


def compiled_together(
    op_cls: type[Op], tried: Sequence[Configuration], symbols: bool, order: int
) -> str:
    """How compiled gradients differ from interpreted ones: all samples in one program, which is
    run on the configurations of each."""
    groups: dict[int, list[Configuration]] = {}
    for c in tried:
        if symbols or c.sample is c.group:
            groups.setdefault(id(c.group), []).append(c)
    with gc.Graph().as_default():
        parts, kept = [], []
        for i, group in enumerate(groups.values()):
            sample = group[0].group
            sample = symbolic(op_cls, sample, f"n{i}_")[0] if symbols else sample
            if accepted(op_cls, sample) is not None:
                operands, out = applied(op_cls, sample)
                parts.append(derived(operands, [out], order))
                kept.append(group)
        if not parts:
            return ""
        runs = max(map(len, kept))
        feeds = [[a for g in kept for a in g[k % len(g)].arrays] for k in range(runs)]
        return compiled_fault(joined(parts), feeds)


def joined(parts: Sequence[Derived]) -> Derived:
    """Several results with their gradients as one."""
    return Derived(
        [t for p in parts for t in p.operands],
        [t for p in parts for t in p.outs],
        [t for p in parts for t in p.firsts],
        [row for p in parts for row in p.seconds],
    )
