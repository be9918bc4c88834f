"""Graph -> Placed: a device for every value.

These rules decide, in this order:

1. The user's pin, if that device can run the value.  Else soft placement moves the value and warns,
   or `strict` refuses it.
2. A variable stays where it lives already.
3. Placeholders are fed on the host, and fetches are wanted there.
4. A variable, its new value and the state of the same update stay together.
5. All other values go where the whole graph, kernels and transfers, costs least: a minimum cut
   (min_cut.py).  Constants and literals are free on every device.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from graphc.errors import DeviceError
from graphc.ir.graph import Graph, Value, make, over, users
from graphc.ir.machine import HOST, Machine
from graphc.ir.op import Item, Pointwise, State
from graphc.ir.ops.state import Placeholder, RunCounter
from graphc.ir.ops.transfer import Transfer
from graphc.passes.cost.roofline import Assumed, Costs, portable
from graphc.passes.placement.footprint import check_memory, predict
from graphc.passes.placement.min_cut import Crossing, Problem, solve
from graphc.passes.placement.placed import Placed, PlaceOptions, show_seconds
from graphc.passes.target import Target, target_for

# how long one device's program waits for another's, besides the transfer
HANDOVER_SECONDS = 10e-6


def place(
    graph: Graph,
    machine: Machine,
    targets: Mapping[str, Target],
    homes: Mapping[Value, str] | None = None,
    options: PlaceOptions | None = None,
) -> Placed:
    """The graph with a device for each value.  `targets` are all known targets, by kind; `homes`
    maps variables that have a value already to the devices that hold them.

    Raises `DeviceError` for a device without a target, for a home that the machine lacks, for a
    device with too little memory (if all sizes are known), and, if `strict`, for a pin that cannot
    be followed.
    """
    placer = _Placer(graph, machine, targets, homes or {}, options or PlaceOptions())
    placed = _Inserter(placer.costs, machine, placer.run(), placer.why).placed()
    if placer.all_sizes_known:
        check_memory(placed)
    return placed


class _Placer:
    """Chooses the devices; inserts no transfers."""

    def __init__(
        self,
        graph: Graph,
        machine: Machine,
        targets: Mapping[str, Target],
        homes: Mapping[Value, str],
        options: PlaceOptions,
    ) -> None:
        self.graph, self.machine, self.options = graph, machine, options
        self.targets = {d.name: target_for(targets, d.kind) for d in machine.devices}
        sizes = Assumed(options.sizes, options.assumed)
        self.costs = Costs(graph, sizes)
        self.values = [v for v in (*graph.inputs, *graph.nodes()) if not portable(v)]
        self.fixed: dict[Value, str] = {}
        self.why: dict[Value, str] = {}
        self.overruled: dict[Value, str] = {}  # values that soft placement moves -> why
        self.units = _Units(self.fixed)
        for v in self.values:
            self._fix(v, homes)
        self.all_sizes_known = all(
            isinstance(s, int) or not sizes.guesses(s) for v in self.values for s in v.type.shape
        )

    def run(self) -> dict[Value, str]:
        """The device of each value that is not portable."""
        self._colocate()
        numbers = {u: i for i, u in enumerate(dict.fromkeys(map(self.units.of, self.values)))}
        labels = solve(self._problem(numbers))
        names = self.machine.names
        device = {v: names[labels[numbers[self.units.of(v)]]] for v in self.values}
        for v in self.values:
            self.why[v] = self._reason(v, device[v])
        self._report(device)
        return device

    def _fix(self, v: Value, homes: Mapping[Value, str]) -> None:
        """Fixes v where costs do not count: by its pin, its home, or as an input."""
        pin = self._pin(v, homes)
        refused = self._refusal(v, pin) if pin else ""
        if pin and not refused:
            self.fixed[v] = pin
            self.why[v] = f"pinned to {pin} at {v.loc}" if v.device else "the session's device"
            return
        if refused:
            self.overruled[v] = refused
        if v in homes:
            self.fixed[v] = self.machine.device(homes[v]).name
            self.why[v] = f"the variable lives on {homes[v]}"
        elif isinstance(v.op, Placeholder | RunCounter):
            self.fixed[v] = HOST
            self.why[v] = "an input, which comes from the host"

    def _pin(self, v: Value, homes: Mapping[Value, str]) -> str:
        """The device that v's line asks for, else the session's unless v has a place already; ""
        for none."""
        if isinstance(v.op, Item):  # one of several results of an op
            v = v.args[0]
        has_place = v in homes or isinstance(v.op, Placeholder | RunCounter)
        return v.device or ("" if has_place else self.options.default)

    def _refusal(self, v: Value, pin: str) -> str:
        """Why a pin cannot be followed; "" if it can.  If `strict`, raises `DeviceError`
        instead."""
        if pin in self.machine.names:
            why = self.targets[pin].cannot(v)
        else:
            why = f"this machine has only {', '.join(self.machine.names)}"
        if why and self.options.strict:
            raise DeviceError(
                f"{v.op.name} is pinned to {pin}, which cannot run it: {why}; pin it elsewhere "
                "(gc.device), or allow soft placement (strict=False)",
                v.loc,
            )
        return why

    def _colocate(self) -> None:
        """Puts into one unit the values that share a device: items with their op, variables with
        their new values."""
        for v in self.values:
            if isinstance(v.op, Item):
                self.units.unite(v.args[0], v)
        variables = {old for old, _ in self.graph.updates}
        becomes = {new: old for old, new in self.graph.updates}
        for old, new in self.graph.updates:
            if portable(new) or self._some_device_cannot(new):
                continue
            self.units.unite(old, new)
            for v in _computed_elementwise_from(new):
                if v in variables or (v in becomes and not self._some_device_cannot(v)):
                    self.units.unite(old, v)

    def _some_device_cannot(self, v: Value) -> bool:
        """Whether some device cannot run v.  Such a new value must not bind its variable."""
        return any(target.cannot(v) for target in self.targets.values())

    def _problem(self, numbers: dict[Value, int]) -> Problem:
        """The costs of units and crossings.  The last unit is the host: it reads all fetches."""
        devices = self.machine.devices
        costs = [[0.0] * len(devices) for _ in numbers]
        for v in self.values:
            unit_costs = costs[numbers[self.units.of(v)]]
            for i, d in enumerate(devices):
                allowed = self.fixed.get(v, d.name) == d.name and not self.targets[d.name].cannot(v)
                unit_costs[i] += self.costs.seconds(v, d) if allowed else math.inf
        host_unit = len(costs)
        costs.append([0.0] + [math.inf] * (len(devices) - 1))
        fetched, becomes = set(self.graph.outputs), {new: old for old, new in self.graph.updates}
        crossings, read_by, transfers = (
            [],
            users(self.graph),
            _TransferCosts(self.machine, self.costs),
        )
        handover = tuple(
            tuple(0.0 if a is b else HANDOVER_SECONDS for b in devices) for a in devices
        )
        for v in self.values:
            unit = numbers[self.units.of(v)]
            readers = dict.fromkeys(numbers[self.units.of(u)] for u in read_by[v])
            readers.pop(unit, None)
            if readers and not isinstance(v.op, State):
                crossings.append(Crossing(unit, tuple(readers), handover))
            if v in becomes:
                readers[numbers[self.units.of(becomes[v])]] = None
                readers.pop(unit, None)
            if v in fetched:
                readers[host_unit] = None
            if readers:
                crossings.append(Crossing(unit, tuple(readers), transfers.of(v)))
        return Problem(costs, crossings)

    def _reason(self, v: Value, device: str) -> str:
        """A sentence on why v is on this device."""
        moved = self.overruled.get(v)
        soft = f"pinned to {v.device} at {v.loc}, which cannot be: {moved}; " if moved else ""
        if v in self.why:
            return soft + self.why[v]
        together = self.units.anchor(v)
        if together is not None:
            return f"{soft}together with {together.name or together.op.name}"
        others = [d for d in self.machine.devices if d.name != device]
        refused = [self.targets[d.name].cannot(v) for d in others]
        if others and all(refused):
            return f"{soft}nothing else can run it: {refused[0]}"
        here = show_seconds(self.costs.seconds(v, self.machine.device(device)))
        there = ", ".join(f"{show_seconds(self.costs.seconds(v, d))} on {d.name}" for d in others)
        return f"{soft}cheapest for the whole graph ({here} here{'; ' if there else ''}{there})"

    def _report(self, device: Mapping[Value, str]) -> None:
        """Warns once about the pins that are not followed."""
        if not self.overruled:
            return
        v, why = next(iter(self.overruled.items()))
        more = f" (and {len(self.overruled) - 1} more)" if len(self.overruled) > 1 else ""
        text = (
            f"{v.op.name}{more} is pinned to {v.device or self.options.default} but placed on "
            f"{device[v]}: {why}; strict=True refuses this"
        )
        if v.loc is None:
            warnings.warn(text, UserWarning, stacklevel=2)
        else:
            warnings.warn_explicit(text, UserWarning, v.loc.file, v.loc.line)


class _Units:
    """Sets of values that share a device (union-find).  Two that are fixed to different devices
    stay apart."""

    def __init__(self, fixed: Mapping[Value, str]) -> None:
        self.fixed = fixed
        self.parent: dict[Value, Value] = {}
        self.anchors: dict[
            Value, Value
        ] = {}  # unit -> the value that fixes it, else its first value

    def of(self, v: Value) -> Value:
        """The value that stands for the unit of v."""
        root = v
        while root in self.parent:
            root = self.parent[root]
        while v in self.parent:
            self.parent[v], v = root, self.parent[v]
        return root

    def unite(self, a: Value, b: Value) -> None:
        """Makes one unit of two, if they may share a device."""
        first, second = self.of(a), self.of(b)
        x, y = self.anchors.get(first, first), self.anchors.get(second, second)
        if first is second or (
            self.fixed.get(x, "") != self.fixed.get(y, "") and (x in self.fixed and y in self.fixed)
        ):
            return
        self.parent[second] = first
        self.anchors[first] = y if y in self.fixed and x not in self.fixed else x

    def anchor(self, v: Value) -> Value | None:
        """The value that decided for the unit of v, if that is another value."""
        anchor = self.anchors.get(self.of(v), v)
        return None if anchor is v else anchor


def _computed_elementwise_from(new: Value) -> list[Value]:
    """The values that a variable's new value is computed from, element by element."""
    sources, stack = {new: None}, [new]
    while stack:
        v = stack.pop()
        if isinstance(v.op, Pointwise):
            for a in v.args:
                if a.type.shape == new.type.shape and a not in sources:
                    sources[a] = None
                    stack.append(a)
    return list(sources)[1:]


