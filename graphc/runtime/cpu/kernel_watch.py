"""Watched plans: Python sees each kernel of a run, inside loops and branches too, with its operands
as they were and its results as they are in memory.

A launch calls a function with the address of its arguments.  A watched launch calls a function of
`KernelWatch` instead, which calls the kernel.  The plan's instructions stay watched for good; all
others are as they were.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from graphc.codegen.cpu.kernels import buffers_of
from graphc.codegen.status import Status
from graphc.ir import dim
from graphc.ir.control import Loop
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.program import Kernel, Kind, storage
from graphc.runtime.cpu.executable import Bound
from graphc.runtime.cpu.plan_words import ControlArgument, Instruction
from graphc.runtime.cpu.python_calls import WORD_BYTES, PythonCall, place_of, view_of

KERNEL_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
)


@dataclass(frozen=True)
class Turn:
    """A loop or a choice of branches around a kernel; `index` is the position of the step's slices
    and rows (-1 in a branch)."""

    kernel: Kernel
    index: int


@dataclass(frozen=True)
class Launched:
    """A kernel that has run: its operands as they were before, its results where they lie, and the
    loops and branches around it, the outermost first."""

    kernel: Kernel
    sizes: Mapping[str, int]
    operands: Mapping[Value, Array]
    results: Mapping[Value, Array]
    within: tuple[Turn, ...]


Look = Callable[[Launched], None]


class KernelWatch(PythonCall):
    """Calls `look` after each kernel of a plan.  What it raises ends the run: no later kernel runs,
    and the runner raises it."""

    def __init__(self, bound: Bound, look: Look) -> None:
        super().__init__()
        self.bound, self.look = bound, look
        self.around: list[_Around] = []
        self._rows: list[_Row] = []
        for table in bound.launches.tables:
            for kernel, row in zip(table.kernels, table.rows, strict=True):
                if kernel is not None:
                    self._rows.append(_Row(self, kernel, row))
        bound.thunks.append(self)

    def interrupt(self) -> None:
        """Nothing: Ctrl-C ends a run between two kernels."""

    @property
    def failed(self) -> bool:
        """Whether the run has come to an end before its time."""
        return self.bound.view[self.bound.status_at] != Status.FINE

    def stop(self, error: BaseException) -> None:
        """Ends the run with an error, unless it has ended with another."""
        if self.error is None:
            self.error = error
        if not self.failed:
            self.bound.view[self.bound.status_at] = Status.RAISED


@dataclass
class _Around:
    """A control kernel that is running, the turns around it, and for each of its instructions how
    often it has run."""

    kernel: Kernel
    within: tuple[Turn, ...]
    steps: int
    counts: dict[int, int]

    def turns(self, row: int) -> tuple[Turn, ...]:
        """The turns in which an instruction runs now; its run is counted."""
        step = self.counts.get(row, 0)
        self.counts[row] = step + 1
        op = self.kernel.body[0].op
        index = step if isinstance(op, Loop) else -1
        if isinstance(op, Loop) and op.reverse:
            index = self.steps - 1 - step
        return (*self.within, Turn(self.kernel, index))


class _Row:
    """One watched instruction."""

    def __init__(self, watch: KernelWatch, kernel: Kernel, row: Array) -> None:
        self.watch, self.kernel = watch, kernel
        self.extent = int(row[Instruction.EXTENT])
        self.read, self.first = _operands(kernel)
        self.places = [place_of(v.type, watch.bound.sizes) for v in (*self.read, *kernel.writes)]
        self.within: tuple[Turn, ...] = ()
        self.operands: dict[Value, Array] = {}
        self.native = KERNEL_TYPE(int(row[Instruction.FUNCTION]))
        self.called = KERNEL_TYPE(self._call)
        row[Instruction.FUNCTION] = ctypes.cast(self.called, ctypes.c_void_p).value

    def _call(self, ret: int, exc: int, args: int, low: int, high: int) -> int:
        watch = self.watch
        try:
            if low == 0:
                self._begin(args)
            if self.kernel.kind is Kind.CONTROL:
                watch.around.append(_Around(self.kernel, self.within, self._steps(args), {}))
            self.native(ret, exc, args, low, high)
            if self.kernel.kind is Kind.CONTROL:
                watch.around.pop()
            if high == self.extent and not watch.failed:
                self._end(args)
        except BaseException as error:  # none may pass through native code
            watch.stop(error)
        return 0

    def _steps(self, args: int) -> int:
        """The steps that a loop will make, if no condition ends it; 0 for a choice."""
        op = self.kernel.body[0].op
        if not isinstance(op, Loop):
            return 0
        wanted = int(self._array(args, 0))
        most = dim.evaluate(op.length, self.watch.bound.sizes) if op.bounded else wanted
        return max(0, min(wanted, most))

    def _begin(self, args: int) -> None:
        """Notes where the run is, and copies operands that the kernel may overwrite."""
        around = self.watch.around
        self.within = around[-1].turns(id(self)) if around else ()
        arrays = [self._array(args, i) for i in range(len(self.places))]
        written = arrays[len(self.read) :]
        self.operands = {
            v: a.copy() if any(np.may_share_memory(a, w) for w in written) else a
            for v, a in zip(self.read, arrays, strict=False)
        }

    def _end(self, args: int) -> None:
        count = len(self.read)
        results = {v: self._array(args, count + i) for i, v in enumerate(self.kernel.writes)}
        operands, self.operands = self.operands, {}
        sizes = self.watch.bound.sizes
        self.watch.look(Launched(self.kernel, sizes, operands, results, self.within))

    def _array(self, args: int, number: int) -> Array:
        """The array that a buffer argument points at."""
        at = args + WORD_BYTES * (self.first + number)
        return view_of(ctypes.c_int64.from_address(at).value, *self.places[number])


def _operands(kernel: Kernel) -> tuple[tuple[Value, ...], int]:
    """The values whose addresses stand before those of the results among a kernel's arguments, and
    the number of the first of these arguments."""
    if kernel.kind is Kind.CONTROL:
        return tuple(storage(a) for a in kernel.body[0].args), int(ControlArgument.BUFFERS)
    return buffers_of(kernel)[: -len(kernel.writes)], 0
