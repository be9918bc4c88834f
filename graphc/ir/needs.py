"""What values need of sizes: their ops, those who made them, and that no size is negative."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph, Value
from graphc.ir.inside import Condition, requirements
from graphc.ir.requirement import Origin, at_least
from graphc.ir.types import each


def stated(values: Iterable[Value]) -> Iterator[tuple[Condition, Value]]:
    """What each value needs, and the value."""
    plain: set[Size] = set()
    for v in values:
        for r in (*v.needs, *requirements(v.op, [x.type for x in v.args])):
            yield r, v
        for size in {s for t in each(v.type) for s in t.shape if isinstance(s, Dim)} - plain:
            plain.add(size)
            yield at_least(size, 0, f"a size of {v.type}"), v


def unproved(needs: Iterable[tuple[Condition, Value]]) -> Iterator[tuple[Condition, Value]]:
    """Those that do not hold for all sizes; what many values need is proved once."""
    holds: dict[Condition, bool] = {}
    for r, v in needs:
        if r not in holds:
            holds[r] = r.holds() is True
        if not holds[r]:
            yield r, v


def carried(values: Iterable[Value]) -> tuple[Condition, ...]:
    """What the values and all that they are made of need, for another value to carry."""
    found: dict[Condition, Condition] = {}
    for r, v in unproved(stated(Graph("carried", (), tuple(values)).every())):
        if r not in found:
            found[r] = r if r.origin is not None else replace(r, origin=Origin(v.op.name, v.loc))
    return tuple(found.values())
