"""Gradients with few rows that are not zero: those of an embedding, `gc.take(table, ids, axis=0)`.

In the graph such a gradient is `scatter_add(zeros, ids, ct)`, or a sum of several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor, Variable, as_tensor, broadcast_to, build
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.creation import zeros
from graphc.functions.joining import concat
from graphc.functions.shaping import flatten, reshape
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.ops.gather import CheckIndex, ScatterAdd
from graphc.ir.ops.pointwise import Add, Negative
from graphc.ir.ops.shape import Full
from graphc.ir.types import f64
from graphc.optim.optimizer import Optimizer, Rate, moving

__all__ = ["SparseAdam"]

Rows = list[tuple[Tensor, Tensor]]


def rows_of(gradient: Value) -> Rows | None:
    """The pairs (ids, rows) that add up to a gradient; None for a dense one."""
    pairs: Rows = []
    stack = [(gradient, False)]
    while stack:
        v, negated = stack.pop()
        match v.op:
            case Add():
                stack += [(a, negated) for a in reversed(v.args)]
            case Negative():
                stack.append((v.args[0], not negated))
            case ScatterAdd(axis=0) if _is_zero(v.args[0]):
                ids, rows = map(as_tensor, v.args[1:])
                pairs.append((ids, pw.negative(rows) if negated else rows))
            case _:
                return None
    return pairs


def _is_zero(v: Value) -> bool:
    return isinstance(v.op, Full) and v.op.value == 0


def with_rows_added(var: Variable, rows: Rows, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The variable with `change` of the given rows added, by one scatter.

    An op of its own checks the ids first.  The scatter then cannot fail, so it may commit in the
    variable's own place.
    """
    count, rest = var.shape[0], var.shape[1:]
    if len(rows) == 1:
        ids, part = rows[0]
        return build(ScatterAdd(0), (var, build(CheckIndex(count), (ids,)), change(part)))
    flat = [build(CheckIndex(count), (flatten(ids),)) for ids, _ in rows]
    parts = [reshape(part, (dim.product(ids.shape), *rest)) for ids, part in rows]
    checked = build(CheckIndex(count), (concat(flat),))
    return build(ScatterAdd(0), (var, checked, change(concat(parts))))


@dataclass(eq=False, repr=False, match_args=False)
class SparseAdam(Optimizer):
    """Adam that changes only the rows, and their moments, that a gradient has
    (`torch.optim.SparseAdam`).  A row that was not taken keeps its moments as they are.

    Moments are kept and updated densely: it saves no time, it changes what is computed.  Raises
    `GraphError` for a gradient that is not that of `gc.take(var, ids, axis=0)`.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     table = gc.variable(gc.ones((3, 2)), name="table")
    ...     loss = gc.sum(gc.take(table, [2, 0, 2], axis=0))
    ...     step = gc.optim.SparseAdam(0.5).minimize(loss)
    ...     with gc.Session() as sess:
    ...         sess.run(step)
    ...         sess.value(table)[:, 0].round(3)
    array([0.5, 1. , 0.5], dtype=float32)
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pair("betas")
        self._number("eps")

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The size of this step: lr * sqrt(1 - b2**t) / (1 - b1**t), in f64."""
        first, second = (pw.subtract(1.0, pw.pow(b, self.time)) for b in self.betas)
        return pw.divide(pw.multiply(el.sqrt(second), self.rate(f64)), first), ()

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        rows = rows_of(gradient)
        if rows is None:
            raise GraphError(
                f"SparseAdam: the gradient of {var.name!r} is dense; expected that of "
                "gc.take(variable, ids, axis=0)",
                user_location(),
            )
        touched = _touched(var, rows)
        mean, square = self.state(var, "mean"), self.state(var, "square")
        b1, b2 = self.betas
        m = mean.assign(pw.where(touched, moving(mean, gradient, b1), mean))
        v = square.assign(
            pw.where(touched, moving(square, pw.multiply(gradient, gradient), b2), square)
        )
        step = pw.multiply(pw.divide(m, pw.add(el.sqrt(v), self.eps)), converted(shared, var.dtype))
        return [m, v, var.assign(pw.where(touched, pw.subtract(var, step), var))]


def _touched(var: Variable, rows: Rows) -> Tensor:
    """For each element of the variable, whether its row is among the given ones."""
    count = zeros((var.shape[0],), var.dtype)
    for ids, _ in rows:
        one = broadcast_to(as_tensor(1.0, var.dtype), ids.shape)
        count = build(ScatterAdd(0), (count, ids, one))
    column = pw.greater(count, 0.0)
    return broadcast_to(column[(slice(None),) + (None,) * (var.ndim - 1)], var.shape)


guard_methods(SparseAdam, "__init__")
