"""Schedules made of other schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw
from graphc.optim.arguments import rising_steps
from graphc.optim.schedule import LRScheduler


@dataclass(eq=False, repr=False, match_args=False)
class SequentialLR(LRScheduler):
    """One schedule after the other: the k-th ends, and the next begins with its step 0, at
    milestones[k].

    >>> import graphc as gc
    >>> warm, rest = gc.optim.LinearLR(0.1, 0.1, total_iters=9), gc.optim.ExponentialLR(0.1, 0.5)
    >>> schedule = gc.optim.SequentialLR([warm, rest], milestones=[9])
    >>> with gc.Session() as sess:
    ...     print(sess.run([schedule(0), schedule(9), schedule(10)]))
    [array(0.01), array(0.1), array(0.05)]
    """

    schedulers: Sequence[LRScheduler]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        given = self.schedulers
        if (
            not isinstance(given, list | tuple)
            or not given
            or not all(isinstance(s, LRScheduler) for s in given)
        ):
            raise GraphError(
                f"SequentialLR: schedulers is {short(given)}; expected a list of schedules",
                user_location(),
            )
        self.milestones = rising_steps("SequentialLR", self.milestones)
        if len(self.milestones) != len(given) - 1:
            raise GraphError(
                f"SequentialLR: {len(given)} schedulers and {len(self.milestones)} milestones; "
                "expected one less than schedulers",
                user_location(),
            )

    def at(self, step: Tensor) -> Tensor:
        rate = self.schedulers[0](step)
        for start, schedule in zip(self.milestones, self.schedulers[1:], strict=True):
            own = pw.maximum(pw.subtract(step, start), 0.0)
            rate = pw.where(pw.less(step, start), rate, schedule(own))
        return rate


@dataclass(eq=False, repr=False, match_args=False)
class WarmupLR(LRScheduler):
    """Any schedule after a linear rise to its first rate in `warmup_steps` steps, from
    `start_factor` times that rate.

    >>> import graphc as gc
    >>> schedule = gc.optim.WarmupLR(gc.optim.CosineAnnealingLR(0.5, T_max=90), warmup_steps=10)
    >>> with gc.Session() as sess:
    ...     print(sess.run([schedule(0), schedule(1), schedule(10)]))
    [array(0.), array(0.05), array(0.5)]
    """

    schedule: LRScheduler
    warmup_steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, LRScheduler):
            raise GraphError(
                f"WarmupLR: schedule is {short(self.schedule)}; expected a schedule",
                user_location(),
            )
        self._whole("warmup_steps")
        self._number("start_factor", high=1.0)

    def at(self, step: Tensor) -> Tensor:
        part = pw.minimum(pw.divide(step, self.warmup_steps), 1.0)
        factor = pw.add(pw.multiply(part, 1.0 - self.start_factor), self.start_factor)
        rest = self.schedule(pw.maximum(pw.subtract(step, self.warmup_steps), 0.0))
        return pw.multiply(rest, factor)


for _made in (SequentialLR, WarmupLR):
    guard_methods(_made, "__init__")
