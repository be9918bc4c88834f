"""Compiles graphs and runs them by the real runner without a session, in poisoned memory and, on
request, small chunks."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock
from weakref import WeakSet

import numpy as np

from graphc.codegen.cache import Built
from graphc.codegen.cpu.schedules import gemm
from graphc.compiler.compile import compile_graph
from graphc.config import Options
from graphc.frontend.stage import Staged
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.ops.state import RunCounter, Variable
from graphc.ir.types import DType, TensorType
from graphc.runtime.cpu import launches, threads
from graphc.runtime.cpu.executable import Arena
from graphc.runtime.cpu.result_pool import Results
from graphc.session import host_engine
from graphc.session.engine import PlanHolder, RunPlan, Runs, Signature, Stats
from graphc.session.host_engine import HostEngine
from graphc.session.runner import Runner

POISON = 0xA5  # the byte that fills memory before a run


@dataclass(eq=False)
class FedInput:
    """A graph input as a fed tensor, with the members that a runner reads."""

    value: Value
    name: str
    loc: None = None

    @property
    def op(self) -> Any:
        return self.value.op

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def dtype(self) -> DType:
        return self.value.type.dtype

    @property
    def shape(self) -> Any:
        return self.value.type.shape


@dataclass
class TestSession:
    """A stand-in for a session, with the members that a runner reads."""

    options: Options
    values: dict[Any, Any] = field(default_factory=dict)
    counter: Any = field(default_factory=lambda: np.zeros((), np.uint64))
    lock: Any = field(default_factory=threading.RLock)
    closed: bool = False
    running: Any = None
    stats: Stats = field(default_factory=Stats)
    plan_holders: WeakSet[PlanHolder] = field(default_factory=WeakSet)
    results: Results = field(default_factory=Results)

    def __post_init__(self) -> None:
        self.arena = Arena(self.plan_holders)

    @property
    def devices(self) -> Any:
        """Raises: there are none, and no test asks for them."""
        raise AssertionError("there are no devices")

    def engine(self, staged: Staged) -> Any:
        """Raises: a runner asks for another engine only when a variable moves to a device."""
        raise AssertionError("there are no devices for variables to move to")


class CompiledGraph:
    """A graph compiled once, to be run on any arrays and sizes."""

    def __init__(self, graph: Graph, **changes: Any) -> None:
        self.graph = graph
        self.options = Options(threads=1, progress=False, **changes)
        self.built = Built()
        self.executable = compile_graph(graph, self.options, self.built)
        self.inputs = [FedInput(v, v.name or f"in{i}") for i, v in enumerate(graph.inputs)]
        self.watch: Callable[[RunPlan], Runs] | None = None  # of plans bound from now on
        self._runners: dict[int, tuple[Runner, TestSession]] = {}

    @property
    def kernels(self) -> int:
        return len(self.executable.program.kernels)

    def __call__(self, arrays: Sequence[Any], threads: int = 1, poison: int = POISON) -> list[Any]:
        """Outputs, then new values of variables, as `interpret` gives them."""
        made, owner = self._runner(threads)
        feeds = []
        for i, a in zip(self.inputs, arrays, strict=True):
            if isinstance(i.op, Variable):
                if i in owner.values:
                    np.copyto(owner.values[i], a)
                else:
                    owner.values[i] = np.array(a, order="C")
            elif isinstance(i.op, RunCounter):
                owner.stats.runs = int(a)
            else:
                feeds.append(np.ascontiguousarray(a).reshape(np.shape(a)))
        key = tuple(f.shape for f in feeds)
        plan: Any = made.plans.get(key) or made.bind(key)
        plan.bound.arena[:] = poison
        results = list(made(*feeds))
        by_value = {i.value: i for i in self.inputs}
        return results + [owner.values[by_value[old]].copy() for old, _ in self.graph.updates]

    def forget(self) -> None:
        """Drops the runners, so that the next run is cut into chunks by the constants of then."""
        self._runners.clear()

    def _runner(self, threads: int) -> tuple[Runner, TestSession]:
        if threads not in self._runners:
            owner = TestSession(dataclasses.replace(self.options, threads=threads))
            for i in self.inputs:
                if isinstance(i.op, Variable):
                    shape = tuple(dim.evaluate(s, {}) for s in i.shape)
                    owner.values[i] = np.zeros(shape, i.dtype.numpy)
            fed = [i for i in self.inputs if not isinstance(i.op, Variable | RunCounter)]
            staged = Staged(self.graph, tuple(self.inputs))  # type: ignore[arg-type]
            signature = Signature(staged, fed, lambda values: values)  # type: ignore[arg-type]
            runner = Runner(owner, signature, HostEngine(owner, self.executable), self.watch)
            self._runners[threads] = runner, owner
        return self._runners[threads]


def run_compiled(
    graph: Graph, arrays: Sequence[Any], threads: int = 1, **changes: Any
) -> list[Any]:
    """Compiles a graph and runs it once (see `CompiledGraph`); the results."""
    return CompiledGraph(graph, **changes)(arrays, threads)


@contextlib.contextmanager
def small_chunks(work: int = 1) -> Iterator[None]:
    """Within the block, every kernel is cut into as many chunks as possible, and threads share
    every run."""
    with _changed(
        (launches, "MIN_PARALLEL_WORK", work),
        (launches, "MIN_WORK_PER_CHUNK", work),
        (host_engine, "MIN_WORK_FOR_HELPERS", 0),
        (threads, "MIN_WORK_FOR_HELPERS", 0),
    ):
        yield


@contextlib.contextmanager
def small_products() -> Iterator[None]:
    """Matrix products compiled within the block are cut into many chunks; each chunk runs its share
    of the epilogue."""
    with _changed(
        (gemm, "MULTIPLICATIONS_PER_CHUNK", 40),
        (gemm, "MIN_ROWS_PER_CHUNK", 1),
        (gemm, "COLUMNS_PER_STRIP", 2),
    ):
        yield


@contextlib.contextmanager
def _changed(*constants: tuple[ModuleType, str, int]) -> Iterator[None]:
    """Replaces constants of modules within the block."""
    with contextlib.ExitStack() as stack:
        for module, name, value in constants:
            stack.enter_context(mock.patch.object(module, name, value))
        yield
