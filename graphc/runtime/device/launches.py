"""The launches of a program's kernels on a device, at given sizes.

A `Scope` knows where the values of a program lie.  A loop is a scope inside another.  The number of
its steps is known, so all steps are launched one after another, each with its own slices and rows,
and a whole run stays one graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.codegen.cpu.kernels import buffers_of
from graphc.ir import dim
from graphc.ir.arena import ArenaLayout
from graphc.ir.control import Loop
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Place, Program, copied_updates, home, storage
from graphc.runtime.device.code import DeviceProgram
from graphc.runtime.device.protocol import (
    CopyNode,
    LaunchNode,
    LoadedKernel,
    MemorySpan,
    Node,
    allocated,
)

MIN_ELEMENTS_FOR_64_BITS = 1 << 31  # of an array: smaller ones are indexed with 32 bits
ALIGNMENT_BYTES = 16  # of buffers: kernels read and write vectors of 16 bytes


@dataclass
class Scope:
    """A program, the places of its inputs, and of those results that are outside of its arena."""

    code: DeviceProgram
    program: Program
    sizes: Mapping[str, int]
    layout: ArenaLayout
    arena: MemorySpan
    inputs: dict[Value, MemorySpan]
    outputs: dict[Value, MemorySpan]
    status: MemorySpan
    scratch: MemorySpan

    def number(self, size: dim.Size) -> int:
        """A size as a number."""
        return dim.evaluate(size, self.sizes)

    def nbytes(self, v: Value) -> int:
        """Bytes of a value."""
        return self.number(v.type.nbytes)

    def place(self, v: Value, number: int) -> MemorySpan:
        """The place of a stored value while kernel `number` runs."""
        if isinstance(v.op, Constant):
            return self.code.constant(v)
        if v not in self.program.buffers:
            return self.inputs[v]
        buffer = self.program.buffers[v]
        if buffer.place is Place.ARENA:
            return self.arena.part(self.layout.at(v, number), self.nbytes(v))
        if buffer.place is Place.VARIABLE:
            return self.inputs[home(self.program, v)]
        return self.outputs[v] if v in self.outputs else self.inputs[v]

    def launches(self, number: int, kernel: Kernel) -> list[Node]:
        """The launches of a kernel; those without blocks are left out."""
        if kernel.kind is Kind.CONTROL:
            return self._loop(number, kernel)
        places = [self.place(v, number) for v in buffers_of(kernel)]
        wide = (
            max((self.number(v.type.count) for v in buffers_of(kernel)), default=0)
            >= MIN_ELEMENTS_FOR_64_BITS
        )

        def own(at: Sequence[MemorySpan]) -> list[Node]:
            functions = self.code.code(kernel, self.program, wide, self.sizes)
            return self._launched(kernel, functions, at)

        def after(at: Sequence[MemorySpan]) -> list[Node]:
            return self._launched(kernel, self.code.epilogue(kernel, wide), at)

        library = self.code.library(kernel)
        if library is None:
            return own(places)
        return library.nodes(kernel, self.number, places, own, after)

    def _launched(
        self, kernel: Kernel, functions: Sequence[LoadedKernel], places: Sequence[MemorySpan]
    ) -> list[Node]:
        """The launches of functions over a kernel's buffers."""
        nodes: list[Node] = []
        for function in functions:
            source = function.source
            x, y, z = map(self.number, source.grid)
            arguments: list[MemorySpan | int] = [*places]
            written = {*range(len(kernel.reads), len(places))}
            if source.scratch != 0:
                written.add(len(arguments))
                arguments.append(self.scratch.part(0, self.number(source.scratch)))
            arguments += map(self.number, source.sizes)
            if source.uses_status:
                written.add(len(arguments))
                arguments.append(self.status)
            if min(x, y, z) > 0:
                nodes.append(
                    LaunchNode(
                        function,
                        (x, y, z),
                        self.number(source.shared),
                        tuple(arguments),
                        frozenset(written),
                        kernel=kernel,
                    )
                )
        return nodes

    def commits(self) -> tuple[list[Node], list[Node]]:
        """Copies, early and late ones, that give variables the new values which no kernel writes in
        place.  A new value that is itself an input is copied early to a temporary, because all
        inputs are read before any is written."""
        before: list[Node] = []
        after: list[Node] = []
        end = len(self.program.kernels)
        for old, _, base in copied_updates(self.program):
            source = self.place(base, end)
            if base in self.inputs:
                temporary = allocated(self.code.device, self.nbytes(base))
                before.append(CopyNode(temporary, source))
                source = temporary
            after.append(CopyNode(self.inputs[old], source))
        return before, after

    # -- loops

    def _loop(self, number: int, kernel: Kernel) -> list[Node]:
        """The nodes of a loop: copies of its initial state, then all steps."""
        v = kernel.body[0]
        op = v.op
        assert isinstance(op, Loop)
        operands = [self.place(storage(a), number) for a in v.args[1:]]
        count, *items = [self.place(w, number) for w in kernel.writes]
        length = self.number(op.length)
        nodes: list[Node] = [CopyNode(count, self.code.number(length))]
        carries, slices, constants = op.parts(operands)
        state = items[: op.carries]
        pairs = zip(state, carries, strict=True)
        nodes += [CopyNode(to, at) for to, at in pairs if at.nbytes and at.address != to.address]
        steps = reversed(range(length)) if op.reverse else range(length)
        (program,) = kernel.programs
        arena = self.arena.part(self.layout.workspaces[number], self.layout.inner[program].arena)
        for t in steps:
            step = _Step(
                self, program, arena, [*state, *(_row(x, t, length) for x in slices), *constants]
            )
            nodes += step.nodes([_row(x, t, length) for x in items[op.carries :]])
        return [x if x.kernel is not None else replace(x, kernel=kernel) for x in nodes]


