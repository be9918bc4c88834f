"""Optimizers, with PyTorch's names, arguments and formulas.

An optimizer turns gradients into assigns; its own state (momenta, step numbers) is in variables of
the graph.  To write one, subclass `Optimizer` and define `update`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphc.declare import variable
from graphc.differentiate import gradients
from graphc.door import guard_methods
from graphc.errors import GraphError, user_location
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.common import converted, tensor
from graphc.functions.creation import zeros
from graphc.group import Group
from graphc.ir.types import DType, f64, i64
from graphc.scope import name_scope
from graphc.tensor import Tensor, Variable

Pairs = Iterable[tuple[Tensor | None, Variable]]


class Optimizer:
    """Base of optimizers.  A subclass defines `update`, and `prepare` if it has shared state.

    >>> import graphc as gc
    >>> class Signs(gc.optim.Optimizer):
    ...     def update(self, var, gradient, shared):
    ...         return [var.assign_sub(self.rate(var.dtype) * gc.sign(gradient))]
    >>> with gc.Graph().as_default():
    ...     w = gc.variable([1.0, 2.0], name="w")
    ...     step = Signs(0.1).minimize(gc.sum(w * w))
    >>> len(step.tensors)
    1
    """

    def __init__(self, lr: float | Tensor) -> None:
        if not isinstance(lr, Tensor) and not lr >= 0:
            raise GraphError(f"{type(self).__name__}: lr is {lr}; expected at least 0",
                             user_location())
        self.lr = lr

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        """The assigns of one step, for one variable."""
        raise NotImplementedError(type(self).__name__)

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """What all variables share in a step, and the assigns that it takes."""
        return None, ()

    def minimize(self, loss: Tensor, var_list: Sequence[Variable] | None = None) -> Group:
        """One step that makes `loss` smaller, by changing `var_list` (default: every trainable
        variable that the loss depends on).  Fetch it; it gives None.

        Raises `GradientError` for a listed variable that the loss does not depend on.
        """
        return self.apply_gradients(self.compute_gradients(loss, var_list))

    def compute_gradients(
        self, loss: Tensor, var_list: Sequence[Variable] | None = None
    ) -> list[tuple[Tensor | None, Variable]]:
        """The gradient of `loss` by each variable, paired with it; None where there is none."""
        if var_list is not None:
            chosen = list(var_list)
            return list(zip(gradients(loss, chosen), chosen, strict=True))
        chosen = [v for v in loss.graph.variables if v.trainable and v.dtype.is_float]
        found = gradients(loss, chosen, allow_unused=True)
        if all(g is None for g in found):
            raise GraphError(
                f"{type(self).__name__}: the loss depends on no trainable variable of its graph",
                user_location(),
            )
        return list(zip(found, chosen, strict=True))

    def apply_gradients(self, grads_and_vars: Pairs) -> Group:
        """One step with given gradients; a pair without a gradient is left alone."""
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        if not pairs:
            raise GraphError(f"{type(self).__name__}: no variable has a gradient", user_location())
        for _, v in pairs:
            if not isinstance(v, Variable):
                raise GraphError(f"{type(self).__name__}: {v!r} is no variable", user_location())
        graph = pairs[0][1].graph
        with graph.as_default(), name_scope(type(self).__name__):
            shared, assigns = self.prepare()
            made = list(assigns)
            for gradient, v in pairs:
                made += self.update(v, gradient, shared)
        return Group(tuple(made))

    def rate(self, dtype: DType) -> Any:
        """The learning rate, ready to multiply a tensor of this type."""
        return converted(self.lr, dtype) if isinstance(self.lr, Tensor) else float(self.lr)

    def state(self, var: Variable, what: str) -> Variable:
        """A variable of zeros in the shape of `var`."""
        return variable(zeros(var.shape, var.dtype), trainable=False, name=f"{var.name}.{what}")


def _decayed(gradient: Tensor, var: Variable, weight_decay: float) -> Tensor:
    """The gradient of the loss plus weight_decay / 2 times the squared weights."""
    return pw.add(gradient, pw.multiply(var, weight_decay)) if weight_decay else gradient


class SGD(Optimizer):
    """Stochastic gradient descent: buf = momentum * buf + g; w -= lr * buf.

    With `nesterov`, w -= lr * (g + momentum * buf).
    """

    def __init__(
        self, lr: float | Tensor = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(lr)
        if nesterov and momentum <= 0:
            raise GraphError("SGD: nesterov needs a momentum above 0", user_location())
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        gradient = _decayed(gradient, var, self.weight_decay)
        if not self.momentum:
            return [var.assign_sub(pw.multiply(gradient, self.rate(var.dtype)))]
        buffer = self.state(var, "momentum")
        moved = buffer.assign(pw.add(pw.multiply(buffer, self.momentum), gradient))
        step = pw.add(gradient, pw.multiply(moved, self.momentum)) if self.nesterov else moved
        return [moved, var.assign_sub(pw.multiply(step, self.rate(var.dtype)))]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with the corrections for the bias of its first steps.

    m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g * g;
    w -= lr / (1 - b1**t) * m / (sqrt(v) / sqrt(1 - b2**t) + eps).
    """

    def __init__(
        self, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr)
        if not all(0.0 <= b < 1.0 for b in betas):
            raise GraphError(f"Adam: betas {betas}: expected two numbers in [0, 1)",
                             user_location())
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def prepare(self) -> tuple[Any, Sequence[Tensor]]:
        """The corrections 1 - b**t of this step, in f64: in f32, 1 - 0.999 has few digits left."""
        step = variable(0, trainable=False, name="step", dtype=i64)
        t = step.assign_add(1)
        time = converted(t, f64)
        powers = [pw.pow(tensor("Adam", b, f64), time) for b in self.betas]
        return tuple(pw.subtract(1.0, p) for p in powers), (t,)

    def update(self, var: Variable, gradient: Tensor, shared: Any) -> Sequence[Tensor]:
        first, second = shared
        b1, b2 = self.betas
        gradient = self.decay(gradient, var)
        mean, square = self.state(var, "mean"), self.state(var, "square")
        m = mean.assign(pw.add(pw.multiply(mean, b1), pw.multiply(gradient, 1.0 - b1)))
        squared = pw.multiply(pw.multiply(gradient, gradient), 1.0 - b2)
        v = square.assign(pw.add(pw.multiply(square, b2), squared))
        size = converted(pw.divide(self.rate(f64), first), var.dtype)
        root = converted(el.sqrt(second), var.dtype)
        below = pw.add(pw.divide(el.sqrt(v), root), self.eps)
        step = pw.multiply(pw.divide(m, below), size)
        return [m, v, var.assign(pw.subtract(self.shrunk(var), step))]

    def decay(self, gradient: Tensor, var: Variable) -> Tensor:
        """Weight decay as a part of the gradient."""
        return _decayed(gradient, var, self.weight_decay)

    def shrunk(self, var: Variable) -> Tensor:
        """The variable before the step."""
        return var


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w *= 1 - lr * weight_decay first."""

    def __init__(
        self, lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay)

    def decay(self, gradient: Tensor, var: Variable) -> Tensor:
        return gradient

    def shrunk(self, var: Variable) -> Tensor:
        lr = self.rate(var.dtype)
        return pw.subtract(var, pw.multiply(var, pw.multiply(lr, self.weight_decay)
                                            if isinstance(lr, Tensor) else lr * self.weight_decay))


guard_methods(Optimizer, "__init__", "minimize", "compute_gradients", "apply_gradients")
for _made in (SGD, Adam):
    guard_methods(_made, "__init__")
