"""Memory: Program -> Program with buffers.

Liveness over the kernels' order; a dying operand's place becomes its successor's where every access
is in step (in place); everything else shares arena slots.  Offsets are formulas of the sizes, so
one plan serves every batch.  A variable's new value is written over the old one if nothing reads
the old one later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Buffer, Kernel, Kind, Place, Program
from graphc.passes.fuse import storage
from graphc.passes.stages import is_element, stages

ALIGN = 64


@dataclass
class Slot:
    """A stretch of the arena that buffers use one after another."""

    nbytes: Size
    free: bool = False


@dataclass
class Planner:
    """One run of planning."""

    program: Program
    buffers: dict[Value, Buffer] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    slot_of: dict[Value, int] = field(default_factory=dict)
    naive: Size = 0
    workspace: dict[Kernel, int] = field(default_factory=dict)

    def run(self) -> Program:
        """Places every value that is read or written."""
        kernels = tuple(map(inner_planned, self.program.kernels))
        self.program, graph = replace(self.program, kernels=kernels), self.program.graph
        last = self._last_uses()
        outputs = {storage(v) for v in graph.outputs}
        updates = {storage(new): old for old, new in graph.updates}
        for v in (
            *graph.inputs,
            *(r for k in kernels for r in k.reads if isinstance(r.op, Constant)),
        ):
            place = Place.CONSTANT if isinstance(v.op, Constant) else Place.INPUT
            self.buffers[v] = Buffer(place, v.type.nbytes)
        for number, kernel in enumerate(kernels):
            for v in kernel.writes:
                self.buffers[v] = self._place(v, number, outputs, updates, last)
            if kernel.programs:
                self._reserve(kernel)
            for v in (*kernel.reads, *kernel.writes):
                if v in self.slot_of and last.get(v, number) <= number:
                    self.slots[self.slot_of[v]].free = True
        offsets, arena = self._offsets()
        for v, s in self.slot_of.items():
            self.buffers[v] = replace(self.buffers[v], offset=offsets[s])
        kernels = tuple(
            replace(k, workspace=offsets[self.workspace[k]]) if k in self.workspace else k
            for k in kernels
        )
        return Program(graph, kernels, self.buffers, arena, self.naive)

    def _reserve(self, kernel: Kernel) -> None:
        """A slot for the arenas of a kernel's programs, while it runs."""
        nbytes = workspace_of(kernel)
        if nbytes != 0:
            self.naive = self.naive + nbytes
            self.workspace[kernel] = self._slot(nbytes)
            self.slots[self.workspace[kernel]].free = True

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
    ) -> Buffer:
        kernel = self.program.kernels[number]
        if v in outputs:
            return Buffer(Place.OUTPUT, v.type.nbytes)
        old = updates.get(v)
        if old is not None and self._overwrites(kernel, v, old, number, last):
            return Buffer(Place.VARIABLE, v.type.nbytes, slot=old)
        nbytes = aligned(v.type.nbytes)
        self.naive = self.naive + nbytes
        for u in kernel.reads:
            if self._in_place(kernel, u, v, number, last):
                self.slot_of[v] = self.slot_of[u]
                last[u] = (
                    len(self.program.kernels) + 1
                )  # the place is v's now, not u's to give back
                return Buffer(Place.ARENA, v.type.nbytes)
        self.slot_of[v] = self._slot(nbytes)
        return Buffer(Place.ARENA, v.type.nbytes)

    def _overwrites(
        self, kernel: Kernel, new: Value, old: Value, number: int, last: dict[Value, int]
    ) -> bool:
        """Whether `new` may be written over the variable `old` at once: it commits, nothing else
        reads the old value then or later, and no other variable takes it."""
        sources = [storage(n) for _, n in self.program.graph.updates]
        if (
            not kernel.commits
            or last.get(old, -1) > number
            or sources.count(new) > 1
        ):
            return False
        return old not in kernel.reads or steps_together(kernel, old, new)

    def _in_place(
        self, kernel: Kernel, u: Value, v: Value, number: int, last: dict[Value, int]
    ) -> bool:
        """Whether v can take the arena place of u, which dies here."""
        taken = self.slot_of.get(u)
        if (
            taken is None
            or last.get(u) != number
            or any(self.slot_of.get(w) == taken for w in kernel.writes)
        ):
            return False
        return u.type.nbytes == v.type.nbytes and steps_together(kernel, u, v)

    def _slot(self, nbytes: Size) -> int:
        """A free slot that fits best, or a new one."""
        candidates = [i for i, s in enumerate(self.slots) if s.free]
        best = next((i for i in candidates if self.slots[i].nbytes == nbytes), None)
        if best is None:
            larger = [i for i in candidates if known_less(nbytes, self.slots[i].nbytes)]
            smaller = [i for i in candidates if known_less(self.slots[i].nbytes, nbytes)]
            best = next(iter(larger or smaller), None)
            if best is not None and not larger:
                self.slots[best].nbytes = nbytes
        if best is None:
            self.slots.append(Slot(nbytes))
            return len(self.slots) - 1
        self.slots[best].free = False
        return best

    def _offsets(self) -> tuple[list[Size], Size]:
        offsets: list[Size] = []
        at: Size = 0
        for slot in self.slots:
            offsets.append(at)
            at = at + slot.nbytes
        return offsets, at


