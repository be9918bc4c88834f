"""Graph -> PlacedExecutable: `compile.py` for more than one device.

tensors   --stage-->     Graph       what a run computes
          --optimise-->  Graph       what is best everywhere             (passes/pipeline.py)
          --place-->     Placed      a device for every value            (passes/place.py)
          --segments-->  Segments    a graph for one device each         (passes/segments.py)
          --tailor-->    Graph       what is best on this device         (passes/tailor.py)
          --fuse, order, plan-->     Program
          --print, build-->          numba for CPUs, CUDA for GPUs       (codegen/)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.codegen import jit
from graphc.codegen.build import Built
from graphc.compile import assemble, sources_of
from graphc.config import Options
from graphc.errors import DeviceError
from graphc.ir.device import HOST, DeviceSpec, Machine
from graphc.ir.graph import Graph, Value
from graphc.passes.pipeline import Span, Trace, optimise, schedule
from graphc.passes.place import place
from graphc.passes.placement import Placed, PlaceOptions
from graphc.passes.segments import Segment, Segments, segments
from graphc.passes.shapes import takes_epilogue_on_gpu
from graphc.passes.sizes import Unified, unify_sizes
from graphc.passes.tailor import LATE, tailored
from graphc.runtime import driver
from graphc.runtime.device_code import DeviceProgram
from graphc.runtime.devices import Devices, spec_of
from graphc.runtime.executable import Executable


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
    spans: Sequence[Span]


def is_placed(graph: Graph, options: Options) -> bool:
    """Whether a graph is for more than the host: the session has devices, or a line is pinned."""
    if options.device or options.devices:
        return True
    return any(v.device not in ("", HOST) for v in (*graph.inputs, *graph.nodes()))


def placed_graph(
    graph: Graph, options: Options, machine: Machine, homes: Mapping[int, str], trace: Trace
) -> tuple[Unified, Placed]:
    """The graph with a device for every value.  `homes` are the inputs, by number, that live on a
    device."""
    with trace.span("unify sizes"):
        unified = unify_sizes(graph)
    early = replace(options, disable=options.disable | LATE)
    optimised = optimise(unified.graph, early, trace)
    at = {optimised.inputs[i]: name for i, name in homes.items()}
    wanted = PlaceOptions(strict=options.strict, default=options.device)
    with trace.span("place"):
        return unified, place(optimised, machine, at, wanted)


def compile_placed(
    graph: Graph, options: Options, built: Built, devices: Devices, homes: Mapping[int, str]
) -> PlacedExecutable:
    """The executable of a graph on the devices of a session."""
    trace = Trace()
    machine = machine_of(graph, options, devices, homes)
    unified, placed = placed_graph(graph, options, machine, homes, trace)
    cut = segments(placed)
    driver.load(jit.Cache(options.cache_dir))
    parts = tuple(Part(s, _code(s, placed, options, built, devices, trace)) for s in cut.parts)
    return PlacedExecutable(unified, placed, cut, parts, trace.spans)


def _code(
    segment: Segment, placed: Placed, options: Options, built: Built, devices: Devices, trace: Trace
) -> Executable | DeviceProgram:
    """The code of one segment."""
    kind = placed.machine.device(segment.device).kind
    graph = tailored(segment.graph, kind, options, trace)
    with trace.span("fuse and plan"):
        program = schedule(graph) if kind == "cpu" else schedule(graph, takes_epilogue_on_gpu)
    if kind == "cpu":
        unified = Unified(graph, tuple(v.type for v in graph.inputs), ())
        sources = sources_of(program, lambda _: options.method)
        return assemble(program, unified, options, built, sources, Trace())
    made = DeviceProgram(devices.open(segment.device).device, program)
    with trace.span("compile"):
        made.load()
    return made


def machine_of(
    graph: Graph, options: Options, devices: Devices, homes: Mapping[int, str]
) -> Machine:
    """The devices to choose from: the session's, and those that lines are pinned to and that are
    there."""
    specs = {s.name: s for s in options.devices}
    for name in [n for n in (options.device, *homes.values()) if n]:
        specs.setdefault(name, devices.spec(name))  # if it is not there, an error says why
    for name in sorted({v.device for v in (*graph.inputs, *graph.nodes())} - {"", *specs}):
        if _is_there(name, options, devices):
            specs[name] = devices.spec(name)
    for name, known in specs.items():
        if known.kind != "cpu":
            devices.open(name)
    return Machine(specs.values())


def _is_there(name: str, options: Options, devices: Devices) -> bool:
    """Whether a device that a line is pinned to exists; without it, soft placement tells."""
    if name.startswith("cpu:"):
        return True
    try:
        devices.open(name)
    except DeviceError:
        if options.strict:
            raise
        return False
    return True


def places_of(values: Sequence[Value], found: Mapping[Value, str]) -> dict[int, str]:
    """The numbers of those values that have a home, and its name."""
    return {i: found[v] for i, v in enumerate(values) if v in found}


def spec(given: DeviceSpec | str) -> DeviceSpec:
    """What is known of a device that a session was given."""
    return given if isinstance(given, DeviceSpec) else spec_of(given)
