"""Averages of variables over the steps, for evaluation: EMA, SWA."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.declare import variable
from graphc.frontend.group import Group
from graphc.frontend.scope import name_scope
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.ir.ops.state import Assign
from graphc.optim.arguments import number
from graphc.optim.optimizer import variables_of
from graphc.optim.step_count import StepCount

__all__ = ["EMA", "SWA"]


class _Averages:
    """Averages of variables; subclasses define `share`, how far an update moves them."""

    def __init__(self) -> None:
        self._averages: dict[Variable, Variable] = {}

    def share(self, steps: StepCount) -> float | Tensor:
        """The share of the way to the variables that the averages move."""
        raise NotImplementedError(type(self).__name__)

    def apply(
        self, var_list: Sequence[Variable] | None = None, after: Group | None = None
    ) -> Group:
        """Moves the averages of `var_list` towards the variables.

        A run's reads see the values at its start; with `after`, a step of an optimizer, the
        averages take in the values which that step gives (and fetching the result makes that step).
        `var_list` is then by default all trainable variables of the step.  Raises `GraphError`.
        """
        what = type(self).__name__
        if after is not None and not isinstance(after, Group):
            raise GraphError(
                f"{what}: after is {short(after)}; expected what minimize gives", user_location()
            )
        new = {
            t.args[0]: t
            for t in (after.tensors if after else ())
            if isinstance(t.op, Assign) and isinstance(t.args[0], Variable)
        }
        if var_list is None:
            chosen = [v for v in new if v.trainable]  # type: ignore[attr-defined]
        else:
            chosen = variables_of(what, "var_list", var_list)
        if not chosen:
            raise GraphError(
                f"{what}: no variables to average; give var_list or after", user_location()
            )
        steps = StepCount()
        with chosen[0].graph.as_default(), name_scope(what):
            moved = [self._moved(v, new.get(v, v), self.share(steps)) for v in chosen]
        return Group((*(after.tensors if after else ()), *steps.assigns, *moved))

    def average(self, var: Variable) -> Variable:
        """The average of a variable.  Raises `GraphError` before `apply` for it."""
        if not isinstance(var, Variable) or var not in self._averages:
            raise GraphError(
                f"{type(self).__name__}: {short(var)} has no average; give it to `apply` first",
                user_location(),
            )
        return self._averages[var]

    def swap(self) -> Group:
        """Every variable takes its average's value, and the average the variable's: before an
        evaluation, and again after it."""
        if not self._averages:
            raise GraphError(
                f"{type(self).__name__}: no averages yet; use `apply` first", user_location()
            )
        return Group(
            tuple(
                a
                for v, average in self._averages.items()
                for a in (v.assign(average), average.assign(v))
            )
        )

    def _moved(self, var: Variable, value: Tensor, share: float | Tensor) -> Tensor:
        average = self._averages.get(var)
        if average is None:
            average = variable(var, trainable=False, name=f"{var.name}.average")
            self._averages[var] = average
        part = converted(share, var.dtype) if isinstance(share, Tensor) else share
        return average.assign(pw.add(average, pw.multiply(pw.subtract(value, average), part)))


class EMA(_Averages):
    """Exponential moving averages: a = decay * a + (1 - decay) * w; they start where w starts.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable(1.0, name="w")
    ...     ema = gc.optim.EMA(0.75)
    ...     step = ema.apply(after=gc.optim.SGD(0.5).minimize(w))
    ...     with gc.Session() as sess:
    ...         sess.run(step)
    ...         print(sess.value(w), sess.value(ema.average(w)))
    0.5 0.875
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = number("EMA", "decay", decay, high=1.0)

    def share(self, steps: StepCount) -> float:
        return 1.0 - self.decay


class SWA(_Averages):
    """Plain averages of all values that `apply` met (stochastic weight averaging, Izmailov et al.
    2018; `torch.optim.swa_utils.AveragedModel`).

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable(1.0, name="w")
    ...     swa = gc.optim.SWA()
    ...     step = swa.apply(after=gc.optim.SGD(0.5).minimize(w))
    ...     with gc.Session() as sess:
    ...         for _ in range(3):
    ...             sess.run(step)
    ...         print(sess.value(w), sess.value(swa.average(w)))
    -0.5 0.0
    """

    def share(self, steps: StepCount) -> Tensor:
        return pw.divide(1.0, steps.number)


guard_methods(_Averages, "apply", "average", "swap")
guard_methods(EMA, "__init__")
