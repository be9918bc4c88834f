"""The bookkeeping of fusion: groups of values that become one kernel, and who depends on whom.

A group has a `domain` (the index space of its element-level members) and, once it folds, `inner`
axes. Members are element-level (shape = domain) or row-level (shape = domain without inner).
A merge that would close a cycle is refused (`acyclic.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from graphc.ir.dim import Shape
from graphc.ir.graph import Value
from graphc.ir.op import Reduction
from graphc.ir.ops.partial import Partial
from graphc.ir.program import Kind, can_fail
from graphc.passes.fusion.acyclic import Dag


@dataclass
class KernelGroup:
    """A kernel that is being built."""

    number: int
    kind: Kind
    domain: Shape
    inner: tuple[int, ...] | None = None
    members: list[Value] = field(default_factory=list)
    partial: bool = False  # whether a member folds chunks of rows
    reads: set[Value] = field(default_factory=set)  # values of other groups, and inputs
    results: int = 0  # members that must lie in memory

    @property
    def outer_axes(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.domain)) if a not in (self.inner or ()))

    @property
    def outer(self) -> Shape:
        return tuple(self.domain[a] for a in self.outer_axes)

    @property
    def trailing(self) -> bool:
        """Whether the folded axes are the last ones."""
        return self.outer_axes == tuple(range(len(self.outer_axes)))


class Groups:
    """All groups, the group of each value, and the dependences among groups.

    `required` are the values that must lie in memory whatever the groups are; `updated` are new
    values of variables.  A group has at most `max_members` members, and reads and writes about
    `max_arrays` arrays at most.
    """

    def __init__(
        self, required: Set[Value], updated: Set[Value], max_members: int, max_arrays: int
    ) -> None:
        self.required, self.updated = required, updated
        self.max_members, self.max_arrays = max_members, max_arrays
        self.all: dict[int, KernelGroup] = {}
        self.of: dict[Value, int] = {}
        self.dag = Dag()

    def new(self, kind: Kind, domain: Shape, inner: tuple[int, ...] | None = None) -> KernelGroup:
        """An empty group."""
        group = KernelGroup(self.dag.add(), kind, domain, inner)
        self.all[group.number] = group
        return group

    def needs(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether group a depends on group b (also true if that takes long to find out)."""
        return self.dag.depends(a.number, b.number)

    def between(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether some third group needs a and is needed by b (also true if unknown)."""
        return self.dag.between(a.number, b.number)

    def needed(self, group: KernelGroup) -> bool:
        """Whether any other group needs this one."""
        return bool(self.dag.users[group.number])

    def commits(self, group: KernelGroup) -> bool:
        """Whether a kernel only computes new values of variables, which no other group needs, and
        cannot fail.  Such a kernel runs last, when nothing can stop the run any more."""
        if group.kind is Kind.CONTROL:
            return False
        if self.needed(group) or not any(m in self.updated for m in group.members):
            return False
        return not any(can_fail(m) for m in group.members)

    def add(self, group: KernelGroup, v: Value, sources: list[Value]) -> None:
        """Puts v, which reads `sources`, in a group."""
        group.members.append(v)
        group.partial |= isinstance(v.op, Partial)
        group.results += v in self.required or isinstance(v.op, Partial)
        group.reads.update(s for s in sources if self.of.get(s) != group.number)
        self.of[v] = group.number
        for s in sources:
            if s in self.of and self.of[s] != group.number:
                self.dag.depend(group.number, self.of[s])

    def joinable(self, group: KernelGroup, sources: list[Value]) -> bool:
        """Whether a value that reads `sources` can join without a cycle."""
        others = {self.of[s] for s in sources if s in self.of} - {group.number}
        if len(group.members) >= self.max_members or _arrays(group, sources) >= self.max_arrays:
            return False
        return not any(self.needs(self.all[n], group) for n in others)

    def mergeable(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether no third group lies between a and b, and both walk the same index space."""
        return self.matching(a, b) and not self.between(a, b) and not self.between(b, a)

    def matching(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether two groups walk the same index space, and are small enough to be one."""
        if a.kind is not Kind.LOOPS or b.kind is not Kind.LOOPS or a is b:
            return False
        return self.small(a, b) and common_space(a, b) is not None

    def small(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether two groups together are no larger than a kernel should be."""
        arrays = _arrays(a, b.reads) + b.results
        return len(a.members) + len(b.members) <= self.max_members and arrays <= self.max_arrays

    def merge(self, a: KernelGroup, b: KernelGroup) -> KernelGroup:
        """a and b as one group (a's number)."""
        space = common_space(a, b)
        assert space is not None
        a.domain, a.inner = space
        for v in b.members:
            self.of[v] = a.number
        a.members += b.members
        a.partial |= b.partial
        a.reads = {s for s in a.reads | b.reads if self.of.get(s) != a.number}
        a.results += b.results
        self.dag.merge(a.number, b.number)
        del self.all[b.number]
        return a


def _arrays(group: KernelGroup, more: Iterable[Value]) -> int:
    """About how many arrays the group would read and write if it read `more` as well."""
    return len(group.reads.union(more)) + group.results


def common_space(a: KernelGroup, b: KernelGroup) -> tuple[Shape, tuple[int, ...] | None] | None:
    """The (domain, inner) that serves both groups, or None."""
    if a.domain == b.domain:
        if a.inner is None or b.inner is None or a.inner == b.inner:
            return a.domain, a.inner if b.inner is None else b.inner
        return None
    big, small = (a, b) if len(a.domain) > len(b.domain) else (b, a)
    if small.inner:  # folds axes that the other has not
        return None
    if big.inner is not None:
        return (big.domain, big.inner) if big.outer == small.domain else None
    rank = len(small.domain)
    if rank and big.domain[:rank] == small.domain:
        return big.domain, tuple(range(rank, len(big.domain)))
    return None


def space_of(v: Value) -> tuple[Shape, tuple[int, ...] | None]:
    """The index space of a value alone: what it folds is its inner axes."""
    if isinstance(v.op, Partial):
        shape = v.args[0].type.shape
        return shape, tuple(range(len(v.op.axes), len(shape)))
    if isinstance(v.op, Reduction):
        return v.args[0].type.shape, v.op.axes
    return v.type.shape, None
