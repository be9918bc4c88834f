"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.optim.arguments import number
from graphc.optim.optimizer import Optimizer

__all__ = ["Rprop"]


@dataclass(eq=False, repr=False, match_args=False)
class Rprop(Optimizer):
    """Each weight has a step size of its own (Riedmiller and Braun 1993), for whole-batch training:

    where g has the sign it had, s *= etas[1]; where it has the other, s *= etas[0] and g = 0;
    s = clip(s, *step_sizes); w -= s * sign(g).  The first s is `lr`, a number.
    """

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lr = number("Rprop", "lr", self.lr)
        for option in ("etas", "step_sizes"):
            given = getattr(self, option)
            if not isinstance(given, list | tuple) or len(given) != 2:
                raise GraphError(
                    f"Rprop: {option} is {short(given)}; expected two numbers", user_location()
                )
        low, high = self.etas
        self.etas = (
            number("Rprop", "etas[0]", low, 0.0, 1.0, strict=True),
            number("Rprop", "etas[1]", high, 1.0),
        )
        least, most = self.step_sizes
        self.step_sizes = (
            number("Rprop", "step_sizes[0]", least),
            number("Rprop", "step_sizes[1]", most),
        )

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        before, size = self.state(var, "gradient"), self.state(var, "size", self.lr)
        turn = pw.multiply(gradient, before)
        back = pw.less(turn, 0.0)
        shorter = pw.multiply(size, self.etas[0])
        longer = pw.where(pw.greater(turn, 0.0), pw.multiply(size, self.etas[1]), size)
        s = size.assign(pw.clip(pw.where(back, shorter, longer), *self.step_sizes))
        g = before.assign(pw.where(back, 0.0, gradient))
        return [s, g, var.assign_sub(pw.multiply(pw.sign(g), s))]


guard_methods(Rprop, "__init__")
