"""Reverse-mode differentiation, graph to graph.

Each op's `vjp` builds the cotangents of its operands with ordinary ops, so gradients of gradients
need nothing more.  Gradients never invent NaN ("strong zero"): where a choice made a cotangent zero
(the branch that a `where` did not take, the lesser operand of `maximum`, what a slice left out, a
step that was not made), it stays zero on its way through other ops (they are linear in their
cotangent, so zeros give zeros), even through pointwise ones whose derivative is not finite.  Only a
NaN is replaced, which has no derivative to lose: gradients of gradients see everything else.  The
values built for an op take its source line, and are pinned to its device.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import GradientError, Location, located
from graphc.ir.dim import differ
from graphc.ir.graph import Value, topological
from graphc.ir.op import Control, Item, Op, Pointwise, Scatter
from graphc.ir.ops.elementary import Relu
from graphc.ir.ops.pointwise import (
    Add,
    Cast,
    Maximum,
    Minimum,
    Negative,
    StopGradient,
    Subtract,
    Where,
    equal,
    logical_and,
    not_equal,
    where,
)
from graphc.ir.ops.shape import Dilate, Full, Pad
from graphc.ir.ops.state import Assign
from graphc.ir.types import TensorType
from graphc.passes.autodiff.control import control_vjp

# ops whose derivatives are 0, 1, -1 or a half, whatever the operands
FINITE_DERIVATIVES = (Add, Subtract, Negative, Cast, Where, Relu, Maximum, Minimum)
CHOICES = (Where, Pad, Dilate, Scatter)  # ops that make zeros where the cotangent is not wanted


def gradients(
    ys: Sequence[Value],
    xs: Sequence[Value],
    seeds: Sequence[Value | None],
    chosen: Container[Value | None] = (),
) -> list[Value | None]:
    """The cotangent of each x, for the cotangents `seeds` of the ys (None: ones).

    Those in `chosen` are zero where a choice made them so."""
    order = topological(ys)
    active = depends_on(order, xs)
    found = Cotangents()
    results: dict[Value, dict[int, Value]] = {}  # control op -> cotangents of its items
    chosen_items: dict[Value, set[int]] = {}  # those of them that a choice may have made zero
    for y, seed in zip(ys, seeds, strict=True):
        if y in active:
            with located(y.loc):
                one = y.apply(Full(1.0, y.type.dtype, y.type.shape), ()) if seed is None else seed
            found.add(y, one, masked=seed in chosen)
    for value in reversed(order):
        if value not in active or not value.args:
            continue
        if value in results:
            with located(value.loc):
                masked = chosen_items.get(value, set())
                parts = control_vjp(value, results[value], masked, active, gradients)
            for arg, part in zip(value.args, parts, strict=True):
                if part is not None and arg in active:
                    found.add(arg, part, masked=True)  # 0 where a branch or a step was left out
        elif value in found.total and isinstance(value.op, Item):
            items = results.setdefault(value.args[0], {})
            earlier, ct = items.get(value.op.index), found.total[value]
            with located(value.loc):
                items[value.op.index] = ct if earlier is None else earlier + ct
            if value in found.masked:
                chosen_items.setdefault(value.args[0], set()).add(value.op.index)
        elif value in found.total:
            _backward(value, found, active)
    return [found.total.get(x) for x in xs]


def depends_on(order: Sequence[Value], xs: Sequence[Value]) -> set[Value]:
    """The values of `order` (and the xs) through which a gradient can reach an x."""
    active = set(xs)
    for v in order:
        if v in active:
            continue
        if _passes(v) and any(a in active for a in v.args):
            active.add(v)
    return active


def _passes(v: Value) -> bool:
    """Whether a gradient can flow through a value: integers carry none."""
    if isinstance(v.op, Control):
        return True
    return (v.op.differentiable or isinstance(v.op, Assign)) and v.type.dtype.is_float


@dataclass
class Cotangents:
    """The cotangents so far, and those of them that a choice may have made zero."""

    total: dict[Value, Value] = field(default_factory=dict)
    masked: set[Value] = field(default_factory=set)  # the values, not their cotangents

    def add(self, target: Value, ct: Value, masked: bool) -> None:
        """Adds a contribution to the cotangent of `target`."""
        earlier = self.total.get(target)
        with located(target.loc):
            self.total[target] = ct if earlier is None else earlier + ct
        if masked:
            self.masked.add(target)


def _backward(value: Value, found: Cotangents, active: set[Value]) -> None:
    """Adds the contributions of one value to the cotangents of its operands."""
    ct, masked = found.total[value], value in found.masked
    if isinstance(value.op, Assign):
        parts: Sequence[Any] = (None, ct)
    else:
        with located(value.loc):
            parts = checked_vjp(value, ct)
    may_be_infinite = isinstance(value.op, Pointwise) and not isinstance(
        value.op, FINITE_DERIVATIVES
    )
    for arg, part in zip(value.args, parts, strict=True):
        if part is None or arg not in active:
            continue
        if masked and may_be_infinite and part is not ct:
            with located(value.loc):
                part = where(logical_and(equal(ct, 0.0), not_equal(part, part)), 0.0, part)
        found.add(arg, part, masked or isinstance(part.op, CHOICES))


def checked_vjp(value: Value, ct: Value) -> Sequence[Any]:
    """The cotangents that an op gives.  Raises `GradientError` unless each has its operand's
    type, and for an op that is differentiable but has no `vjp`."""
    name, count = value.op.name, len(value.args)
    if not _has_vjp(value.op):
        raise GradientError(
            f"{name}: its gradient is not known; declare vjp in class {type(value.op).__name__}, "
            "or `differentiable = False` if it has none",
            value.loc,
        )
    parts = value.op.vjp(ct, value, *value.args)
    if not isinstance(parts, tuple | list):
        raise GradientError(
            f"{name}: vjp gives {parts!r}; expected a tuple of {count}, one cotangent an operand",
            value.loc,
        )
    if len(parts) != count:
        raise GradientError(
            f"{name}: vjp gives {len(parts)} cotangents for {count} operands", value.loc
        )
    for position, (part, arg) in enumerate(zip(parts, value.args, strict=True)):
        if part is None:
            continue
        if not isinstance(part, Value):
            raise GradientError(
                f"{name}: vjp gives operand {position} {part!r}; expected a tensor or None",
                value.loc,
            )
        if not same_type(part.type, arg.type):
            raise GradientError(
                f"{name}: vjp gives operand {position} a cotangent {part.type}; "
                f"expected {arg.type}",
                value.loc,
            )
    return parts


def _has_vjp(op: Op) -> bool:
    return type(op).vjp is not Op.vjp


def same_type(a: TensorType, b: TensorType) -> bool:
    """Whether two types may be the same, as far as their sizes are known."""
    if a.dtype != b.dtype or a.rank != b.rank:
        return False
    return not any(differ(x, y) for x, y in zip(a.shape, b.shape, strict=True))


def explain_gradient(y: Value, x: Value) -> str:
    """Why the gradient of y by x is what it is: the path it takes, or where every path was cut."""
    order = topological([y])
    if x not in set(order):
        return f"{_name(y)} does not depend on {_name(x)}: no path leads from one to the other"
    towards: dict[Value, Value] = {x: x}  # what a gradient reaches -> the operand on its path to x
    cuts: list[tuple[Value, str]] = []
    for v in order:
        places = [i for i, a in enumerate(v.args) if a in towards and v is not x]
        reasons = [_cut(v, i) for i in places]
        open_places = [i for i, reason in zip(places, reasons, strict=True) if not reason]
        if open_places:
            towards[v] = v.args[open_places[0]]
        elif reasons:
            cuts.append((v, reasons[0]))
    if y in towards:
        path = [y]
        while path[-1] is not x:
            path.append(towards[path[-1]])
        return "gradient flows: " + " <- ".join(_name(v) for v in path)
    lines = [f"no gradient of {_name(y)} by {_name(x)}: every path is cut"]
    lines += [f"  {_name(v)} = {v.op.name} : {v.type} {why}{_at(v.loc)}" for v, why in cuts]
    return "\n".join(lines)


def _cut(v: Value, place: int) -> str:
    """Why no gradient passes from a value to an operand; "" if one does."""
    if not _passes(v):
        return "stops it on purpose" if isinstance(v.op, StopGradient) else "has no derivative"
    if isinstance(v.op, Control | Item | Assign):
        return ""
    if not _has_vjp(v.op):
        return f"has no vjp: declare one in class {type(v.op).__name__}"
    with located(v.loc):
        parts = checked_vjp(v, v.apply(Full(1.0, v.type.dtype, v.type.shape), ()))
    return f"gives operand {place} no cotangent" if parts[place] is None else ""


def missing(y: Value, x: Value, loc: Location | None) -> GradientError:
    """The error for a gradient that does not exist."""
    return GradientError(f"gradients: {explain_gradient(y, x)}", loc)


def _name(v: Value) -> str:
    return "%" + (v.name or v.op.name)


def _at(loc: Location | None) -> str:
    return f"  at {loc}" if loc else ""