def _row(span: MemorySpan, t: int, length: int) -> MemorySpan:
    """Row t of an array of `length` rows."""
    size = span.nbytes // length
    return span.part(t * size, size)


class _Step:
    """One step of a loop."""

    def __init__(
        self, outer: Scope, program: Program, arena: MemorySpan, inputs: Sequence[MemorySpan]
    ) -> None:
        self.device, self.before = outer.code.device, list[Node]()
        places = {v: self._aligned(x) for v, x in zip(program.graph.inputs, inputs, strict=True)}
        self.scope = Scope(
            outer.code,
            program,
            outer.sizes,
            outer.layout.inner[program],
            arena,
            places,
            {},
            outer.status,
            outer.scratch,
        )

    def _aligned(self, span: MemorySpan) -> MemorySpan:
        """An input at an address where vectors may begin: a copy, if its own address is none."""
        if span.address % ALIGNMENT_BYTES == 0 or not span.nbytes:
            return span
        copy = allocated(self.device, span.nbytes)
        self.before.append(CopyNode(copy, span))
        return copy

    def nodes(self, rows: Sequence[MemorySpan]) -> list[Node]:
        """The nodes of a step, which stores its rows of results in `rows`."""
        scope, after = self.scope, list[Node]()
        program = scope.program
        for v, row in zip(program.graph.outputs, rows, strict=True):
            base = storage(v)
            if base in scope.inputs or isinstance(base.op, Constant):
                self.before.append(CopyNode(row, scope.place(base, 0)))
            elif base in scope.outputs:
                after.append(CopyNode(row, scope.outputs[base]))
            elif row.address % ALIGNMENT_BYTES:
                scope.outputs[base] = allocated(self.device, row.nbytes)
                after.append(CopyNode(row, scope.outputs[base]))
            else:
                scope.outputs[base] = row
        launches = [x for n, k in enumerate(program.kernels) for x in scope.launches(n, k)]
        early, late = scope.commits()
        return [*self.before, *launches, *after, *early, *late]
