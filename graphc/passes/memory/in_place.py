"""What may be written where an operand lies.

A kernel may write a result over an operand if it accesses both in step (`LockStep`).  A variable
may hold its new value, and in a step of a loop also what that value may overwrite (`heirs`): of
`scatter(scatter(carry, ...), ...)`, both.  For that, whatever else reads the old value must run
first (`put_readers_first`).
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.ir.control import carried_operand
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.program import Kernel, Kind, Program, storage
from graphc.passes.fusion.row_stages import is_element, stages


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
        to; a carry of loops and branches, the operand that it begins as."""
        if kernel.kind is Kind.SCATTER:
            x, *others = (storage(a) for a in v.args)
            return u is x and u not in others
        if kernel.kind is Kind.CONTROL:
            begins = carried_operand(v)
            operands = [storage(a) for a in kernel.body[0].args]
            return begins is not None and storage(begins) is u and operands.count(u) == 1
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


def heirs(program: Program, steps: LockStep) -> dict[Value, Value]:
    """The variable in which a value may lie: the one that takes it.  In a step, what the new value
    of a carry may overwrite may lie there before it, and so on back."""
    found = {storage(new): old for old, new in program.graph.updates}
    writer = {w: k for k in program.kernels for w in k.writes} if program.step else {}
    stack = [v for v in found if v in writer]
    while stack:
        v = stack.pop()
        for u in writer[v].reads:
            if u in writer and u not in found and steps.together(writer[v], u, v):
                found[u] = found[v]
                stack.append(u)
    return found


def put_readers_first(program: Program, needs: list[set[int]]) -> None:
    """Adds to what each kernel of a step needs to run before it: those that read what it may
    overwrite.  One that itself needs the overwriter stays after it; its operand is then kept."""
    readers: dict[Value, list[int]] = {}
    for i, k in enumerate(program.kernels):
        for r in k.reads:
            readers.setdefault(r, []).append(i)
    for i, u in _overwriters(program, LockStep()):
        for reader in readers.get(u, ()):
            if reader != i and not _depends(needs, reader, i):
                needs[i].add(reader)


def _overwriters(program: Program, steps: LockStep) -> Iterator[tuple[int, Value]]:
    """The kernels of a step that may overwrite something in a carry, and what."""
    home = heirs(program, steps)
    for i, kernel in enumerate(program.kernels):
        for v in kernel.writes:
            if v in home:
                lies_there = {home[v], *(u for u in home if home[u] is home[v])}
                operands = [u for u in kernel.reads if u in lies_there]
                yield from ((i, u) for u in operands if steps.together(kernel, u, v))
                if not operands:  # it overwrites without reading
                    yield i, home[v]


def _depends(needs: list[set[int]], a: int, b: int) -> bool:
    """Whether a needs b, perhaps through others."""
    seen, stack = {a}, [a]
    while stack:
        for n in needs[stack.pop()] - seen:
            if n == b:
                return True
            seen.add(n)
            stack.append(n)
    return False
