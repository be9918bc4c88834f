"""Lion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.optim.optimizer import Optimizer, Rate, moving, shrunk

__all__ = ["Lion"]


@dataclass(eq=False, repr=False, match_args=False)
class Lion(Optimizer):
    """Steps of one size, by the sign of a moving mean (Chen et al. 2023, algorithm 2):

    c = b1 * m + (1 - b1) * g; w -= lr * (sign(c) + weight_decay * w); m = b2 * m + (1 - b2) * g.

    Its learning rate is three to ten times smaller than Adam's, its weight decay as much larger.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable([1.0, -2.0], name="w")
    ...     step = gc.optim.Lion(0.25).minimize(gc.sum(w * w))
    ...     with gc.Session() as sess:
    ...         sess.run(step)
    ...         sess.value(w)
    array([ 0.75, -1.75], dtype=float32)
    """

    lr: Rate = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pair("betas")
        self._number("weight_decay")

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        b1, b2 = self.betas
        lr = self.rate(var.dtype)
        mean = self.state(var, "mean")
        direction = pw.sign(moving(mean, gradient, b1))
        return [
            mean.assign(moving(mean, gradient, b2)),
            var.assign(pw.subtract(shrunk(var, lr, self.weight_decay), pw.multiply(direction, lr))),
        ]


guard_methods(Lion, "__init__")
