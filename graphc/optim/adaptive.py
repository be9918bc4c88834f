"""Optimizers that divide by a mean of squared gradients: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import elementary as el, pointwise as pw
from graphc.ir.types import f64
from graphc.optim.optimizer import Optimizer, Rate, decayed, moving

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


@dataclass(eq=False, repr=False, match_args=False)
class RMSprop(Optimizer):
    """RMSprop (`torch.optim.RMSprop`):

    v = alpha * v + (1 - alpha) * g * g; d = g / (sqrt(v) + eps); w -= lr * d.

    `centered` divides by the deviation sqrt(v - a * a) instead, a being the moving mean of g (0
    where rounding makes v smaller than a * a).  With `momentum`, buf = momentum * buf + d;
    w -= lr * buf.
    """

    lr: Rate = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("alpha", "eps", "weight_decay", "momentum"):
            self._number(option)
        self._flag("centered")

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        gradient = decayed(gradient, var, self.weight_decay)
        square = self.state(var, "square")
        v = square.assign(moving(square, pw.multiply(gradient, gradient), self.alpha))
        assigns, spread = [v], v
        if self.centered:
            mean = self.state(var, "mean")
            a = mean.assign(moving(mean, gradient, self.alpha))
            spread = pw.maximum(pw.subtract(v, pw.multiply(a, a)), 0.0)
            assigns.append(a)
        step = pw.divide(gradient, pw.add(el.sqrt(spread), self.eps))
        if self.momentum:
            buffer = self.state(var, "momentum")
            step = buffer.assign(pw.add(pw.multiply(buffer, self.momentum), step))
            assigns.append(step)
        return [*assigns, var.assign_sub(pw.multiply(step, self.rate(var.dtype)))]


@dataclass(eq=False, repr=False, match_args=False)
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): s += g * g;
    w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)."""

    lr: Rate = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            self._number(option)

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        gradient = decayed(gradient, var, self.weight_decay)
        total = self.state(var, "sum", self.initial_accumulator_value)
        s = total.assign(pw.add(total, pw.multiply(gradient, gradient)))
        rate = self.rate(var.dtype)
        if self.lr_decay:
            slower = pw.add(pw.multiply(pw.subtract(self.time, 1.0), self.lr_decay), 1.0)
            rate = converted(pw.divide(self.rate(f64), slower), var.dtype)
        step = pw.divide(gradient, pw.add(el.sqrt(s), self.eps))
        return [s, var.assign_sub(pw.multiply(step, rate))]


@dataclass(eq=False, repr=False, match_args=False)
class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012): v = rho * v + (1 - rho) * g * g;
    d = sqrt(u + eps) / sqrt(v + eps) * g; u = rho * u + (1 - rho) * d * d; w -= lr * d."""

    lr: Rate = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("rho", high=1.0)
        self._number("eps")
        self._number("weight_decay")

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        gradient = decayed(gradient, var, self.weight_decay)
        square, moved = self.state(var, "square"), self.state(var, "delta")
        v = square.assign(moving(square, pw.multiply(gradient, gradient), self.rho))
        ratio = pw.divide(el.sqrt(pw.add(moved, self.eps)), el.sqrt(pw.add(v, self.eps)))
        delta = pw.multiply(ratio, gradient)
        u = moved.assign(moving(moved, pw.multiply(delta, delta), self.rho))
        return [v, u, var.assign_sub(pw.multiply(delta, self.rate(var.dtype)))]


for _made in (RMSprop, Adagrad, Adadelta):
    guard_methods(_made, "__init__")
