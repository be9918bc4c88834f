"""Optimizers around another: Accumulate (one step for several runs) and Lookahead (two speeds)."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.declare import variable
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.functions.creation import zeros
from graphc.ir.types import i64
from graphc.optim.arguments import number, whole
from graphc.optim.optimizer import Minimizer
from graphc.optim.step_count import made_since, new_values

__all__ = ["Accumulate", "Lookahead"]

Pairs = Sequence[tuple[Tensor, Variable]]


class _Around(Minimizer):
    """A wrapper of another optimizer, which acts in every n-th run."""

    def __init__(self, optimizer: Minimizer, every: tuple[str, int]) -> None:
        what = type(self).__name__
        if not isinstance(optimizer, Minimizer):
            raise GraphError(
                f"{what}: optimizer is {short(optimizer)}; expected an optimizer", user_location()
            )
        self.optimizer, self.every = optimizer, whole(what, *every)

    def turn(self) -> tuple[Tensor, Tensor]:
        """Whether this run is the last of `every`, and the assign that counts it."""
        count = variable(0, trainable=False, name="count", dtype=i64)
        last = pw.equal(count, self.every - 1)
        return last, count.assign(pw.where(last, 0, pw.add(count, 1)))

    def inner(self, pairs: Pairs) -> list[tuple[Variable, Tensor]]:
        """The variables that the other optimizer changes, each with its new value."""
        variables = pairs[0][1].graph.variables
        before = len(variables)
        assigns = self.optimizer.assigns(pairs)
        own = [v for _, v in pairs] + made_since(variables, before)
        return new_values(assigns, [g for g, _ in pairs], own)


class Accumulate(_Around):
    """One step of `optimizer` for every `steps` runs, with the mean of their gradients.

    In between, variables and the optimizer's own state stay as they are, and its count of steps
    too.  Raises `GraphError` unless `steps` is an int of at least 1.

    >>> import graphc as gc
    >>> x = gc.placeholder(gc.float32, (), name="sample")
    >>> with x.graph.as_default():
    ...     w = gc.variable(0.0, name="accumulated")
    ...     step = gc.optim.Accumulate(gc.optim.SGD(1.0), 2).minimize(w * x, [w])
    >>> with gc.Session() as sess:
    ...     for value in (1.0, 5.0):
    ...         sess.run(step, {x: value})
    ...         print(sess.value(w))
    0.0
    -3.0
    """

    def __init__(self, optimizer: Minimizer, steps: int) -> None:
        super().__init__(optimizer, ("steps", steps))

    def assigns(self, pairs: Pairs) -> list[Tensor]:
        last, counted = self.turn()
        means, changed = [], [counted]
        for g, v in pairs:
            total = variable(zeros(v.shape, v.dtype), trainable=False, name=f"{v.name}.total")
            now = pw.add(total, g)
            changed.append(total.assign(pw.where(last, 0.0, now)))
            means.append((pw.divide(now, float(self.every)), v))
        for v, new in self.inner(means):
            changed.append(v.assign(pw.where(last, new, v)))
        return changed


class Lookahead(_Around):
    """Two sets of weights (Zhang et al. 2019): after every `k` steps of `optimizer`,
    slow += alpha * (w - slow); w = slow.

    Raises `GraphError` unless k is at least 1 and alpha in [0, 1].

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable(4.0, name="w")
    ...     step = gc.optim.Lookahead(gc.optim.SGD(1.0), k=2, alpha=0.5).minimize(w)
    ...     with gc.Session() as sess:
    ...         for _ in range(2):
    ...             sess.run(step)
    ...             print(sess.value(w))
    3.0
    3.0
    """

    def __init__(self, optimizer: Minimizer, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__(optimizer, ("k", k))
        self.alpha = number("Lookahead", "alpha", alpha, high=1.0)

    def assigns(self, pairs: Pairs) -> list[Tensor]:
        last, counted = self.turn()
        assigns, trained = [counted], {v for _, v in pairs}
        for v, new in self.inner(pairs):
            if v not in trained:
                assigns.append(v.assign(new))
                continue
            slow = variable(v, trainable=False, name=f"{v.name}.slow")
            back = pw.add(slow, pw.multiply(pw.subtract(new, slow), self.alpha))
            assigns += [
                slow.assign(pw.where(last, back, slow)),
                v.assign(pw.where(last, back, new)),
            ]
        return assigns


guard_methods(Accumulate, "__init__")
guard_methods(Lookahead, "__init__")
