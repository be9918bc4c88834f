"""Simplifies graphs by rules (passes/rewrite/rules.py), and by functions for what rules cannot say:
Graph -> Graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import numpy as np

from graphc.errors import VerifyError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import Cast, Divide, Multiply
from graphc.ir.ops.reduction import Broadcast, ReduceSum
from graphc.ir.ops.shape import Full, Pad, Reshape, SizeOf, Slice, Transpose
from graphc.ir.ops.window import Window
from graphc.passes.base import Context, GraphPass, option
from graphc.passes.rewrite.engine import Rewriter
from graphc.passes.rewrite.reshapes import JoinedWindows, pointwise_before_units
from graphc.passes.rewrite.rules import RULES


@dataclass(frozen=True)
class Simplify(GraphPass):
    """Applies the rules, folds literals and merges equal values until nothing changes."""

    name = "simplify"
    max_window_side: int = option(
        8, "positions along the longest side of a window that keeps axes of its own", at_least=0
    )
    max_rounds: int = option(4, "times that the rules go over the whole graph", at_least=1)

    def run(self, graph: Graph, context: Context) -> Graph:
        # settled values are settled for these rules: a later pass with the same skips them
        settled = context.trace.settled[self.settles(context.fast_math)]
        rewriter = self.rewriter(context.fast_math, settled)
        graph = self.rewrite(graph, rewriter)
        context.trace.fired.update(rewriter.fired)
        return graph

    def settles(self, fast_math: bool) -> Hashable:
        """Equal for passes that apply the same rules."""
        return self.max_window_side, fast_math

    def rewriter(self, fast_math: bool, settled: set[Value] | None = None) -> Rewriter:
        """The rewriter that applies the rules to all values but the `settled` ones."""
        joined = JoinedWindows(self.max_window_side)
        functions = (*FUNCTIONS, joined.pointwise_before_merge, joined.reduce_before_merge)
        return Rewriter([r for r in RULES if fast_math or r.kind != "fast"], functions, settled)

    def rewrite(self, graph: Graph, rewriter: Rewriter) -> Graph:
        """The graph after the rules.  Raises `VerifyError` if rewriting never ends."""
        for _ in range(self.max_rounds):
            before = rewriter.fired.total()
            try:
                graph = rewriter.run(graph)
            except RecursionError:
                name = rewriter.last[0] if rewriter.last else "?"
                raise VerifyError(
                    f"simplify: rewriting does not end; the last rule was `{name}`"
                ) from None
            if rewriter.fired.total() == before:
                break
        return graph


def fold_literals(v: Value) -> Value | None:
    """A pointwise op over literals is a literal, if it rounds correctly: then run time agrees."""
    if not isinstance(v.op, Pointwise) or not v.op.exact or v.op.can_fail or not v.args:
        return None
    if not all(isinstance(a.op, Full) for a in v.args):
        return None
    args = [np.asarray(a.op.value, a.type.dtype.numpy) for a in v.args if isinstance(a.op, Full)]
    return full(np.asarray(v.op.reference(*args)).astype(v.type.dtype.numpy).item(), v.type)


def fold_view_of_literal(v: Value) -> Value | None:
    """A view of a literal is a literal."""
    if isinstance(v.op, Broadcast | Reshape | Transpose | Slice) and isinstance(v.args[0].op, Full):
        return full(v.args[0].op.value, v.type)
    return None


def fold_size(v: Value) -> Value | None:
    """A size that is known is a literal."""
    if isinstance(v.op, SizeOf) and isinstance(v.op.size, int):
        return full(v.op.reference().item(), v.type)
    return None


def drop_identity_view(v: Value) -> Value | None:
    """A view that changes nothing."""
    if not v.args or v.type != v.args[0].type:
        return None
    match v.op:
        case Reshape() | Broadcast():
            return v.args[0]
        case Transpose(axes=axes) if axes == tuple(range(len(axes))):
            return v.args[0]
        case Slice(starts=starts, steps=steps) if not any(starts) and set(steps) <= {1}:
            return v.args[0]
        case Pad(low=low, high=high) if not any(low) and not any(high):
            return v.args[0]
        case Cast():
            return v.args[0]
        case Reduction(axes=()) if not v.op.positional:
            return v.args[0]
    return None


def merge_reshapes(v: Value) -> Value | None:
    """A reshape of a reshape."""
    if isinstance(v.op, Reshape) and isinstance(v.args[0].op, Reshape):
        return make(v.op, v.args[0].args, v.name, v.loc)
    return None


def merge_transposes(v: Value) -> Value | None:
    """A transpose of a transpose."""
    if isinstance(v.op, Transpose) and isinstance(v.args[0].op, Transpose):
        inner = v.args[0].op.axes
        return make(Transpose(tuple(inner[a] for a in v.op.axes)), v.args[0].args, v.name, v.loc)
    return None


def merge_broadcasts(v: Value) -> Value | None:
    """A broadcast of a broadcast."""
    if isinstance(v.op, Broadcast) and isinstance(v.args[0].op, Broadcast):
        axes = tuple(v.op.axes[a] for a in v.args[0].op.axes)
        return make(Broadcast(axes, v.type.shape), v.args[0].args, v.name, v.loc)
    return None


def unit_reshape_as_broadcast(v: Value) -> Value | None:
    """A broadcast of a reshape that only adds axes of size 1: one broadcast."""
    if not isinstance(v.op, Broadcast) or not isinstance(v.args[0].op, Reshape):
        return None
    wide, (base,) = v.args[0], v.args[0].args
    not_units = [a for a, s in enumerate(wide.type.shape) if s != 1]
    if tuple(wide.type.shape[a] for a in not_units) != base.type.shape:
        return None
    return make(
        Broadcast(tuple(v.op.axes[a] for a in not_units), v.type.shape), (base,), v.name, v.loc
    )


def transpose_into_matmul(v: Value) -> Value | None:
    """A product of transposed matrices sets ta, tb."""
    if not isinstance(v.op, Matmul):
        return None
    rank = v.type.rank
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    flags, args = [v.op.ta, v.op.tb], list(v.args)
    for i, a in enumerate(v.args):
        if isinstance(a.op, Transpose) and a.op.axes == swapped:
            flags[i], args[i] = not flags[i], a.args[0]
    if tuple(args) == v.args:
        return None
    return make(Matmul(*flags), tuple(args), v.name, v.loc)


def pointwise_before_broadcast(v: Value) -> Value | None:
    """f(broadcast(x)) = broadcast(f(x)): less work, and reductions see through."""
    if not isinstance(v.op, Pointwise) or v.op.can_fail or not v.args:
        return None
    views = [a for a in v.args if not isinstance(a.op, Full)]
    if not views or any(not isinstance(a.op, Broadcast) or a.op != views[0].op for a in views):
        return None
    base = views[0].args[0].type
    if any(a.args[0].type.shape != base.shape for a in views) or base.shape == v.type.shape:
        return None
    args = tuple(
        full(a.op.value, a.type.with_shape(base.shape)) if isinstance(a.op, Full) else a.args[0]
        for a in v.args
    )
    return make(views[0].op, (make(v.op, args, "", v.loc),), v.name, v.loc)


def windows_of_padded(v: Value) -> Value | None:
    """Windows over a padded copy: an element is tested once, not in each window that sees it."""
    wide = v.args[0] if isinstance(v.op, Window) else v
    if not isinstance(v.op, Window) or not isinstance(wide.op, Broadcast):
        return None
    (x,), n, rank = wide.args, len(v.op.strides), wide.type.rank
    pads = (*v.op.before, *v.op.after)
    if not all(isinstance(p, int) and p >= 0 for p in pads) or not any(pads):
        return None
    if wide.op.axes != tuple(range(rank - n)) or x.type.rank != rank - n:
        return None
    unpadded, no_sides = (0,) * (x.type.rank - n), (0,) * n
    low, high = (*unpadded, *v.op.before), (*unpadded, *v.op.after)
    padded = make(Pad(low, high, v.op.value), (x,), "", x.loc)
    shape = (*padded.type.shape, *wide.type.shape[rank - n :])
    repeated = make(Broadcast(wide.op.axes, shape), (padded,), "", wide.loc)
    return make(replace(v.op, before=no_sides, after=no_sides), (repeated,), v.name, v.loc)


def divide_by_power_of_two(v: Value) -> Value | None:
    """x / 2^k is x * 2^-k, to the bit."""
    if not isinstance(v.op, Divide) or not isinstance(v.args[1].op, Full):
        return None
    value = float(v.args[1].op.value)
    mantissa, exponent = math.frexp(value)
    if abs(mantissa) != 0.5 or not -14 <= exponent <= 14:
        return None
    return make(Multiply(), (v.args[0], full(1.0 / value, v.args[1].type)), v.name, v.loc)


def merge_sums(v: Value) -> Value | None:
    """A sum of zeros is zero."""
    if not isinstance(v.op, ReduceSum) or not isinstance(v.args[0].op, Full):
        return None
    count = dim.product(tuple(v.args[0].type.shape[a] for a in v.op.axes))
    value = v.args[0].op.value
    if value == 0 and isinstance(count, int):
        return full(0, v.type)
    return None


FUNCTIONS: tuple[Callable[[Value], Value | None], ...] = (
    fold_literals,
    fold_view_of_literal,
    fold_size,
    drop_identity_view,
    merge_reshapes,
    merge_transposes,
    merge_broadcasts,
    unit_reshape_as_broadcast,
    transpose_into_matmul,
    pointwise_before_broadcast,
    pointwise_before_units,
    windows_of_padded,
    divide_by_power_of_two,
    merge_sums,
)
