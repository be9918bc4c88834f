"""The result of `place`: a graph whose every value has a device, with predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.graph import Graph, Value
from graphc.ir.machine import Machine
from graphc.ir.ops.transfer import Transfer
from graphc.passes.cost.roofline import Costs


@dataclass(frozen=True)
class PlaceOptions:
    """`strict` refuses what soft placement would move.  `default` is the device of values without a
    pin, if it can run them.  `sizes` are the known sizes; every other symbol counts as `assumed`.
    """

    strict: bool = False
    default: str = ""
    assumed: int = 128
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MemoryPredicted:
    """Predicted bytes on one device, by kind; `values` is the peak of computed values.  `largest`
    holds the largest values of all kinds, the largest first."""

    device: str
    variables: int
    constants: int
    inputs: int
    outputs: int
    values: int
    largest: tuple[tuple[Value, int], ...]

    @property
    def total(self) -> int:
        """The predicted peak."""
        return self.variables + self.constants + self.inputs + self.outputs + self.values


@dataclass(frozen=True, eq=False)
class Placed:
    """`graph` has a `Transfer` wherever a value goes to another device.  For each of its values,
    `device` is where it lies, `why` says why, and `origin` is the value of the graph before
    placement that it stands for (or carries, if it is a transfer).  `seconds` is the predicted time
    of each device, `link_seconds` of each (from, to), `memory` the predicted peak of each device.
    """

    graph: Graph
    machine: Machine
    device: dict[Value, str]
    why: dict[Value, str]
    origin: dict[Value, Value]
    costs: Costs  # of the graph before placement
    seconds: dict[str, float]
    link_seconds: dict[tuple[str, str], float]
    memory: dict[str, MemoryPredicted]


def behind(v: Value) -> Value:
    """The value that a chain of transfers carries; v itself if it is no transfer."""
    while isinstance(v.op, Transfer):
        v = v.args[0]
    return v


def show_seconds(seconds: float) -> str:
    """`3.2 us`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns" if seconds >= 1e-9 or seconds == 0 else "<1 ns"


def show_bytes(count: int) -> str:
    """`1.5 GB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"
