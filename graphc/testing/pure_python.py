"""Runs kernels as plain Python, which checks their indices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.codegen.cpu import emulate
from graphc.codegen.cpu.kernels import buffers_of
from graphc.codegen.status import Status
from graphc.compiler.compile import Compiled, lower
from graphc.config import Options
from graphc.errors import GraphcError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import bind_sizes
from graphc.ir.ops.shape import Constant
from graphc.ir.program import storage
from graphc.runtime.cpu.openblas import outside_address
from graphc.session.bad_index import broken_kernel


class PurePython:
    """A compiled graph run kernel by kernel through the twins, each value in an array."""

    def __init__(self, graph: Graph, **changes: Any) -> None:
        options = Options(threads=1, progress=False, **changes)
        self.made: Compiled = lower(graph, options)
        self.checked = options.check == "bounds"

    def run(self, arrays: Sequence[Any], poison: int = 0xA5) -> list[Any]:
        """The results of the graph, in memory filled with the byte `poison`.  Raises `IndexError`
        for an access outside of a buffer, `GraphError` for what a checked kernel finds."""
        self.poison = poison
        graph = self.made.program.graph
        self.sizes = bind_sizes(graph.inputs, arrays)
        self.memory = {v: np.array(a, order="C") for v, a in zip(graph.inputs, arrays, strict=True)}
        before = {old: self.memory[old].copy() for old, _ in graph.updates}  # what is read of them
        self.status = np.zeros(4, np.int64)
        for kernel, source in self.made.sources.items():
            buffers = [self.array(v) for v in buffers_of(kernel)]
            words = [b.ctypes.data for b in buffers] + [
                dim.evaluate(s, self.sizes) for s in source.sizes
            ]
            words += [self.status.ctypes.data] * source.uses_status
            words += [0 if r.startswith("gc_") else outside_address(r) for r in source.routines] + [
                0
            ]
            for w, u in source.over:  # one buffer in the source
                values = buffers_of(kernel)
                self.memory[values[w]] = self.memory[values[u]]
            extent = dim.evaluate(source.extent, self.sizes)
            least = dim.evaluate(source.least, self.sizes) if self.checked else 1
            counts = [b.size for b in buffers]
            for low, high in _calls(extent, least, source.apart):
                emulate.run_in_python(source.text, words, low, high, counts)
            if self.status[0] == Status.BROKEN:
                raise broken_kernel(self.made.program, self.status[1:].tolist(), self.sizes)
            if self.status[0]:
                raise GraphcError(f"index {self.status[1]} of {self.status[2]}")
        found = {
            v: before[v] if v in before else self.array(v) for v in map(storage, graph.results)
        }
        return [found[storage(v)].reshape(self.shape(v)) for v in graph.results]

    def shape(self, v: Value) -> tuple[int, ...]:
        return tuple(dim.evaluate(s, self.sizes) for s in v.type.shape)

    def array(self, v: Value) -> Any:
        if isinstance(v.op, Constant):
            return v.op.value.array
        if v not in self.memory:
            poison = np.full(
                max(1, v.type.dtype.size) * int(np.prod(self.shape(v))), self.poison, np.uint8
            )
            self.memory[v] = poison.view(v.type.dtype.numpy).reshape(self.shape(v))
        return self.memory[v]


def _calls(extent: int, least: int, apart: bool) -> list[tuple[int, int]]:
    """The ranges of the calls that do a kernel's extent: one for each part, or two, or one."""
    calls = max(1, min(extent // max(1, least), extent if apart else 2))
    ends = [extent * i // calls for i in range(calls + 1)]
    return list(itertools.pairwise(ends))
