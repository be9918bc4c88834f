"""Finds what branches update, so that a switch may do it where the operand lies.

If every branch gives back an operand, or that operand after scatters, the result is the operand's
next state: as a carry of a loop, it begins as a copy of the operand (none, if it takes the
operand's place), which a branch then updates.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.control import Switch, carried_operand
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Item, Scatter
from graphc.ir.ops.shape import Reshape
from graphc.passes.rewrite.inner_graphs import remade, replaced


def with_carries_first(graph: Graph) -> Graph:
    """The graph with the operands and results of its switches in such an order that those which
    are carried come first, and number i of the ones is number i of the others."""
    found = Carried()
    pairs = {v: found.pairs(v) for v in graph.controls if isinstance(v.op, Switch)}
    if not any(pairs.values()):
        return graph
    results: dict[Value, list[int]] = {}  # of a new switch: the old number of each result

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if isinstance(v.op, Item) and args[0] in results:
            return make(Item(results[args[0]].index(v.op.index)), args, v.name, v.loc, v.needs)
        if not pairs.get(v) or not isinstance(v.op, Switch):
            return remade(v, args)
        first = v.op.branches[0]
        operands = _first([i for i, _ in pairs[v]], len(first.inputs))
        numbers = _first([j for _, j in pairs[v]], len(first.outputs))
        branches = [
            Graph(g.name, _picked(g.inputs, operands), _picked(g.outputs, numbers), g.updates)
            for g in v.op.branches
        ]
        op = replace(v.op.over(branches), carries=len(pairs[v]))
        out = make(op, (args[0], *_picked(args[1:], operands)), v.name, v.loc, v.needs)
        results[out] = numbers
        return out

    return replaced(graph, change)


def _first(chosen: list[int], count: int) -> list[int]:
    """The numbers below `count`, the chosen ones first."""
    return [*chosen, *(i for i in range(count) if i not in chosen)]


def _picked(values: tuple[Value, ...], numbers: list[int]) -> tuple[Value, ...]:
    return tuple(values[i] for i in numbers)


class Carried:
    """What switches carry; that of each is found out once, however deep it lies in others."""

    def __init__(self) -> None:
        self._known: dict[Value, list[tuple[int, int]]] = {}

    def pairs(self, v: Value) -> list[tuple[int, int]]:
        """The operands of a switch (without the index) that are carried, and the results that are
        their next states."""
        if v not in self._known:
            self._known[v] = self._found(v)
        return self._known[v]

    def _found(self, v: Value) -> list[tuple[int, int]]:
        assert isinstance(v.op, Switch)
        pairs: dict[int, int] = {}
        for number, outputs in enumerate(zip(*(g.outputs for g in v.op.branches), strict=True)):
            origins = {
                g.inputs.index(origin) if (origin := self._origin(out)) in g.inputs else -1
                for g, out in zip(v.op.branches, outputs, strict=True)
            }
            operand = origins.pop()
            if origins or operand < 0 or operand in pairs:
                continue
            types = {g.inputs[operand].type for g in v.op.branches} | {w.type for w in outputs}
            if types == {v.args[1 + operand].type}:
                pairs[operand] = number
        return list(pairs.items())

    def _origin(self, v: Value) -> Value:
        """The value that v was before scatters, and before loops and branches that carry it."""
        while True:
            match v.op:
                case Scatter() | Reshape():
                    v = v.args[0]
                case Item(index=index):
                    operand = self._operand(v, index)
                    if operand is None:
                        return v
                    v = operand
                case _:
                    return v

    def _operand(self, item: Value, index: int) -> Value | None:
        """The operand that a result of a control op carries on."""
        (control,) = item.args
        if not isinstance(control.op, Switch):
            return carried_operand(item)
        found = (i for i, number in self.pairs(control) if number == index)
        operand = next(found, None)
        return None if operand is None else control.args[1 + operand]
