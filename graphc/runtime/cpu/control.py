"""Control kernels: lays out the instruction lists of inner programs, and the words of the block
that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir.control import Loop, Switch
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Program, copied_updates, storage
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.launches import (
    CANCEL_ARGUMENT,
    STATUS_ARGUMENT,
    Launches,
    PlanRow,
    PlanTable,
    address,
    copy,
    table,
)
from graphc.runtime.cpu.plan_words import (
    BlockKind,
    ControlArgument,
    Instruction,
    LoopBlock,
    SwitchBlock,
)

FIRST_BUFFER = int(ControlArgument.BUFFERS)  # the number of an argument


@dataclass(frozen=True)
class ArgumentStep:
    """A buffer of the control kernel by its argument number, and the bytes that its address moves
    with each step."""

    place: int
    stride: int = 0


def control_launch(outer: Launches, kernel: Kernel) -> PlanRow:
    """The launch of a control kernel."""
    v = kernel.body[0]
    values = [*(storage(a) for a in v.args), *kernel.writes]
    block = _loop(outer, kernel, v) if isinstance(v.op, Loop) else _switch(outer, kernel, v)
    outer.held.append(block)
    arguments = [
        (address(block), None),
        STATUS_ARGUMENT,
        CANCEL_ARGUMENT,
        *map(outer.place, values),
    ]
    return PlanRow(driver().control, arguments, 1, 1, kernel)


def _loop(outer: Launches, kernel: Kernel, v: Value) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The block of a loop: what it copies first, its steps, the rows that it fills."""
    op = v.op
    assert isinstance(op, Loop)
    items = FIRST_BUFFER + len(v.args)
    (program,) = kernel.programs
    carries, end = op.carries, op.carries + op.slices
    sizes = [outer.number(x.type.nbytes) for x in op.body.inputs]
    rows = [outer.number(y.type.nbytes) for y in op.body.outputs]
    inputs = [ArgumentStep(items + 1 + i) for i in range(carries)]
    inputs += [ArgumentStep(FIRST_BUFFER + 1 + i, sizes[i]) for i in range(carries, end)]
    inputs += [ArgumentStep(FIRST_BUFFER + 1 + i) for i in range(end, len(op.body.inputs))]
    outputs = [ArgumentStep(items + 1 + i, rows[i]) for i in range(carries, len(rows))]
    step = Step(outer, kernel, program, inputs, outputs, _arena(outer))
    cleared = table([(w.place, w.stride) for w in outputs])
    outer.held.append(cleared)
    block = np.zeros(LoopBlock.SIZE, np.int64)
    block[LoopBlock.KIND] = BlockKind.LOOP
    block[LoopBlock.STEPS] = FIRST_BUFFER
    block[LoopBlock.LENGTH] = outer.number(op.length) if op.bounded else -1
    block[LoopBlock.REVERSE] = op.reverse
    block[LoopBlock.FLAG] = items + 1 if op.whilst else 0
    block[LoopBlock.COUNT] = items
    block[LoopBlock.COPIES : LoopBlock.COPY_COUNT + 1] = _copies(outer, kernel, v, items + 1)
    block[LoopBlock.PATCHES : LoopBlock.INSTRUCTION_COUNT + 1] = step.words
    block[LoopBlock.ROWS], block[LoopBlock.ROW_COUNT] = address(cleared), len(outputs)
    return block


