"""Graph -> PlacedExecutable: `compile.py` for more than one device.

tensors   --stage-->     Graph       what a run computes
          --optimise-->  Graph       what is best everywhere        (passes/pipeline.py)
          --place-->     Placed      a device for every value       (passes/placement/place.py)
          --segments-->  Segments    a graph for one device each    (passes/placement/segments.py)
          --tailor-->    Graph       what is best on this device    (passes/placement/per_device.py)
          --fuse, order, plan-->     Program
          --print, build-->          what the target prints         (codegen/)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from graphc.codegen.cache import Built, Cache
from graphc.codegen.target import CodeTarget
from graphc.compiler.compile import assemble, sources_of
from graphc.compiler.targets import HOST_BACKEND, families, targets
from graphc.config import Options
from graphc.errors import DeviceError
from graphc.ir.graph import Graph, Value
from graphc.ir.machine import DeviceSpec, Machine, device_name
from graphc.ir.program import Program, moved
from graphc.passes.graph.unify_sizes import Unified, unify_sizes
from graphc.passes.pipeline import optimise, schedule
from graphc.passes.placement.per_device import before_placement, tailored
from graphc.passes.placement.place import place
from graphc.passes.placement.placed import Placed, PlaceOptions
from graphc.passes.placement.segments import Segment, Segments, segments
from graphc.passes.target import target_for
from graphc.passes.trace import StageTime, Trace
from graphc.runtime.cpu import driver
from graphc.runtime.cpu.executable import Executable
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.devices import Devices, spec_of

NO_HOMES: Mapping[int, str] = MappingProxyType({})
NO_SIZES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Lowered:
    """A segment before it is code: its graph, tailored to the target of its device, and the
    program of that graph."""

    segment: Segment
    target: CodeTarget
    graph: Graph
    program: Program


@dataclass
class LoweredPlaced:
    """Every stage of one compilation over devices, for dumps and tests."""

    staged: Graph
    unified: Unified
    optimised: Graph
    placed: Placed
    segments: Segments
    parts: tuple[Lowered, ...]
    trace: Trace


@dataclass(frozen=True)
class Part:
    """A segment and its code."""

    segment: Segment
    code: Executable | DeviceProgram


@dataclass
class PlacedExecutable:
    """Code on several devices for every batch size."""

    unified: Unified
    placed: Placed
    segments: Segments
    parts: tuple[Part, ...]
    spans: Sequence[StageTime]


def prepared(graph: Graph, options: Options, trace: Trace) -> tuple[Unified, Graph]:
    """The graph as placement takes it, after the passes that help on every device."""
    with trace.span("unify sizes"):
        unified = unify_sizes(graph)
    early = before_placement(options, HOST_BACKEND.target)
    return unified, optimise(unified.graph, early, trace)


def cut_up(
    optimised: Graph,
    options: Options,
    machine: Machine,
    homes: Mapping[int, str] = NO_HOMES,
    sizes: Mapping[str, int] = NO_SIZES,
    trace: Trace | None = None,
) -> tuple[Placed, Segments, tuple[Lowered, ...]]:
    """Places a prepared graph and cuts it into segments.  `homes` names the device of each input
    that lives on one, by number; predictions use the `sizes` that are known."""
    trace = trace or Trace()
    at = {optimised.inputs[i]: name for i, name in homes.items()}
    wanted = PlaceOptions(strict=options.strict, default=options.device, sizes=sizes)
    with trace.span("place"):
        placed = place(optimised, machine, targets(), at, wanted)
    cut = segments(placed)
    return placed, cut, tuple(_lowered(s, machine, options, trace) for s in cut.parts)


def lower_placed(
    graph: Graph, options: Options, machine: Machine, homes: Mapping[int, str] = NO_HOMES
) -> LoweredPlaced:
    """Every step of the compilation that needs no device."""
    trace = Trace()
    unified, optimised = prepared(graph, options, trace)
    return LoweredPlaced(
        graph, unified, optimised, *cut_up(optimised, options, machine, homes, trace=trace), trace
    )


def _lowered(segment: Segment, machine: Machine, options: Options, trace: Trace) -> Lowered:
    target = target_for(targets(), machine.device(segment.device).kind)
    graph = tailored(segment.graph, target, options, trace)
    with trace.span("fuse and plan"):
        program = schedule(graph, target.takes_epilogue, options.disable)
    return Lowered(segment, target, graph, moved(program, segment.device))


def compile_placed(
    graph: Graph,
    options: Options,
    built: Built,
    devices: Devices,
    homes: Mapping[int, str],
    observe: Callable[[LoweredPlaced], None] | None = None,
) -> PlacedExecutable:
    """The executable of a graph on a session's devices; `observe` is shown every stage."""
    machine = machine_of(graph, options, devices, homes)
    lowered = lower_placed(graph, options, machine, homes)
    if observe:
        observe(lowered)
    driver.load(Cache(options.cache_dir))
    parts = tuple(
        Part(p.segment, _code(p, options, built, devices, lowered.trace)) for p in lowered.parts
    )
    return PlacedExecutable(
        lowered.unified, lowered.placed, lowered.segments, parts, lowered.trace.spans
    )


