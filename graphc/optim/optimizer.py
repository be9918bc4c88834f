"""The base of optimizers: from gradients to assigns; schedules, clipping, parameter groups."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import converted
from graphc.frontend.boundary import guard_methods, short
from graphc.frontend.declare import variable
from graphc.frontend.gradients import gradients
from graphc.frontend.group import Group
from graphc.frontend.scope import name_scope
from graphc.frontend.signatures import require_takes
from graphc.frontend.tensor import Tensor, Variable
from graphc.functions import pointwise as pw
from graphc.functions.creation import full
from graphc.ir.dim import differ
from graphc.ir.types import DType
from graphc.optim.arguments import flag, number, pair
from graphc.optim.clip import Pair, checked_pairs, clip_grad_norm, clip_grad_value
from graphc.optim.own_update import assigns_of, prepared
from graphc.optim.schedule import LRScheduler
from graphc.optim.step_count import StepCount

__all__ = ["Minimizer", "Optimizer"]

Rate = float | Tensor | LRScheduler


class Minimizer:
    """Anything that makes a loss smaller: an `Optimizer`, or something around one.

    A subclass defines `assigns`.
    """

    def assigns(self, pairs: Sequence[tuple[Tensor, Variable]]) -> list[Tensor]:
        """The assigns of one step."""
        raise NotImplementedError(type(self).__name__)

    def minimize(self, loss: Tensor, var_list: Sequence[Variable] | None = None) -> Group:
        """One step that makes `loss` smaller, by changing `var_list` (default: every trainable
        variable that the loss depends on).  Fetch it; it gives None.

        Raises `GradientError` for a listed variable that the loss does not depend on.
        """
        return self.apply_gradients(self.compute_gradients(loss, var_list))

    def compute_gradients(
        self, loss: Tensor, var_list: Sequence[Variable] | None = None
    ) -> list[Pair]:
        """The gradient of `loss` by each variable, paired with it; None where there is none."""
        name = type(self).__name__
        if not isinstance(loss, Tensor):
            raise GraphError(
                f"{name}: the loss is {short(loss)}; expected a tensor", user_location()
            )
        if loss.type.count != 1:
            raise ShapeError(
                f"{name}: the loss is {loss.type}; expected one number: minimize gc.mean or gc.sum "
                "of it",
                user_location(),
            )
        if var_list is not None:
            chosen = variables_of(name, "var_list", var_list)
            return list(zip(gradients(loss, chosen), chosen, strict=True))
        chosen = [v for v in loss.graph.variables if v.trainable and v.dtype.is_float]
        derivatives = gradients(loss, chosen, allow_unused=True)
        if all(g is None for g in derivatives):
            raise GraphError(
                f"{name}: the loss depends on no trainable variable of its graph", user_location()
            )
        return list(zip(derivatives, chosen, strict=True))

    def apply_gradients(self, grads_and_vars: Iterable[Pair]) -> Group:
        """One step with given gradients; a pair without a gradient is left alone.

        Raises `ShapeError` for a gradient in another shape than its variable's, `GraphError` for a
        variable that comes twice.
        """
        name = type(self).__name__
        pairs = [
            (converted(g, v.dtype), v)
            for g, v in checked_pairs(name, grads_and_vars)
            if g is not None
        ]
        if not pairs:
            raise GraphError(f"{name}: no variable has a gradient", user_location())
        seen: set[Variable] = set()
        for g, v in pairs:
            if v in seen:
                raise GraphError(
                    f"{name}: variable {v.name!r} has two gradients; add them up", user_location()
                )
            seen.add(v)
            if g.ndim != v.ndim or any(map(differ, g.shape, v.shape)):
                raise ShapeError(
                    f"{name}: the gradient of {v.name!r} is {g.type}; expected {v.type}",
                    user_location(),
                )
        with pairs[0][1].graph.as_default(), name_scope(name):
            return Group(tuple(assigns_of(name, self.assigns, self.assigns(pairs))))


@dataclass(eq=False, repr=False, match_args=False)
class Optimizer(Minimizer):
    """Base of optimizers.  A subclass defines `update`, and `prepare` if it has shared state.

    `lr` is a number, a 0-d tensor, or a schedule (`gc.optim.CosineAnnealingLR(0.1, T_max=100)`),
    which is asked with the optimizer's own count of steps.  `maximize` makes the loss larger.
    `clip_grad_norm` and `clip_grad_value` limit the gradients, as the functions of that name do.
    `groups` are variables with options of their own, all others have the optimizer's:

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w, b = gc.variable([1.0, 2.0], name="w"), gc.variable(1.0, name="b")
    ...     plain = {"params": [b], "lr": 0.01, "weight_decay": 0.0}
    ...     optimizer = gc.optim.SGD(0.1, weight_decay=1e-4, groups=[plain])
    ...     step = optimizer.minimize(gc.sum(w * w) + b * b)

    One of your own:

    >>> class Signs(gc.optim.Optimizer):
    ...     def update(self, var, gradient, shared):
    ...         return [var.assign_sub(self.rate(var.dtype) * gc.sign(gradient))]
    >>> with gc.Graph().as_default():
    ...     w = gc.variable([1.0, 2.0], name="w")
    ...     step = Signs(0.1).minimize(gc.sum(w * w))
    >>> len(step.tensors)
    1
    """

    lr: Any
    maximize: bool = field(default=False, kw_only=True)
    clip_grad_norm: float | None = field(default=None, kw_only=True)
    clip_grad_value: float | None = field(default=None, kw_only=True)
    groups: Sequence[Mapping[str, Any]] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Checks the options.  Raises `GraphError`, or `ShapeError` for a rate that is no 0-d
        tensor."""
        name = type(self).__name__
        if isinstance(self.lr, Tensor):
            if self.lr.ndim:
                raise ShapeError(
                    f"{name}: lr is {self.lr.type}; expected a 0-d tensor", user_location()
                )
        elif not isinstance(self.lr, LRScheduler):
            self.lr = number(name, "lr", self.lr)
        flag(name, "maximize", self.maximize)
        if self.clip_grad_norm is not None and self.clip_grad_value is not None:
            raise GraphError(
                f"{name}: clip_grad_norm and clip_grad_value: expected one of them", user_location()
            )
        for option in ("clip_grad_norm", "clip_grad_value"):
            if getattr(self, option) is not None:
                self._number(option)
        self._steps: StepCount | None = None
        self._of_group: dict[Variable, int] = {}
        self.groups = tuple(self._group(n, g) for n, g in enumerate(self._listed_groups()))

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if k[0] != "_"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method, names in (("update", ("var", "gradient", "shared")), ("prepare", ())):
            if method in cls.__dict__:
                what = f"{cls.__name__}: {method}"
                require_takes(what, cls.__dict__[method], ("self", *names))

    # ---- what a subclass defines ----

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        """The assigns of one step, for one variable."""
        raise GraphError(
            f"{type(self).__name__}: update is not defined: a method (self, var, gradient, shared) "
            "that gives the assigns of a step",
            user_location(),
        )

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The value that `update` gets for all variables of a step, and the assigns it needs."""
        return None, ()

    # ---- what it may use ----

    def rate(self, dtype: DType) -> Any:
        """The learning rate, ready to multiply a tensor of this type."""
        return converted(self.lr, dtype) if isinstance(self.lr, Tensor) else float(self.lr)

    @property
    def time(self) -> Tensor:
        """The number of this step, from 1 (f64, 0-d).  There is one in `update` and `prepare`
        only; elsewhere it raises `GraphError`."""
        if self._steps is None:
            raise GraphError(
                f"{type(self).__name__}: time is known in `update` and `prepare` only",
                user_location(),
            )
        return self._steps.number

    def state(self, var: Variable, what: str, value: float = 0.0) -> Variable:
        """A variable of zeros (or of `value`) in the shape of `var`."""
        start = full(var.shape, value, var.dtype)
        return variable(start, trainable=False, name=f"{var.name}.{what}")

    def with_options(self, **options: Any) -> Optimizer:
        """The same optimizer with some options changed.  Raises `GraphError` for one that it does
        not have."""
        changed = copy.copy(self)
        for name, value in options.items():
            if name not in vars(self) or name[0] == "_":
                known = ", ".join(k for k in vars(self) if k[0] != "_" and k != "groups")
                raise GraphError(
                    f"{type(self).__name__}: no option {name!r}; there are {known}", user_location()
                )
            setattr(changed, name, value)
        changed.__post_init__()
        return changed

    # ---- a step ----

    def assigns(self, pairs: Sequence[tuple[Tensor, Variable]]) -> list[Tensor]:
        name = type(self).__name__
        if "_of_group" not in vars(self):
            raise GraphError(
                f"{name}: __init__ does not call super().__init__(lr)", user_location()
            )
        steps = StepCount()
        made: list[Tensor] = []
        for optimizer, members in self._divided(self._limited(pairs)):
            ready = copy.copy(optimizer)
            ready._steps = steps
            if isinstance(ready.lr, LRScheduler):
                ready.lr = ready.lr(steps.before)
            shared, assigns = prepared(name, self.prepare, ready.prepare())
            made += assigns
            for g, v in members:
                given = ready.update(v, pw.negative(g) if ready.maximize else g, shared)
                made += assigns_of(name, self.update, given)
        return [*steps.assigns, *made]

    def _limited(self, pairs: Sequence[tuple[Tensor, Variable]]) -> Sequence[Any]:
        if self.clip_grad_value is not None:
            return clip_grad_value(pairs, self.clip_grad_value)
        if self.clip_grad_norm is not None:
            return clip_grad_norm(pairs, self.clip_grad_norm)
        return pairs

    def _divided(
        self, pairs: Sequence[tuple[Tensor, Variable]]
    ) -> list[tuple[Optimizer, list[tuple[Tensor, Variable]]]]:
        """The optimizer of each group, the general one first, with the pairs it looks after."""
        optimizers: list[Optimizer] = [self]
        for group in self.groups:
            options = {k: value for k, value in group.items() if k != "params"}
            optimizers.append(self.with_options(**options, groups=()))
        members: list[list[tuple[Tensor, Variable]]] = [[] for _ in optimizers]
        for g, v in pairs:
            members[self._of_group.get(v, -1) + 1].append((g, v))
        return [(o, chosen) for o, chosen in zip(optimizers, members, strict=True) if chosen]

    def _listed_groups(self) -> Sequence[Any]:
        if not isinstance(self.groups, list | tuple):
            raise GraphError(
                f"{type(self).__name__}: groups is {short(self.groups)}; expected a list of dicts",
                user_location(),
            )
        return self.groups

    def _group(self, number: int, group: Any) -> dict[str, Any]:
        """A group as given, its variables listed and noted.  Options are checked as far as they
        are known: a subclass may set more of its own after this."""
        name = type(self).__name__
        if not isinstance(group, Mapping) or "params" not in group:
            raise GraphError(
                f"{name}: groups holds {short(group)}; expected a dict with 'params', the "
                "variables it is for, and options",
                user_location(),
            )
        options = {str(k): value for k, value in group.items() if k != "params"}
        shared = {"groups", "clip_grad_norm", "clip_grad_value"} & set(options)
        if shared:
            raise GraphError(
                f"{name}: {min(shared)} is no option of a group, but of them all", user_location()
            )
        complete = "__dataclass_fields__" in vars(type(self))
        self.with_options(
            **{k: o for k, o in options.items() if complete or k in vars(self)}, groups=()
        )
        params = variables_of(name, "params", group["params"])
        for v in params:
            if v in self._of_group:
                raise GraphError(f"{name}: variable {v.name!r} is in two groups", user_location())
            self._of_group[v] = number
        return {"params": params, **options}

    # ---- checks of options ----

    def _number(
        self, option: str, low: float = 0.0, high: float = float("inf"), strict: bool = False
    ) -> None:
        name = type(self).__name__
        setattr(self, option, number(name, option, getattr(self, option), low, high, strict))

    def _pair(self, option: str) -> None:
        setattr(self, option, pair(type(self).__name__, option, getattr(self, option)))

    def _flag(self, option: str) -> None:
        flag(type(self).__name__, option, getattr(self, option))


def variables_of(what: str, argument: str, given: Any) -> list[Variable]:
    """Variables from one or several.  Raises `GraphError`."""
    if isinstance(given, Variable):
        return [given]
    if isinstance(given, Tensor) or not hasattr(given, "__iter__"):
        raise GraphError(
            f"{what}: {argument} is {short(given)}; expected variables", user_location()
        )
    found = list(given)
    for v in found:
        if isinstance(v, Mapping):
            raise GraphError(
                f"{what}: {argument} holds a dict; groups of parameters are the argument `groups` "
                "of the optimizer",
                user_location(),
            )
        if not isinstance(v, Variable):
            raise GraphError(
                f"{what}: {argument} holds {v!r}, which is no variable", user_location()
            )
    return found


def decayed(gradient: Tensor, var: Variable, weight_decay: float) -> Tensor:
    """The gradient of the loss plus weight_decay / 2 times the squared weights."""
    return pw.add(gradient, pw.multiply(var, weight_decay)) if weight_decay else gradient


def shrunk(var: Tensor, lr: Any, weight_decay: float) -> Tensor:
    """The variable times 1 - lr * weight_decay: decay apart from the gradient."""
    return pw.subtract(var, pw.multiply(var, lr * weight_decay)) if weight_decay else var


def moving(mean: Tensor, value: Tensor, keep: float) -> Tensor:
    """keep * mean + (1 - keep) * value."""
    return pw.add(pw.multiply(mean, keep), pw.multiply(value, 1.0 - keep))


guard_methods(Minimizer, "minimize", "compute_gradients", "apply_gradients")
guard_methods(Optimizer, "__init__", "with_options")
