"""Markers: ops that stand for their first operand and say something about it until staging.

`frontend/stage.py` reads the markers, and removes them before the passes run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import GraphError
from graphc.ir.op import Op
from graphc.ir.types import TensorType


class WithGradient(Op):
    """Its first operand; the rest are the operands of a function whose gradient is `backward`.

    It exists only until a graph is staged: then gradients are built and it stands for its first
    operand.
    """

    backward: Callable[..., Any]

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def reference(self, *arrays: Any) -> Any:
        return arrays[0]

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        cotangents = self.backward(ct, out, *args[1:])
        parts = tuple(cotangents) if isinstance(cotangents, tuple | list) else (cotangents,)
        if len(parts) != len(args) - 1:
            raise GraphError(
                f"custom_gradient: the function has {len(args) - 1} operands, its gradient gave "
                f"{len(parts)} cotangents"
            )
        return (None, *parts)


class BeforeUpdate(Op):
    """The value of a variable after the earlier updates of the same run; exists until staging."""

    order: int
    differentiable = False

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def reference(self, *arrays: Any) -> Any:
        return arrays[0]


class WithUpdate(Op):
    """Operands (x, variables ..., their new values ...): x, and a run that needs it makes the
    updates.  It exists only until a graph is staged."""

    order: int

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def reference(self, *arrays: Any) -> Any:
        return arrays[0]

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        return (ct.apply(self, (ct, *args[1:])), *(None for _ in args[1:]))
