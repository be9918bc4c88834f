"""Gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import converted, tensor
from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.ir.types import f64
from graphc.optim.optimizer import Optimizer, Rate, decayed
from graphc.optim.sparse import rows_of, with_rows_added

__all__ = ["SGD"]


@dataclass(eq=False, repr=False, match_args=False)
class SGD(Optimizer):
    """Stochastic gradient descent (`torch.optim.SGD`):

    g += weight_decay * w; buf = momentum * buf + (1 - dampening) * g (the first time, buf = g);
    w -= lr * buf, or with `nesterov` w -= lr * (g + momentum * buf).

    Without momentum and weight decay, the gradient of `gc.take(w, ids, axis=0)` changes w in
    place, and only the rows that were taken are read and written.  Raises `GraphError` for an
    option out of its range.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable([1.0, 2.0], name="w")
    ...     step = gc.optim.SGD(0.25, momentum=0.5).minimize(gc.sum(w * w))
    ...     with gc.Session() as sess:
    ...         for _ in range(2):
    ...             sess.run(step)
    ...         sess.value(w)
    array([0., 0.], dtype=float32)
    """

    lr: Rate = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("momentum")
        self._number("dampening", -float("inf"))
        self._number("weight_decay")
        self._flag("nesterov")
        if self.nesterov and (self.momentum <= 0 or self.dampening != 0):
            raise GraphError(
                "SGD: nesterov needs a momentum above 0 and no dampening", user_location()
            )

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        lr = self.rate(var.dtype)
        rows = None if self.momentum or self.weight_decay else rows_of(gradient)
        if rows is not None:
            return [var.assign(with_rows_added(var, rows, lambda part: pw.multiply(part, -lr)))]
        gradient = decayed(gradient, var, self.weight_decay)
        if not self.momentum:
            return [var.assign_sub(pw.multiply(gradient, lr))]
        buffer = self.state(var, "momentum")
        fresh = self._dampened(gradient, var)
        moved = buffer.assign(pw.add(pw.multiply(buffer, self.momentum), fresh))
        step = pw.add(gradient, pw.multiply(moved, self.momentum)) if self.nesterov else moved
        return [moved, var.assign_sub(pw.multiply(step, lr))]

    def _dampened(self, gradient: Tensor, var: Variable) -> Tensor:
        """The gradient as the buffer adds it: the first in full, later ones times 1 - dampening."""
        if not self.dampening:
            return gradient
        share = pw.where(pw.equal(self.time, 1.0), tensor("SGD", 1.0, f64), 1.0 - self.dampening)
        return pw.multiply(gradient, converted(share, var.dtype))


guard_methods(SGD, "__init__")
