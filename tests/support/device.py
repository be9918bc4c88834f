"""Graphs on a simulated device, without a session: what `CompiledGraph` is for CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.run import options

from graphc.codegen.cpu.target import HOST_TARGET
from graphc.codegen.cuda.target import CUDA, CudaTarget
from graphc.codegen.target import CodeTarget
from graphc.compiler import targets as table
from graphc.errors import GraphError
from graphc.ir.arena import layout
from graphc.ir.graph import Graph
from graphc.ir.interpret import bind_sizes
from graphc.ir.machine import Machine
from graphc.passes.graph.cut_folds import CutFolds
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import optimise, schedule
from graphc.passes.placement.per_device import before_placement, tailored
from graphc.passes.trace import Trace
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.plan import DeviceArena, DevicePlan

MACHINE = Machine(())


def few_chunks(count: int) -> CudaTarget:
    """GPUs for which rows are folded in few chunks, for a simulator has few threads."""
    return replace(CUDA, folds=CutFolds(chunks_if_unknown=count))


def compile_for(patch: pytest.MonkeyPatch, target: CodeTarget) -> None:
    """Puts a target in the place of that of its kind."""
    changed = [
        replace(b, target=target) if b.target.kind == target.kind else b for b in table.TARGETS
    ]
    patch.setattr(table, "TARGETS", tuple(changed))


def runs_on_a_gpu(graph: Graph) -> bool:
    """Whether a GPU can run all of a graph."""
    return not any(map(CUDA.cannot, graph.nodes()))


class SimulatedGraph:
    """A graph compiled for a simulated device."""

    def __init__(self, graph: Graph, target: CudaTarget = CUDA, **changes: Any) -> None:
        chosen = options(**changes)
        early = optimise(unify_sizes(graph).graph, before_placement(chosen, HOST_TARGET))
        self.graph = tailored(early, target, chosen, Trace())
        self.device = SimulatedDevice()
        self.program = DeviceProgram(self.device, schedule(self.graph, target.takes_epilogue))
        self.program.load()

    @property
    def schedules(self) -> list[str]:
        """What makes each kernel."""
        return [f.source.schedule for made in self.program.functions.values() for f in made]

    @property
    def texts(self) -> list[str]:
        return [f.source.text for made in self.program.functions.values() for f in made]

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """Outputs, then new values of variables, as `interpret` gives them."""
        arrays = [np.asarray(a) for a in arrays]
        sizes = bind_sizes(self.graph.inputs, arrays)
        arena = DeviceArena(self.device)
        arena.reserve(layout(self.program.program, sizes).arena)
        plan = DevicePlan(self.program, sizes, arena, {})
        fed = {
            v: np.ascontiguousarray(a).reshape(a.shape)
            for v, a in zip(self.graph.inputs, arrays, strict=True)
        }
        made = plan.run(
            fed,
            frozenset(range(len(plan.results))),
            lambda index, size: GraphError(f"index {index} is out of range for {size}"),
        )
        changed = []
        for old, _ in self.graph.updates:
            changed.append(np.empty(fed[old].shape, fed[old].dtype))
            self.device.copy(changed[-1], plan.inputs[old])
        return [made[i] for i in range(len(made))] + changed


def run_simulated(graph: Graph, arrays: Sequence[Any], **changes: Any) -> list[Any]:
    """Compiles and runs a graph once."""
    return SimulatedGraph(graph, **changes)(arrays)
