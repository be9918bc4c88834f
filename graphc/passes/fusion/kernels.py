"""Makes kernels of groups, in an order that the graph alone decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphc.ir.graph import Graph, Value
from graphc.ir.op import Contraction, Item
from graphc.ir.program import Kernel, Kind, Program, holds, storage
from graphc.passes.fusion.control_steps import as_step, scan_space, step_graphs
from graphc.passes.fusion.groups import Groups, KernelGroup
from graphc.passes.fusion.melting import Melting


class KernelMaker:
    """Makes kernels of the groups of one graph; `inner` makes programs of inner graphs."""

    def __init__(self, melting: Melting, groups: Groups, inner: Callable[[Graph], Program]) -> None:
        self.melting, self.groups, self.inner = melting, groups, inner

    def kernels(self) -> Iterable[Kernel]:
        """The groups as kernels, in an order that the graph alone decides; commits come last."""
        position = {v: i for i, v in enumerate(self.melting.nodes)}
        results = {storage(v) for v in self.melting.graph.results}
        users: dict[Value, set[int]] = {}
        reads: dict[int, dict[Value, None]] = {n: {} for n in self.groups.all}
        for v in self.melting.nodes:
            if v not in self.groups.of or isinstance(v.op, Item):
                continue
            n = self.groups.of[v]
            for s in self.melting.stored_sources(v):
                if self.groups.of.get(s.value) != n:
                    reads[n][s.value] = None
                    users.setdefault(s.value, set()).add(n)
        needed = results | users.keys()
        for n in self._order(position):
            group = self.groups.all[n]
            if group.kind is Kind.CONTROL:
                yield self._control(group, tuple(reads[n]))
            else:
                group.members.sort(key=position.__getitem__)
                yield self._kernel(group, tuple(reads[n]), needed)

    def _kernel(self, group: KernelGroup, reads: tuple[Value, ...], needed: set[Value]) -> Kernel:
        members = group.members
        writes = tuple(m for m in members if m in needed)
        product = next((m for m in members if isinstance(m.op, Contraction)), None)
        if product is not None and not any(holds(w, product) for w in writes):
            writes = (product, *writes)  # no other result's buffer can hold the product meanwhile
        name = next((m.name for m in reversed(members) if m.name), members[-1].op.name)
        commits = self.groups.commits(group)
        return Kernel(
            name,
            group.kind,
            reads,
            writes,
            tuple(members),
            group.domain,
            group.inner or (),
            commits,
        )

    def _control(self, group: KernelGroup, reads: tuple[Value, ...]) -> Kernel:
        """A kernel that runs programs; all its results are stored, used or not."""
        v, *results = group.members
        name, body = v.name or v.op.name, (v, *results)
        space = scan_space(v)
        if space is not None:
            return Kernel(name, Kind.SCAN, reads, tuple(results), body, space)
        programs = tuple(as_step(self.inner(g)) for g in step_graphs(v))
        return Kernel(name, group.kind, reads, tuple(results), body, programs=programs)

    def _order(self, position: dict[Value, int]) -> list[int]:
        """The groups, operands before users.  Of the ready ones, the group whose first member comes
        first is next; commits come last."""
        groups = self.groups.all
        first = {n: min(position[m] for m in g.members if m in position) for n, g in groups.items()}
        return self.groups.dag.order(
            {n: (self.groups.commits(g), first[n], n) for n, g in groups.items()}
        )