def inner_planned(kernel: Kernel) -> Kernel:
    """The kernel with its programs planned."""
    programs = tuple(map(plan, kernel.programs))
    return replace(kernel, programs=programs) if programs else kernel


def workspace_of(kernel: Kernel) -> Size:
    """The bytes of the arenas of a kernel's programs, one after the other."""
    total: Size = 0
    for p in kernel.programs:
        total = total + aligned(p.arena)
    return total


def aligned(nbytes: Size) -> Size:
    """Rounded up to whole cache lines."""
    return (nbytes + (ALIGN - 1)) // ALIGN * ALIGN


def known_less(a: Size, b: Size) -> bool:
    """Whether a <= b for all sizes, as far as can be seen: both numbers, or both multiples of one
    term."""
    if isinstance(a, int) and isinstance(b, int):
        return a <= b
    if isinstance(a, int) or isinstance(b, int) or len(a.terms) != 1 or len(b.terms) != 1:
        return False
    (ma, ca), (mb, cb) = a.terms[0], b.terms[0]
    return ma == mb and ca <= cb


def steps_together(kernel: Kernel, u: Value, v: Value) -> bool:
    """Whether v may overwrite u as it is computed: v depends on u, every read of u is at the
    element being written, and no later loop reads u.  A scatter may overwrite what it adds to."""
    if kernel.kind is Kind.SCATTER:
        x, *others = (storage(a) for a in v.args)
        return u is x and u not in others
    if kernel.kind is not Kind.LOOPS or isinstance(v.op, Reduction):
        return False
    if u.type.shape != v.type.shape or u.type.dtype.size != v.type.dtype.size:
        return False
    order = stages(kernel, set(kernel.reads))
    element = is_element(kernel, v) if kernel.inner else True
    if not element or v in order.kept.values() or (kernel.inner and order.at[v] != order.last):
        return False
    members = set(kernel.body)
    return u in _direct(v, set(kernel.reads)) and all(
        a is not u for m in kernel.body for a in _melted_reads(m, members, set(kernel.reads))
    )


def _direct(v: Value, stored: set[Value]) -> set[Value]:
    """What v reads at its own element, through pointwise values of its own shape."""
    found: set[Value] = set()
    stack = [v]
    while stack:
        w = stack.pop()
        for a in w.args:
            if a not in found and a.type.shape == v.type.shape:
                found.add(a)
                if a not in stored and isinstance(a.op, Pointwise):
                    stack.append(a)
    return found


def _melted_reads(m: Value, members: set[Value], stored: set[Value]) -> list[Value]:
    """What a member reads at another element than its own: through views or other index
    arithmetic."""
    found = []
    inside = isinstance(m.op, Pointwise | Reduction)
    stack = [(a, inside) for a in m.args]
    seen: set[tuple[Value, bool]] = set()
    while stack:
        a, here = stack.pop()
        if a in stored:
            found += [] if here else [a]
        elif (a, here) not in seen and a not in members:
            seen.add((a, here))
            stack += [(b, here and isinstance(a.op, Pointwise)) for b in a.args]
    return found


def plan(program: Program) -> Program:
    """The program with a place for every buffer."""
    return Planner(program).run()
