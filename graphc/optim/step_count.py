"""StepCount: the number of steps of an optimizer; and the new values inside assigns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.frontend.arguments import converted
from graphc.frontend.declare import variable
from graphc.frontend.tensor import Tensor, Variable, build
from graphc.functions import pointwise as pw
from graphc.ir.graph import Value, topological
from graphc.ir.ops.state import Assign
from graphc.ir.types import f64, i64


class StepCount:
    """A counter of steps: a variable `step`, made at its first use."""

    def __init__(self) -> None:
        self._variable: Variable | None = None
        self._assign: Tensor | None = None

    @property
    def before(self) -> Tensor:
        """The number of steps before this one (f64)."""
        return converted(self._counter(), f64)

    @property
    def number(self) -> Tensor:
        """The number of this step, from 1 (f64)."""
        return pw.add(self.before, 1.0)

    @property
    def assigns(self) -> tuple[Tensor, ...]:
        """The assign that counts this step; empty if the counter is unused."""
        return () if self._assign is None else (self._assign,)

    def _counter(self) -> Variable:
        if self._variable is None:
            self._variable = variable(0, trainable=False, name="step", dtype=i64)
            self._assign = self._variable.assign_add(1)
        return self._variable


def new_values(
    assigns: Iterable[Tensor], known: Iterable[Tensor], own: Iterable[Variable]
) -> list[tuple[Variable, Tensor]]:
    """The variables of `own` that `assigns` change, each with its new value, built anew without
    the assigns.  The walk stops at the tensors in `known`."""
    mine = set(own)
    done: dict[Value, Value] = {}
    values: list[tuple[Variable, Tensor]] = []
    for v in topological(assigns, known):
        args = tuple(done.get(a, a) for a in v.args)
        if isinstance(v.op, Assign) and v.args[0] in mine:
            done[v] = args[1]
            values.append((v.args[0], args[1]))  # type: ignore[arg-type]
        elif args != v.args:
            done[v] = build(v.op, args, v.name, v.loc)
    return values


def made_since(variables: Sequence[Value], count: int) -> list[Variable]:
    """The variables of a graph that came after its first `count`."""
    return [v for v in variables[count:] if isinstance(v, Variable)]
