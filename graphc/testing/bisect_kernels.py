"""Finds the kernel whose machine code computes something else than the interpreter, of the operands
that it really had; or the value that is overwritten before it is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.config import Options
from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Array
from graphc.ir.program import Kernel, Program
from graphc.passes.oracle.kernel_graph import kernel_graph
from graphc.passes.pipeline import GRAPH_PASSES
from graphc.runtime.cpu.kernel_watch import KernelWatch, Launched
from graphc.session.engine import RunPlan
from graphc.session.host_engine import HostPlan
from graphc.testing.closeness import disagreements, same_bits
from graphc.testing.compiled import CompiledGraph, small_chunks
from graphc.testing.culprit import Culprit, Fails, Shrinker, calls_python
from graphc.testing.pure_python import PurePython

PYTHON_BUDGET, MACHINE_BUDGET = 200, 60  # smaller graphs that are tried
MAX_PYTHON_ELEMENTS = 20_000  # of a kernel that is run as plain Python
WITHOUT_PASSES = frozenset(p.name for p in GRAPH_PASSES if not p.required)
WAYS: tuple[tuple[str, Callable[[], contextlib.AbstractContextManager[None]]], ...] = (
    ("", contextlib.nullcontext),
    (", in small chunks", small_chunks),
)


def settings(options: Options) -> dict[str, Any]:
    """The options that decide what a graph becomes."""
    names = ("passes", "disable", "fast_math", "method", "cache_dir")
    return {name: getattr(options, name) for name in names}


def wrong_kernel(graph: Graph, arrays: Sequence[Array], options: Options) -> Culprit | None:
    """The kernel, or the plan, that makes results wrong on these arrays; None if they are right on
    one thread and on two."""
    compiled = CompiledGraph(graph, **settings(options))
    optimised = compiled.executable.program.graph
    with np.errstate(all="ignore"):
        wanted = list(interpret(optimised, *arrays))
        for way, chunks in WAYS:
            with chunks():
                compiled.forget()
                got = compiled(arrays)
                wrong = disagreements(optimised, arrays, wanted, got)
                if wrong:
                    return _Inquiry(compiled, arrays, way, options).culprit(wrong[0])
        with small_chunks():
            compiled.forget()
            shared = compiled(arrays, 2, poison=0xFF)
        compiled.forget()
        wrong = disagreements(optimised, arrays, wanted, shared)
        if wrong and not all(map(same_bits, got, shared)):
            return Culprit(f"two threads: {wrong[0]}", optimised, arrays, wanted, shared)
    return None


@dataclass
class _Wrong:
    """A kernel that is wrong: its graph and what went in and came out."""

    what: str
    graph: Graph
    arrays: list[Array]
    got: list[Array]


@dataclass
class _Inquiry:
    """One more run of a graph whose results are wrong, with each kernel compared."""

    compiled: CompiledGraph
    arrays: Sequence[Array]
    way: str
    options: Options
    wrong: _Wrong | None = None
    overwritten: str = ""
    stored: dict[Value, Array] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.compiled.executable.program

    def culprit(self, fault: str) -> Culprit:
        """Who is to blame for wrong results."""
        self.compiled.forget()
        self.compiled.watch = self._watched
        self.compiled(self.arrays)
        self.compiled.watch = None
        self.compiled.forget()
        if self.wrong is None:
            what = self.overwritten or f"the plan of kernels: {fault}; each kernel alone is right"
            return self._shrunk(what + self.way, self.program.graph, self.arrays, self._machine)
        wrong, size = self.wrong, sum(a.size for a in (*self.wrong.arrays, *self.wrong.got))
        if size <= MAX_PYTHON_ELEMENTS and _runs_wrong(as_python)(wrong.graph, wrong.arrays):
            what = f"{wrong.what}{self.way}; its source is wrong as plain Python, too"
            return self._shrunk(what, wrong.graph, wrong.arrays, as_python)
        return self._shrunk(wrong.what + self.way, wrong.graph, wrong.arrays, self._machine)

    def _shrunk(self, what: str, graph: Graph, arrays: Sequence[Array], run: Run) -> Culprit:
        """A culprit with a small graph: of the kernel; of the whole graph if it is right alone."""
        fails = _runs_wrong(run)
        budget = PYTHON_BUDGET if run is as_python else MACHINE_BUDGET
        if not fails(graph, list(arrays)):
            graph, arrays, run = self.program.graph, self.arrays, self._machine
            fails, budget = _runs_wrong(run), MACHINE_BUDGET
        small, fed = Shrinker(fails, graph, arrays).smallest(budget)
        return Culprit(what, small, fed, interpret(small, *fed), run(small, fed))

    def _machine(self, graph: Graph, arrays: Sequence[Array]) -> list[Array]:
        """The results of machine code, without passes that change the graph."""
        changes = settings(self.options) | {"passes": (), "disable": WITHOUT_PASSES}
        with dict(WAYS)[self.way]():
            return CompiledGraph(graph, **changes)(arrays)

    # -- the watch

    def _watched(self, plan: RunPlan) -> RunPlan:
        assert isinstance(plan, HostPlan)
        KernelWatch(plan.bound, self._look)
        return plan

    def _look(self, launched: Launched) -> None:
        """Notes the first kernel that is wrong, and the first value that was overwritten."""
        if self.wrong is not None:
            return
        for v, array in launched.operands.items():
            if not launched.within and v in self.stored and not same_bits(self.stored[v], array):
                self.overwritten = self.overwritten or (
                    f"the plan of kernels: %{v.name or v.op.name}: {v.type} is overwritten before "
                    f"{self._named(launched)} reads it"
                )
        if not launched.within:
            self.stored |= {v: a.copy() for v, a in launched.results.items()}
        self.wrong = self._compared(launched)

    def _compared(self, launched: Launched) -> _Wrong | None:
        results = launched.kernel.writes
        graph = kernel_graph(launched.operands, results, launched.sizes)
        if calls_python(graph):  # what it gives, it gives
            return None
        arrays = [a.copy() for a in launched.operands.values()]
        got = [a.copy() for a in launched.results.values()]
        with np.errstate(all="ignore"):
            wrong = disagreements(graph, arrays, list(interpret(graph, *arrays)), got)
        if not wrong:
            return None
        return _Wrong(f"{self._named(launched)}: {wrong[0]}", graph, arrays, got)

    def _named(self, launched: Launched) -> str:
        """A kernel by its number, as `graphc dump` counts, and by its ops."""
        kernel = launched.kernel
        kernels = list(_kernels(self.program))
        ops = list(dict.fromkeys(v.op.name for v in kernel.body))
        shown = ", ".join(ops[:6]) + (", ..." if len(ops) > 6 else "")
        number = kernels.index(kernel) + 1
        inside = "".join(f", in step {t.index}" for t in launched.within if t.index >= 0)
        return f"kernel {number} of {len(kernels)} ({shown}){inside}"


def _kernels(program: Program) -> list[Kernel]:
    """The kernels in order, each control kernel behind those inside it."""
    found: list[Kernel] = []
    for kernel in dict.fromkeys(program.kernels):
        for inner in kernel.programs:
            found += _kernels(inner)
        found.append(kernel)
    return found


Run = Callable[[Graph, Sequence[Array]], list[Array]]


def as_python(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The results of the kernels' sources as plain Python."""
    return PurePython(graph, disable=WITHOUT_PASSES).run(arrays)


def _runs_wrong(run: Run) -> Fails:
    """Whether what `run` gives is not what the interpreter gives."""

    def fails(graph: Graph, arrays: list[Array]) -> bool:
        try:
            with np.errstate(all="ignore"):
                wanted = list(interpret(graph, *arrays))
                return bool(disagreements(graph, arrays, wanted, run(graph, arrays)))
        except (GraphcError, LookupError, ValueError, ArithmeticError):
            return False

    return fails
