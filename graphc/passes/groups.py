"""The bookkeeping of fusion: groups of values that become one kernel, and who depends on whom.

A group has a `domain` (the index space of its element-level members) and, once it folds, `inner`
axes. Members are element-level (shape = domain) or row-level (shape = domain without inner).
Dependencies are bit masks over group numbers, so that a merge that would close a cycle is seen at
once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.ir.dim import Shape
from graphc.ir.graph import Value
from graphc.ir.program import Kind

MAX_MEMBERS = 300


@dataclass
class Group:
    """A kernel in the making."""

    number: int
    kind: Kind
    domain: Shape
    inner: tuple[int, ...] | None = None
    members: list[Value] = field(default_factory=list)

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
    """All groups; `ancestors[g]` has a bit for each group that g needs, directly or not."""

    def __init__(self) -> None:
        self.all: dict[int, Group] = {}
        self.of: dict[Value, int] = {}
        self.ancestors: dict[int, int] = {}
        self.descendants: dict[int, int] = {}

    def new(self, kind: Kind, domain: Shape, inner: tuple[int, ...] | None = None) -> Group:
        """An empty group."""
        number = len(self.ancestors)
        group = Group(number, kind, domain, inner)
        self.all[number] = group
        self.ancestors[number] = self.descendants[number] = 0
        return group

    def needs(self, a: int, b: int) -> bool:
        """Whether group a depends on group b."""
        return bool(self.ancestors[a] >> b & 1)

    def add(self, group: Group, v: Value, sources: list[Value]) -> None:
        """Puts v, which reads `sources`, in a group."""
        group.members.append(v)
        self.of[v] = group.number
        for s in sources:
            if s in self.of and self.of[s] != group.number:
                self.depend(group.number, self.of[s])

    def depend(self, a: int, b: int) -> None:
        """Records that group a needs group b."""
        if self.needs(a, b):
            return
        above = self.ancestors[b] | 1 << b
        below = self.descendants[a] | 1 << a
        for g in bits(below):
            self.ancestors[g] |= above
        for g in bits(above):
            self.descendants[g] |= below

    def joinable(self, group: Group, sources: list[Value]) -> bool:
        """Whether a value that reads `sources` can join without a cycle."""
        return len(group.members) < MAX_MEMBERS and not any(
            self.needs(self.of[s], group.number)
            for s in sources
            if s in self.of and self.of[s] != group.number
        )

    def mergeable(self, a: Group, b: Group) -> bool:
        """Whether no third group lies between a and b, and both walk the same index space."""
        if a.kind is not Kind.LOOPS or b.kind is not Kind.LOOPS or a is b:
            return False
        if len(a.members) + len(b.members) > MAX_MEMBERS or common_space(a, b) is None:
            return False
        down = self.descendants[a.number] & self.ancestors[b.number]
        up = self.descendants[b.number] & self.ancestors[a.number]
        return not down and not up

    def merge(self, a: Group, b: Group) -> Group:
        """a and b as one group (a's number)."""
        space = common_space(a, b)
        assert space is not None
        a.domain, a.inner = space
        for v in b.members:
            self.of[v] = a.number
        a.members += b.members
        for g in bits(self.ancestors[b.number]):
            if g != a.number:
                self.depend(a.number, g)
        for g in bits(self.descendants[b.number]):
            if g != a.number:
                self.depend(g, a.number)
        del self.all[b.number]
        self._erase(b.number)
        return a

    def _erase(self, number: int) -> None:
        mask = ~(1 << number)
        for g in self.all:
            self.ancestors[g] &= mask
            self.descendants[g] &= mask


def bits(mask: int) -> list[int]:
    """The positions of the set bits."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def common_space(a: Group, b: Group) -> tuple[Shape, tuple[int, ...] | None] | None:
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
