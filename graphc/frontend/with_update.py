"""`gc.with_update`: updates of variables that are attached to a tensor.

Running statistics must change with every training step, and no user should have to fetch them.  So
the update is attached to a tensor: each run that computes the tensor, or a gradient that flows back
through it, makes the update, and no other run does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import converted, tensor
from graphc.frontend.tensor import Tensor, Variable, broadcast_to, build
from graphc.ir.ops.markers import BeforeUpdate, WithUpdate


def with_update(x: Any, variables: Variable | Sequence[Variable], step: Callable[..., Any]) -> Any:
    """x itself; a run that computes it, or a gradient through it, also gives the variables the
    values `step(*variables)`: one value, or a tuple of as many as there are variables.

    Where a run needs several updates of one variable, each starts from what the one built before it
    gave.  `step` must get at the variables by its arguments only.  Raises `GraphError` for what is
    no variable or another number of values.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     x = gc.placeholder(gc.float32, [], name="x")
    ...     total = gc.variable(0.0, name="total")
    ...     y = gc.with_update(x * 2.0, total, lambda t: t + x)
    ...     with gc.Session() as sess:
    ...         seen = [float(sess.run(y, {x: v})) for v in (1.0, 5.0)]
    ...         print(seen, sess.value(total))
    [2.0, 10.0] 6.0
    """
    out = tensor("with_update", x)
    olds = tuple(variables) if isinstance(variables, list | tuple) else (variables,)
    for v in olds:
        if not isinstance(v, Variable):
            raise GraphError(f"with_update: {v!r} is no variable", user_location())
    order = out.graph.next_effect()
    values = step(*(build(BeforeUpdate(order), (v,)) for v in olds))
    news = tuple(values) if isinstance(values, list | tuple) else (values,)
    if len(news) != len(olds):
        raise GraphError(
            f"with_update: step gave {len(news)} values for {len(olds)} variables", user_location()
        )
    return build(WithUpdate(order), (out, *olds, *map(_fitting, olds, news)))


def _fitting(old: Variable, new: Any) -> Tensor:
    """The new value in the variable's type and shape."""
    return broadcast_to(converted(tensor("with_update", new), old.dtype), old.shape)


def updates_of(v: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(variable, new value) of each update in a `WithUpdate`."""
    half = len(v.args) // 2
    return list(zip(v.args[1 : half + 1], v.args[half + 1 :], strict=True))  # type: ignore[arg-type]
