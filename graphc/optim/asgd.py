"""Averaged gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.ir.types import f64
from graphc.optim.optimizer import Optimizer, Rate, decayed, shrunk

__all__ = ["ASGD"]


@dataclass(eq=False, repr=False, match_args=False)
class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992; `torch.optim.ASGD`):

    e = lr / (1 + lambd * lr * (t - 1))**alpha; w = w * (1 - lambd * e) - e * g.

    The state `average` of each variable is the mean of its values from step t0 on.
    """

    lr: Rate = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("lambd", "alpha", "t0", "weight_decay"):
            self._number(option)

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The rate of this step, and the share that the average takes of it."""
        lr, before = self.rate(f64), pw.subtract(self.time, 1.0)
        slower = pw.add(pw.multiply(before, lr * self.lambd), 1.0)
        share = pw.divide(1.0, pw.maximum(pw.subtract(before, self.t0), 1.0))
        return (pw.multiply(pw.pow(slower, -self.alpha), lr), share), ()

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        rate, share = (converted(s, var.dtype) for s in shared)
        gradient = decayed(gradient, var, self.weight_decay)
        new = var.assign(pw.subtract(shrunk(var, rate, self.lambd), pw.multiply(gradient, rate)))
        average = self.state(var, "average")
        moved = pw.multiply(pw.subtract(new, average), share)
        return [new, average.assign(pw.add(average, moved))]


guard_methods(ASGD, "__init__")