class _TransferCosts:
    """The costs of sending values from device to device."""

    def __init__(self, machine: Machine, costs: Costs) -> None:
        self.machine, self.costs = machine, costs
        self.links = {
            (a, b): machine.link(a, b) for a in machine.names for b in machine.names if a != b
        }

    def of(self, v: Value) -> tuple[tuple[float, ...], ...]:
        """The seconds that v takes from each device to each."""
        nbytes, devices = self.costs.nbytes(v), self.machine.devices
        return tuple(
            tuple(
                0.0
                if a is b
                else self.links[a.name, b.name].latency
                + nbytes / self.links[a.name, b.name].bandwidth
                + self.costs.spill(v, a, b)
                for b in devices
            )
            for a in devices
        )


class _Inserter:
    """Makes the placed graph, with one transfer for each value and device that reads it there."""

    def __init__(
        self, costs: Costs, machine: Machine, device: dict[Value, str], why: dict[Value, str]
    ) -> None:
        self.costs, self.machine, self.chosen = costs, machine, device
        self.reasons = why
        self.done: dict[Value, Value] = {}
        self.transfers: dict[tuple[Value, str], Value] = {}
        self.device: dict[Value, str] = {}
        self.why: dict[Value, str] = {}
        self.origin: dict[Value, Value] = {}

    def placed(self) -> Placed:
        """The placed graph with its predicted times and memory."""
        graph = self.costs.graph
        for v in graph.inputs:
            self._note(v, v, self.chosen[v], self.reasons[v])
        read_by = users(graph)
        for v in graph.nodes():
            if portable(v):
                device = next((self.chosen[u] for u in read_by[v]), HOST)
                self._note(v, v, device, "a constant, of which every device has a copy")
                continue
            args = tuple(self._on_device(a, self.chosen[v]) for a in v.args)
            unchanged = all(a is b for a, b in zip(args, v.args, strict=True))
            self._note(v, v if unchanged else over(v, args), self.chosen[v], self.reasons[v])
        placed_graph = Graph(
            graph.name,
            graph.inputs,
            tuple(self._on_device(v, HOST) for v in graph.outputs),
            tuple((old, self._on_device(new, self.chosen[old])) for old, new in graph.updates),
        )
        return self._predicted(placed_graph)

    def _note(self, v: Value, new: Value, device: str, why: str) -> None:
        self.done[v] = new
        self.device[new], self.why[new], self.origin[new] = device, why, v

    def _on_device(self, v: Value, device: str) -> Value:
        """The value of the placed graph that holds v on a device."""
        here = self.done[v]
        if portable(v) or self.chosen[v] == device:
            return here
        if (v, device) not in self.transfers:
            transfer = make(Transfer(device), (here,), v.name, v.loc)
            self.transfers[v, device] = transfer
            self.device[transfer], self.origin[transfer] = device, v
            self.why[transfer] = f"from {self.chosen[v]}, for what reads it on {device}"
        return self.transfers[v, device]

    def _predicted(self, graph: Graph) -> Placed:
        seconds = dict.fromkeys(self.machine.names, 0.0)
        link_seconds: dict[tuple[str, str], float] = {}
        for v in graph.nodes():
            device, origin = self.device[v], self.origin[v]
            if isinstance(v.op, Transfer):
                link = self.device[v.args[0]], device
                transfer_seconds = self.machine.seconds(self.costs.nbytes(origin), *link)
                link_seconds[link] = link_seconds.get(link, 0.0) + transfer_seconds
            else:
                seconds[device] += self.costs.seconds(origin, self.machine.device(device))
        memory = predict(graph, self.device, self.costs, self.origin, self.machine.names)
        return Placed(
            graph,
            self.machine,
            self.device,
            self.why,
            self.origin,
            self.costs,
            seconds,
            link_seconds,
            memory,
        )
