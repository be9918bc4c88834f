"""Differentiation for users: `gradients`, `custom_gradient`, `explain_gradient`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import DTypeError, GraphError, user_location
from graphc.frontend.boundary import short
from graphc.frontend.scope import GraphScope
from graphc.frontend.signatures import require_takes
from graphc.frontend.tensor import Tensor, as_tensor, broadcast_to, build, operand
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.inside import Condition
from graphc.ir.ops.markers import WithGradient
from graphc.ir.ops.shape import Reshape
from graphc.passes.autodiff import reverse
from graphc.passes.graph.unify_sizes import carried
from graphc.passes.rewrite.engine import Rewriter
from graphc.passes.rewrite.rules import STABLE


def gradients(ys: Any, xs: Any, grad_ys: Any = None, allow_unused: bool = False) -> list[Any]:
    """The derivative of the sum of `ys` by each of `xs`, as new graph.

    `grad_ys` weighs the ys (default: ones).  Raises `GradientError`, with the op that cut the path,
    for an x that no y depends on; with `allow_unused` that x gets None.

    >>> import graphc as gc
    >>> x = gc.placeholder(gc.float32, [3], name="gx")
    >>> (dx,) = gc.gradients(gc.sum(x * x), [x])
    >>> with gc.Session() as sess:
    ...     sess.run(dx, {x: [1, 2, 3]})
    array([2., 4., 6.], dtype=float32)
    """
    loc = user_location()
    y_list = [as_tensor(y) for y in (ys if isinstance(ys, list | tuple) else [ys])]
    x_list = [as_tensor(x) for x in (xs if isinstance(xs, list | tuple) else [xs])]
    for t in (*y_list, *x_list):
        if not t.dtype.is_float:
            raise DTypeError(f"gradients: {t!r} is not of a float type; use gc.astype", loc)
    seeds = _seeds(y_list, grad_ys)
    derivatives = reverse.gradients(stabilised(y_list, x_list), x_list, seeds)
    if not allow_unused:
        for x, g in zip(x_list, derivatives, strict=True):
            if g is None:
                raise reverse.missing(y_list[0], x, loc)
    needs = carried(y_list)
    held = {*topological(y_list), *seeds} if needs else set()
    return [
        None if g is None else _finished(_shown(g, x) if g in held else g, x, needs)
        for g, x in zip(derivatives, x_list, strict=True)
    ]


def stabilised(ys: Sequence[Tensor], xs: Sequence[Tensor]) -> Sequence[Value]:
    """The ys after the stabilising rules (log-softmax, softplus, ...), which stop at xs: their
    gradients stay finite where those of the naive formulas are 0 / 0."""
    rewriter = Rewriter(STABLE, ())
    graph = rewriter.run(Graph("gradients", tuple(dict.fromkeys(xs)), tuple(ys)))
    return _tensors(graph.outputs, ys[0].graph) if rewriter.fired else ys


def _tensors(outputs: Sequence[Value], graph: GraphScope) -> list[Value]:
    """The outputs as tensors, and all they are made of: a custom gradient is a user's function."""
    done: dict[Value, Value] = {}
    for v in topological(outputs):
        args = tuple(done[a] for a in v.args)
        kept = isinstance(v, Tensor) and args == v.args
        done[v] = v if kept else Tensor(v.op, args, v.type, v.name, v.loc, graph)
    return [done[v] for v in outputs]


def _seeds(ys: Sequence[Tensor], grad_ys: Any) -> list[Tensor | None]:
    if grad_ys is None:
        return [None] * len(ys)
    weights = grad_ys if isinstance(grad_ys, list | tuple) else [grad_ys]
    if len(weights) != len(ys):
        raise GraphError(f"gradients: {len(ys)} ys but {len(weights)} grad_ys", user_location())
    return [
        None if g is None else broadcast_to(as_tensor(g, y.dtype), y.shape)
        for g, y in zip(weights, ys, strict=True)
    ]


def _shown(g: Value, x: Tensor) -> Tensor:
    """A value of the user's as one of our own, which can carry requirements."""
    return Tensor(Reshape(g.type.shape), (g,), g.type, "", g.loc, x.graph)


def _finished(g: Value, x: Tensor, needs: tuple[Condition, ...]) -> Value:
    """The gradient of x under a name (that of `w` prints as `d.w`).  It may need none of the values
    of which it is the gradient, so it carries what they need of sizes: without them it would be
    that of sizes which they refuse."""
    if not needs and (not x.name or g.name):
        return g
    name = g.name or (f"d.{x.name}" if x.name else "")
    return Tensor(g.op, g.args, g.type, name, g.loc, x.graph, needs=(*g.needs, *needs))


def explain_gradient(y: Tensor, x: Tensor) -> str:
    """The path a gradient takes from y to x, or the ops and source lines that cut every path."""
    return reverse.explain_gradient(y, x)


def custom_gradient(
    backward: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function of tensors: its gradient becomes `backward(ct, out, *operands)`.  Raises
    `GraphError` if the function gives anything but one tensor, or `backward` takes other arguments.

    >>> import graphc as gc
    >>> @gc.custom_gradient(lambda ct, out, x: gc.clip(ct, -1.0, 1.0))
    ... def clipped(x):
    ...     return x * 1.0
    """

    if not callable(backward):
        raise GraphError(
            f"custom_gradient: backward is {short(backward)}; expected a function (ct, out, "
            "*operands): write @gc.custom_gradient(backward)",
            user_location(),
        )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = getattr(function, "__name__", "function")

        @functools.wraps(function)
        def call(*args: Any) -> Tensor:
            operands = tuple(operand(name, a) for a in args)
            names = [f"x{i}" for i in range(len(args))]
            require_takes(f"{name}: backward", backward, ["ct", "out", *names])
            result = function(*operands)
            if not isinstance(result, Tensor | bool | int | float):
                raise GraphError(
                    f"{name}: the function returned {short(result)}; expected one tensor",
                    user_location(),
                )
            return build(WithGradient(backward), (as_tensor(result), *operands))

        return call

    return decorate
