"""An executable: a planned program with machine code, bound to sizes and run.

`Executable` is shared between sessions.  `Bound` belongs to one session and one set of sizes: its
words hold the driver's plan, the kernels' arguments and the arena, so that a run fills in a few
addresses and makes one native call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from graphc.ir import dim
from graphc.ir.arena import ALIGNMENT_BYTES, layout
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Place, Program, copied_updates, storage
from graphc.passes.cost.work import work
from graphc.passes.graph.unify_sizes import Unified
from graphc.passes.trace import StageTime
from graphc.runtime.cpu.control import control_launch
from graphc.runtime.cpu.launches import (
    CANCEL_ARGUMENT,
    STATUS_ARGUMENT,
    Argument,
    KernelCode as KernelCode,
    Launches,
    PlanRow,
    PlanTable,
    address,
    copy,
)
from graphc.runtime.cpu.plan_words import Instruction, Patch, Word

STATUS_WORDS = 4  # the `Status`, a bad index, the size it exceeds, the code of a `Site`


@dataclass
class Executable:
    """Machine code that serves every batch size; `spans` are the stages of its compilation."""

    program: Program
    unified: Unified
    code: dict[Kernel, KernelCode]
    spans: Sequence[StageTime] = ()
    variants: list[Executable] = field(default_factory=list)  # that fit a memory limit

    def bind(self, sizes: dict[str, int], arena: Arena | None = None) -> Bound:
        """A plan for these sizes, in a session's arena or in one of its own."""
        return Bound(self, sizes, arena or Arena())


class ArenaUser(Protocol):
    """An object that keeps plans bound to an arena."""

    def forget(self) -> None:
        """Drops the plans, because the arena moves."""