def _switch(
    outer: Launches, kernel: Kernel, v: Value
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The block of a switch: what it copies first, a row of `branches` for each of its programs."""
    op, items = v.op, FIRST_BUFFER + len(v.args)
    assert isinstance(op, Switch)
    inputs = [ArgumentStep(items + i) for i in range(op.carries)]
    inputs += [ArgumentStep(FIRST_BUFFER + 1 + i) for i in range(op.carries, len(v.args) - 1)]
    outputs = [ArgumentStep(items + i) for i in range(op.carries, len(kernel.writes))]
    arena = _arena(outer)
    rows = [Step(outer, kernel, p, inputs, outputs, arena).words for p in kernel.programs]
    branches = table(rows)
    outer.held.append(branches)
    block = np.zeros(SwitchBlock.SIZE, np.int64)
    block[SwitchBlock.KIND] = BlockKind.SWITCH
    block[SwitchBlock.INDEX] = FIRST_BUFFER
    block[SwitchBlock.COUNT], block[SwitchBlock.BRANCHES] = len(rows), address(branches)
    block[SwitchBlock.COPIES : SwitchBlock.COPY_COUNT + 1] = _copies(outer, kernel, v, items)
    return block


def _copies(outer: Launches, kernel: Kernel, v: Value, first: int) -> tuple[int, int]:
    """The address and the length of the table of what is copied before all steps: carries begin as
    copies of operands, unless they lie where these lie.  `first` is the first carry's place."""
    assert isinstance(v.op, Loop | Switch)
    operands, items = v.args[1:], kernel.writes[first - FIRST_BUFFER - len(v.args) :]
    rows = [
        (first + i, FIRST_BUFFER + 1 + i, outer.number(operands[i].type.nbytes))
        for i in range(v.op.carries)
        if outer.place(storage(operands[i])) != outer.place(items[i])
    ]
    copies = table(rows)
    outer.held.append(copies)
    return address(copies), len(rows)


def _arena(outer: Launches) -> int:
    """The address of the arena of a kernel's programs, which share it: one runs at a time."""
    return outer.arena_start + outer.layout.workspaces[outer.now]


class Step:
    """The instruction list of an inner program; `words` are the addresses and counts of its patches
    and instructions, for the block."""

    def __init__(
        self,
        outer: Launches,
        within: Kernel,
        program: Program,
        inputs: Sequence[ArgumentStep],
        outputs: Sequence[ArgumentStep],
        arena: int,
    ) -> None:
        self.within, self.slots = within, list(inputs)
        external = {v: i for i, v in enumerate(program.graph.inputs)}
        places = outer.layout.inner[program]
        self.launches = Launches(
            program, outer.code, outer.sizes, external, places, arena, outer.thunks, outer.tables
        )
        outer.held.append(self.launches)
        early, late = self._results(outputs)
        kernels = [self._launch(i, k) for i, k in enumerate(program.kernels)]
        self.launches.now = len(kernels)
        self.words = self._lay_out([*early, *kernels, *late, *self._updates()])

    def _launch(self, number: int, kernel: Kernel) -> PlanRow:
        self.launches.now = number
        if kernel.kind is Kind.CONTROL:
            return control_launch(self.launches, kernel)
        return self.launches.launch(kernel)

    def _results(self, outputs: Sequence[ArgumentStep]) -> tuple[list[PlanRow], list[PlanRow]]:
        """Copies of the results that no kernel writes in place: inputs and constants, which are
        copied before all kernels; second copies of one value, after them."""
        early, late = [], []
        x = self.launches
        for v, output in zip(x.program.graph.outputs, outputs, strict=True):
            slot, base = len(self.slots), storage(v)
            self.slots.append(output)
            nbytes = x.number(v.type.nbytes)
            if base in set(x.program.graph.inputs) or isinstance(base.op, Constant):
                early.append(copy((0, slot), x.place(base), nbytes))
            elif base in x.external:
                late.append(copy((0, slot), (0, x.external[base]), nbytes))
            else:
                x.external[base] = slot
        return early, late

    def _updates(self) -> list[PlanRow]:
        """Copies new values that no kernel writes in place to their carries.  A value that is
        itself a carry goes through a temporary: all are read before any is written."""
        x, before, after = self.launches, [], []
        carries = {old for old, _ in x.program.graph.updates}
        for old, new, base in copied_updates(x.program):
            nbytes, source = x.number(new.type.nbytes), x.place(base)
            if base in carries:
                x.held.append(np.empty(nbytes, np.uint8))
                temporary = address(x.held[-1]), None
                before.append(copy(temporary, source, nbytes))
                source = temporary
            after.append(copy((0, x.external[old]), source, nbytes))
        return before + after

    def _lay_out(self, launches: Sequence[PlanRow]) -> tuple[int, int, int, int]:
        """Lays out arguments and patches; returns the words of a `Branch`, or of a `LoopBlock` from
        its patches on."""
        count = len(launches)
        total = sum(len(x.arguments) for x in launches)
        words = np.zeros(count * Instruction.SIZE + total + 1, np.int64)
        start, here = address(words), count * Instruction.SIZE
        rows: list[tuple[int, int, int]] = []
        for i, x in enumerate(launches):
            words[i * Instruction.SIZE :][: Instruction.SIZE] = x.words(start + 8 * here, chunks=1)
            for argument in x.arguments:
                value, external = argument
                words[here] = value
                if argument in (STATUS_ARGUMENT, CANCEL_ARGUMENT):
                    place = (
                        ControlArgument.STATUS
                        if argument == STATUS_ARGUMENT
                        else ControlArgument.CANCEL
                    )
                    rows.append((place, start + 8 * here, 0))
                elif external is not None:
                    slot = self.slots[external]
                    rows.append((slot.place, start + 8 * here, slot.stride))
                here += 1
        patches = table(rows)
        self.launches.held += [words, patches]
        instructions = words[: count * Instruction.SIZE].reshape(count, Instruction.SIZE)
        self.launches.tables.append(
            PlanTable([x.kernel for x in launches], instructions, self.within)
        )
        return address(patches), len(rows), start, count
