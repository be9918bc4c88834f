"""`gc.plan`: predicts a run on a machine that need not exist: the device of every value, the time,
the memory.

    machine = gc.Machine([gc.DeviceSpec("cuda:0", memory="24 GB", like="A100")])
    print(gc.plan([loss, train], machine, {"n": 512}))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.compiler.compile_placed import prepared, spec
from graphc.compiler.targets import targets
from graphc.config import Options
from graphc.errors import DeviceError, FetchError, user_location
from graphc.frontend.fetches import flatten
from graphc.frontend.stage import Staged, stage
from graphc.frontend.tensor import Tensor
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.machine import DeviceSpec, Machine, device_name
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.placement.place import place
from graphc.passes.placement.placed import MemoryPredicted, Placed, PlaceOptions
from graphc.passes.placement.text import placement_summary, placement_table
from graphc.passes.trace import Trace


@dataclass(frozen=True, eq=False)
class Plan:
    """A prediction of a run.  `seconds` are by device, `link_seconds` by (from, to), `memory` is
    the peak by device; `total` is the time of all work done one after another.  Printed, a plan is
    a table of all values and a summary."""

    placed: Placed

    @property
    def seconds(self) -> dict[str, float]:
        return self.placed.seconds

    @property
    def link_seconds(self) -> dict[tuple[str, str], float]:
        return self.placed.link_seconds

    @property
    def memory(self) -> dict[str, MemoryPredicted]:
        return self.placed.memory

    @property
    def total(self) -> float:
        return sum(self.seconds.values()) + sum(self.link_seconds.values())

    @property
    def summary(self) -> str:
        """Time and memory of each device, and the time of each link."""
        return placement_summary(self.placed)

    def __str__(self) -> str:
        return placement_table(self.placed)


def plan(
    fetches: Any,
    machine: Machine | Sequence[DeviceSpec | str],
    sizes: Mapping[Any, Any] | None = None,
    *,
    device: str | None = None,
    strict: bool = False,
) -> Plan:
    """Where a run of `fetches` would place everything on a machine, and what it would cost.
    Nothing is compiled or run, and no device need exist.

    `machine`: a `gc.Machine`, or devices as for `gc.Session(devices=...)`.  `sizes`: how large a
    feed is, by tensor (`{x: (512, 784)}`) or name of a size (`{"n": 512}`); others are taken to be
    128.  `device` and `strict` are as for `gc.Session`.  Raises `DeviceError` if a device has too
    little memory and every size that counts is known.

    >>> import graphc as gc
    >>> x = gc.placeholder(gc.float32, ["n", 4096], name="x")
    >>> w = gc.variable(gc.zeros((4096, 4096)), name="w")
    >>> found = gc.plan(x @ w, [gc.DeviceSpec("cuda:0", like="H100")], {"n": 4096})
    >>> print(found.summary)
    cpu:0               0 ns  134 MB of 16 GB
    cuda:0           2.05 ms  201 MB of 80 GB
    cpu:0 -> cuda:0  2.69 ms
    cuda:0 -> cpu:0  2.69 ms
    """
    flat: list[Tensor] = []
    effects: list[Tensor] = []
    flatten(fetches, flat, effects, _tensor)
    staged = stage(flat, (), effects)
    name = "" if device is None else device_name(device)
    options = replace(Options(), device=name, strict=strict)
    known = sizes_of(staged, sizes or {})
    _, graph = prepared(staged.graph, options, Trace())
    wanted = PlaceOptions(strict=strict, default=name, sizes=known)
    return Plan(place(graph, _machine(machine), targets(), options=wanted))


def _machine(given: Machine | Sequence[DeviceSpec | str]) -> Machine:
    if isinstance(given, Machine):
        return given
    if isinstance(given, str | DeviceSpec) or not isinstance(given, Sequence):
        raise DeviceError(
            f"plan: machine is {given!r}; expected a gc.Machine or a list of devices",
            user_location(),
        )
    return Machine(map(spec, given))


def _tensor(fetch: Any) -> Tensor:
    if not isinstance(fetch, Tensor):
        raise FetchError(
            f"plan: {fetch!r} is no tensor; expected a tensor or a nest of them", user_location()
        )
    return fetch


def sizes_of(staged: Staged, given: Mapping[Any, Any]) -> dict[str, int]:
    """The numbers for the symbols of a staged graph, from shapes of tensors and sizes by name.
    Sizes that must be equal have one symbol."""
    graph = staged.graph
    named = {k: v for k, v in given.items() if isinstance(k, str)}
    shapes = {k: tuple(v) for k, v in given.items() if not isinstance(k, str)}
    _check(graph, staged, named, shapes)
    known: dict[str, int] = {}
    for tensor, declared, v in zip(
        staged.inputs, graph.inputs, unify_sizes(graph).graph.inputs, strict=True
    ):
        shape = shapes.get(tensor, declared.type.shape)
        for size, symbol in zip(shape, v.type.shape, strict=True):
            number = dim.substitute(size, named)
            if isinstance(number, int) and str(symbol).isidentifier():
                known.setdefault(str(symbol), number)
    return known


def _check(
    graph: Graph, staged: Staged, named: Mapping[str, Any], shapes: Mapping[Any, tuple[Any, ...]]
) -> None:
    """Raises `DeviceError` for a size that the graph does not have, or that does not fit."""
    names = {s for v in graph.inputs for n in v.type.shape for s in dim.symbols(n)}
    for name, size in named.items():
        if name not in names or not isinstance(size, int) or size < 0:
            known = ", ".join(sorted(names)) or "none"
            raise DeviceError(
                f"plan: size {name!r} is {size!r}; expected a whole number for one of the graph's "
                f"sizes: {known}",
                user_location(),
            )
    for tensor, shape in shapes.items():
        if tensor not in staged.inputs:
            raise DeviceError(f"plan: {tensor!r} is no input of what is planned", user_location())
        fits = len(shape) == len(tensor.shape) and all(
            isinstance(n, int) and n >= 0 and (not isinstance(own, int) or own == n)
            for n, own in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            raise DeviceError(
                f"plan: {tensor.name!r} is {tensor.type}, got shape {list(shape)}", user_location()
            )
