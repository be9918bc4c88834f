"""Kernels as the driver launches them: function, arguments, extent, chunks.

An argument is a word, or an external to patch in: the address of an array that is known when a run
starts (in a control kernel: when its step starts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.codegen.cpu import Source
from graphc.codegen.kernels import buffers_of
from graphc.ir import dim
from graphc.ir.control import body_of
from graphc.ir.graph import Value
from graphc.ir.op import Array, Opaque
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.linalg import Matmul
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Place, Program, contraction_of
from graphc.passes.cost import UNKNOWN_STEPS, loop_steps
from graphc.runtime.driver import driver
from graphc.runtime.thunk import Thunk

PARALLEL_WORK = 60_000  # element operations below which a kernel is one chunk
CHUNK_WORK = 30_000
CHUNK_BYTES = 1 << 18
MOST_CHUNKS = 64

Argument = tuple[int, int | None]  # a word, or the external to patch in
STEP_WORK = 20  # what a step costs besides its kernels
STATUS: Argument = (-(1 << 63), None)  # stands for the address of the status words
CANCEL: Argument = (1 - (1 << 63), None)  # of the word that asks for an end


@dataclass(frozen=True)
class Code:
    """A kernel's source, the address of its machine code and those of the routines it calls."""

    source: Source
    address: int
    routines: tuple[int, ...] = ()


@dataclass
class Launch:
    """An instruction of the plan: a kernel, or a copy."""

    function: int
    arguments: list[Argument]
    extent: int
    chunks: int
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Table:
    """Instructions as they lie in memory, a row for each; `kernels` has None for a copy, `within`
    is the control kernel that runs them."""

    kernels: Sequence[Kernel | None]
    rows: Array
    within: Kernel | None = None


def copy(to: Argument, source: Argument, nbytes: int) -> Launch:
    """Copies bytes."""
    chunks = max(1, min(MOST_CHUNKS, nbytes // CHUNK_BYTES))
    return Launch(driver().copy, [to, source], nbytes, chunks)


def address(array: Array) -> int:
    """Where an array lies."""
    found: int = array.__array_interface__["data"][0]
    return found


class Launches:
    """The launches of one program for given sizes, with its arena at `arena_start`.

    `held` are arrays that must live as long as the launches; `thunks` are the doors to Python that
    kernels go through, and `tables` the instructions, those of inner programs too.
    """

    def __init__(
        self, program: Program, code: Mapping[Kernel, Code], sizes: dict[str, int],
        external: dict[Value, int], arena_start: int, thunks: list[Thunk], tables: list[Table],
    ) -> None:
        self.program, self.code, self.sizes = program, code, sizes
        self.external, self.arena_start = external, arena_start
        self.held: list[Any] = []
        self.thunks, self.tables = thunks, tables

    def number(self, size: dim.Size) -> int:
        """A size as a number."""
        return dim.evaluate(size, self.sizes)

    def launch(self, kernel: Kernel) -> Launch:
        """A kernel that has code of its own."""
        code = self.code[kernel]
        extent = self.number(code.source.extent)
        words: list[Argument] = [self.place(v) for v in buffers_of(kernel)]
        words += [(self.number(s), None) for s in code.source.sizes]
        if code.source.uses_status:
            words.append(STATUS)
        words += [(routine, None) for routine in code.routines]
        if code.source.calls:
            self.thunks.append(Thunk(kernel.body[0], self.sizes))
            words.append((self.thunks[-1].address, None))
        most = max(1, extent // max(1, self.number(code.source.least)))
        chunks = min(self._chunks(kernel, extent), most)
        return Launch(code.address, words, extent, chunks, kernel)

    def place(self, v: Value) -> Argument:
        """The address of a stored value."""
        if isinstance(v.op, Constant):
            array = v.op.value.array
            self.held.append(array)
            return address(array), None
        if v not in self.program.buffers:
            return 0, self.external[v]
        buffer = self.program.buffers[v]
        if buffer.place is Place.ARENA:
            return self.arena_start + self.number(buffer.offset), None
        if buffer.place is Place.VARIABLE:
            assert buffer.slot is not None
            return 0, self.external[buffer.slot]
        return 0, self.external[v]

    def work(self, kernel: Kernel) -> int:
        """About how many element operations a kernel makes."""
        if kernel.kind is Kind.CONTROL:
            once = sum(self.work(k) for p in kernel.programs for k in p.kernels)
            return self._steps(kernel) * (STEP_WORK + once)
        if kernel.kind is Kind.OPAQUE:
            return self._opaque_work(kernel)
        elements = self.number(dim.product(kernel.domain))
        if kernel.kind is Kind.SCAN:
            return elements * max(1, len(body_of(kernel.body[0]).nodes()))
        if kernel.kind is Kind.CONVOLUTION:
            out = contraction_of(kernel)
            assert isinstance(out.op, Convolving)
            return self.number(out.op.products(*(a.type for a in out.args))) // 16
        if kernel.kind is Kind.MATMUL:
            out = contraction_of(kernel)
            assert isinstance(out.op, Matmul)
            return elements * self.number(out.op.sizes(*(a.type for a in out.args))[1]) // 16
        return elements * max(1, len(kernel.body))

    def _opaque_work(self, kernel: Kernel) -> int:
        (out,) = kernel.body
        assert isinstance(out.op, Opaque)
        return self.number(out.op.work(out.type, *(a.type for a in out.args)))

    def _steps(self, kernel: Kernel) -> int:
        steps = loop_steps(kernel)
        if steps is None:  # only the run tells: it must be interruptible
            return UNKNOWN_STEPS
        return min(self.number(steps), UNKNOWN_STEPS)

    def _chunks(self, kernel: Kernel, extent: int) -> int:
        """How many pieces a kernel is cut into: by its size alone."""
        if extent <= 1:
            return 1
        work = self.work(kernel)
        if kernel.kind is Kind.MATMUL:
            return min(extent, MOST_CHUNKS)
        return 1 if work < PARALLEL_WORK else max(1, min(extent, MOST_CHUNKS, work // CHUNK_WORK))


def table(rows: Sequence[Sequence[int]]) -> Array:
    """Words, row after row."""
    return np.array([x for row in rows for x in row] or [0], np.int64)
