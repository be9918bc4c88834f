"""The cost of a value on a device: the longer of the times for its operations and its bytes, plus a
launch.

A pointwise op, a view or a generator with one reader fuses into the reader (it "melts"): it moves
no bytes and needs no launch, unless its reader is on another device.  Symbolic sizes take an
assumed value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.control import Loop
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, users
from graphc.ir.machine import DeviceSpec
from graphc.ir.op import (
    Contraction,
    Control,
    Gather,
    Generator,
    Item,
    Opaque,
    Pointwise,
    Scatter,
    State,
    View,
)
from graphc.ir.ops.shape import Constant, Reshape
from graphc.ir.types import each
from graphc.passes.cost.kernel import flops_of

STORES_OPERANDS = (Contraction, Opaque, Scatter, Control, Item)  # ops whose operands never melt


class Assumed(dict[str, int]):
    """Sizes by name; every unknown size is `otherwise`."""

    def __init__(self, known: Mapping[str, int], otherwise: int) -> None:
        super().__init__(known)
        self.otherwise = otherwise

    def guesses(self, size: Size) -> bool:
        """Whether the value of a size is an assumption."""
        return not dim.symbols(size) <= set(self)

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        return self.otherwise


def portable(v: Value) -> bool:
    """Whether v is known without a run's inputs.  Every device then has a copy, and nothing
    crosses."""
    return not v.args and isinstance(v.op, Constant | Generator)


@dataclass(frozen=True)
class Work:
    """The work of computing a value: operations, bytes read and written, and launches."""

    flops: int = 0
    nbytes: int = 0
    launches: int = 0

    def seconds(self, v: Value, device: DeviceSpec) -> float:
        """How long it takes."""
        rated = v.args[0] if v.args and v.type.dtype.kind == "bool" else v
        return (
            max(self.flops / device.rate(rated.type.dtype), self.nbytes / device.bandwidth)
            + self.launches * device.launch
        )


class Costs:
    """The costs of the values of one graph at some sizes."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self.graph, self.sizes = graph, sizes
        self.users = users(graph)
        self.results = set(graph.results)
        self._bytes: dict[Value, int] = {}
        self._work: dict[Value, Work] = {}

    def number(self, size: Size) -> int:
        """The value of a size."""
        return max(0, dim.evaluate(size, self.sizes))

    def nbytes(self, v: Value) -> int:
        """The bytes of a value."""
        if v not in self._bytes:
            self._bytes[v] = sum(self.number(t.nbytes) for t in each(v.type))
        return self._bytes[v]

    def melts(self, v: Value) -> bool:
        """Whether v is computed where it is read."""
        if v in self.results or not isinstance(v.op, Pointwise | View | Generator):
            return False
        read_by = dict.fromkeys(self.users[v])
        if any(isinstance(u.op, STORES_OPERANDS) for u in read_by):
            return False
        return len(read_by) == 1 or isinstance(v.op, View)

    def work(self, v: Value) -> Work:
        """The work of computing v, without its melted operands."""
        if v not in self._work:
            self._work[v] = self._find(v)
        return self._work[v]

    def seconds(self, v: Value, device: DeviceSpec) -> float:
        """How long v takes on a device."""
        return self.work(v).seconds(v, device)

    def spill(self, v: Value, source: DeviceSpec, target: DeviceSpec) -> float:
        """The extra seconds if v cannot melt because its reader is on another device."""
        if not self.melts(v):
            return 0.0
        return source.launch + self.nbytes(v) * (1 / source.bandwidth + 1 / target.bandwidth)

    def _find(self, v: Value) -> Work:
        if isinstance(v.op, State | Item) or portable(v):
            return Work()
        if isinstance(v.op, Reshape) and not self.melts(v.args[0]):
            return Work()
        if isinstance(v.op, Control):
            return self._control(v)
        melts = self.melts(v)
        moved = sum(self._read(v, a) for a in dict.fromkeys(v.args) if not self.melts(a))
        return Work(
            self.number(flops_of(v, v.type.count)),
            moved + (0 if melts else self.nbytes(v)),
            0 if melts else 1,
        )

    def _read(self, v: Value, a: Value) -> int:
        """The bytes that v reads of an operand that lies in memory."""
        if portable(a) and not isinstance(a.op, Constant):
            return 0
        if isinstance(v.op, View | Gather):
            return min(self.nbytes(a), self.number(v.type.count) * a.type.dtype.size)
        return self.nbytes(a)

    def _control(self, v: Value) -> Work:
        """The work of all graphs inside (all branches), times the steps of a loop."""
        assert isinstance(v.op, Control)
        total = Work()
        for g in v.op.graphs:
            inner = Costs(g, self.sizes)
            for w in g.nodes():
                x = inner.work(w)
                total = Work(
                    total.flops + x.flops, total.nbytes + x.nbytes, total.launches + x.launches
                )
        steps = self.number(v.op.length) if isinstance(v.op, Loop) and v.op.bounded else 1
        return Work(total.flops * steps, total.nbytes * steps, total.launches * steps)
