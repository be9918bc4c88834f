"""Adam and its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods
from graphc.frontend.declare import variable
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import elementary as el, pointwise as pw
from graphc.ir.types import f64
from graphc.optim.optimizer import Optimizer, Rate, decayed, moving, shrunk

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


@dataclass(eq=False, repr=False, match_args=False)
class Moments(Optimizer):
    """Base of optimizers with decays `betas` of two moments, and a decay of weights that is part of
    the gradient or (`decoupled_weight_decay`) apart from it.

    What depends on the number of the step is computed in f64: in f32, 1 - 0.999 has few digits.
    """

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pair("betas")
        self._number("eps")
        self._number("weight_decay")
        self._flag("decoupled_weight_decay")

    def corrections(self) -> tuple[Tensor, Tensor]:
        """1 - b**t for both betas."""
        first, second = (pw.subtract(1.0, pw.pow(b, self.time)) for b in self.betas)
        return first, second

    def decay(self, var: Variable, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The variable and the gradient, decayed."""
        if self.decoupled_weight_decay:
            return shrunk(var, self.rate(var.dtype), self.weight_decay), gradient
        return var, decayed(gradient, var, self.weight_decay)

    def moments(self, var: Variable, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The assigns of the moving means of the gradient and of its square."""
        b1, b2 = self.betas
        mean, square = self.state(var, "mean"), self.state(var, "square")
        squared = pw.multiply(gradient, gradient)
        return (mean.assign(moving(mean, gradient, b1)), square.assign(moving(square, squared, b2)))


@dataclass(eq=False, repr=False, match_args=False)
class Adam(Moments):
    """Adam (Kingma and Ba 2015), with the corrections for the bias of its first steps:

    m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g * g;
    w -= lr / (1 - b1**t) * m / (sqrt(v) / sqrt(1 - b2**t) + eps).

    With `amsgrad`, v's largest value so far takes the place of v (Reddi et al. 2018).

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable([1.0, -2.0], name="w")
    ...     step = gc.optim.Adam(0.25).minimize(gc.sum(w * w))
    ...     with gc.Session() as sess:
    ...         sess.run(step)
    ...         sess.value(w)
    array([ 0.75, -1.75], dtype=float32)
    """

    amsgrad: bool = False
    decoupled_weight_decay: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._flag("amsgrad")

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The size of this step, and what sqrt(v) is divided by."""
        first, second = self.corrections()
        return (pw.divide(self.rate(f64), first), el.sqrt(second)), ()

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        size, root = (converted(s, var.dtype) for s in shared)
        start, gradient = self.decay(var, gradient)
        m, v = self.moments(var, gradient)
        assigns = [m, v]
        if self.amsgrad:
            largest = self.state(var, "largest")
            v = largest.assign(pw.maximum(largest, v))
            assigns.append(v)
        below = pw.add(pw.divide(el.sqrt(v), root), self.eps)
        step = pw.multiply(pw.divide(m, below), size)
        return [*assigns, var.assign(pw.subtract(start, step))]


@dataclass(eq=False, repr=False, match_args=False)
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w *= 1 - lr * weight_decay first
    (Loshchilov and Hutter 2019)."""

    weight_decay: float = 1e-2
    decoupled_weight_decay: bool = field(default=True, kw_only=True)


@dataclass(eq=False, repr=False, match_args=False)
class Adamax(Moments):
    """Adam by the largest gradient (Kingma and Ba 2015, section 7.1):

    m as in Adam; u = max(b2 * u, |g| + eps); w -= lr / (1 - b1**t) * m / u.
    """

    lr: Rate = 2e-3

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        b1, b2 = self.betas
        gradient = decayed(gradient, var, self.weight_decay)
        mean, largest = self.state(var, "mean"), self.state(var, "largest")
        m = mean.assign(moving(mean, gradient, b1))
        size = pw.add(pw.abs(gradient), self.eps)
        u = largest.assign(pw.maximum(pw.multiply(largest, b2), size))
        rate = converted(pw.divide(self.rate(f64), self.corrections()[0]), var.dtype)
        return [m, u, var.assign_sub(pw.multiply(pw.divide(m, u), rate))]


@dataclass(eq=False, repr=False, match_args=False)
class NAdam(Moments):
    """Adam with Nesterov's momentum (Dozat 2016): m and v as in Adam,

    mu(t) = b1 * (1 - 0.96**(t * momentum_decay) / 2); p = mu(1) * ... * mu(t);
    w -= lr * ((1 - mu(t)) / (1 - p) * g + mu(t + 1) / (1 - p * mu(t + 1)) * m)
         / (sqrt(v / (1 - b2**t)) + eps).
    """

    lr: Rate = 2e-3
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("momentum_decay")

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The weights of g and m, 1 - b2**t, and the assign of the product of all mu."""
        mu, later = (self._momentum(t) for t in (self.time, pw.add(self.time, 1.0)))
        product = variable(1.0, trainable=False, name="mu_product", dtype=f64)
        p = product.assign(pw.multiply(product, mu))
        lr = self.rate(f64)
        of_gradient = pw.divide(pw.multiply(pw.subtract(1.0, mu), lr), pw.subtract(1.0, p))
        of_mean = pw.divide(pw.multiply(later, lr), pw.subtract(1.0, pw.multiply(p, later)))
        return (of_gradient, of_mean, el.sqrt(self.corrections()[1])), (p,)

    def _momentum(self, time: Tensor) -> Tensor:
        power = pw.pow(0.96, pw.multiply(time, self.momentum_decay))
        return pw.multiply(pw.subtract(1.0, pw.multiply(power, 0.5)), self.betas[0])

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        of_gradient, of_mean, root = (converted(s, var.dtype) for s in shared)
        start, gradient = self.decay(var, gradient)
        m, v = self.moments(var, gradient)
        below = pw.add(pw.divide(el.sqrt(v), root), self.eps)
        above = pw.add(pw.multiply(gradient, of_gradient), pw.multiply(m, of_mean))
        return [m, v, var.assign(pw.subtract(start, pw.divide(above, below)))]


@dataclass(eq=False, repr=False, match_args=False)
class RAdam(Moments):
    """Adam whose first steps, where v is hardly known, do without it (Liu et al. 2020):

    m and v as in Adam; r = 2 / (1 - b2) - 1; q = r - 2 * t * b2**t / (1 - b2**t);
    w -= lr * m / (1 - b1**t), where q > 5 times sqrt(1 - b2**t) / (sqrt(v) + eps) times
    sqrt((q - 4) * (q - 2) * r / ((r - 4) * (r - 2) * q)).
    """

    decoupled_weight_decay: bool = False

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """Whether v is known, the size of the step without v, and with it."""
        b2, t = self.betas[1], self.time
        first, second = self.corrections()
        limit = 2.0 / (1.0 - b2) - 1.0
        lost = pw.divide(pw.multiply(pw.multiply(t, 2.0), pw.pow(b2, t)), second)
        length = pw.subtract(limit, lost)
        known = pw.greater(length, 5.0)
        safe = pw.where(known, length, 6.0)
        share = limit / ((limit - 4.0) * (limit - 2.0)) if limit > 4.0 else 0.0
        above = pw.multiply(pw.subtract(safe, 4.0), pw.subtract(safe, 2.0))
        factor = el.sqrt(pw.multiply(pw.divide(above, safe), share))
        size = pw.divide(self.rate(f64), first)
        return (known, size, pw.multiply(size, pw.multiply(factor, el.sqrt(second)))), ()

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        known, plain, rectified = shared
        plain, rectified = (converted(s, var.dtype) for s in (plain, rectified))
        start, gradient = self.decay(var, gradient)
        m, v = self.moments(var, gradient)
        scaled = pw.divide(pw.multiply(m, rectified), pw.add(el.sqrt(v), self.eps))
        step = pw.where(known, scaled, pw.multiply(m, plain))
        return [m, v, var.assign(pw.subtract(start, step))]


for _made in (Adam, AdamW, Adamax, NAdam, RAdam):
    guard_methods(_made, "__init__")
