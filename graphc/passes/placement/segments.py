"""Placed -> Segments: graphs for one device each, in running order.

A value's level is the number of device changes on the way to it, so what has one device and one
level is one graph, and no two of a level need each other.  Inputs are there before all else and
count for no level.  Constants are copied into every segment that reads them.

A run is a transaction: all that reads a variable sees its old value, and nothing changes if the run
fails.  So a segment updates a variable itself only if no other segment reads it or can fail; else
the new value is `deferred` to the end of the run.
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
    """A graph for one device.  `sources[i]` is the value of the placed graph that `graph.inputs[i]`
    stands for (an input of that graph, or another segment's result), `results[i]` that which
    `graph.outputs[i]` is; `members` are those that it computes.  An input that nothing in the graph
    reads only tells a size."""

    device: str
    level: int
    graph: Graph
    sources: tuple[Value, ...]
    results: tuple[Value, ...]
    members: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Segments:
    """`outputs` are the values of the placed graph behind its outputs: inputs, or results of
    segments.  `deferred` are (variable, new value), to be stored when all segments are done."""

    parts: tuple[Segment, ...]
    outputs: tuple[Value, ...]
    deferred: tuple[tuple[Value, Value], ...]


def segments(placed: Placed) -> Segments:
    """The graphs that a placed graph consists of."""
    return _Cutter(placed).run()


Key = tuple[int, str]  # level and device
Pairs = list[tuple[Value, Value]]


class _Cutter:
    """One placed graph; its transfers are looked through."""

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
        own = self._own_updates(members)
        kept = {old for pairs in own.values() for old, _ in pairs}
        deferred = tuple((old, new) for old, new in self.updates if old not in kept)
        wanted = self._crossing() | {*self.outputs, *(new for _, new in deferred)}
        parts = tuple(
            _Part(self, set(values)).segment(number, key, values, wanted, own[key])
            for number, (key, values) in enumerate(members.items())
        )
        return Segments(parts, self.outputs, deferred)

    def _key(self, v: Value) -> Key:
        return self.level[v], self.device[v]

    def _members(self, values: Iterable[Value]) -> dict[Key, list[Value]]:
        """The values of each segment, in running order."""
        found: dict[Key, list[Value]] = {}
        for v in values:
            found.setdefault(self._key(v), []).append(v)
        place = {name: i for i, name in enumerate(self.placed.machine.names)}
        return {k: found[k] for k in sorted(found, key=lambda k: (k[0], place[k[1]]))}

    def _args(self, v: Value) -> list[Value]:
        """The computed values that v reads, through transfers."""
        found = dict.fromkeys(map(behind, v.args))
        return [a for a in found if a not in self.inputs and not portable(a)]

    def _find_levels(self) -> None:
        self.level = {}
        for v in self.nodes:
            self.level[v] = max(
                (self.level[a] + (self.device[a] != self.device[v]) for a in self.args[v]),
                default=0,
            )

    def _melt(self, moved: set[Value]) -> bool:
        """Moves segments that only view other values to the device of their neighbours; whether
        there was one.  A value moves once at most."""
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
        """The one device that the views' operands come from, if what crosses then is no larger;
        else, if they view inputs only, the one device that reads them."""
        inside = set(values)
        sources = {self.device[a] for v in values for a in self.args[v] if a not in inside}
        if len(sources) == 1 and not any(isinstance(v.op, Broadcast) for v in values):
            return sources.pop()
        asked = inside & {*self.outputs, *(new for _, new in self.updates)}
        targets = {self.device[u] for v in values for u in readers[v] if u not in inside}
        return targets.pop() if not sources and len(targets) == 1 and not asked else None

    def _place_constants(self) -> None:
        """Finds a segment for each result that is a constant: any will do, the last one on the
        device that wants it is best."""
        wants = [(v, HOST) for v in self.outputs]
        wants += [(new, self.placed.device[old]) for old, new in self.updates]
        for v, device in wants:
            if portable(v) and v not in self.level:
                keys = list(self._members(self.level))
                same = [k for k in keys if k[1] == device]
                self.level[v], self.device[v] = (same or keys or [(0, device)])[-1]

    def _crossing(self) -> set[Value]:
        """What one segment makes and another reads."""
        return {a for v in self.nodes for a in self.args[v] if self._key(a) != self._key(v)}

    def _own_updates(self, members: Mapping[Key, list[Value]]) -> dict[Key, Pairs]:
        """The updates that each segment makes itself."""
        fails = {k for k, values in members.items() if any(map(can_fail, values))}
        readers: dict[Value, set[Key]] = {}
        for v in self.nodes:
            for a in map(behind, v.args):
                readers.setdefault(a, set()).add(self._key(v))
        passed = {*self.outputs, *(new for _, new in self.updates)}
        own: dict[Key, Pairs] = {k: [] for k in members}
        for old, new in self.updates:
            if new not in self.level or old in passed:
                continue
            key = self._key(new)
            alone = fails <= {key} and readers.get(old, set()) <= {key}
            if alone and self.placed.device[old] == key[1]:
                own[key].append((old, new))
        return own


class _Part:
    """One segment in the making."""

    def __init__(self, cutter: _Cutter, inside: set[Value]) -> None:
        self.cutter, self.inside = cutter, inside
        self.done: dict[Value, Value] = {}
        self.sources: dict[Value, Value] = {}  # and the inputs that stand for them

    def segment(
        self, number: int, key: Key, values: list[Value], wanted: set[Value], own: Pairs
    ) -> Segment:
        """The segment of these values."""
        for v in values:
            self.done[v] = self._made(v)
        results = tuple(v for v in values if v in wanted)
        updates = tuple((self._here(old), self._here(new)) for old, new in own)
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
        same = all(a is b for a, b in zip(args, v.args, strict=True))
        return v if same else Value(v.op, args, v.type, v.name, v.loc)

    def _here(self, v: Value) -> Value:
        """The value of this segment that v is."""
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
        """Adds inputs that tell the sizes that no input of the segment tells."""
        needed = {s for v in values for w in (v, *v.args) for s in _symbols(behind(w))}
        for name in sorted(needed - _told(self.sources)):
            tellers = [v for v in self.cutter.graph.inputs if name in _told([v])]
            if tellers and name not in _told(self.sources):
                self._here(min(tellers, key=lambda v: v.type.rank))


def _symbols(v: Value) -> set[str]:
    """The sizes in the type and the fields of a value, and of those in graphs inside."""
    found = {s for size in v.type.shape for s in dim.symbols(size)}
    for f in v.op.fields():
        field = getattr(v.op, f.name)
        for x in field if isinstance(field, tuple) else (field,):
            if isinstance(x, dim.Dim):
                found |= dim.symbols(x)
            elif isinstance(x, Graph):
                found |= {s for w in x.every() for s in _symbols(w)}
    return found


def _told(values: Iterable[Value]) -> set[str]:
    """The sizes that the shapes of inputs tell."""
    return {
        str(s)
        for v in values
        for s in v.type.shape
        if isinstance(s, dim.Dim) and str(s).isidentifier()
    }