def _code(
    part: Lowered, options: Options, built: Built, devices: Devices, trace: Trace
) -> Executable | DeviceProgram:
    """The code of one segment."""
    if part.target.kind not in families():  # this process runs it
        unified = Unified(part.graph, tuple(v.type for v in part.graph.inputs), ())
        sources = sources_of(part.program, lambda _: options.method, options)
        return assemble(part.program, unified, options, built, sources, Trace())
    program = DeviceProgram(
        devices.open(part.segment.device).device, part.program, options, built=built
    )
    with trace.span("compile"):
        program.load()
    return program


def planned_machine(graph: Graph, options: Options) -> Machine:
    """The devices that a session would choose from, if every named device existed."""
    specs = {s.name: s for s in options.devices}
    pinned = sorted({v.device for v in (*graph.inputs, *graph.nodes())})
    for name in [n for n in (options.device, *pinned) if n]:
        specs.setdefault(name, spec_of(name, families()))
    return Machine(specs.values())


def machine_of(
    graph: Graph, options: Options, devices: Devices, homes: Mapping[int, str]
) -> Machine:
    """The devices to choose from: the session's, and existing ones that lines are pinned to."""
    specs = {s.name: s for s in options.devices}
    for name in [n for n in (options.device, *homes.values()) if n]:
        specs.setdefault(name, devices.spec(name))  # raises if the device does not exist
    for name in sorted({v.device for v in (*graph.inputs, *graph.nodes())} - {"", *specs}):
        if _is_there(name, options, devices):
            specs[name] = devices.spec(name)
    for name, known in specs.items():
        if known.kind in families():
            devices.open(name)
    return Machine(specs.values())


def _is_there(name: str, options: Options, devices: Devices) -> bool:
    """Whether a device that a line is pinned to exists; if not, placement reports it, softly."""
    kind = name.partition(":")[0]
    if kind in targets() and kind not in families():  # the host, by another number
        return True
    try:
        devices.open(name)
    except DeviceError:
        if options.strict:
            raise
        return False
    return True


def places_of(values: Sequence[Value], homes: Mapping[Value, str]) -> dict[int, str]:
    """The home of each value that has one, by the value's number."""
    return {i: homes[v] for i, v in enumerate(values) if v in homes}


def spec(given: DeviceSpec | str) -> DeviceSpec:
    """The spec of a device that a session was given.  Raises `DeviceError` for an unknown name,
    and for a kind without a target."""
    if not isinstance(given, DeviceSpec):
        return spec_of(device_name(given), families())
    target_for(targets(), given.kind)
    return given
