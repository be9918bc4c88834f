"""Seeded random graphs, typed by construction, and inputs for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, GraphError, user_location
from graphc.ir.graph import Graph, Value, make, topological
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.ops.shape import (
    Reshape,
)
from graphc.ir.ops.state import Placeholder, RunCounter, Variable
from graphc.ir.types import (
    TensorType,
    bool_,
    f32,
)
from graphc.testing.random_ops import Ops
from graphc.testing.random_ordered import diagonal, order, scan
from graphc.testing.random_values import N, draw, sizes_of
from graphc.testing.samples import make_op, op_class


class Builder(Ops):
    """One random graph in the making."""

    def makers(self) -> list[tuple[Callable[[], Value], float]]:
        """The functions that make a value, with the weights of the choice among them."""
        makers: list[tuple[Callable[[], Value], float]] = [
            (self.pointwise, 6),
            (self.view, 4),
            (self.reduction, 2.5),
            (self.rule_food, 2),
            (self.leaf, 1.5),
            (self.gather, 1),
            (self.scatter, 0.5),
            (self.matmul, 0.5),
            (self.layer, 0.8),
            (self.normalise, 1.2),
            (self.partial, 0.4),
            (self.unified, 0.5),
            (self.crossed, 0.4),
            (self.symmetric, 0.4),
            (self.views, 0.8),
            (lambda: scan(self), 0.9),
            (lambda: order(self), 0.9),
            (lambda: diagonal(self), 0.4),
            (self.windows, 0.5),
            (self.convolution, 0.3),
        ]
        if self.ops:
            makers.append((self.user_op, 6))
        if self.square:
            makers += [
                (self.residual, 1),
                (self.ladder, 0.7),
                (self.matmul, 2),
                (self.layer, 1),
                (self.scatter, 1),
                (self.symmetric, 1),
                (self.normalise, 1),
                (self.pointwise, 6),
            ]
        return makers

    def user_op(self) -> Value:
        """One of the user's ops, applied to values of the pool that it accepts."""
        cls = self.pick(self.ops)
        if issubclass(cls, Pointwise):
            return self.elementwise(cls)
        sample = self.pick(anywhere(cls))
        return make(make_op(cls, sample), tuple(self.like(t) for t in sample.types), self.name())

    def grow(self) -> None:
        makers = self.makers()
        weights = np.array([w for _, w in makers])
        while len(self.pool) < self.nodes:
            maker = makers[int(self.rng.choice(len(makers), p=weights / weights.sum()))][0]
            self.keep(maker())

    def graph(self, name: str) -> Graph:
        self.input(TensorType(self.dtypes[0], self.shapes[0]))
        self.grow()
        outputs = [self.pool[-1]]
        for _ in range(int(self.rng.integers(1, 6))):
            outputs.append(self.value() or outputs[0])
        if self.chance(0.2):
            outputs.append(self.pick(outputs))  # a duplicate
        if self.chance(0.15):
            outputs.append(self.pick([v for v in self.inputs if v is not self.counter]))
        if self.chance(0.1):
            outputs.append(self.literal(TensorType(f32, (3,))))
        if self.chance(0.15):
            x = self.pick(outputs)
            outputs.append(make(Reshape((x.type.count,)), (x,)))
        updates = tuple((v, self._new(v)) for v in self.inputs if isinstance(v.op, Variable))
        updates = self._swapped(updates) if self.chance(0.2) else updates
        reached = set(topological((*outputs, *(new for _, new in updates))))
        told = {str(s) for v in self.inputs if v in reached for s in v.type.shape}
        if self.symbolic and "n" not in told:
            self.inputs.append(make(Placeholder(f32, (N,)), (), "sizes"))
        return Graph(name, tuple(self.inputs), tuple(outputs), updates)

    def _swapped(self, updates: tuple[tuple[Value, Value], ...]) -> tuple[tuple[Value, Value], ...]:
        """The updates; two of one type, if there are, exchange values or share one."""
        pairs = itertools.combinations(updates, 2)
        found = next(((p, q) for p, q in pairs if p[0].type == q[0].type), None)
        if found is None:
            return updates
        (a, _), (b, new) = found
        other = {a: b, b: a} if self.chance(0.5) else {a: new, b: new}
        return tuple((old, other.get(old, value)) for old, value in updates)

    def _new(self, old: Value) -> Value:
        swap = [v for v in self.inputs if v.type == old.type and v is not old]
        if swap and self.chance(0.3):
            return self.pick(swap)
        new = self.value(lambda v: v.type == old.type)
        if new is None or new is old or self.chance(0.3):
            op = OPS[
                "logical_xor"
                if old.type.dtype == bool_
                else self.pick(["add", "subtract", "multiply"])
            ]()
            new = make(op, (old, self.value(lambda v: v.type == old.type) or old))
        return new


def random_graph(seed: int, nodes: int = 20, ops: Sequence[Any] = ()) -> Graph:
    """The graph of a seed, of about `nodes` values: about half are exact (every result has defined
    bits), half have symbolic sizes.

    `ops` are of the user, to be met by graphc's own: classes, or functions made by `gc.op` or
    `gc.kernel`.  Pointwise ones are applied to values of all types that they accept, others as
    their samples say.  Raises `GraphError` for one without samples whose operands may be anything.

    >>> from graphc.testing import random_graph
    >>> random_graph(3).outputs == ()
    False
    """
    if type(seed) is bool or not isinstance(seed, int | np.integer) or seed < 0:
        raise GraphError(
            f"random_graph: seed is {seed!r}; expected a whole number of at least 0",
            user_location(),
        )
    if not isinstance(ops, list | tuple):
        raise GraphError(
            f"random_graph: ops is {ops!r}; expected a list of ops: ops=[my_op]", user_location()
        )
    own = tuple(op_class(op) for op in ops)
    for cls in own:
        if not issubclass(cls, Pointwise) and not anywhere(cls):
            raise GraphError(
                f"random_graph: {cls.__name__} has no sample whose operands may be anything; give "
                "one in `samples`, without `special=False` and `prepare`",
                user_location(),
            )
    for attempt in range(20):
        builder = Builder(
            int(seed) + 1_000_003 * attempt, nodes, seed % 2 == 0, seed % 4 < 2, seed % 5 > 2
        )
        builder.ops = own
        try:
            return builder.graph(f"fuzz_{seed}")
        except (GraphcError, OverflowError):  # sizes that differ, a literal that no type holds
            continue
    raise AssertionError(f"seed {seed} gives no graph")


def anywhere(cls: type[Op]) -> list[Sample]:
    """The samples of an op whose operands may be any values."""
    return [s for s in cls.samples if s.special]


def inputs_for(graph: Graph, seed: int, special: bool, n: int) -> list[Any]:
    """Arrays for the inputs of a random graph."""
    rng = np.random.default_rng([seed, 5, special, n])
    return [
        np.asarray(np.uint64(seed))
        if isinstance(v.op, RunCounter)
        else np.asarray(draw(rng, v.type, sizes_of(n), special))
        for v in graph.inputs
    ]