class Arena:
    """The memory that the plans of a session share: its runs happen one after another.

    The arena grows to what the largest plan needs.  Plans hold addresses in it, so the `users`
    forget their plans when the arena moves.
    """

    def __init__(self, users: Iterable[ArenaUser] = ()) -> None:
        self.users = users
        self._allocate(0)

    def _allocate(self, nbytes: int) -> None:
        array = np.empty(nbytes + ALIGNMENT_BYTES, np.uint8)
        start = -(-address(array) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        self.nbytes, self.array, self.start = nbytes, array, start  # all or none

    def reserve(self, nbytes: int) -> None:
        """Grows to at least `nbytes`, for a plan."""
        if nbytes > self.nbytes:
            for user in self.users:
                user.forget()
            self._allocate(0)  # first, so that memory need not hold both
            self._allocate(nbytes)


class Bound:
    """A plan ready to run.  `externals` are the words that hold array objects' addresses: inputs
    first, in the graph's order, then outputs."""

    def __init__(self, executable: Executable, sizes: dict[str, int], arena: Arena) -> None:
        self.executable, self.sizes = executable, sizes
        program = executable.program
        graph = program.graph
        self.layout = layout(program, sizes)
        arena.reserve(self.layout.arena)
        self.arena, self.arena_start = arena.array, arena.start
        self.outputs = list(
            dict.fromkeys(
                v
                for k in program.kernels
                for v in k.writes
                if program.buffers[v].place is Place.OUTPUT
            )
        )
        self.external = {v: i for i, v in enumerate((*graph.inputs, *self.outputs))}
        self.launches = Launches(
            program, executable.code, sizes, self.external, self.layout, self.arena_start, [], []
        )
        self.end = len(program.kernels)
        self.constants: list[Array] = []
        self.patches: list[tuple[int, int]] = []
        self.thunks = self.launches.thunks
        self.results = [_Result(self, v) for v in graph.outputs]
        launches = [self._launch(i, k) for i, k in enumerate(program.kernels)]
        self._lay_out(launches + self._copies())
        self.work = sum(work(k, self.launches.number) for k in program.kernels)

    def _launch(self, number: int, kernel: Kernel) -> PlanRow:
        self.launches.now = number
        if kernel.kind is Kind.CONTROL:
            return control_launch(self.launches, kernel)
        return self.launches.launch(kernel)

    def _lay_out(self, launches: list[PlanRow]) -> None:
        """Lays out all words in one array: head, instructions, externals, status, arguments,
        patches."""
        arguments = [word for x in launches for word in x.arguments]
        patches = [(e, i) for i, (_, e) in enumerate(arguments) if e is not None and e >= 0]
        instructions_at = int(Word.SIZE)
        self.externals_at = instructions_at + len(launches) * Instruction.SIZE
        self.status_at = self.externals_at + len(self.external)
        arguments_at = self.status_at + STATUS_WORDS
        patches_at = arguments_at + len(arguments)
        self.words = words = np.zeros(patches_at + Patch.SIZE * len(patches) + 1, np.int64)
        self.address = base = address(words)

        def at(i: int) -> int:
            return base + 8 * i

        kernels = self.executable.program.kernels
        words[Word.INSTRUCTIONS], words[Word.COUNT] = at(instructions_at), len(launches)
        words[Word.PATCHES], words[Word.PATCH_COUNT] = at(patches_at), len(patches)
        words[Word.STATUS] = at(self.status_at)
        words[Word.COMMIT] = next((i for i, k in enumerate(kernels) if k.commits), len(kernels))
        rows = words[instructions_at : self.externals_at].reshape(-1, Instruction.SIZE)
        self.launches.tables.append(PlanTable([x.kernel for x in launches], rows))
        here = arguments_at
        for row, x in zip(rows, launches, strict=True):
            row[:] = x.words(at(here), x.chunks)
            here += len(x.arguments)
        placeholders = {STATUS_ARGUMENT: at(self.status_at), CANCEL_ARGUMENT: at(Word.CANCEL)}
        for i, word in enumerate(arguments, arguments_at):
            words[i] = placeholders.get(word, word[0])
        pairs = words[patches_at:][: Patch.SIZE * len(patches)].reshape(-1, Patch.SIZE)
        for pair, (external, argument) in zip(pairs, patches, strict=True):
            pair[Patch.OBJECT] = at(self.externals_at + external)
            pair[Patch.ARGUMENT] = at(arguments_at + argument)
        self.view = memoryview(words)  # type: ignore[arg-type]

    def _copies(self) -> list[PlanRow]:
        """Copies new values that no kernel writes in place to their variables, at the plan's end.
        A value that is itself a variable goes through a temporary: all are read before any is
        written."""
        program, before, after = self.executable.program, [], []
        for old, new, _ in copied_updates(program):
            nbytes, result = dim.evaluate(new.type.nbytes, self.sizes), _Result(self, new)
            source = result.argument()
            if result.is_input:
                self.constants.append(np.empty(nbytes, np.uint8))
                temporary = address(self.constants[-1]), None
                before.append(copy(temporary, source, nbytes))
                source = temporary
            after.append(copy((0, self.external[old]), source, nbytes))
        return before + after


@dataclass
class _Result:
    """Where a graph output lies after a run: in an external array, the arena or a constant."""

    bound: Bound
    value: Value
    external: int | None = None
    array: Array | None = field(default=None)
    shape: tuple[int, ...] = ()
    is_input: bool = False

    def __post_init__(self) -> None:
        bound, base = self.bound, storage(self.value)
        self.shape = dim.numbers(self.value.type.shape, bound.sizes)
        if isinstance(base.op, Constant):
            self.array = base.op.value.array.reshape(self.shape)
        elif base in bound.external:
            self.external = bound.external[base]
            self.is_input = base in set(bound.executable.program.graph.inputs)
        else:
            start = bound.arena_start - address(bound.arena) + bound.layout.at(base, bound.end)
            dtype = self.value.type.dtype.numpy
            count = int(np.prod(self.shape, dtype=np.int64)) * dtype.itemsize
            self.array = bound.arena[start : start + count].view(dtype).reshape(self.shape)

    def argument(self) -> Argument:
        """The kernel argument that points at it."""
        return (address(self.array), None) if self.array is not None else (0, self.external)
