"""A backend that docs/backends.md explains: its devices run the CPU's kernels as plain Python.

Nothing of graphc knows it.  It is registered by one more line in the table of targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.codegen.cache import Built, Cache
from graphc.codegen.cpu.emulate import run_in_python
from graphc.codegen.cpu.kernels import buffers_of, source_of
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.target import DumpStage, beyond_devices
from graphc.compiler.targets import Backend
from graphc.config import Options
from graphc.ir.graph import Value
from graphc.ir.machine import DeviceSpec
from graphc.ir.op import Array, Contraction
from graphc.ir.program import Kernel
from graphc.passes.base import GraphPass
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.runtime.device.protocol import (
    Allocation,
    CopyNode,
    Device,
    LaunchNode,
    LoadedKernel,
    MemorySpan,
    Node,
    Pinned,
)


@dataclass(frozen=True)
class ToyTarget:
    """What passes and printers ask."""

    kind: str = "toy"

    # -- for passes

    @property
    def late(self) -> tuple[GraphPass, ...]:
        return SplitReductions(), Cleanup()

    def cannot(self, v: Value) -> str:
        if isinstance(v.op, Contraction):
            return "toys multiply no matrices"
        return beyond_devices(v, (), self.cannot)

    def takes_epilogue(self, v: Value) -> bool:
        return False

    # -- for people

    @property
    def stages(self) -> tuple[DumpStage, ...]:
        return (DumpStage("toy", "py", "#", _readable),)

    def schedule(self, kernel: Kernel) -> str:
        return "plain Python"

    # -- for devices

    def variant(self, kernel: Kernel, sizes: Mapping[str, int], fast_math: bool) -> None:
        return None  # sizes are arguments: one text does for all

    def awaits_sizes(self, kernel: Kernel) -> bool:
        return False

    def sources(
        self,
        kernel: Kernel,
        over: Mapping[int, int],
        wide: bool,
        sizes: Mapping[str, int],
        fast_math: bool,
    ) -> tuple[DeviceSource, ...]:
        made = source_of(kernel, over=over)
        words = ("u8*",) * len(buffers_of(kernel)) + ("i64",) * len(made.sizes)
        parameters = words + ("i64*",) * made.uses_status
        grid = (made.extent, 1, 1)
        return (
            DeviceSource(made.text, parameters, made.sizes, grid, uses_status=made.uses_status),
        )

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[DeviceSource, ...]:
        return ()  # no library makes its products

    def guarded(self, source: DeviceSource) -> DeviceSource:
        parameters = source.parameters + ("i64*",) * (not source.uses_status)
        head, body = source.text.split("\n", 1)
        test = f"    if i64_memory(args[{len(parameters) - 1}])[0] != 0:\n        return"
        return replace(
            source, text=f"{head}\n{test}\n{body}", parameters=parameters, uses_status=True
        )

    def copying(self, nbytes: int) -> DeviceSource:
        return DeviceSource(COPY, ("u8*", "u8*", "i64"), (nbytes,), (nbytes, 1, 1))


COPY = """\
def kernel(args, lo, hi):
    source = u8_buffer(args, 0)
    target = u8_buffer(args, 1)
    for i in range(lo, hi):
        target[i] = source[i]
"""


def _readable(kernel: Kernel, over: Mapping[int, int]) -> str:
    return source_of(kernel, readable=True, over=over).text


class ToyDevice:
    """What a plan asks: memory, kernels, runs."""

    def __init__(self, name: str) -> None:
        self.name, self.target, self.launches = name, ToyTarget(), 0

    def allocate(self, nbytes: int) -> Allocation:
        array = np.zeros(nbytes + 256, np.uint8)
        skipped = -array.ctypes.data % 256
        return Allocation(array.ctypes.data + skipped, nbytes, array[skipped : skipped + nbytes])

    def pinned(self, nbytes: int) -> Pinned:
        return Pinned(np.zeros(nbytes, np.uint8))

    def copy(
        self, target: MemorySpan | Array | Pinned, source: MemorySpan | Array | Pinned
    ) -> None:
        _bytes(target)[...] = _bytes(source)

    def prepare(self, sources: Sequence[DeviceSource], options: Options, built: Built) -> None:
        built.compilations += len(sources)

    def load(self, source: DeviceSource) -> LoadedKernel:
        return LoadedKernel(source, None)

    def launch(self, launch: LaunchNode) -> None:
        self.launches += 1
        words = [x.address if isinstance(x, MemorySpan) else x for x in launch.arguments]
        run_in_python(launch.function.source.text, words, 0, launch.grid[0])

    def graph(self, nodes: Sequence[Node]) -> ToyGraph:
        return ToyGraph(self, tuple(nodes))

    def mark(self) -> Done:
        return Done()

    def synchronize(self) -> None:
        pass  # all work is done when its call returns


def _bytes(place: MemorySpan | Array | Pinned) -> Array:
    if isinstance(place, MemorySpan):
        memory: Array = place.memory.handle
        return memory[place.offset : place.offset + place.nbytes]
    return place.array if isinstance(place, Pinned) else place.reshape(-1).view(np.uint8)


@dataclass(frozen=True)
class ToyGraph:
    """Nodes in the order that they were given, which their edges allow."""

    device: ToyDevice
    nodes: tuple[Node, ...]

    def run(self) -> None:
        for node in self.nodes:
            if isinstance(node, LaunchNode):
                self.device.launch(node)
            else:
                assert isinstance(node, CopyNode)
                self.device.copy(node.target, node.source)


@dataclass(frozen=True)
class Done:
    """A moment that has passed."""

    def wait(self) -> None:
        pass


@dataclass(frozen=True)
class ToyFamily:
    """The devices `toy:0`, `toy:1`, ..."""

    names: tuple[str, ...] = ("toy:N",)

    def open(self, name: str, cache: Cache) -> Device:
        return ToyDevice(name)

    def spec(self, name: str, device: Device | None) -> DeviceSpec:
        return DeviceSpec(name, kind="toy", like="CPU")

    def holder(self, array: Any) -> str:
        return ""  # no other library has arrays there

    def listed(self, cache: Cache) -> tuple[tuple[str, str], ...]:
        return (("toy:0", "plain Python, always there"),)


TOY = Backend(ToyTarget(), ToyFamily())
