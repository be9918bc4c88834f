"""Rules that move work before reshapes, where it keeps an index space in which it fuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from graphc.ir.graph import Value, full, make
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.ops.shape import Full, Reshape


def pointwise_before_units(v: Value) -> Value | None:
    """f(reshape(x)) = reshape(f(x)) where the reshape only adds axes of size 1 (keepdims).  Rows
    then keep their own index space and fuse."""
    return before_reshape(v, adds_units)


def adds_units(v: Value) -> bool:
    """Whether v is a reshape that only adds axes of size 1."""
    if not isinstance(v.op, Reshape):
        return False
    base = v.args[0].type.shape
    return len(base) < v.type.rank and tuple(s for s in v.type.shape if s != 1) == tuple(
        s for s in base if s != 1
    )


def before_reshape(v: Value, moves: Callable[[Value], bool]) -> Value | None:
    """f(reshape(x)) as reshape(f(x)) for the first operand that `moves`."""
    if not isinstance(v.op, Pointwise) or v.op.can_fail:
        return None
    moved = next((a for a in v.args if moves(a)), None)
    if moved is None:
        return None
    shape = moved.args[0].type.shape
    args = tuple(
        full(a.op.value, a.type.with_shape(shape))
        if isinstance(a.op, Full)
        else make(Reshape(shape), (a,), "", a.loc)
        for a in v.args
    )
    return make(Reshape(v.type.shape), (make(v.op, args, "", v.loc),), v.name, v.loc)


@dataclass(frozen=True)
class JoinedWindows:
    """Rules for reshapes that join the axes of window positions with the axes inside windows: maps
    and folds move before the reshape, if no side of a window is longer than `longest_side`."""

    longest_side: int

    def pointwise_before_merge(self, v: Value) -> Value | None:
        """f(reshape(x)) = reshape(f(x)) where x is computed over windows and the reshape joins
        their axes.  A gradient of pooling then stays in one kernel."""
        return before_reshape(v, self.joins)

    def reduce_before_merge(self, v: Value) -> Value | None:
        """A fold over axes that a reshape has joined from windows becomes a fold over the axes
        before the reshape."""
        if not isinstance(v.op, Reduction) or v.op.positional or not self.joins(v.args[0]):
            return None
        base, axes, at = v.args[0].args[0], [], 0
        for a, size in enumerate(v.args[0].type.shape):
            joined = 1 if base.type.shape[at] == size else 2
            if joined == 2 and a not in v.op.axes:
                return None
            axes += [*range(at, at + joined)] if a in v.op.axes else []
            at += joined
        return make(replace(v.op, axes=tuple(axes)), (base,), v.name, v.loc)

    def joins(self, v: Value) -> bool:
        """Whether v is a reshape of a computed map that joins axes, each with a short one after
        it."""
        if not isinstance(v.op, Reshape) or not isinstance(v.args[0].op, Pointwise):
            return False
        shape, at, joined = v.args[0].type.shape, 0, 0
        for size in v.type.shape:
            if at >= len(shape):
                return False
            if shape[at] != size:
                place = shape[at + 1] if at + 1 < len(shape) else 0
                if not isinstance(place, int) or not 1 < place <= self.longest_side:
                    return False
                if shape[at] == 1 or shape[at] * place != size:  # units: `pointwise_before_units`
                    return False
                at, joined = at + 1, joined + 1
            at += 1
        return joined > 0 and at == len(shape)
