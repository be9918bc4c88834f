"""Runs kernels as plain Python, which checks their indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.codegen.cpu import emulate
from graphc.codegen.cpu.kernels import buffers_of
from graphc.compiler.compile import Compiled, lower
from graphc.config import Options
from graphc.errors import GraphcError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import bind_sizes
from graphc.ir.ops.shape import Constant
from graphc.ir.program import storage
from graphc.runtime.cpu.openblas import outside_address


class PurePython:
    """A compiled graph run kernel by kernel through the twins, each value in an array."""

    def __init__(self, graph: Graph, **changes: Any) -> None:
        self.made: Compiled = lower(graph, Options(threads=1, progress=False, **changes))

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The results of the graph.  Raises `IndexError` for an access outside of a buffer."""
        graph = self.made.program.graph
        self.sizes = bind_sizes(graph.inputs, arrays)
        self.memory = {v: np.array(a, order="C") for v, a in zip(graph.inputs, arrays, strict=True)}
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
            counts = [b.size for b in buffers]
            for low, high in (
                ((0, extent // 2), (extent // 2, extent)) if extent > 1 else ((0, extent),)
            ):
                emulate.run_in_python(source.text, words, low, high, counts)
            if self.status[0]:
                raise GraphcError(f"index {self.status[1]} of {self.status[2]}")
        return [self.array(storage(v)).reshape(self.shape(v)) for v in graph.results]

    def shape(self, v: Value) -> tuple[int, ...]:
        return tuple(dim.evaluate(s, self.sizes) for s in v.type.shape)

    def array(self, v: Value) -> Any:
        if isinstance(v.op, Constant):
            return v.op.value.array
        if v not in self.memory:
            poison = np.full(
                max(1, v.type.dtype.size) * int(np.prod(self.shape(v))), 0xA5, np.uint8
            )
            self.memory[v] = poison.view(v.type.dtype.numpy).reshape(self.shape(v))
        return self.memory[v]
