"""Tracing: turns a Python function of tensors into a graph of its own; values that it captures from
outside become further inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.scope import TraceFrame, current, tracing
from graphc.frontend.tensor import Tensor, operand
from graphc.frontend.trees import flatten, shape_of
from graphc.ir.graph import Graph, Value, closed, short_name, topological
from graphc.ir.op import Generator, View
from graphc.ir.ops.markers import WithUpdate
from graphc.ir.ops.shape import Full
from graphc.ir.ops.state import Assign, Placeholder
from graphc.ir.types import TensorType


class TracedFunction:
    """A traced function: its flat outputs, and how they were nested."""

    def __init__(self, what: str, function: Callable[[], Any], frame: TraceFrame) -> None:
        self.frame = frame
        with tracing(frame):
            result = function()
            leaves, self.pack = flatten(result)
            self.outputs = [operand(what, leaf) for leaf in leaves]
        self.shape = shape_of(result)


def inner_input(type: TensorType, name: str) -> Tensor:
    """An input of a function being traced."""
    return Tensor(Placeholder(type.dtype, type.shape), (), type, name, user_location(), current())


class Closer:
    """Makes graphs of traced functions; `captured` collects the outside values that all functions
    of one op need."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.captured: list[Value] = []

    def discover(
        self, outputs: Sequence[Value], inside: set[Value], inputs: Sequence[Value]
    ) -> None:
        """Adds to `captured` the outside values that `outputs` need."""
        for v in topological(outputs, inputs):
            if v in inside:
                if isinstance(v.op, Assign | WithUpdate):
                    raise GraphError(
                        f"{self.what}: a variable is assigned inside; give the value back and "
                        "assign it outside",
                        v.loc,
                    )
                for a in v.args:
                    self._note(a, inside, inputs)
        for v in outputs:
            self._note(v, inside, inputs)

    def _note(self, v: Value, inside: set[Value], inputs: Sequence[Value]) -> None:
        if v not in inside and v not in inputs and not is_literal(v) and v not in self.captured:
            self.captured.append(v)

    def graph(self, name: str, outputs: Sequence[Value], inputs: Sequence[Value]) -> Graph:
        """The graph of one function; its inputs are followed by all captured values."""
        own: dict[Value, Value] = {v: v for v in inputs}  # custom gradients may refer to them
        captured = {v: inner_input(v.type, short_name(v)) for v in self.captured}
        return closed(name, outputs, own | captured)


def is_literal(v: Value) -> bool:
    """Whether an inner graph computes v again, at no cost, instead of capturing it."""
    return isinstance(v.op, Full) or (isinstance(v.op, Generator) and not v.args and v.op.cost <= 1)


def depending(outputs: Sequence[Value], inputs: Sequence[Value]) -> set[Value]:
    """The values that change with the inputs: a loop computes the others once, outside."""
    varying: set[Value] = set()
    known = set(inputs)
    for v in topological(outputs, inputs):
        if any(a in varying or a in known for a in v.args):
            varying.add(v)
    stack = [*varying]
    while stack:  # and the views they read: stored outside the loop, views would only take memory
        for a in stack.pop().args:
            if isinstance(a.op, View) and a not in varying and a not in known:
                varying.add(a)
                stack.append(a)
    return varying


def made_within(outputs: Sequence[Value], frame: TraceFrame) -> set[Value]:
    """The values that a function made, and those that depend on them: a branch computes these
    only when it is taken."""
    own: set[Value] = set()
    for v in topological(outputs):
        lives = bool(v.args) and not isinstance(v.op, Placeholder)
        if lives and (v in frame.made or any(a in own for a in v.args)):
            own.add(v)
    return own


def same_nest(what: str, wanted: Any, got: Any, whose: str) -> None:
    """Raises `GraphError` unless two nests are alike."""
    if wanted != got:
        raise GraphError(
            f"{what}: {whose} gives {got}, expected the nest {wanted} (None stands for a tensor)",
            user_location(),
        )
