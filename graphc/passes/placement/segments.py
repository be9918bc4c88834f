"""Placed -> Segments: graphs for one device each, in running order.

A value's level is the number of device changes on the way to it.  Values of one device and one
level form one graph, and no two segments of a level need each other.  Inputs have no level: they
are there from the start.  Every segment that reads a constant has a copy of it.

A run is a transaction: all readers of a variable see its old value, and a run that fails changes
nothing.  So a segment updates a variable itself only if no other segment reads the variable or can
fail; else the new value is `deferred` to the end of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.machine import HOST
from graphc.ir.op import View
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.state import Placeholder
from graphc.ir.ops.transfer import Transfer
from graphc.ir.program import can_fail
from graphc.passes.cost.roofline import portable
from graphc.passes.placement.placed import Placed, behind


@dataclass(frozen=True, eq=False)
class Segment:
    """A graph for one device.  In the placed graph, `sources[i]` is the value that
    `graph.inputs[i]` stands for (an input, or another segment's result), `results[i]` the value
    that `graph.outputs[i]` computes, and `members` are all values that the segment computes.  An
    input that nothing in the graph reads is there to tell a size."""

    device: str
    level: int
    graph: Graph
    sources: tuple[Value, ...]
    results: tuple[Value, ...]
    members: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Segments:
    """`outputs` are the placed graph's outputs without transfers: inputs, or results of segments.
    `deferred` are pairs (variable, new value) to store when all segments are done."""

    parts: tuple[Segment, ...]
    outputs: tuple[Value, ...]
    deferred: tuple[tuple[Value, Value], ...]


def segments(placed: Placed) -> Segments:
    """Cuts a placed graph into one graph for each device and level."""
    return _Cutter(placed).run()


Key = tuple[int, str]  # level and device
Pairs = list[tuple[Value, Value]]


class _Cutter:
    """Cuts one placed graph.  It sees values behind transfers, not the transfers."""

    def __init__(self, placed: Placed) -> None:
        self.placed, self.graph = placed, placed.graph
        self.inputs = set(self.graph.inputs)
        self.nodes = [
            v for v in self.graph.nodes() if not isinstance(v.op, Transfer) and not portable(v)
        ]
        self.outputs = tuple(map(behind, self.graph.outputs))
        self.updates = tuple((old, behind(new)) for old, new in self.graph.updates)
        self.device = {v: placed.device[v] for v in self.nodes}
        self.args = {v: self._args(v) for v in self.nodes}
        self.level: dict[Value, int] = {}

    def run(self) -> Segments:
        """The segments, in running order."""
        self._find_levels()
        moved: set[Value] = set()
        while self._melt(moved):
            self._find_levels()
        self._place_constants()
        members = self._members(self.level)
        own_updates = self._own_updates(members)
        updated = {old for pairs in own_updates.values() for old, _ in pairs}
        deferred = tuple((old, new) for old, new in self.updates if old not in updated)
        wanted = self._crossing() | {*self.outputs, *(new for _, new in deferred)}
        parts = tuple(
            _Part(self, set(values)).segment(number, key, values, wanted, own_updates[key])
            for number, (key, values) in enumerate(members.items())
        )
        return Segments(parts, self.outputs, deferred)

    def _key(self, v: Value) -> Key:
        return self.level[v], self.device[v]

    def _members(self, values: Iterable[Value]) -> dict[Key, list[Value]]:
        """The values of each segment, in running order."""
        members: dict[Key, list[Value]] = {}
        for v in values:
            members.setdefault(self._key(v), []).append(v)
        device_order = {name: i for i, name in enumerate(self.placed.machine.names)}
        return {k: members[k] for k in sorted(members, key=lambda k: (k[0], device_order[k[1]]))}

    def _args(self, v: Value) -> list[Value]:
        """The computed values that v reads, without the transfers between."""
        operands = dict.fromkeys(map(behind, v.args))
        return [a for a in operands if a not in self.inputs and not portable(a)]

    def _find_levels(self) -> None:
        """Sets the level of each value: the device changes on the longest way to it."""
        self.level = {}
        for v in self.nodes:
            self.level[v] = max(
                (self.level[a] + (self.device[a] != self.device[v]) for a in self.args[v]),
                default=0,
            )

    def _melt(self, moved: set[Value]) -> bool:
        """Moves segments that only view other values to the device of their neighbours.  True if a
        segment moved; a value moves once at most."""
        readers: dict[Value, list[Value]] = {v: [] for v in self.nodes}
        for v in self.nodes:
            for a in self.args[v]:
                readers[a].append(v)
        before = len(moved)
        for (_, device), values in self._members(self.nodes).items():
            if any(not isinstance(v.op, View) or v.device == device or v in moved for v in values):
                continue
            to = self._neighbour(values, readers)
            if to is not None:
                self.device.update(dict.fromkeys(values, to))
                moved.update(values)
        return len(moved) > before

    def _neighbour(self, values: list[Value], readers: Mapping[Value, list[Value]]) -> str | None:
        """The one device that the views' operands come from, unless a view is a broadcast (which
        would cross enlarged); for views of inputs alone, the one device that reads them."""
        inside = set(values)
        sources = {self.device[a] for v in values for a in self.args[v] if a not in inside}
        if len(sources) == 1 and not any(isinstance(v.op, Broadcast) for v in values):
            return sources.pop()
        are_results = inside & {*self.outputs, *(new for _, new in self.updates)}
        targets = {self.device[u] for v in values for u in readers[v] if u not in inside}
        return targets.pop() if not sources and len(targets) == 1 and not are_results else None

    def _place_constants(self) -> None:
        """Gives each result that is a constant a segment: the last one on the device that wants it,
        if there is one."""
        wants = [(v, HOST) for v in self.outputs]
        wants += [(new, self.placed.device[old]) for old, new in self.updates]
        for v, device in wants:
            if portable(v) and v not in self.level:
                keys = list(self._members(self.level))
                same = [k for k in keys if k[1] == device]
                self.level[v], self.device[v] = (same or keys or [(0, device)])[-1]

    def _crossing(self) -> set[Value]:
        """The values that one segment computes and another reads."""
        return {a for v in self.nodes for a in self.args[v] if self._key(a) != self._key(v)}

    def _own_updates(self, members: Mapping[Key, list[Value]]) -> dict[Key, Pairs]:
        """The updates that each segment makes itself."""
        fails = {k for k, values in members.items() if any(map(can_fail, values))}
        readers: dict[Value, set[Key]] = {}
        for v in self.nodes:
            for a in map(behind, v.args):
                readers.setdefault(a, set()).add(self._key(v))
        returned = {*self.outputs, *(new for _, new in self.updates)}
        own: dict[Key, Pairs] = {k: [] for k in members}
        for old, new in self.updates:
            if new not in self.level or old in returned:
                continue
            key = self._key(new)
            alone = fails <= {key} and readers.get(old, set()) <= {key}
            if alone and self.placed.device[old] == key[1]:
                own[key].append((old, new))
        return own


class _Part:
    """Builds one segment."""

    def __init__(self, cutter: _Cutter, inside: set[Value]) -> None:
        self.cutter, self.inside = cutter, inside
        self.done: dict[Value, Value] = {}
        self.sources: dict[
            Value, Value
        ] = {}  # value of the placed graph -> the input that stands for it

    def segment(
        self, number: int, key: Key, values: list[Value], wanted: set[Value], own_updates: Pairs
    ) -> Segment:
        """The segment of these values."""
        for v in values:
            self.done[v] = self._made(v)
        results = tuple(v for v in values if v in wanted)
        updates = tuple((self._here(old), self._here(new)) for old, new in own_updates)
        self._tell_sizes(values)
        graph = Graph(
            f"{self.cutter.graph.name}_{number}",
            tuple(self.sources.values()),
            tuple(self.done[v] for v in results),
            updates,
        )
        return Segment(key[1], key[0], graph, tuple(self.sources), results, tuple(values))

    def _made(self, v: Value) -> Value:
        args = tuple(self._here(behind(a)) for a in v.args)
        unchanged = all(a is b for a, b in zip(args, v.args, strict=True))
        return v if unchanged else Value(v.op, args, v.type, v.name, v.loc)

    def _here(self, v: Value) -> Value:
        """The value of this segment's graph that stands for v."""
        if v not in self.done:
            if v in self.inside or (portable(v) and v not in self.cutter.inputs):
                self.done[v] = v
            else:
                self.done[v] = self.sources[v] = self._input(v)
        return self.done[v]

    def _input(self, v: Value) -> Value:
        if v in self.cutter.inputs:
            return v
        return Value(Placeholder(v.type.dtype, v.type.shape), (), v.type, v.name, v.loc)

    def _tell_sizes(self, values: Iterable[Value]) -> None:
        """Adds inputs for the sizes that values need and no input so far tells."""
        needed = {s for v in values for w in (v, *v.args) for s in _symbols(behind(w))}
        for name in sorted(needed - _told(self.sources)):
            tellers = [v for v in self.cutter.graph.inputs if name in _told([v])]
            if tellers and name not in _told(self.sources):
                self._here(min(tellers, key=lambda v: v.type.rank))


def _symbols(v: Value) -> set[str]:
    """The names of sizes in the type and the fields of a value, and in graphs inside it."""
    names = {s for size in v.type.shape for s in dim.symbols(size)}
    for f in v.op.fields():
        field = getattr(v.op, f.name)
        for x in field if isinstance(field, tuple) else (field,):
            if isinstance(x, dim.Dim):
                names |= dim.symbols(x)
            elif isinstance(x, Graph):
                names |= {s for w in x.every() for s in _symbols(w)}
    return names


def _told(values: Iterable[Value]) -> set[str]:
    """The names of sizes that can be read off the shapes of inputs."""
    return {
        str(s)
        for v in values
        for s in v.type.shape
        if isinstance(s, dim.Dim) and str(s).isidentifier()
    }
