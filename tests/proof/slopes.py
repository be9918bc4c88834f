"""First and second gradients of tensors against differences in f64, and compiled against
interpreted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.oracle import stage
from support.run import kernel_cache

import graphc as gc
from graphc.errors import GradientError
from graphc.ir.graph import Graph, topological
from graphc.ir.interpret import interpret
from graphc.ir.ops.state import Placeholder
from graphc.testing.compiled import CompiledGraph
from graphc.testing.random_control import staged

STEP, SMALL_STEP = 1e-4, 2e-6  # of differences of order 4, relative to operands above 1
TOLERANCE, SMALL_TOLERANCE = 1e-8, 2e-6  # for each step
MAX_ELEMENTS = 120  # of the operands of a second derivative
MAX_PLACES = 6  # of an operand, that are moved one by one


@dataclass(frozen=True)
class Derived:
    """Results of operands, with first and second gradients of weighted sums of them."""

    operands: Sequence[Any]
    outs: Sequence[Any]
    firsts: Sequence[Any]  # by operand; None: no gradient
    seconds: Sequence[Sequence[Any]]  # of each first one, by operand
    weights: Sequence[Any] = ()
    first_weights: Sequence[Any] = ()


def derived(operands: Sequence[Any], outs: Sequence[Any], order: int = 2) -> Derived:
    """Builds gradients that any sizes may have: their weights follow from what they weigh.  Raises
    `GradientError` if there are none."""
    floats = [t for t in operands if t.dtype.is_float]
    firsts = _by_operand(operands, floats, list(outs), [_seed(v) for v in outs])
    if all(g is None for g in firsts):
        raise GradientError("no gradient by any operand", None)
    known = [g for g in firsts if g is not None] if order > 1 else []
    seconds = [_by_operand(operands, floats, [g], [_seed(g)]) for g in known]
    return Derived(operands, outs, firsts, seconds)


def weighed(
    operands: Sequence[Any], outs: Sequence[Any], arrays: Sequence[Any], order: int = 2
) -> Derived:
    """The same, of known sizes, with weights that are constants: differences can follow them."""
    floats = [t for t in operands if t.dtype.is_float]
    weights = _draws(values(operands, outs, arrays), 7)
    firsts = _by_operand(operands, floats, list(outs), weights)
    if all(g is None for g in firsts):
        raise GradientError("no gradient by any operand", None)
    known = [g for g in firsts if g is not None] if order > 1 else []
    first_weights = _draws([np.zeros(tuple(map(int, g.shape))) for g in known], 8)
    seconds = [
        _by_operand(operands, floats, [g], [w]) for g, w in zip(known, first_weights, strict=True)
    ]
    return Derived(operands, outs, firsts, seconds, weights, first_weights)


def _by_operand(operands: Sequence[Any], floats: Sequence[Any], ys: Any, seeds: Any) -> list[Any]:
    found = dict(zip(floats, gc.gradients(ys, list(floats), seeds, allow_unused=True), strict=True))
    return [found.get(t) for t in operands]


def _seed(v: Any) -> Any:
    return gc.stop_gradient(gc.cos(v) + 1.5)


def _draws(arrays: Sequence[Any], seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, a.shape) for a in arrays]


def graph_of(operands: Sequence[Any], outs: Sequence[Any]) -> Graph:
    """The graph of results; what else they read (counters of draws) comes after the operands."""
    staged = stage(outs)
    reached = [v for v in topological(outs) if v in set(staged.inputs)]
    others = [v for v in reached if v not in set(operands) and not isinstance(v.op, Placeholder)]
    return Graph("gradients", (*operands, *others), tuple(outs))


def values(operands: Sequence[Any], outs: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """The results by the oracle."""
    graph = graph_of(operands, outs)
    return list(interpret(graph, *fed(graph, arrays)))


def fed(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    more = len(graph.inputs) - len(arrays)
    return [*arrays, *[np.uint64(3)] * more]


# ---- differences


def slope(function: Callable[[Any], Any], x: Any, towards: Any, step: float) -> float:
    """The difference of order 4 of a number, as x moves."""
    moved = ((1, 8), (-1, -8), (2, -1), (-2, 1))
    total = sum(factor * function(x + steps * step * towards) for steps, factor in moved)
    return float(total / (12 * step))


def directions(x: Any) -> list[Any]:
    """Where x is moved: each element of a small array by itself, of a large one all at random."""
    reach = np.maximum(1.0, np.abs(x))
    if x.size <= MAX_PLACES:
        return [np.where(np.arange(x.size).reshape(x.shape) == i, reach, 0) for i in range(x.size)]
    rng = np.random.default_rng(x.size)
    return [reach * rng.standard_normal(x.shape) for _ in range(2)]


def wrong_slopes(
    function: Callable[[Sequence[Any]], Any],
    arrays: Sequence[Any],
    which: int,
    got: Any,
) -> str:
    """How a gradient by an operand differs from differences of `function`; "" if it does not."""
    x = arrays[which]

    def of_one(moved: Any) -> Any:
        return function([moved if i == which else a for i, a in enumerate(arrays)])

    for towards in directions(x):
        found = float(np.sum(got * towards))
        scale = 1.0 + float(np.sum(np.abs(got * towards)))
        wanted = slope(of_one, x, towards, STEP)
        if abs(found - wanted) <= TOLERANCE * scale:
            continue
        wanted = slope(of_one, x, towards, SMALL_STEP)  # a kink within the step, or a fault
        if not abs(found - wanted) <= SMALL_TOLERANCE * scale:
            return (
                f"by operand {which}, of {x.shape}, towards {towards.ravel()[:4]}: differences "
                f"give {wanted:.12g}, the gradient {found:.12g}"
            )
    return ""


def gradient_fault(made: Derived, arrays: Sequence[Any]) -> str:
    """How first or second gradients differ from differences of what they are gradients of."""
    graph = graph_of(made.operands, made.outs)

    def loss(moved: Sequence[Any]) -> Any:
        results = interpret(graph, *fed(graph, moved))
        return sum(float(np.sum(w * r)) for w, r in zip(made.weights, results, strict=True))

    known = [g for g in made.firsts if g is not None]
    found = iter(values(made.operands, known, arrays))
    for i, g in enumerate(made.firsts):
        if arrays[i].dtype != np.float64:
            continue
        got = np.zeros(arrays[i].shape) if g is None else next(found)
        wrong = wrong_slopes(loss, arrays, i, got)
        if wrong:
            return f"first gradient {wrong}"
    if sum(a.size for a in arrays) > MAX_ELEMENTS:
        return ""
    rows = zip(known, made.first_weights, made.seconds, strict=True) if made.seconds else ()
    for g, weights, seconds in rows:
        wrong = _second_fault(made.operands, g, weights, seconds, arrays)
        if wrong:
            return f"second gradient {wrong}"
    return ""


def _second_fault(
    operands: Sequence[Any], first: Any, weights: Any, seconds: Sequence[Any], arrays: Sequence[Any]
) -> str:
    graph = graph_of(operands, [first])

    def loss(moved: Sequence[Any]) -> Any:
        return float(np.sum(weights * interpret(graph, *fed(graph, moved))[0]))

    known = [s for s in seconds if s is not None]
    found = iter(values(operands, known, arrays) if known else [])
    for i, s in enumerate(seconds):
        if arrays[i].dtype != np.float64:
            continue
        got = np.zeros(arrays[i].shape) if s is None else next(found)
        wrong = wrong_slopes(loss, arrays, i, got)
        if wrong:
            return wrong
    return ""


# ---- compiled


def compiled_fault(made: Derived, feeds: Sequence[Sequence[Any]]) -> str:
    """How the compiled results and gradients differ from the interpreted ones, on any sizes."""
    outs = [*made.outs, *made.firsts, *(s for row in made.seconds for s in row)]
    graph = graph_of(made.operands, [t for t in outs if t is not None])
    compiled = CompiledGraph(staged(graph), cache_dir=kernel_cache())
    for arrays in feeds:
        given = fed(graph, arrays)
        wanted, got = interpret(graph, *given), compiled(given)
        for i, (w, g) in enumerate(zip(wanted, got, strict=True)):
            scale = np.max(np.abs(w), initial=0.0, where=np.isfinite(w))
            if w.shape != g.shape or not np.allclose(
                g, w, rtol=1e-9, atol=1e-10 * (1 + scale), equal_nan=True
            ):
                return f"result {i} compiled gives {g}, interpreted {w}; operands {list(arrays)}"
    return ""
