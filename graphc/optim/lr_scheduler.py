"""Learning rates that change with the step, with PyTorch's names and values.

    gc.optim.SGD(gc.optim.CosineAnnealingLR(0.1, T_max=100))

An optimizer asks its schedule with the number of steps it has made: the first step has the rate of
step 0.  One step here is one `scheduler.step()` of PyTorch.  A schedule may also be called with any
0-d tensor (or number) and gives a 0-d tensor: `gc.optim.SGD(schedule(epoch))`.

All take the rate `lr` that they start from, a number of at least 0, and raise `GraphError` for an
argument out of its range.  To write one, subclass `LRScheduler` and define `at`, or give
`LambdaLR` a function.  A rate that depends on a measured loss (`ReduceLROnPlateau`) is no function
of the step: make `lr` a variable, and let the program `Session.load` it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import tensor
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.tensor import Tensor
from graphc.functions import elementary as el, pointwise as pw
from graphc.ir.types import f64
from graphc.optim.arguments import flag, rising_steps
from graphc.optim.composed_schedules import SequentialLR, WarmupLR
from graphc.optim.schedule import LRScheduler
from graphc.public import publish

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
]


@dataclass(eq=False, repr=False, match_args=False)
class ConstantLR(LRScheduler):
    """lr * factor for `total_iters` steps, then lr."""

    lr: float
    factor: float = 1 / 3
    total_iters: int = 5

    def __post_init__(self) -> None:
        self._number("lr")
        self._number("factor", high=1.0)
        self._whole("total_iters", 0)

    def at(self, step: Tensor) -> Tensor:
        return pw.where(pw.less(step, self.total_iters), _rate(self.lr * self.factor), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class LinearLR(LRScheduler):
    """From lr * start_factor to lr * end_factor in equal steps, `total_iters` of them; then the
    latter."""

    lr: float
    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        self._number("lr")
        self._number("start_factor", high=1.0)
        self._number("end_factor", high=1.0)
        self._whole("total_iters")

    def at(self, step: Tensor) -> Tensor:
        part = pw.divide(pw.minimum(step, self.total_iters), self.total_iters)
        rise = pw.multiply(part, self.end_factor - self.start_factor)
        return pw.multiply(pw.add(rise, self.start_factor), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class LambdaLR(LRScheduler):
    """lr * lr_lambda(step), where `lr_lambda` takes and gives 0-d tensors.

    >>> import graphc as gc
    >>> schedule = gc.optim.LambdaLR(0.5, lambda step: 1.0 / (1.0 + step))
    >>> with gc.Session() as sess:
    ...     print(sess.run(schedule(4)))
    0.1
    """

    lr: float
    lr_lambda: Callable[[Tensor], Any]

    def __post_init__(self) -> None:
        self._number("lr")
        if not callable(self.lr_lambda):
            raise GraphError(
                f"LambdaLR: lr_lambda is {short(self.lr_lambda)}; expected a function",
                user_location(),
            )

    def at(self, step: Tensor) -> Tensor:
        return pw.multiply(tensor("LambdaLR", self.lr_lambda(step), f64), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class StepLR(LRScheduler):
    """lr * gamma**k after k times `step_size` steps."""

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._number("lr")
        self._whole("step_size")
        self._number("gamma")

    def at(self, step: Tensor) -> Tensor:
        return pw.multiply(pw.pow(self.gamma, pw.floor_divide(step, self.step_size)), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class MultiStepLR(LRScheduler):
    """lr * gamma**k after k of the `milestones` have been reached."""

    lr: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._number("lr")
        self.milestones = rising_steps("MultiStepLR", self.milestones)
        self._number("gamma")

    def at(self, step: Tensor) -> Tensor:
        rate = _rate(self.lr * self.gamma ** len(self.milestones))
        for k in reversed(range(len(self.milestones))):
            rate = pw.where(pw.less(step, self.milestones[k]), self.lr * self.gamma**k, rate)
        return rate


@dataclass(eq=False, repr=False, match_args=False)
class ExponentialLR(LRScheduler):
    """lr * gamma**step."""

    lr: float
    gamma: float

    def __post_init__(self) -> None:
        self._number("lr")
        self._number("gamma")

    def at(self, step: Tensor) -> Tensor:
        return pw.multiply(pw.pow(self.gamma, step), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class PolynomialLR(LRScheduler):
    """lr * (1 - step / total_iters)**power; 0 after `total_iters` steps."""

    lr: float
    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self) -> None:
        self._number("lr")
        self._whole("total_iters")
        self._number("power")

    def at(self, step: Tensor) -> Tensor:
        left = pw.subtract(1.0, pw.divide(pw.minimum(step, self.total_iters), self.total_iters))
        return pw.multiply(pw.pow(left, self.power), self.lr)


@dataclass(eq=False, repr=False, match_args=False)
class CosineAnnealingLR(LRScheduler):
    """Half a cosine from lr to `eta_min` in `T_max` steps, and back in as many (Loshchilov and
    Hutter 2017)."""

    lr: float
    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        self._number("lr")
        self._whole("T_max")
        self._finite("eta_min")

    def at(self, step: Tensor) -> Tensor:
        return _cosine(self.lr, self.eta_min, pw.divide(step, self.T_max))


@dataclass(eq=False, repr=False, match_args=False)
class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from lr to `eta_min`, again and again: in T_0 steps, then in T_0 * T_mult, then
    in T_0 * T_mult**2, ... (Loshchilov and Hutter 2017)."""

    lr: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        self._number("lr")
        self._whole("T_0")
        self._whole("T_mult")
        self._finite("eta_min")

    def at(self, step: Tensor) -> Tensor:
        if self.T_mult == 1:
            return _cosine(self.lr, self.eta_min, pw.divide(pw.remainder(step, self.T_0), self.T_0))
        growth = pw.add(pw.multiply(step, (self.T_mult - 1) / self.T_0), 1.0)
        # A hair more than the step: at a restart, the logarithm may fall short of a whole number.
        cycle = pw.floor(
            pw.multiply(el.log(pw.multiply(growth, 1 + 1e-12)), 1 / math.log(self.T_mult))
        )
        size = pw.multiply(pw.pow(float(self.T_mult), cycle), self.T_0)
        start = pw.divide(pw.subtract(size, self.T_0), self.T_mult - 1)
        return _cosine(self.lr, self.eta_min, pw.divide(pw.subtract(step, start), size))


