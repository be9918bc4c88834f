"""LRScheduler, the base of all schedules; PyTorch's schedules are in `lr_scheduler.py`."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import converted, tensor
from graphc.frontend.boundary import guard_methods
from graphc.frontend.tensor import Tensor
from graphc.ir.types import f64
from graphc.optim.arguments import finite, number, whole


class LRScheduler:
    """A learning rate as a function of the step.  A subclass defines `at`.

    >>> import graphc as gc
    >>> class InverseRoot(gc.optim.LRScheduler):
    ...     def at(self, step):
    ...         return 0.1 / gc.sqrt(step + 1.0)
    >>> with gc.Session() as sess:
    ...     print(sess.run(InverseRoot()(3)))
    0.05
    """

    def __call__(self, step: Any) -> Tensor:
        """The rate at a step, a 0-d tensor (f64).  Raises `ShapeError` for steps in plural."""
        what = type(self).__name__
        t = tensor(what, step)
        if t.ndim:
            raise ShapeError(f"{what}: step is {t.type}; expected a 0-d tensor", user_location())
        return converted(tensor(what, self.at(converted(t, f64)), f64), f64)

    def at(self, step: Tensor) -> Any:
        """The rate at a step, given as a 0-d tensor of f64."""
        raise GraphError(
            f"{type(self).__name__}: at is not defined: a method (self, step) that gives the rate",
            user_location(),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def _number(self, option: str, low: float = 0.0, high: float = math.inf) -> None:
        setattr(self, option, number(type(self).__name__, option, getattr(self, option), low, high))

    def _finite(self, option: str) -> None:
        setattr(self, option, finite(type(self).__name__, option, getattr(self, option)))

    def _whole(self, option: str, least: int = 1) -> None:
        setattr(self, option, whole(type(self).__name__, option, getattr(self, option), least))


guard_methods(LRScheduler, "__call__")
