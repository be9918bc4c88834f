"""Scatters -> Loops: a copy of the operand (none if the result takes its place), then the updates
one after the other, so that repeated indices add in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.codegen.loops.ir import Apply, For, Load, Loops, Store
from graphc.codegen.lower.emitter import Emitter, Index, nest, row_major, variable
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Scatter
from graphc.ir.program import Kernel, storage


def lower_scatter(kernel: Kernel, in_place: bool = False) -> Loops:
    """The loops of a scatter kernel; its parallel axis has extent 1."""
    (out,) = kernel.body
    op = out.op
    assert isinstance(op, Scatter)
    updates = out.args[2]
    reads = list(dict.fromkeys(storage(a) for a in out.args))
    slots = {v: i for i, v in enumerate((*reads, out))}
    emit = Emitter(slots)
    emit.reads = set(reads)
    statements: list[Any] = []
    if not in_place:
        statements += _copy(emit, out)
    axes = [(f"j{a}", n) for a, n in enumerate(updates.type.shape)]
    index = tuple(variable(n) for n, _ in axes)
    located = op.locate(index, *(a.type for a in out.args))
    names = {s for i in located for s in dim.symbols(i)}
    outer = max((a + 1 for a, (n, _) in enumerate(axes) if f"{n}." in names), default=0)
    emit.open(*(n for n, _ in axes[:outer]))  # an index is read and checked once for its slice
    target = checked_target(emit, out, index)
    emit.open(*(n for n, _ in axes[outer:]))
    update = combined(emit, out, index, target)
    inner = _nested(axes[outer:], [*emit.close(), update])
    statements += _nested(axes[:outer], [*emit.close(), *inner])
    buffers = emit.buffers(slots, (out,))
    return Loops(
        kernel.name, buffers, (), 1, (For("r.", variable("lo"), variable("hi"), tuple(statements)),)
    )


def checked_target(emit: Emitter, out: Value, index: Index) -> Size:
    """The position, checked, that the update at `index` names."""
    op, (x, indices, _) = out.op, out.args
    assert isinstance(op, Scatter)
    raw = emit.element(indices, op.locate(index, *(a.type for a in out.args)))
    return emit.checked(raw, op.extent(x.type), emit.emitter(0))


def combined(emit: Emitter, out: Value, index: Index, target: Size) -> Store:
    """The statement that combines the update at `index` into its element of the result."""
    op, (x, _, updates), slot = out.op, out.args, emit.slots[out]
    assert isinstance(op, Scatter)
    step = emit.element(updates, index).expr
    place = op.target(index, target, *(a.type for a in out.args))
    offset = row_major(place, x.type.shape)
    old = Load(slot, offset, x.type.dtype)
    total = Apply(op.combine, (old, step), x.type.dtype) if "{0}" in op.combine else step
    return Store(slot, offset, total)


def _nested(axes: Sequence[tuple[str, Size]], body: list[Any]) -> list[Any]:
    return nest([n for n, _ in axes], tuple(size for _, size in axes), body)


def _copy(emit: Emitter, out: Value) -> list[Any]:
    """Loops that make the result equal to the scatter's first operand, in the shape in which that
    is stored: without a view there is no index arithmetic."""
    x = storage(out.args[0])
    loops = [f"i{a}" for a in range(x.type.rank)]
    emit.open(*loops)
    index = tuple(variable(n) for n in loops)
    element = emit.element(x, index)
    store = Store(emit.slots[out], row_major(index, x.type.shape), element.expr)
    return nest(loops, x.type.shape, [*emit.close(), store])
