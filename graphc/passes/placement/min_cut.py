"""Finds the cheapest labels (devices) for units by minimum cuts: the solver behind placement.

A unit has a cost under each label.  A crossing is paid once for each label that its readers have,
other than its source's.  With two labels, one cut gives the optimum.  With more, the solver uses
alpha-expansion (Boykov, Veksler and Zabih, "Fast approximate energy minimization via graph cuts",
2001): each cut lets any units switch to one label, until no cut lowers the cost.  A crossing that
costs less from the new label than from the old is not submodular; the cut takes both costs as
equal, and the step counts only if the true cost falls.  Costs are whole numbers, so no result
depends on rounding.  Of several minimum cuts, the solver takes the one with the most units of the
new label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_UNITS_FOR_ALL_STARTS = 300  # with more units, only the cheapest start is improved
PICOSECONDS_PER_SECOND = 1e12  # costs are whole numbers of picoseconds
KEEPS_LABEL = "keep"  # the source of the cut: units on its side keep their labels
TAKES_LABEL = "take"  # the sink of the cut: units on its side take the new label
Node = Any


@dataclass(frozen=True)
class Crossing:
    """A value that other units than its own read; `cost[a][b]` is the cost of sending it from label
    a to label b, in seconds."""

    source: int
    readers: tuple[int, ...]
    cost: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Problem:
    """`costs[unit][label]` in seconds; infinite where the unit cannot have the label."""

    costs: Sequence[Sequence[float]]
    crossings: Sequence[Crossing]

    def total(self, labels: Sequence[int]) -> int:
        """The cost of a labelling, in picoseconds."""
        total = sum(_picoseconds(c[label]) for c, label in zip(self.costs, labels, strict=True))
        for x in self.crossings:
            here = labels[x.source]
            for there in {labels[r] for r in x.readers} - {here}:
                total += _picoseconds(x.cost[here][there])
        return total


def solve(problem: Problem) -> list[int]:
    """A label for each unit.  Every unit must be able to have one."""
    count = len(problem.costs[0]) if problem.costs else 0
    first = [next(i for i, c in enumerate(costs) if math.isfinite(c)) for costs in problem.costs]
    if count < 2:
        return first
    if count == 2:
        return _Expansion(problem, first, 1).run()
    starts = [_all_with_label(problem, first, label) for label in range(count)]
    if len(first) > MAX_UNITS_FOR_ALL_STARTS:
        starts = [min(starts, key=problem.total)]
    return min((_descend(problem, s, count) for s in starts), key=problem.total)


def _all_with_label(problem: Problem, first: list[int], label: int) -> list[int]:
    """The labelling in which every unit that can have the label has it."""
    return [
        label if math.isfinite(c[label]) else f for c, f in zip(problem.costs, first, strict=True)
    ]


def _descend(problem: Problem, labels: list[int], count: int) -> list[int]:
    """Expands one label after the other until no expansion lowers the cost."""
    best, label, without_gain = problem.total(labels), 0, 0
    while without_gain < count:
        tried = _Expansion(problem, labels, label).run()
        total = problem.total(tried)
        labels, best, without_gain = (
            (tried, total, 0) if total < best else (labels, best, without_gain + 1)
        )
        label = (label + 1) % count
    return labels


class _Expansion:
    """One cut: every unit keeps its label (the side of `KEEPS_LABEL`) or takes a new one."""

    def __init__(self, problem: Problem, labels: Sequence[int], new: int) -> None:
        self.problem, self.labels, self.new = problem, labels, new
        self.arcs: dict[tuple[Node, Node], float] = {}
        self.extra_nodes = 0

    def run(self) -> list[int]:
        """The labels after the best expansion."""
        nodes = [self._node(u) for u in range(len(self.labels))]
        for u, costs in enumerate(self.problem.costs):
            if nodes[u] == u:
                self._arc(KEEPS_LABEL, u, _picoseconds(costs[self.new]))
                self._arc(u, TAKES_LABEL, _picoseconds(costs[self.labels[u]]))
        for x in self.problem.crossings:
            self._add_cost_into_new(x, nodes)
            for label in sorted({self.labels[r] for r in x.readers} - {self.new}):
                self._add_cost_into_old(x, nodes, label)
        keeping = _source_side(self.arcs)
        return [
            old if n == KEEPS_LABEL or n in keeping else self.new
            for n, old in zip(nodes, self.labels, strict=True)
        ]

    def _node(self, unit: int) -> Node:
        """The unit's own node, or the terminal that it is bound to."""
        if self.labels[unit] == self.new:
            return TAKES_LABEL
        return unit if math.isfinite(self.problem.costs[unit][self.new]) else KEEPS_LABEL

    def _add_cost_into_new(self, x: Crossing, nodes: Sequence[Node]) -> None:
        """Adds the cost paid if the source keeps its label and a reader takes the new one."""
        if nodes[x.source] == TAKES_LABEL:
            return
        cost = _picoseconds(x.cost[self.labels[x.source]][self.new])
        readers = [nodes[r] for r in x.readers if nodes[r] != KEEPS_LABEL]
        if TAKES_LABEL in readers:
            self._arc(nodes[x.source], TAKES_LABEL, cost)
        elif len(readers) == 1:
            self._arc(nodes[x.source], readers[0], cost)
        elif readers:
            self._arc(nodes[x.source], middle := self._extra_node(), cost)
            for r in readers:
                self._arc(middle, r, math.inf)

    def _add_cost_into_old(self, x: Crossing, nodes: Sequence[Node], label: int) -> None:
        """Adds the cost paid if a reader keeps `label` and the source has another."""
        old = self.labels[x.source]
        stays = 0 if old == label else _picoseconds(x.cost[old][label])
        leaves = max(stays, _picoseconds(x.cost[self.new][label]))
        if old == self.new:
            stays = leaves
        readers = [nodes[r] for r in x.readers if self.labels[r] == label]
        if KEEPS_LABEL in readers:
            middle: Node = KEEPS_LABEL
        elif len(readers) == 1:
            middle = readers[0]
        else:
            middle = self._extra_node()
            for r in readers:
                self._arc(r, middle, math.inf)
        self._arc(middle, TAKES_LABEL, stays)
        if nodes[x.source] != TAKES_LABEL:
            self._arc(middle, nodes[x.source], leaves - stays)

    def _extra_node(self) -> Node:
        """A new node that stands for several readers."""
        self.extra_nodes += 1
        return -self.extra_nodes

    def _arc(self, a: Node, b: Node, capacity: float) -> None:
        if a != b and capacity and b != KEEPS_LABEL and a != TAKES_LABEL:
            self.arcs[a, b] = self.arcs.get((a, b), 0) + capacity


def _source_side(arcs: dict[tuple[Node, Node], float]) -> set[Node]:
    """The nodes on the source's side of the minimum cut, the smallest such side."""
    import networkx as nx
    from networkx.algorithms.flow import preflow_push

    graph = nx.DiGraph()
    graph.add_nodes_from((KEEPS_LABEL, TAKES_LABEL))
    for (a, b), capacity in arcs.items():
        graph.add_edge(a, b, **({} if math.isinf(capacity) else {"capacity": capacity}))
    residual = preflow_push(graph, KEEPS_LABEL, TAKES_LABEL)
    reached, stack = {KEEPS_LABEL}, [KEEPS_LABEL]
    while stack:
        for b, arc in residual[stack.pop()].items():
            if b not in reached and arc["flow"] < arc["capacity"]:
                reached.add(b)
                stack.append(b)
    return reached


def _picoseconds(cost: float) -> int:
    """A cost in seconds as picoseconds."""
    return round(cost * PICOSECONDS_PER_SECOND)
