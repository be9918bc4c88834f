"""Invariants of a Program.  Checked after fusion and planning, in production too.

    order      a kernel reads inputs, constants and what earlier kernels wrote; no two kernels
               write one value, and only what cannot fail may run again; all that a body reaches
               is a member, is read, or is an index lambda
    commits    kernels that commit come last and cannot fail; only they write over variables (in a
               step, any kernel may); nothing reads what lay there after that
    memory     a value may take the place of an operand that dies with it if both are of one size
               and walked in step; all others that are needed at the same time do not overlap in
               the arena, at several sizes

A violation is a bug in fusion or planning: `VerifyError` names the kernel and the values.
"""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.errors import VerifyError
from graphc.ir import dim
from graphc.ir.arena import ArenaLayout, layout, lifetimes
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.ops.state import Variable
from graphc.ir.program import (
    Kernel,
    Place,
    Program,
    can_fail,
    home,
    may_repeat,
    reached,
    storage,
)
from graphc.passes.fusion.melting import READS_MEMORY
from graphc.passes.memory.in_place import LockStep

CHECKED_SIZES = (1, 7, 128)  # layouts are checked at these sizes (each symbol a little larger)


def verify_program(program: Program) -> Program:
    """The program itself, if every invariant holds.  Raises `VerifyError`."""
    _Check(program).run()
    return program


