"""Makes loops smaller: Graph -> Graph.

merge_loops   merges loops of equal steps that keep different rows (a loop and its taped twin)
prune_loops   drops carries, rows and operands that nothing needs; makes a carry that no step
              changes a constant; computes what depends on constants alone once, before the loop
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.ir.control import Loop
from graphc.ir.graph import Graph, Value, closed, make, placeholder, topological, users
from graphc.ir.op import Generator, Item, View
from graphc.ir.ops.shape import Full
from graphc.ir.program import can_fail
from graphc.passes.rewrite.inner_graphs import remade, replaced


def merge_loops(graph: Graph) -> Graph:
    """The graph in which loops with equal operands and equal steps are one."""
    while True:
        groups: dict[object, list[Value]] = {}
        for v in graph.nodes():
            if isinstance(v.op, Loop):
                groups.setdefault(_steps(v, v.op), []).append(v)
        twins = {v: group for group in groups.values() if len(group) > 1 for v in group}
        if not twins:
            return graph
        graph = _merged(graph, twins)


def _steps(v: Value, op: Loop) -> object:
    """What two loops must share to be one."""
    key = dataclasses.replace(op, body=None)  # type: ignore[arg-type]
    return key, v.args, op.body.inputs, op.body.outputs[: op.carries]


def _merged(graph: Graph, twins: dict[Value, list[Value]]) -> Graph:
    unions: dict[Value, Value] = {}  # first loop of a group -> the merged loop

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if isinstance(v.op, Item) and v.args[0] in twins:
            group = twins[v.args[0]]
            loop, old = unions[group[0]], v.args[0].op
            assert isinstance(loop.op, Loop) and isinstance(old, Loop)
            place = v.op.index
            if place > old.carries:
                row = old.body.outputs[place - 1]
                place = 1 + old.carries + loop.op.body.outputs[old.carries :].index(row)
            return make(Item(place), (loop,), v.name, v.loc, v.needs)
        if v not in twins:
            return remade(v, args)
        first = twins[v][0]
        if first not in unions:
            unions[first] = make(_union(twins[v]), args, first.name, first.loc, first.needs)
        return unions[first]

    return replaced(graph, change)


def _union(group: Sequence[Value]) -> Loop:
    """One loop that keeps the rows of all."""
    op = group[0].op
    assert isinstance(op, Loop)
    rows: dict[Value, None] = {}
    for v in group:
        assert isinstance(v.op, Loop)
        rows |= dict.fromkeys(v.op.body.outputs[op.carries :])
    outputs = (*op.body.outputs[: op.carries], *rows)
    return dataclasses.replace(op, body=Graph(op.body.name, op.body.inputs, outputs))


def prune_loops(graph: Graph) -> Graph:
    """The graph with every loop reduced to what is used of it."""
    readers = users(graph)
    results = set(graph.results)
    pruned: dict[Value, _Pruned] = {}

    def change(v: Value, args: tuple[Value, ...]) -> Value:
        if isinstance(v.op, Item) and v.args[0] in pruned:
            return pruned[v.args[0]].item(v, v.op.index)
        if not isinstance(v.op, Loop):
            return remade(v, args)
        used = {r.op.index for r in readers[v] if isinstance(r.op, Item)}
        assert v not in results
        pruned[v] = _prune(v, v.op, args, used)
        return pruned[v].loop

    return replaced(graph, change)


@dataclass(frozen=True)
class _Pruned:
    """A smaller loop, and the place (or the unchanged value) of each item of the old loop."""

    loop: Value
    places: dict[int, int]
    unchanged: dict[int, Value]

    def item(self, v: Value, index: int) -> Value:
        """Item `index` of the old loop."""
        if index in self.unchanged:
            return self.unchanged[index]
        return make(Item(self.places[index]), (self.loop,), v.name, v.loc, v.needs)


def _prune(v: Value, op: Loop, args: tuple[Value, ...], used: set[int]) -> _Pruned:
    body, n = op.body, op.carries
    fixed = [i for i in range(n) if body.outputs[i] is body.inputs[i]]
    fixed = [i for i in fixed if not (op.whilst and i == 0)]
    rows = [i for i in range(n, len(body.outputs)) if 1 + i in used]
    kept = _carries(op, {i - 1 for i in used if 0 < i <= n}, rows, fixed)
    outputs = [body.outputs[i] for i in (*kept, *rows)]
    needed = {*topological(outputs)}
    slices = [i for i in range(n, n + op.slices) if body.inputs[i] in needed]
    constants = [
        i for i in (*fixed, *range(n + op.slices, len(body.inputs))) if body.inputs[i] in needed
    ]
    outside = {body.inputs[i]: args[1 + i] for i in constants}
    hoisted = _hoisted(outputs, outside)
    inputs = {
        body.inputs[i]: placeholder(body.inputs[i].type, body.inputs[i].name)
        for i in (*kept, *slices)
    }
    inputs |= {x: placeholder(x.type, x.name or x.op.name) for x in hoisted}
    new = closed(body.name, outputs, inputs)
    small = dataclasses.replace(op, body=new, carries=len(kept), slices=len(slices))
    operands = (args[0], *(args[1 + i] for i in (*kept, *slices)), *hoisted.values())
    places = {0: 0} | {1 + i: 1 + k for k, i in enumerate((*kept, *rows))}
    loop = make(small, operands, v.name, v.loc, v.needs)
    return _Pruned(loop, places, {1 + i: args[1 + i] for i in fixed})


def _carries(op: Loop, used: set[int], rows: list[int], fixed: list[int]) -> list[int]:
    """The carries that are used, or on which a used carry or row depends."""
    body = op.body
    wanted = {i for i in used if i not in fixed} | ({0} if op.whilst else set())
    carry_of = {v: i for i, v in enumerate(body.inputs[: op.carries])}
    while True:
        reached = topological([body.outputs[i] for i in (*wanted, *rows)])
        grown = wanted | {
            carry_of[v] for v in reached if v in carry_of and carry_of[v] not in fixed
        }
        if grown == wanted:
            return sorted(wanted)
        wanted = grown


def _hoisted(outputs: Iterable[Value], outside: dict[Value, Value]) -> dict[Value, Value]:
    """The values that a step needs and no step changes -> their copies outside of the loop."""
    order = topological(outputs)
    invariant: dict[Value, Value] = dict(outside)
    for v in order:
        steady = bool(v.args) and all(a in invariant or isinstance(a.op, Full) for a in v.args)
        if steady and not can_fail(v):
            invariant[v] = make(
                v.op, tuple(invariant.get(a, a) for a in v.args), v.name, v.loc, v.needs
            )
    hoisted: dict[Value, Value] = {}
    stack = list(outputs)
    seen: set[Value] = set()
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if v in invariant and (v in outside or not isinstance(v.op, View | Generator)):
            hoisted[v] = invariant[v]
        else:
            stack.extend(reversed(v.args))
    return hoisted
