"""Explains a value of a placed graph: its device, the reason, the cost, and the kernel that
computes it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.compiler.compile_placed import Lowered, cut_up, prepared
from graphc.config import Options
from graphc.explain.value import declared, story
from graphc.ir.graph import Graph, Value
from graphc.ir.machine import Machine
from graphc.ir.op import State
from graphc.passes.cost.roofline import portable
from graphc.passes.placement.placed import Placed
from graphc.passes.placement.text import explain_placement
from graphc.passes.trace import Trace


def explain_placed(
    graph: Graph,
    value: Value,
    options: Options,
    machine: Machine,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """The story of a value of a staged graph on the devices of a machine; `sizes` turn costs and
    bytes into numbers."""
    probed = Graph(graph.name, graph.inputs, (*graph.outputs, value), graph.updates)
    _, done = prepared(probed, options, Trace())
    final, v = Graph(done.name, done.inputs, done.outputs[:-1], done.updates), done.outputs[-1]
    head = declared(probed, value)
    if v not in {*final.inputs, *final.nodes()}:
        return "\n".join([*head, *story(final, v, sizes or {}, options)])
    placed, _, parts = cut_up(final, options, machine, sizes=sizes or {})
    lines = [*head, *explain_placement(placed, v)]
    if not isinstance(v.op, State) and not portable(v):
        lines += _segment(placed, parts, v, sizes or {}, options)
    return "\n".join(lines)


def _segment(
    placed: Placed, parts: Sequence[Lowered], v: Value, sizes: Mapping[str, int], options: Options
) -> list[str]:
    """The lines about the segment that computes v, and about v in it."""
    number, part, counterpart = next(
        (n, p, _counterpart(p, m))
        for n, p in enumerate(parts)
        for m in p.segment.members
        if placed.origin[m] is v
    )
    lines = [f"  segment     {number} of {len(parts)}, on {part.segment.device}"]
    if counterpart is None:
        return [*lines, "  became      other values: see `graphc dump --stage program`"]
    lines += story(part.graph, counterpart, sizes, options)
    kernel = next((k for k in part.program.kernels if counterpart in k.body), None)
    schedule = part.target.schedule(kernel) if kernel is not None else ""
    if schedule:
        lines = [s for s in lines if not s.startswith("  method ")] + [f"  schedule    {schedule}"]
    return lines


def _counterpart(part: Lowered, member: Value) -> Value | None:
    """The value of the part's tailored graph that a member of its segment became, if it is still
    there.  Passes keep op, type and line of the values that they do not rewrite, and the order of
    values that agree in these."""

    def alike(values: Sequence[Value]) -> list[Value]:
        return [w for w in values if (w.op, w.type, w.loc) == (member.op, member.type, member.loc)]

    place, there = alike(part.segment.members).index(member), alike(part.graph.nodes())
    return there[place] if place < len(there) else None
