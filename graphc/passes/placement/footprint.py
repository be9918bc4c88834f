"""The memory that each device needs for a run of a placed graph, before it runs.

The prediction adds up variables, constants, inputs, outputs and the peak of computed values, which
live and die in the order of the graph.  A value that melts into its reader takes no memory, nor
does a new value that overwrites its variable.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.errors import DeviceError
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Item, State
from graphc.ir.ops.shape import Constant
from graphc.ir.ops.state import Variable
from graphc.ir.ops.transfer import Transfer
from graphc.ir.program import storage
from graphc.ir.text.graph import names_of
from graphc.passes.cost.roofline import Assumed, Costs, portable
from graphc.passes.placement.placed import MemoryPredicted, Placed, show_bytes

VALUES_IN_ERROR = 5  # the largest values, as many as an error names


def predict(
    graph: Graph,
    device: Mapping[Value, str],
    costs: Costs,
    origin: Mapping[Value, Value],
    names: tuple[str, ...],
) -> dict[str, MemoryPredicted]:
    """The memory that each device needs to run a placed graph."""
    return {n: _Footprint(graph, device, costs, origin, n).predicted() for n in names}


class _Footprint:
    """Predicts the memory of one device."""

    def __init__(
        self,
        graph: Graph,
        device: Mapping[Value, str],
        costs: Costs,
        origin: Mapping[Value, Value],
        name: str,
    ) -> None:
        self.graph, self.device, self.costs, self.name = graph, device, costs, name
        self.origin = origin
        self.nodes = graph.nodes()
        self.outputs = set(graph.outputs)
        self.overwriting = {new for old, new in graph.updates if device[old] == device[new]}

    def predicted(self) -> MemoryPredicted:
        """The bytes of each kind of value, and the largest values."""
        inputs = [v for v in self.graph.inputs if self.device[v] == self.name]
        variables = [v for v in inputs if isinstance(v.op, Variable)]
        feeds = [v for v in inputs if not isinstance(v.op, Variable)]
        read = {a for v in self.nodes if self.device[v] == self.name for a in v.args}
        constants = [v for v in self.nodes if portable(v) and v in read]
        outputs = [
            v
            for v in dict.fromkeys(self.graph.outputs)
            if self.device[v] == self.name and not isinstance(v.op, State)
        ]
        stored = self._stored()
        nbytes_of = {v: self.nbytes(v) for v in (*inputs, *constants, *outputs, *stored)}
        largest = sorted(nbytes_of.items(), key=lambda item: -item[1])[:VALUES_IN_ERROR]
        return MemoryPredicted(
            self.name,
            self._sum(variables),
            self._sum(constants),
            self._sum(feeds),
            self._sum(outputs),
            self._peak(stored),
            tuple(largest),
        )

    def nbytes(self, v: Value) -> int:
        """The bytes of a value in memory; 0 for a literal, which lies in none."""
        if portable(v) and not isinstance(v.op, Constant):
            return 0
        return self.costs.nbytes(self.origin[v])

    def _sum(self, values: list[Value]) -> int:
        return sum(map(self.nbytes, values))

    def _stored(self) -> list[Value]:
        """The values in this device's arena: computed here, or transferred to it."""
        sent = {v.args[0] for v in self.nodes if isinstance(v.op, Transfer)}
        return [
            v
            for v in self.nodes
            if self.device[v] == self.name
            and not portable(v)
            and not isinstance(v.op, Item)
            and storage(v) is v
            and v not in self.outputs
            and v not in self.overwriting
            and (v in sent or isinstance(v.op, Transfer) or not self.costs.melts(self.origin[v]))
        ]

    def _peak(self, stored: list[Value]) -> int:
        """The most bytes that the stored values take at once, in the order of the graph."""
        last_reader: dict[Value, int] = {}
        read_through: dict[Value, set[Value]] = {}
        in_arena = set(stored)
        for i, v in enumerate(self.nodes):
            stored_operands = {a for a in v.args if a in in_arena}
            for a in v.args:
                if a not in in_arena:
                    stored_operands |= read_through.get(a, set())
            read_through[v] = stored_operands if v not in in_arena else set()
            for a in stored_operands:
                last_reader[a] = i
        dying: dict[int, list[Value]] = {}
        until_end = {v for r in self.graph.results for v in (r, *read_through.get(r, ()))}
        for v in stored:
            if v not in until_end:
                dying.setdefault(last_reader.get(v, len(self.nodes)), []).append(v)
        in_use = peak = 0
        for i, v in enumerate(self.nodes):
            in_use += self.nbytes(v) if v in in_arena else 0
            peak = max(peak, in_use)
            in_use -= self._sum(dying.get(i, []))
        return peak


def check_memory(placed: Placed, sizes: Mapping[str, int] | None = None) -> None:
    """Raises `DeviceError` if a device has less memory than a run needs: a run with these `sizes`,
    or (None) with the sizes that placement assumed."""
    memory = placed.memory
    if sizes is not None:
        costs = Costs(placed.costs.graph, Assumed(sizes, 1))
        memory = predict(placed.graph, placed.device, costs, placed.origin, placed.machine.names)
    for name, need in memory.items():
        available = placed.machine.device(name).memory
        if need.total <= available:
            continue
        lines = [
            f"{name} has {show_bytes(available)}, but a run needs {show_bytes(need.total)}: "
            f"variables {show_bytes(need.variables)}, constants {show_bytes(need.constants)}, "
            f"inputs {show_bytes(need.inputs)}, outputs {show_bytes(need.outputs)}, values "
            f"{show_bytes(need.values)}; the largest are"
        ]
        names = names_of(placed.graph)
        lines += [
            f"  {show_bytes(size)}  {names.get(v, v.op.name)}: {v.type}"
            + (f"  at {v.loc}" if v.loc else "")
            for v, size in need.largest
        ]
        lines.append(
            "use a smaller batch, pin some of it to another device (gc.device), or take "
            "a device with more memory"
        )
        raise DeviceError("\n".join(lines), need.largest[0][0].loc)
