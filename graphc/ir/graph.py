"""Value and Graph: the first IR, pure and orderless.

A `Value` is an op applied to values.  A `Graph` is inputs and outputs; what its outputs do not
reach does not exist, so dead code cannot.  Invariant: values are immutable and compare by identity.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.errors import GraphcError, GraphError, Location, standing_location
from graphc.ir.inside import Condition, check_requirements
from graphc.ir.op import Control, Number, Op, Pointwise
from graphc.ir.ops.pointwise import Arithmetic
from graphc.ir.ops.shape import Full
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import DType, TensorType


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Value(Arithmetic):
    """An op applied to values: immutable, typed, with the user's name and source line."""

    op: Op
    args: tuple[Value, ...]
    type: TensorType
    name: str = ""
    loc: Location | None = field(default=None)
    needs: tuple[Condition, ...] = field(default=(), kw_only=True)  # beyond those of the op

    def apply(self, op: Op, args: Sequence[Value | Number]) -> Value:
        """The result of `op`, checked.  Numbers become literals of the other operands' shape."""
        return make(op, literals(op, args), loc=standing_location())

    @property
    def device(self) -> str:
        """The device that the user pinned it to, "" for none."""
        return self.loc.device if self.loc is not None else ""

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__}{label} {self.op.name}: {self.type}>"


def literals(op: Op, args: Sequence[Value | Number]) -> tuple[Value, ...]:
    """The operands, with plain numbers turned into values."""
    shape = next((a.type.shape for a in args if isinstance(a, Value)), ())
    dtypes = [a.type.dtype if isinstance(a, Value) else None for a in args]

    def convert(a: Value | Number) -> Value:
        if isinstance(a, Value):
            return a
        assert isinstance(op, Pointwise), f"{op.name} takes no plain numbers"
        return full(a, TensorType(op.literal_dtype(dtypes), shape))

    return tuple(convert(a) for a in args)


def make(
    op: Op,
    args: tuple[Value, ...],
    name: str = "",
    loc: Location | None = None,
    needs: tuple[Condition, ...] = (),
) -> Value:
    """A value, its type inferred.  Raises `ShapeError`, `DTypeError` with the user's line."""
    return Value(op, args, typecheck(op, args, loc), name, loc, needs=needs)


def over(v: Value, args: tuple[Value, ...]) -> Value:
    """v over other operands.  Its type is inferred again only if their types differ."""
    if all(a.type == b.type for a, b in zip(args, v.args, strict=True)):
        return Value(v.op, args, v.type, v.name, v.loc, needs=v.needs)
    return make(v.op, args, v.name, v.loc, v.needs)


def typecheck(op: Op, args: tuple[Value, ...], loc: Location | None) -> TensorType:
    """The type of `op` on these operands; errors get the user's line."""
    types = [a.type for a in args]
    wanted = getattr(op, "arity", op.operands)
    if wanted not in (None, len(args)):
        raise GraphError(f"{op.name}: takes {wanted} operands, got {len(args)}", loc)
    try:
        result = op.infer(*types)
        check_requirements(op, types)
    except GraphcError as error:
        if error.location is None and loc is not None:
            raise type(error)(error.message, loc) from None
        raise
    return result


def full(number: Number, type: TensorType) -> Value:
    """A tensor of one number."""
    return Value(Full(_typed(number, type.dtype), type.dtype, type.shape), (), type)


def _typed(number: Number, dtype: DType) -> Number:
    if dtype.kind == "bool":
        return bool(number)
    return float(number) if dtype.is_float else int(number)


@dataclass(frozen=True, eq=False)
class Graph:
    """Inputs, outputs, and the variables among the inputs that take a new value at the end."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    updates: tuple[tuple[Value, Value], ...] = ()

    @property
    def results(self) -> tuple[Value, ...]:
        """The values that the graph must compute: outputs, then new values of variables."""
        return self.outputs + tuple(new for _, new in self.updates)

    def nodes(self) -> list[Value]:
        """Every value but the inputs, operands first, in an order that depends on the graph
        alone."""
        return list(self._nodes)

    @functools.cached_property
    def _nodes(self) -> list[Value]:
        return topological(self.results, self.inputs)

    def every(self) -> Iterator[Value]:
        """The nodes, each followed by those of the graphs inside it."""
        for v in self.nodes():
            yield v
            if isinstance(v.op, Control):
                for inner in v.op.graphs:
                    yield from inner.every()

    @property
    def controls(self) -> list[Value]:
        """The nodes that hold graphs."""
        return [v for v in self.nodes() if isinstance(v.op, Control)]

    def replace(self, done: Mapping[Value, Value]) -> Graph:
        """The same graph over rewritten values."""
        return Graph(
            self.name,
            tuple(done[v] for v in self.inputs),
            tuple(done[v] for v in self.outputs),
            tuple((done[old], done[new]) for old, new in self.updates),
        )


def topological(roots: Iterable[Value], stop: Iterable[Value] = ()) -> list[Value]:
    """The values that `roots` need, operands before users, without those in `stop`."""
    seen = set(stop)
    order: list[Value] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack: list[tuple[Value, Any]] = [(root, iter(root.args))]
        while stack:
            value, operands = stack[-1]
            for arg in operands:
                if arg not in seen:
                    seen.add(arg)
                    stack.append((arg, iter(arg.args)))
                    break
            else:
                stack.pop()
                order.append(value)
    return order


def users(graph: Graph) -> dict[Value, list[Value]]:
    """For each value, the values that read it (one entry for each operand place)."""
    readers: dict[Value, list[Value]] = {v: [] for v in graph.inputs}
    for v in graph.nodes():
        readers[v] = []
        for a in v.args:
            readers[a].append(v)
    return readers


def placeholder(type: TensorType, name: str) -> Value:
    """An input of an inner graph."""
    return Value(Placeholder(type.dtype, type.shape), (), type, name)


def short_name(v: Value, default: str = "") -> str:
    """The name of a value without the scopes it was built in; else `default`, or its op's name."""
    return v.name.rpartition("/")[2] or default or v.op.name


def rewired(outputs: Iterable[Value], given: Mapping[Value, Value]) -> list[Value]:
    """The outputs computed over other values: each key of `given` is replaced by its value."""
    outputs, done = list(outputs), dict(given)
    for v in topological(outputs, given):
        done[v] = replace(v, args=tuple(done[a] for a in v.args))
    return [done[v] for v in outputs]


def closed(name: str, outputs: Iterable[Value], inputs: Mapping[Value, Value]) -> Graph:
    """The graph that computes `outputs`, with the keys of `inputs` replaced by their values, which
    are its inputs."""
    return Graph(name, tuple(inputs.values()), tuple(rewired(outputs, inputs)))
