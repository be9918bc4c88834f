"""The autotuner: times the methods that can compute a contraction, and chooses the fastest.

It keeps the choices in the cache directory (`tuned.json`, keyed by the contraction with its types
and the kernels' fingerprint), so a contraction is timed once on a machine.  Without a budget
(`Options.autotune`, seconds) the cost model of `codegen/cpu/kernels.py` chooses.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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

ASSUMED_SIZE = 32  # stands for a size that only a run knows
TIMED_RUNS = 5  # of each method; the fastest counts
Build = Callable[[Graph, Options], Executable]


class Tuner:
    """Chooses methods within the budget of one compilation; `build` compiles a graph."""

    def __init__(self, options: Options, build: Build) -> None:
        self.options, self.build = options, build
        self.until = time.perf_counter() + options.autotune
        self.path = options.cache_dir / "tuned.json"
        self.known = _read(self.path)

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
        _write(self.path, self.known)
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


def _read(path: Path) -> dict[str, str]:
    try:
        methods_kept = json.loads(path.read_text())
        if isinstance(methods_kept, dict) and all(
            isinstance(x, str) for kv in methods_kept.items() for x in kv
        ):
            return methods_kept
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warnings.warn(f"graphc: cannot read {path}: {error}; tuning again", stacklevel=2)
        return {}
    warnings.warn(f"graphc: {path} is damaged; tuning again", stacklevel=2)
    return {}


def _write(path: Path, known: dict[str, str]) -> None:
    """Writes the choices atomically, together with those that other processes wrote meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump({**_read(path), **known}, file, indent=1)
        os.replace(name, path)
    except OSError as error:
        warnings.warn(f"graphc: cannot write {path}: {error}", stacklevel=2)
