"""The autotuner: times the methods that can compute a contraction, and chooses the fastest.

It keeps the choices in the cache directory (`tuned.json`, keyed by the contraction with its types
and the kernels' fingerprint), so a contraction is timed once on a machine.  Without a budget
(`Options.autotune`, seconds) the cost model of `codegen/cpu/kernels.py` chooses.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.codegen.cache import Cache
from graphc.codegen.cpu.kernels import methods
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.config import Method, Options
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, make, placeholder
from graphc.ir.program import Kernel, contraction_of
from graphc.ir.text.graph import print_graph
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.executable import Executable

TUNED_FILE = "tuned.json"
ASSUMED_SIZE = 32  # stands for a size that only a run knows
TIMED_RUNS = 5  # of each method; the fastest counts
Build = Callable[[Graph, Options], Executable]


class Tuner:
    """Chooses methods within the budget of one compilation; `build` compiles a graph."""

    def __init__(self, options: Options, build: Build) -> None:
        self.options, self.build = options, build
        self.until = time.perf_counter() + options.autotune
        self.cache = Cache(options.cache_dir)
        self.known = _read(self.cache)

    def choose(self, kernel: Kernel) -> Method | None:
        """The method for a kernel; None if there is no choice."""
        allowed = methods(kernel)
        if len(allowed) < 2:
            return next(iter(allowed), None)
        graph = _alone(contraction_of(kernel))
        name = jit.symbol_of(print_graph(graph), host_cpu())
        kept = next((m for m in allowed if m.name == self.known.get(name)), None)
        if kept is not None:
            return kept
        times: dict[Method, float] = {}
        for method in allowed:
            if time.perf_counter() >= self.until:
                return allowed[0]  # not all could be compared
            times[method] = self._seconds(graph, method)
        best = min(times, key=times.__getitem__)
        self.known[name] = best.name
        _write(self.cache, self.known)
        return best

    def _seconds(self, graph: Graph, method: Method) -> float:
        """The time of the fastest of a few runs."""
        executable = self.build(graph, replace(self.options, autotune=0.0, method=method))
        inputs = executable.program.graph.inputs
        sizes = {s: ASSUMED_SIZE for v in inputs for d in v.type.shape for s in dim.symbols(d)}
        bound = executable.bind(sizes)
        arrays: list[Any] = []
        for v in (*inputs, *bound.outputs):
            shape = dim.numbers(v.type.shape, sizes)
            arrays.append(np.ones(shape, v.type.dtype.numpy))
        for i, array in enumerate(arrays):
            bound.view[bound.externals_at + i] = id(array)
        seconds = []
        for _ in range(TIMED_RUNS):
            start = time.perf_counter()
            driver().run(bound.address)
            seconds.append(time.perf_counter() - start)
        return min(seconds)


def _alone(v: Value) -> Graph:
    """The graph of one contraction, over inputs of its operands' types."""
    inputs = tuple(placeholder(a.type, f"x{i}") for i, a in enumerate(v.args))
    return Graph("contraction", inputs, (make(v.op, inputs),))


def _read(cache: Cache) -> dict[str, str]:
    raw = cache.kept(TUNED_FILE)
    if raw is None:
        return {}
    reason = "is damaged"
    try:
        methods_kept = json.loads(raw)
        if isinstance(methods_kept, dict) and all(
            isinstance(x, str) for kv in methods_kept.items() for x in kv
        ):
            return methods_kept
    except ValueError as error:
        reason = f"cannot be read: {error}"
    warnings.warn(f"graphc: {cache.directory / TUNED_FILE} {reason}; tuning again", stacklevel=2)
    return {}


def _write(cache: Cache, known: dict[str, str]) -> None:
    """Writes the choices atomically, together with those that other processes wrote meanwhile."""
    cache.keep(TUNED_FILE, json.dumps({**_read(cache), **known}, indent=1).encode())
