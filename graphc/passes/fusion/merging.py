"""Merges groups after all values are placed: siblings, and maps that follow products."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Value
from graphc.ir.op import Pointwise
from graphc.ir.ops.partial import Partial
from graphc.ir.program import Kind, can_fail, storage
from graphc.passes.fusion.groups import Groups, KernelGroup, space_of
from graphc.passes.fusion.melting import Melting
from graphc.passes.fusion.predicates import joins_rows


class Merging:
    """Merges the groups of one graph; `takes_epilogue` tells which contractions a map may
    follow."""

    def __init__(
        self, melting: Melting, groups: Groups, takes_epilogue: Callable[[Value], bool]
    ) -> None:
        self.melting, self.groups, self.takes_epilogue = melting, groups, takes_epilogue
        self.nodes = melting.nodes

    def merge_siblings(self) -> None:
        """Merges groups of one domain that read the same array at the same index, and groups of one
        index space that only combine chunks."""
        readers: dict[object, list[int]] = {}
        for v in self.nodes:
            if v not in self.groups.of:
                continue
            sources = self.melting.sources(v)
            for s in sources:
                if s.same and s.value.type.rank:
                    readers.setdefault(s.value, []).append(self.groups.of[v])
            if sources and all(isinstance(s.value.op, Partial) for s in sources):
                readers.setdefault(space_of(v), []).append(self.groups.of[v])
        for numbers in readers.values():
            first: KernelGroup | None = None
            for n in dict.fromkeys(numbers):
                group = self.groups.all.get(n)
                if group is None or group.kind is not Kind.LOOPS:
                    continue
                if first is None or not self.groups.small(first, group):
                    first = group
                elif self._independent(first, group):
                    first = self.groups.merge(first, group)

    def _independent(self, a: KernelGroup, b: KernelGroup) -> bool:
        """Whether neither group needs the other, and both or neither are commits (a commit must not
        wait for the other's readers)."""
        groups = self.groups
        if a.domain != b.domain or not groups.matching(a, b):
            return False
        if groups.needs(a, b) or groups.needs(b, a):
            return False
        return groups.commits(a) == groups.commits(b)

    def add_epilogues(self) -> None:
        """Merges a map into the contraction that it reads, if nothing else reads the contraction's
        result: both then run chunk by chunk."""
        users: dict[Value, set[int]] = {}
        for v in self.nodes:
            if v in self.groups.of:
                for s in self.melting.stored_sources(v):
                    users.setdefault(s.value, set()).add(self.groups.of[v])
        for v in self.nodes:
            readers = users.get(v, set())
            if not self.takes_epilogue(v) or len(readers) != 1 or v in self.melting.required:
                continue
            product, group = self.groups.all[self.groups.of[v]], self.groups.all.get(readers.pop())
            if group is not None and self._follows(product, group) and self._in_step(v, group):
                product.domain = group.domain
                self.groups.merge(product, group)

    def _follows(self, product: KernelGroup, group: KernelGroup) -> bool:
        """Whether a group is a plain map over the product's index space that may run with it."""
        if group.kind is not Kind.LOOPS or group.inner is not None:
            return False
        if group.domain != product.domain and not joins_rows(product.domain, group.domain):
            return False
        if self.groups.commits(group) or any(can_fail(m) for m in group.members):
            return False
        return not self.groups.between(product, group)

    def _in_step(self, v: Value, group: KernelGroup) -> bool:
        """Whether the members of a map read v only at their own index, perhaps through a reshape to
        the map's index space."""
        stack = [(a, isinstance(m.op, Pointwise)) for m in group.members for a in m.args]
        seen: set[tuple[Value, bool]] = set()
        while stack:
            a, same = stack.pop()
            if (a, same) in seen:
                continue
            seen.add((a, same))
            if storage(a) is v:
                if not same or a.type.shape != group.domain:
                    return False
            elif self.melting.melted(a):
                stack += [(b, same and isinstance(a.op, Pointwise)) for b in a.args]
        return True
