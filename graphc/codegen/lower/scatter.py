"""Scatters -> Loops: a copy of the operand (none if the result takes its place), then the updates
one after the other, so that repeated indices add in order."""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import Apply, For, Load, Loops, Store
from graphc.codegen.lower.emitter import Emitter, nest, row_major, variable
from graphc.ir.graph import Value
from graphc.ir.op import Scatter
from graphc.ir.program import Kernel, storage


def lower_scatter(kernel: Kernel, in_place: bool = False) -> Loops:
    """The loops of a scatter kernel; its parallel axis has extent 1."""
    (out,) = kernel.body
    op = out.op
    assert isinstance(op, Scatter)
    x, indices, updates = out.args
    reads = list(dict.fromkeys(storage(a) for a in out.args))
    slots = {v: i for i, v in enumerate((*reads, out))}
    emit = Emitter(slots)
    emit.reads = set(reads)
    statements: list[Any] = []
    if not in_place:
        statements += _copy(emit, out)
    loops = [f"j{a}" for a in range(updates.type.rank)]
    emit.open(*loops)
    index = tuple(variable(n) for n in loops)
    types = tuple(a.type for a in out.args)
    raw = emit.element(indices, op.locate(index, *types))
    target = emit.checked(raw, op.extent(x.type), emit.emitter(0))
    step = emit.element(updates, index)
    offset = row_major(op.target(index, target, *types), x.type.shape)
    old = Load(slots[out], offset, x.type.dtype)
    total = Apply(op.combine, (old, step.expr), x.type.dtype) if "{0}" in op.combine else step.expr
    statements += nest(loops, updates.type.shape, [*emit.close(), Store(slots[out], offset, total)])
    buffers = emit.buffers(slots, (out,))
    return Loops(
        kernel.name, buffers, (), 1, (For("r.", variable("lo"), variable("hi"), tuple(statements)),)
    )


def _copy(emit: Emitter, out: Value) -> list[Any]:
    """Loops that make the result equal to the scatter's first operand."""
    x = out.args[0]
    loops = [f"i{a}" for a in range(x.type.rank)]
    emit.open(*loops)
    index = tuple(variable(n) for n in loops)
    element = emit.element(x, index)
    store = Store(emit.slots[out], row_major(index, x.type.shape), element.expr)
    return nest(loops, x.type.shape, [*emit.close(), store])
