"""Placed graphs as text: the explanation of one value, and a table of all values."""

from __future__ import annotations

from graphc.errors import DeviceError
from graphc.ir.graph import Value
from graphc.ir.op import State
from graphc.ir.ops.transfer import Transfer
from graphc.ir.text.graph import names_of, show_operands
from graphc.passes.cost.roofline import portable
from graphc.passes.placement.placed import Placed, show_bytes, show_seconds


def explain_placement(placed: Placed, value: Value) -> list[str]:
    """The device of a value, the reason, its cost there and elsewhere, and its transfers.  `value`
    belongs to the placed graph or to the graph before placement."""
    v: Value | None = value
    if value not in placed.device:
        v = next((p for p, o in placed.origin.items() if o is value), None)
    if v is None:
        raise DeviceError(f"{value!r} is no value of the placed graph", value.loc)
    names, origin = names_of(placed.graph), placed.origin[v]
    lines = [f"  device      {placed.device[v]}: {placed.why[v]}"]
    if not isinstance(v.op, State | Transfer) and not portable(v):
        times = [
            f"{show_seconds(placed.costs.seconds(origin, d))} on {d.name}"
            for d in placed.machine.devices
        ]
        fused = " (computed where it is read)" if placed.costs.melts(origin) else ""
        lines.append(f"  costs       {', '.join(times)}{fused}")
    for t in placed.graph.nodes():
        if isinstance(t.op, Transfer) and (t is v or t.args[0] is v or t in v.args):
            (source,) = t.args
            what = f"reads {names[source]}, sent" if t in v.args else "sent"
            size = show_bytes(placed.costs.nbytes(placed.origin[source]))
            lines.append(
                f"  transfer    {what} from {placed.device[source]} to {t.op.device}: "
                f"{size}, {show_seconds(_seconds(placed, t))}"
            )
    return lines


def _seconds(placed: Placed, v: Value) -> float:
    """How long a value of the placed graph takes."""
    origin = placed.origin[v]
    if isinstance(v.op, Transfer):
        return placed.machine.seconds(
            placed.costs.nbytes(origin), placed.device[v.args[0]], v.op.device
        )
    return placed.costs.seconds(origin, placed.machine.device(placed.device[v]))


def placement_table(placed: Placed) -> str:
    """A table of all values with device, cost and reason; then the prediction for each device."""
    names, rows = names_of(placed.graph), [("value", "device", "seconds", "why")]
    for v in (*placed.graph.inputs, *placed.graph.nodes()):
        if portable(v):
            continue
        seconds = _seconds(placed, v)
        shown = f"{names[v]} = {show_operands(v, names, elide=True)} : {v.type}"
        rows.append(
            (shown, placed.device[v], show_seconds(seconds) if seconds else "", placed.why[v])
        )
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows]
    return "\n".join([*lines, "", placement_summary(placed)])


def placement_summary(placed: Placed) -> str:
    """The predicted time of each device and link, and the memory of each device."""
    rows = [
        (
            name,
            show_seconds(placed.seconds[name]),
            f"{show_bytes(need.total)} of {show_bytes(placed.machine.device(name).memory)}",
        )
        for name, need in placed.memory.items()
    ]
    rows += [(f"{a} -> {b}", show_seconds(t), "") for (a, b), t in placed.link_seconds.items()]
    wide = max(len(r[0]) for r in rows)
    return "\n".join(f"{a:<{wide}}  {b:>7}  {c}".rstrip() for a, b, c in rows)
