"""Explains why two values are not in one kernel: applies fusion's tests to its final groups."""

from __future__ import annotations

from graphc.ir.graph import Graph, Value
from graphc.ir.op import Contraction, Opaque, Scatter
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.partial import Partial
from graphc.ir.program import Kind, storage
from graphc.ir.text.graph import names_of
from graphc.passes.base import Context
from graphc.passes.fusion.fuse import Fuse, Fuser
from graphc.passes.fusion.groups import KernelGroup, common_space
from graphc.passes.fusion.melting import READS_MEMORY, Read


class Reasons:
    """Answers questions about one fused graph."""

    def __init__(self, graph: Graph) -> None:
        fuser = Fuser(Fuse(), graph, Context())
        fuser.run()
        self.groups, self.melting, self.names = fuser.groups, fuser.melting, names_of(graph)

    def group(self, v: Value) -> KernelGroup | None:
        """The group of a value; None for inputs and for what is melted."""
        number = self.groups.of.get(v)
        return None if number is None else self.groups.all[number]

    def operands(self, v: Value) -> list[Value]:
        """The values of other kernels that v reads."""
        if isinstance(v.op, READS_MEMORY):
            sources = [storage(a) for a in v.args]
        else:
            sources = [s.value for s in self.melting.sources(v)]
        own_group = self.groups.of.get(v)
        return [
            u
            for u in dict.fromkeys(sources)
            if u in self.groups.of and self.groups.of[u] != own_group
        ]

    def users(self, v: Value) -> list[Value]:
        """The values of other kernels that read v."""
        return [w for w in self.groups.of if v in self.operands(w)]

    def why_not(self, a: Value, b: Value) -> str:
        """Why `a` and `b`, which reads it, are not in one kernel; empty if they are."""
        first, second = self.group(a), self.group(b)
        if first is None or second is None:
            one = a if first is None else b
            return (
                f"{self.label(one)} is an input or an index lambda, in every kernel that reads it"
            )
        if first is second:
            return ""
        return (
            self._material(a, b)
            or self._access(a, b, second)
            or self._space(a, b, first, second)
            or self._cycle(first, second)
            or "every test would allow it: the order in which values were placed decided"
        )

    def label(self, v: Value) -> str:
        """`%name: type`."""
        return f"{self.names[v]}: {v.type}"

    def _material(self, a: Value, b: Value) -> str:
        kinds = {
            Convolving: "a convolution",
            Contraction: "a matrix product",
            Opaque: "a kernel written by hand",
            Scatter: "a scatter",
        }
        for v, what in (
            (b, "its operands must lie in memory"),
            (a, "its result goes through memory"),
        ):
            for family, kind in kinds.items():
                if isinstance(v.op, family):
                    return f"{self.label(v)} is {kind}: {what}"
        return ""

    def _access(self, a: Value, b: Value, second: KernelGroup) -> str:
        """A reason in the way that b reads a; empty if there is none."""
        if isinstance(a.op, Partial):
            first, then = self.label(a), self.label(b)
            return f"all {a.op.chunks} chunks of {first} must be folded before {then} can start"
        reads = [s for s in self.melting.sources(b) if s.value is a]
        for s in reads:
            if not s.same and s.rows is None:
                return f"{self.label(b)} reads {self.label(a)} out of step, not at its own place"
        for s in reads:
            if s.rows is not None and s.rows != second.outer_axes:
                return (
                    f"{self.label(b)} repeats {self.label(a)} along other axes than a row of its "
                    f"kernel has (axes {_axes(s)} index it)"
                )
        return ""

    def _space(self, a: Value, b: Value, first: KernelGroup, second: KernelGroup) -> str:
        if common_space(first, second) is None:
            return f"different index spaces: {_space(first)} and {_space(second)}"
        if len(first.members) + len(second.members) > self.groups.max_members:
            return f"together they have more than {self.groups.max_members} values"
        return ""

    def _cycle(self, first: KernelGroup, second: KernelGroup) -> str:
        between = self.groups.dag.middle(first.number, second.number)
        if not between:
            return ""
        member = self.groups.all[min(between)].members[-1]
        return f"a cycle: {self.label(member)} needs the one and is needed by the other"


def _axes(s: Read) -> str:
    return ", ".join(map(str, s.rows or ()))


def _space(group: KernelGroup) -> str:
    shape = f"[{','.join(map(str, group.domain))}]"
    if group.kind is not Kind.LOOPS or not group.inner:
        return shape
    axes = ", ".join(map(str, group.inner))
    return f"{shape} (folds {'axis' if len(group.inner) == 1 else 'axes'} {axes})"


def why_not(graph: Graph, a: Value, b: Value) -> str:
    """Why two values of an optimised graph are not in one kernel; empty if they are."""
    return Reasons(graph).why_not(a, b)