@dataclass(eq=False, repr=False, match_args=False)
class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to `max_lr`, then down to the start / final_div_factor (Smith and
    Topin 2019); with `three_phase`, first down to the start in as many steps as up.

    The rise takes `pct_start` of the `total_steps`; later steps keep the last rate.
    `anneal_strategy` is "cos" or "linear".  Momentum stays as it is.
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    three_phase: bool = False
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._number("max_lr")
        self._whole("total_steps")
        self._number("pct_start", high=1.0)
        if self.anneal_strategy not in ("cos", "linear"):
            raise GraphError(
                f"OneCycleLR: anneal_strategy is {short(self.anneal_strategy)}; expected 'cos' or "
                "'linear'",
                user_location(),
            )
        flag("OneCycleLR", "three_phase", self.three_phase)
        self._number("div_factor", low=1e-300)
        self._number("final_div_factor", low=1e-300)

    def at(self, step: Tensor) -> Tensor:
        first = self.max_lr / self.div_factor
        top, last = self.pct_start * self.total_steps - 1, float(self.total_steps - 1)
        phases = [(top, first, self.max_lr), (last, self.max_lr, first / self.final_div_factor)]
        if self.three_phase:
            back = 2 * self.pct_start * self.total_steps - 2
            phases[1:] = [(back, self.max_lr, first), (last, first, first / self.final_div_factor)]
        rate = _rate(phases[-1][2])
        for (end, low, high), (start, _, _) in reversed(
            list(zip(phases, [(0.0, 0.0, 0.0), *phases], strict=False))
        ):
            span = end - start
            part = pw.divide(pw.subtract(step, start), span) if span else pw.multiply(step, 0.0)
            shape = _cosine if self.anneal_strategy == "cos" else _line
            rate = pw.where(pw.less_equal(step, end), shape(low, high, part), rate)
        return rate


def _rate(value: float) -> Tensor:
    """A number in f64: two plain ones in a `where` would be f32."""
    return tensor("LRScheduler", value, f64)


def _cosine(start: float, end: float, part: Tensor) -> Tensor:
    """Half a cosine from `start` (part = 0) to `end` (part = 1)."""
    wave = pw.multiply(pw.add(el.cos(pw.multiply(part, math.pi)), 1.0), (start - end) / 2)
    return pw.add(wave, end)


def _line(start: float, end: float, part: Tensor) -> Tensor:
    return pw.add(pw.multiply(part, end - start), start)


for _made in (
    ConstantLR,
    LinearLR,
    LambdaLR,
    StepLR,
    MultiStepLR,
    ExponentialLR,
    PolynomialLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    OneCycleLR,
):
    guard_methods(_made, "__init__")

publish(globals())
