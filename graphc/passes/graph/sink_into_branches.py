"""Moves pure work that only one branch of a switch needs into that branch: Graph -> Graph."""

from __future__ import annotations

from graphc.ir.control import Switch
from graphc.ir.graph import (
    Graph,
    Value,
    make,
    placeholder,
    rewired,
    short_name,
    topological,
    users,
)
from graphc.ir.op import Control, Item, State
from graphc.ir.ops.shape import Constant
from graphc.passes.rewrite.inner_graphs import remade


def sink_into_branches(graph: Graph) -> Graph:
    """The graph with such values moved into their branch, and unused operands dropped."""
    readers = users(graph)
    results = set(graph.results)

    done: dict[Value, Value] = {v: v for v in graph.inputs}
    for v in graph.nodes():
        if isinstance(v.op, Switch):
            done[v] = _Sinking(v, v.op, done, readers, results).run()
        else:
            done[v] = remade(v, tuple(done[a] for a in v.args))
    return graph.replace(done)


class _Sinking:
    """Rebuilds one switch.  It names operands by their values in the old graph."""

    def __init__(
        self,
        v: Value,
        op: Switch,
        done: dict[Value, Value],
        readers: dict[Value, list[Value]],
        results: set[Value],
    ) -> None:
        self.v, self.op, self.done = v, op, done
        self.readers, self.results = readers, results
        self.uses = [set(topological(g.outputs)) for g in op.branches]

    def run(self) -> Value:
        """The switch with smaller operands and larger branches."""
        op, outer = self.op, self.v.args[1:]
        sunk: list[dict[Value, None]] = [{} for _ in op.branches]
        for a in dict.fromkeys(outer):
            for n in self._users(a):
                self._sink(a, n, sunk[n])
        kept: dict[Value, None] = {}
        for place, a in enumerate(outer):
            used = any(g.inputs[place] in self.uses[n] for n, g in enumerate(op.branches))
            if used and not any(a in s for s in sunk):
                kept[a] = None
        for s in sunk:
            kept |= {a: None for v in s for a in v.args if a not in s}
        graphs = [self._branch(n, list(kept), list(s)) for n, s in enumerate(sunk)]
        operands = tuple(self.done[a] for a in (self.v.args[0], *kept))
        return make(Switch(tuple(graphs)), operands, self.v.name, self.v.loc)

    def _users(self, a: Value) -> set[int]:
        """The branches that use an operand."""
        places = [i for i, b in enumerate(self.v.args[1:]) if a is b]
        return {
            n for n, g in enumerate(self.op.branches) for i in places if g.inputs[i] in self.uses[n]
        }

    def _sink(self, a: Value, branch: int, sunk: dict[Value, None]) -> None:
        """Notes a, and the operands that only a needs, as work of one branch."""
        movable = a.args and not isinstance(a.op, State | Constant | Control | Item)
        alone = all(r is self.v or r in sunk for r in self.readers[a])
        if not movable or not alone or a in self.results or a is self.v.args[0]:
            return
        if self._users(a) <= {branch}:
            sunk[a] = None
            for b in a.args:
                self._sink(b, branch, sunk)

    def _branch(self, number: int, kept: list[Value], sunk: list[Value]) -> Graph:
        g = self.op.branches[number]
        inputs = {a: placeholder(a.type, short_name(a)) for a in kept}
        done = inputs | dict(zip(sunk, rewired(sunk, inputs), strict=True))
        operands = zip(g.inputs, self.v.args[1:], strict=True)
        replacements = {v: done[a] for v, a in operands if v in self.uses[number]}
        return Graph(g.name, tuple(inputs.values()), tuple(rewired(g.outputs, replacements)))
