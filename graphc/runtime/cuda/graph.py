"""Launches and copies as one CUDA graph: its edges are the nodes' real dependencies, so independent
nodes may overlap.  A run is one launch.

Not yet run on a GPU: tested against the signatures of cuda-core 1.2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.codegen.cuda.source import POINTER_SUFFIX
from graphc.runtime.cuda.driver import Toolkit, failure, reported
from graphc.runtime.device.protocol import Call, CopyNode, LaunchNode, MemorySpan, Node, Pinned

# NumPy's types of whole-number parameters.
INTEGER_TYPES = {"u32": np.uint32, "u64": np.uint64, "i64": np.int64}


def arguments(launch: LaunchNode) -> tuple[Any, ...]:
    """The arguments as cuda-core takes them: an int is an address (8 bytes), so any other number is
    a NumPy scalar of its parameter's type."""
    return tuple(
        value.address
        if isinstance(value, MemorySpan)
        else value
        if parameter.endswith(POINTER_SUFFIX)
        else INTEGER_TYPES[parameter](value)
        for value, parameter in zip(
            launch.arguments, launch.function.source.parameters, strict=True
        )
    )


def configuration(toolkit: Toolkit, launch: LaunchNode) -> Any:
    """The `LaunchConfig` of a launch."""
    return toolkit.core.LaunchConfig(
        grid=launch.grid, block=launch.function.source.threads, shmem_size=launch.shared
    )


def nothing(node: Node) -> bool:
    """Whether a node does nothing: CUDA rejects grids without blocks."""
    match node:
        case LaunchNode():
            return 0 in node.grid
        case CopyNode():
            return _nbytes(node.target) == 0
    return False


@dataclass(frozen=True)
class CudaReplay:
    """A graph, instantiated on its device.  It keeps its nodes, whose memory and code must live as
    long as the graph."""

    name: str
    toolkit: Toolkit
    device: Any
    stream: Any
    executable: Any
    nodes: tuple[Node, ...]

    def run(self) -> None:
        """Runs the graph after all work so far; returns at once."""
        try:
            self.device.set_current()
            self.executable.launch(self.stream)
        except self.toolkit.error as error:
            raise failure(self.name, "running a program", error) from error


def build(
    name: str, toolkit: Toolkit, device: Any, stream: Any, nodes: Sequence[Node]
) -> CudaReplay:
    """The nodes as a graph, ready to run.  The device must be current."""
    with reported(name, "making a graph of a program", toolkit.error):
        definition = toolkit.graph.GraphDefinition()
        added: list[Any] = []
        for node in nodes:
            added.append(_add(toolkit, device, definition, node, [added[k] for k in node.after]))
        executable = definition.instantiate()
        executable.upload(stream)
    return CudaReplay(name, toolkit, device, stream, executable, tuple(nodes))


def _add(toolkit: Toolkit, device: Any, definition: Any, node: Node, before: Sequence[Any]) -> Any:
    """Adds a node to the graph, after the nodes `before`."""
    parent = before[0] if before else definition
    if nothing(node):
        return definition.join(*before) if before else definition.empty()
    match node:
        case LaunchNode():
            added = parent.launch(
                configuration(toolkit, node), node.function.handle, *arguments(node)
            )
        case CopyNode():
            added = parent.memcpy(
                _address(node.target), _address(node.source), _nbytes(node.target)
            )
        case Call():
            added = parent.embed(_captured(device, node))
    for other in before[1:]:
        added.pred.add(other)
    return added


def _address(place: MemorySpan | Pinned) -> int:
    if isinstance(place, MemorySpan):
        return place.address
    return int(place.array.__array_interface__["data"][0])


def _nbytes(place: MemorySpan | Pinned) -> int:
    return place.nbytes if isinstance(place, MemorySpan) else place.array.nbytes


def _captured(device: Any, call: Call) -> Any:
    """The work that a library puts on a stream, as a graph of its own."""
    builder = device.create_graph_builder()
    builder.begin_building("relaxed")
    try:
        call.enqueue(int(builder.stream.handle))
    finally:
        builder.end_building()
    return builder.graph_definition
