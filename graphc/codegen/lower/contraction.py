"""Helpers that all schedules of a matrix product share, and the schedule as plain loops.

Schedules with register tiles are in `codegen.cpu.schedules.gemm`, those with tensor cores in
`codegen.cuda.tensorcores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphc.codegen.loops.ir import BufferArgument, For, Let, Loops, Ref, Store
from graphc.codegen.loops.scalar import Scalar
from graphc.codegen.lower.emitter import Emitter, fold, row_major, start_of, variable
from graphc.ir.graph import Value
from graphc.ir.op import Op
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import multiply
from graphc.ir.ops.reduction import ReduceSum
from graphc.ir.program import Kernel, Kind, accumulator, contraction_of, storage


def uses_gemm(kernel: Kernel) -> bool:
    """Whether register tiles can compute a product."""
    return contraction_of(kernel).type.dtype.tiled


def operands(kernel: Kernel) -> tuple[Matmul, Value, Value, Value]:
    """(op, left, right, result) of a matmul kernel."""
    out = contraction_of(kernel)
    op: Op = out.op
    assert isinstance(op, Matmul)
    return op, out.args[0], out.args[1], out


def slots_of(kernel: Kernel) -> dict[Value, int]:
    """The numbers of a contraction's buffers.  Its result has the number of the buffer that
    accumulates it."""
    slots = {v: i for i, v in enumerate((*kernel.reads, *kernel.writes))}
    slots[contraction_of(kernel)] = slots[accumulator(kernel)]
    return slots


def own_buffers(kernel: Kernel, after: Sequence[BufferArgument]) -> tuple[BufferArgument, ...]:
    """A contraction's buffers, with the names that its epilogue gives them (`after`, in the order
    of `slots_of`).  The epilogue only reads the result, which the kernel writes."""
    own = (*kernel.reads, *kernel.writes)
    named = zip(own, after[: len(own)], strict=True)
    return tuple(replace(b, written=v in kernel.writes) for v, b in named)


def map_after(kernel: Kernel) -> Kernel:
    """The epilogue of a contraction, as a kernel over its whole index space; perhaps empty."""
    out = contraction_of(kernel)
    members = tuple(v for v in kernel.body if v is not out)
    writes = tuple(v for v in kernel.writes if v is not out)
    reads = (*kernel.reads, out)
    return Kernel(kernel.name, Kind.LOOPS, reads, writes, members, kernel.domain)


def lower_product(kernel: Kernel) -> Loops:
    """A product as plain loops: for each element of the result, a fold over k."""
    op, a, b, out = operands(kernel)
    reads = list(dict.fromkeys((storage(a), storage(b))))
    slots = {v: i for i, v in enumerate((*reads, out))}
    emit = Emitter(slots)
    emit.reads = set(reads)
    rank = out.type.rank
    names = [f"i{x}" for x in range(rank)]
    index = tuple(variable(x) for x in names)
    inner = variable("k")
    left = (*index[:-2], inner, index[-2]) if op.ta else (*index[:-2], index[-2], inner)
    right = (*index[:-2], index[-1], inner) if op.tb else (*index[:-2], inner, index[-1])
    summing, dtype = ReduceSum((0,)), out.type.dtype
    emit.open(*names, "k")  # one block, for an axis of size 1 leaves an index without k
    x, y = emit.element(a, left), emit.element(b, right)
    if dtype.accumulates != dtype:
        x, y = (Scalar(v.expr, dtype.accumulates, v.emit) for v in (x, y))
    step: Scalar = multiply(x, y)
    loop = For("k.", 0, op.sizes(a.type, b.type)[1], (*emit.close(), fold("total", summing, step)))
    total = Ref("total", dtype.accumulates)
    store = Store(slots[out], row_major(index, out.type.shape), total)
    body: list[Any] = [Let("total", start_of(summing, dtype)), loop, store]
    for name, size in reversed(list(zip(names, out.type.shape, strict=True))[1:]):
        body = [For(f"{name}.", 0, size, tuple(body))]
    outer = For("i0.", variable("lo"), variable("hi"), tuple(body))
    buffers = emit.buffers(slots, (out,))
    return Loops(kernel.name, buffers, (), out.type.shape[0], (outer,))
