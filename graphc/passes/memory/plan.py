"""Gives each stored value of a program a place in memory.

The planner gives every stored value a kind of place: the caller's array, the arena, or the place of
a value that it may overwrite.  A value takes the place of an operand that dies (in place) if the
kernel accesses both in step.  A variable's new value overwrites the old one if nothing reads the
old one later.  In a step of a loop, so do the values that become the new one by overwriting each
other: a scatter of a carry touches the updated elements only.  `ir/arena.py` finds the offsets in
the arena for each set of sizes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Place, PlannedBuffer, Program, storage
from graphc.passes.base import Context, ProgramPass
from graphc.passes.memory.in_place import LockStep, heirs


@dataclass(frozen=True)
class PlanMemory(ProgramPass):
    """Gives every stored value a kind of place: the caller's, the arena, or what it overwrites."""

    name = "plan"
    required = "a program runs in the buffers that it plans"

    def run(self, program: Program, context: Context) -> Program:
        return plan(program)


@dataclass
class Planner:
    """Plans one program."""

    program: Program
    steps: LockStep
    buffers: dict[Value, PlannedBuffer] = field(default_factory=dict)
    given: set[Value] = field(default_factory=set)  # values whose places others have taken

    def run(self) -> Program:
        """A place for every value that is read or written."""
        kernels = self._inner_planned()
        self.program, graph = replace(self.program, kernels=kernels), self.program.graph
        last = self._last_uses()
        self.taken = Counter(storage(new) for _, new in graph.updates)
        self.times = Counter(v for k in kernels for v in k.writes)
        outputs = {storage(v) for v in graph.outputs}
        self.tenants = {old: old for old, _ in graph.updates}
        self.heirs = heirs(self.program, self.steps)
        for v in (
            *graph.inputs,
            *(r for k in kernels for r in k.reads if isinstance(r.op, Constant)),
        ):
            place = Place.CONSTANT if isinstance(v.op, Constant) else Place.INPUT
            self.buffers[v] = PlannedBuffer(place, v.type.nbytes)
        for number, kernel in enumerate(kernels):
            for v in kernel.writes:
                if v not in self.buffers:
                    self.buffers[v] = self._place(v, number, outputs, last)
        return replace(self.program, buffers=self.buffers)

    def _inner_planned(self) -> tuple[Kernel, ...]:
        """The kernels with their inner programs planned; a kernel that runs twice stays one
        object."""
        planned = {
            k: replace(k, programs=tuple(plan(p, self.steps) for p in k.programs))
            for k in self.program.kernels
            if any(p.kernels and not p.buffers for p in k.programs)
        }
        return tuple(planned.get(k, k) for k in self.program.kernels)

    def _last_uses(self) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for number, kernel in enumerate(self.program.kernels):
            for v in kernel.reads:
                last[v] = number
        end = len(self.program.kernels)
        for _, new in self.program.graph.updates:
            last[storage(new)] = end
        return last

    def _place(
        self, v: Value, number: int, outputs: set[Value], last: dict[Value, int]
    ) -> PlannedBuffer:
        kernel = self.program.kernels[number]
        if v in outputs:
            return PlannedBuffer(Place.OUTPUT, self.steps.nbytes(v))
        variable = self.heirs.get(v)
        if variable is not None and self._overwrites(kernel, v, variable, number, last):
            tenant, self.tenants[variable] = self.tenants[variable], v
            return PlannedBuffer(Place.VARIABLE, self.steps.nbytes(v), tenant)
        for u in kernel.reads:
            if self._in_place(kernel, u, v, number, last):
                self.given.add(u)
                return PlannedBuffer(Place.ARENA, self.steps.nbytes(v), u)
        return PlannedBuffer(Place.ARENA, self.steps.nbytes(v))

    def _overwrites(
        self, kernel: Kernel, new: Value, variable: Value, number: int, last: dict[Value, int]
    ) -> bool:
        """Whether `new` may be written into a variable at once: it commits (which a step need not),
        nothing else reads what lies there then or later, and no other variable takes it."""
        tenant = self.tenants[variable]
        if not (kernel.commits or self.program.step) or self.times[new] > 1:
            return False
        if last.get(tenant, -1) > number or self.taken[new] > 1:
            return False
        if self.steps.nbytes(tenant) != self.steps.nbytes(new):
            return False
        return tenant not in kernel.reads or self.steps.together(kernel, tenant, new)

    def _in_place(
        self, kernel: Kernel, u: Value, v: Value, number: int, last: dict[Value, int]
    ) -> bool:
        """Whether v can take the arena place of u, which dies here.  A value that is computed again
        keeps a place of its own."""
        if self.buffers[u].place is not Place.ARENA or u in self.given or last.get(u) != number:
            return False
        if self.times[u] > 1 or self.times[v] > 1:
            return False
        same = self.steps.nbytes(u) == self.steps.nbytes(v)
        return same and self.steps.together(kernel, u, v)


def plan(program: Program, steps: LockStep | None = None) -> Program:
    """The program with a place for every buffer.  `steps` is a cache that several plans of
    one program may share."""
    return Planner(program, steps or LockStep()).run()