@dataclass
class _Check:
    """Checks one program.  `written` maps each value to the number of the kernel that writes it
    first."""

    program: Program
    written: dict[Value, int] = field(default_factory=dict)
    steps: LockStep = field(default_factory=LockStep)

    def run(self) -> None:
        """Makes all checks."""
        inputs = set(self.program.graph.inputs)
        for number, kernel in enumerate(self.program.kernels):
            self._check_kernel(number, kernel, inputs)
        for v in self.program.graph.results:
            base = storage(v)
            if (
                base not in inputs
                and base not in self.written
                and not isinstance(base.op, Constant)
            ):
                raise VerifyError(f"program: result {_name(v)} is computed by no kernel")
        self._check_commits()
        for kernel in self.program.kernels:
            for inner in kernel.programs:
                verify_program(inner)
        if self.program.buffers:
            self._check_places()
            self._check_arena()

    # -- order

    def _check_kernel(self, number: int, kernel: Kernel, inputs: set[Value]) -> None:
        known, members = set(kernel.reads), set(kernel.body)
        for r in kernel.reads:
            if r not in inputs and not isinstance(r.op, Constant) and r not in self.written:
                self._fail(number, f"reads {_name(r)} before any kernel has written it")
        for v in kernel.body:
            if v in inputs or isinstance(v.op, Constant):
                self._fail(number, f"computes {_name(v)}, an input or constant")
            self._check_reached(number, v, known, members, inputs)
            known.add(v)
        for w in kernel.writes:
            if w not in known or w in kernel.reads:
                self._fail(number, f"writes {_name(w)}, which its body does not compute")
            first = self.written.setdefault(w, number)
            if self.program.kernels[first] is not kernel:
                self._fail(number, f"writes {_name(w)}, as kernel {first} does")
            if first != number and not may_repeat(kernel):
                self._fail(number, "runs again, but can fail, commits or has effects")

    def _check_reached(
        self, number: int, v: Value, known: set[Value], members: set[Value], inputs: set[Value]
    ) -> None:
        """Checks the values that a member reads through index lambdas."""
        stack: list[Value] = list(v.args)
        seen: set[Value] = set()
        while stack:
            a = stack.pop()
            if a in known or a in seen:
                continue
            seen.add(a)
            if a in members:
                self._fail(number, f"uses {_name(a)} before it is computed")
            if a in inputs or isinstance(a.op, Constant) or a in self.written:
                self._fail(number, f"{_name(v)} uses {_name(a)}, which the kernel does not read")
            stack.extend(a.args)
        material = isinstance(v.op, READS_MEMORY)
        if material and any(storage(a) not in known for a in v.args):
            self._fail(number, f"an operand of {_name(v)} does not lie in memory")

    # -- commits

    def _check_commits(self) -> None:
        graph = self.program.graph
        written: dict[Value, int] = {}  # what lay in a variable until a kernel overwrote it
        committing = False
        for number, kernel in enumerate(self.program.kernels):
            if kernel.commits and self.program.step:
                self._fail(number, "commits, but a step of a loop commits nothing")
            if committing and not kernel.commits:
                self._fail(number, "comes after a commit, but is none")
            committing = committing or kernel.commits
            bad = next((v for v in reached(kernel.body, kernel.reads) if can_fail(v)), None)
            if committing and bad is not None:
                self._fail(number, f"commits, but {_name(bad)} in it can fail")
            for r in kernel.reads:
                if r in written:
                    self._fail(
                        number, f"reads {_name(r)}, which kernel {written[r]} has overwritten"
                    )
            for w in kernel.writes:
                buffer = self.program.buffers.get(w)
                if buffer is not None and buffer.place is Place.VARIABLE:
                    written[self._overwritten(number, kernel, w, buffer.over)] = number
        for _, v in graph.updates:  # (outputs that are variables are copied before the run)
            if storage(v) in written:
                raise VerifyError(
                    f"program: result {_name(v)} is a variable that a kernel overwrites"
                )

    def _overwritten(self, number: int, kernel: Kernel, w: Value, over: Value | None) -> Value:
        """What a value overwrites in a variable: the variable's old value, or in a step a value
        that lay there meanwhile."""
        step, buffers = self.program.step, self.program.buffers
        lies_there = over is not None and (
            isinstance(over.op, Variable)
            or (_lies_in_variable(self.program, over) and self.written[over] < number)
        )
        variable = home(self.program, over) if over is not None and lies_there else None
        takers = {old for old, new in self.program.graph.updates if storage(new) is w}
        if over is None or variable is None or not (takers == {variable} or (step and not takers)):
            self._fail(number, f"writes {_name(w)} over a variable that does not take it")
        assert over is not None
        if not kernel.commits and not step:
            self._fail(number, f"overwrites {_name(over)} without being a commit")
        if buffers[over].nbytes != w.type.nbytes:
            self._fail(number, f"writes {_name(w)} over {_name(over)}, which has another size")
        if over in kernel.reads and not self.steps.together(kernel, over, w):
            self._fail(number, f"overwrites {_name(over)} while it still reads it elsewhere")
        return over

    # -- memory

    def _check_places(self) -> None:
        outputs = {storage(v) for v in self.program.graph.outputs}
        for w, number in self.written.items():
            buffer = self.program.buffers.get(w)
            if buffer is None or buffer.nbytes != w.type.nbytes:
                self._fail(number, f"{_name(w)} has no place of its size")
            assert buffer is not None
            if buffer.place in (Place.INPUT, Place.CONSTANT):
                self._fail(number, f"writes {_name(w)} into an input or constant")
            if (buffer.place is Place.OUTPUT) != (w in outputs):
                self._fail(number, f"{_name(w)} and the place {buffer.place.value!r} do not fit")

    def _check_arena(self) -> None:
        self.times_written = Counter(w for k in self.program.kernels for w in k.writes)
        self.last_reader = {r: i for i, k in enumerate(self.program.kernels) for r in k.reads}
        for v, buffer in self.program.buffers.items():
            if buffer.place is Place.ARENA and buffer.over is not None:
                self._check_in_place(v, buffer.over)
        takers = [b.over for b in self.program.buffers.values() if b.over is not None]
        if len(set(takers)) != len(takers):
            raise VerifyError("program: two values take one place at once")
        sizes = {s for b in self.program.buffers.values() for s in dim.symbols(b.nbytes)}
        for n in CHECKED_SIZES if sizes else CHECKED_SIZES[:1]:
            sizes_tried = {name: n + 3 * i for i, name in enumerate(sorted(sizes))}
            verify_layout(self.program, layout(self.program, sizes_tried))

    def _check_in_place(self, v: Value, u: Value) -> None:
        """Checks that v may take the place of u: u dies as v is born, and both are written once."""
        born = self.written[v]
        kernels = self.program.kernels
        taken_buffer = self.program.buffers.get(u)
        if (
            taken_buffer is None
            or taken_buffer.place is not Place.ARENA
            or taken_buffer.nbytes != v.type.nbytes
        ):
            self._fail(born, f"{_name(v)} takes the place of {_name(u)}, which has no such place")
        if any(storage(r) is u for r in self.program.graph.results):
            self._fail(born, f"{_name(v)} overwrites {_name(u)}, which is still needed")
        again = self.times_written[u] > 1 or self.times_written[v] > 1
        if (
            again
            or self.last_reader.get(u, -1) != born
            or not self.steps.together(kernels[born], u, v)
        ):
            self._fail(born, f"{_name(v)} overwrites {_name(u)}, which is still needed")

    def _fail(self, number: int, what: str) -> None:
        kernel = self.program.kernels[number]
        raise VerifyError(f"program: kernel {number} ({kernel.kind.value} {kernel.name}): {what}")


