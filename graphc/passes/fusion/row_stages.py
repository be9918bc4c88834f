"""The order of work inside a fused kernel: which loop over the inner axes computes what.

A row kernel runs several loops over one row, which stays in cache.  Loop s may use what loops
before s have folded.  A value needed in several loops is computed again, unless it is costly: then
the row of an output that is written later holds the value until then (`kept`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.ir.graph import Value
from graphc.ir.op import Pointwise, Reduction
from graphc.ir.ops.partial import Partial
from graphc.ir.program import Kernel

MIN_COST_TO_KEEP = 8  # additions: a cheaper value is computed again in each loop


@dataclass
class Stages:
    """`at[v]` is the loop that folds or stores v; `kept[v]` the output whose row holds v for later
    loops."""

    at: dict[Value, int]
    last: int
    kept: dict[Value, Value] = field(default_factory=dict)
    loops: dict[Value, set[int]] = field(default_factory=dict)


def is_element(kernel: Kernel, v: Value) -> bool:
    """Whether a member is computed once for each element of the domain."""
    shape = v.args[0].type.shape if isinstance(v.op, Reduction) else v.type.shape
    return len(shape) == len(kernel.domain)


def stages(kernel: Kernel, stored: set[Value]) -> Stages:
    """The loops of a kernel.  `stored` are the values that lie in memory before it runs."""
    members = set(kernel.body)
    reads = {v: reached(v, members, stored) for v in kernel.body}
    at: dict[Value, int] = {}
    for v in kernel.body:
        at[v] = max((at[u] + _folds(u) for u in reads[v]), default=0)
    if not kernel.inner:
        return Stages(at, 0)
    result = Stages(at, max(at.values(), default=0))
    result.loops = _loops(kernel, at, reads)
    _keep(kernel, result)
    return result


def reached(v: Value, members: set[Value], stored: set[Value]) -> list[Value]:
    """The members that v reads, directly or through melted values."""
    read_members: dict[Value, None] = {}
    stack = list(v.args)
    seen: set[Value] = set()
    while stack:
        a = stack.pop()
        if a in members:
            read_members[a] = None
        elif a not in seen and a not in stored:
            seen.add(a)
            stack.extend(a.args)
    return list(read_members)


def _folds(u: Value) -> bool:
    return isinstance(u.op, Reduction) and not isinstance(u.op, Partial)


def _loops(
    kernel: Kernel, at: dict[Value, int], reads: dict[Value, list[Value]]
) -> dict[Value, set[int]]:
    """For each element-level member, the loops in which something needs it."""
    loops: dict[Value, set[int]] = {v: set() for v in kernel.body}
    for v in reversed(kernel.body):
        if not is_element(kernel, v):
            continue
        if isinstance(v.op, Reduction) or v in kernel.writes:
            loops[v].add(at[v])
        for u in reads[v]:
            if is_element(kernel, u) and not isinstance(u.op, Reduction):
                loops[u] |= loops[v]
    return loops


def _keep(kernel: Kernel, s: Stages) -> None:
    """Finds an output row that holds each costly value which several loops need."""
    taken: set[Value] = set()
    for v in kernel.body:
        costly = (
            isinstance(v.op, Pointwise) and v.op.cost >= MIN_COST_TO_KEEP
        ) or v.op.name == "random_bits"
        if not costly or len(s.loops[v]) < 2:
            continue
        if v in kernel.writes:
            s.kept[v] = v
            continue
        for o in kernel.writes:
            fits = o not in taken and is_element(kernel, o) and not isinstance(o.op, Reduction)
            if (
                fits
                and o.type == v.type
                and s.at[o] >= max(s.loops[v])
                and s.at[o] > min(s.loops[v])
            ):
                s.kept[v] = o
                taken.add(o)
                break
