"""Kernels as the driver launches them: function, arguments, extent, chunks.

An argument is a word, or the number of an external: an array whose address is patched in when a
run starts (in a control kernel: when its step starts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.codegen.cpu.kernels import buffers_of
from graphc.codegen.cpu.printer import KernelSource
from graphc.ir import dim
from graphc.ir.arena import ArenaLayout
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Place, Program, home
from graphc.passes.cost.work import work
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.plan_words import Instruction
from graphc.runtime.cpu.python_calls import PythonCall, Thunk

MIN_PARALLEL_WORK = 60_000  # element operations; a smaller kernel is one chunk
MIN_WORK_PER_CHUNK = 30_000  # element operations
MIN_BYTES_PER_CHUNK = 1 << 18  # of a copy
MAX_CHUNKS_PER_KERNEL = 64

Argument = tuple[int, int | None]  # a word, or the number of the external to patch in
# Two that stand for addresses: every word is some size, so they have numbers that no external has.
STATUS_ARGUMENT: Argument = (0, -1)  # of the status words
CANCEL_ARGUMENT: Argument = (0, -2)  # of the word that asks for an end


@dataclass(frozen=True)
class KernelCode:
    """A kernel's source, the address of its machine code and those of the routines it calls."""

    source: KernelSource
    address: int
    routines: tuple[int, ...] = ()


@dataclass
class PlanRow:
    """An instruction of the plan: a kernel, or a copy."""

    function: int
    arguments: list[Argument]
    extent: int
    chunks: int
    kernel: Kernel | None = None

    def words(self, arguments: int, chunks: int) -> Array:
        """The words of an `Instruction`; `arguments` is where its arguments lie."""
        words = np.zeros(Instruction.SIZE, np.int64)
        words[Instruction.FUNCTION], words[Instruction.ARGS] = self.function, arguments
        words[Instruction.EXTENT], words[Instruction.CHUNKS] = self.extent, chunks
        return words


@dataclass(frozen=True)
class PlanTable:
    """Instructions in memory, a row for each; `kernels` has None for a copy, and `within` is the
    control kernel that runs them."""

    kernels: Sequence[Kernel | None]
    rows: Array
    within: Kernel | None = None


def copy(to: Argument, source: Argument, nbytes: int) -> PlanRow:
    """The row that copies `nbytes` bytes."""
    chunks = max(1, min(MAX_CHUNKS_PER_KERNEL, nbytes // MIN_BYTES_PER_CHUNK))
    return PlanRow(driver().copy, [to, source], nbytes, chunks)


def address(array: Array) -> int:
    """The address of an array's data."""
    data: int = array.__array_interface__["data"][0]
    return data


class Launches:
    """The launches of one program for given sizes, laid out in an arena at `arena_start`.

    `held` are arrays that must live as long as the launches; `thunks` are the native functions
    through which kernels call Python; `tables` are the instructions, those of inner programs too.
    """

    def __init__(
        self,
        program: Program,
        code: Mapping[Kernel, KernelCode],
        sizes: dict[str, int],
        external: dict[Value, int],
        layout: ArenaLayout,
        arena_start: int,
        thunks: list[PythonCall],
        tables: list[PlanTable],
    ) -> None:
        self.program, self.code, self.sizes = program, code, sizes
        self.external, self.layout, self.arena_start = external, layout, arena_start
        self.now = 0  # the number of the kernel that is being launched
        self.held: list[Any] = []
        self.thunks, self.tables = thunks, tables

    def number(self, size: dim.Size) -> int:
        """A size as a number."""
        return dim.evaluate(size, self.sizes)

    def launch(self, kernel: Kernel) -> PlanRow:
        """The launch of a kernel that has its own code."""
        code = self.code[kernel]
        extent = self.number(code.source.extent)
        words: list[Argument] = [self.place(v) for v in buffers_of(kernel)]
        words += [(self.number(s), None) for s in code.source.sizes]
        if code.source.uses_status:
            words.append(STATUS_ARGUMENT)
        words += [(routine, None) for routine in code.routines]
        if code.source.calls:
            thunk = Thunk(kernel.body[0], self.sizes)
            self.thunks.append(thunk)
            words.append((thunk.address, None))
        most = max(1, extent // max(1, self.number(code.source.least)))
        chunks = most if code.source.apart else min(self._chunks(kernel, extent), most)
        return PlanRow(code.address, words, extent, chunks, kernel)

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
            return self.arena_start + self.layout.at(v, self.now), None
        if buffer.place is Place.VARIABLE:
            return 0, self.external[home(self.program, v)]
        return 0, self.external[v]

    def _chunks(self, kernel: Kernel, extent: int) -> int:
        """The number of chunks of a kernel, from its size alone."""
        if extent <= 1:
            return 1
        if kernel.kind is Kind.MATMUL:
            return min(extent, MAX_CHUNKS_PER_KERNEL)
        operations = work(kernel, self.number)
        if operations < MIN_PARALLEL_WORK:
            return 1
        return max(1, min(extent, MAX_CHUNKS_PER_KERNEL, operations // MIN_WORK_PER_CHUNK))


def table(rows: Sequence[Sequence[int]]) -> Array:
    """An array of words, row after row; never empty, so that it has an address."""
    return np.array([x for row in rows for x in row] or [0], np.int64)