def _lies_in_variable(program: Program, v: Value) -> bool:
    buffer = program.buffers.get(v)
    return buffer is not None and buffer.place is Place.VARIABLE


def verify_layout(program: Program, places: ArenaLayout) -> None:
    """Checks that no two values needed at the same time overlap in the arena.  Raises
    `VerifyError`."""
    stays: dict[tuple[object, int], _Stay] = {}
    lives = lifetimes(program)
    first = {v: born for v, born in lives}
    for (v, born), dies in lives.items():
        root = home(program, v)
        key = (v, born) if root is v else (root, first[root])
        start = places.offsets[v][born]
        stay = stays.setdefault(key, _Stay(start, start + places.nbytes[v], born, dies, _name(v)))
        if (stay.start, stay.end) != (start, start + places.nbytes[v]):
            raise VerifyError(f"program: {_name(v)} at {start} is not in its operand's place")
        stay.dies = max(stay.dies, dies)
    for i, kernel in enumerate(program.kernels):
        if kernel.programs:
            start = places.workspaces[i]
            end = start + max(places.inner[p].arena for p in kernel.programs)
            stays[kernel, i] = _Stay(start, end, i, i, f"the workspace of {kernel.name}")
    _check_disjoint(list(stays.values()), places.arena)


@dataclass
class _Stay:
    """Bytes [start, end) that are taken from kernel `born` to kernel `dies`."""

    start: int
    end: int
    born: int
    dies: int
    name: str


def _check_disjoint(stays: Sequence[_Stay], arena: int) -> None:
    """Checks that stays do not overlap, by a sweep over time.  The stays taken at one time lie
    apart, so a new one can only overlap its neighbours."""
    taken: list[tuple[int, int]] = []  # (start, number), in order
    leaving: list[tuple[int, int]] = []  # (dies, number)
    for number, x in sorted(enumerate(stays), key=lambda pair: pair[1].born):
        if x.start < 0 or x.end > arena:
            raise VerifyError(f"program: {x.name} at {x.start}:{x.end} leaves the arena of {arena}")
        while leaving and leaving[0][0] < x.born:
            left = heapq.heappop(leaving)[1]
            del taken[bisect.bisect_left(taken, (stays[left].start, left))]
        if x.start == x.end:
            continue
        at = bisect.bisect_left(taken, (x.start, number))
        for _, near in taken[max(0, at - 1) : at + 1]:
            y = stays[near]
            if y.start < x.end and x.start < y.end:
                raise VerifyError(
                    f"program: {x.name} at {x.start}:{x.end} overwrites {y.name} at "
                    f"{y.start}:{y.end}, which is still needed"
                )
        taken.insert(at, (x.start, number))
        heapq.heappush(leaving, (x.dies, number))


def _name(v: Value) -> str:
    return f"%{v.name or v.op.name}: {v.type}"
