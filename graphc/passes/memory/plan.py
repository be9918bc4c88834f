"""Gives each stored value of a program a place in memory.

The planner gives every stored value a kind of place: the caller's array, the arena, or the place of
a value that it may overwrite.  A value takes the place of an operand that dies (in place) if the
kernel accesses both in step.  A variable's new value overwrites the old one if nothing reads the
old one later.  `ir/arena.py` finds the offsets in the arena for each set of sizes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Place, PlannedBuffer, Program, storage
from graphc.passes.base import Context, ProgramPass
from graphc.passes.fusion.row_stages import is_element, stages


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
        updates = {storage(new): old for old, new in graph.updates}
        for v in (
            *graph.inputs,
            *(r for k in kernels for r in k.reads if isinstance(r.op, Constant)),
        ):
            place = Place.CONSTANT if isinstance(v.op, Constant) else Place.INPUT
            self.buffers[v] = PlannedBuffer(place, v.type.nbytes)
        for number, kernel in enumerate(kernels):
            for v in kernel.writes:
                if v not in self.buffers:
                    self.buffers[v] = self._place(v, number, outputs, updates, last)
        return Program(graph, kernels, self.buffers)

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
        self,
        v: Value,
        number: int,
        outputs: set[Value],
        updates: dict[Value, Value],
        last: dict[Value, int],
    ) -> PlannedBuffer:
        kernel = self.program.kernels[number]
        if v in outputs:
            return PlannedBuffer(Place.OUTPUT, self.steps.nbytes(v))
        old = updates.get(v)
        if old is not None and self._overwrites(kernel, v, old, number, last):
            return PlannedBuffer(Place.VARIABLE, self.steps.nbytes(v), old)
        for u in kernel.reads:
            if self._in_place(kernel, u, v, number, last):
                self.given.add(u)
                return PlannedBuffer(Place.ARENA, self.steps.nbytes(v), u)
        return PlannedBuffer(Place.ARENA, self.steps.nbytes(v))

    def _overwrites(
        self, kernel: Kernel, new: Value, old: Value, number: int, last: dict[Value, int]
    ) -> bool:
        """Whether `new` may be written over the variable `old` at once: it commits, nothing else
        reads the old value then or later, and no other variable takes it."""
        if not kernel.commits or last.get(old, -1) > number or self.taken[new] > 1:
            return False
        return old not in kernel.reads or self.steps.together(kernel, old, new)

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


class LockStep:
    """Tells which operands kernels may overwrite; caches what it finds out about kernels and
    values."""

    def __init__(self) -> None:
        self._known: dict[Kernel, _Walk] = {}
        self._nbytes: dict[Value, Size] = {}

    def nbytes(self, v: Value) -> Size:
        """A value's bytes, as a formula."""
        if v not in self._nbytes:
            self._nbytes[v] = v.type.nbytes
        return self._nbytes[v]

    def together(self, kernel: Kernel, u: Value, v: Value) -> bool:
        """Whether v may overwrite u as it is computed: v depends on u, every read of u is at the
        element being written, and no later loop reads u.  A scatter may overwrite what it adds
        to."""
        if kernel.kind is Kind.SCATTER:
            x, *others = (storage(a) for a in v.args)
            return u is x and u not in others
        if kernel.kind is not Kind.LOOPS or isinstance(v.op, Reduction):
            return False
        if u.type.shape != v.type.shape or u.type.dtype != v.type.dtype:
            return False
        if kernel not in self._known:
            self._known[kernel] = _Walk(kernel)
        return self._known[kernel].together(u, v)


class _Walk:
    """How a kernel of loops walks over the values that it reads and writes."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.stored = kernel, set(kernel.reads)
        self.order = stages(kernel, self.stored)
        self.kept = set(self.order.kept.values())
        members = set(kernel.body)
        self.elsewhere = {a for m in members for a in _read_elsewhere(m, members, self.stored)}

    def together(self, u: Value, v: Value) -> bool:
        """Whether v, of u's shape, may be written over u."""
        kernel, order = self.kernel, self.order
        element = is_element(kernel, v) if kernel.inner else True
        if not element or v in self.kept or (kernel.inner and order.at[v] != order.last):
            return False
        return u not in self.elsewhere and u in _read_at_own_element(v, self.stored)


def _read_at_own_element(v: Value, stored: set[Value]) -> set[Value]:
    """The values that v reads at its own element, through pointwise values of its own shape."""
    reached: set[Value] = set()
    stack = [v]
    while stack:
        w = stack.pop()
        for a in w.args:
            if a not in reached and a.type.shape == v.type.shape:
                reached.add(a)
                if a not in stored and isinstance(a.op, Pointwise):
                    stack.append(a)
    return reached


def _read_elsewhere(m: Value, members: set[Value], stored: set[Value]) -> list[Value]:
    """The stored values that a member reads at other elements than its own: through views or other
    index arithmetic."""
    reads = []
    inside = isinstance(m.op, Pointwise | Reduction)
    stack = [(a, inside) for a in m.args]
    seen: set[tuple[Value, bool]] = set()
    while stack:
        a, own_element = stack.pop()
        if a in stored:
            reads += [] if own_element else [a]
        elif (a, own_element) not in seen and a not in members:
            seen.add((a, own_element))
            stack += [(b, own_element and isinstance(a.op, Pointwise)) for b in a.args]
    return reads


def plan(program: Program, steps: LockStep | None = None) -> Program:
    """The program with a place for every buffer.  `steps` is a cache that several plans of
    one program may share."""
    return Planner(program, steps or LockStep()).run()
