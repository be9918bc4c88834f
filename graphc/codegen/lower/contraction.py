"""Matrix products: through `gemm.py` (or BLAS) for f32 and f64, as loops for all else.

A product runs on one thread; graphc cuts the product into chunks by size alone, so the bits do not
depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.cpu.gemm_library import DIRECT
from graphc.codegen.loops.ir import Buffer, For, Gemm, IndexValue, Let, Loops, Ref, Store
from graphc.codegen.loops.scalar import Scalar
from graphc.codegen.loops.transform import map_sizes, walk
from graphc.codegen.lower.emitter import Emitter, fold, row_major, start_of, variable, wide
from graphc.codegen.lower.fused import lower_fused
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Op
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import multiply
from graphc.ir.ops.reduction import ReduceSum
from graphc.ir.program import Kernel, Kind, accumulator, contraction_of
from graphc.ir.types import f32, i64
from graphc.passes.fusion.fuse import storage

TILED = ("f32", "f64")
CHUNK_PRODUCTS = 8_000_000  # multiplications a chunk, about 150 microseconds
CHUNK_ROWS = 64  # rows or columns a chunk
STRIP = 32  # columns: a whole number of strips of tiles on every machine
MOST_CHUNKS = 16


def uses_gemm(kernel: Kernel) -> bool:
    """Whether a product has register tiles."""
    return contraction_of(kernel).type.dtype.name in TILED


def operands(kernel: Kernel) -> tuple[Matmul, Value, Value, Value]:
    """(op, left, right, result) of a matmul kernel."""
    out = contraction_of(kernel)
    op: Op = out.op
    assert isinstance(op, Matmul)
    return op, out.args[0], out.args[1], out


def lower_gemm(kernel: Kernel) -> Loops:
    """Chunks of a product, each followed by its part of the epilogue while it is in
    cache."""
    op, a, b, out = operands(kernel)
    m, k, _, n = op.sizes(a.type, b.type)
    slots = slots_of(kernel)
    buffers = (slots[storage(a)], slots[storage(b)], slots[out])
    strides = (m if op.ta else k, k if op.tb else n, n)
    c, first, count = variable("c"), variable("first"), variable("count")
    batched = out.type.rank > 2
    lets: list[Any] = []
    if batched:
        sizes, offsets = (m, n, k), (c * m * k, c * k * n, c * m * n)
        extent: Size = dim.product(out.type.shape[:-2])
    else:
        whole = n if _columns(m, n) else m
        unit = STRIP if _columns(m, n) else 1
        extent = _chunks(m, n, k, whole)
        low, high = (
            dim.floordiv(-dim.floordiv(-whole, unit) * x, variable("chunks")) * unit
            for x in (c, c + 1)
        )
        high = high if unit == 1 else dim.minimum(high, whole)
        lets = [Let("first", IndexValue(low, i64)), Let("count", IndexValue(high - first, i64))]
        if _columns(m, n):
            sizes, offsets = (m, count, k), (0, first * k if op.tb else first, first)
        else:
            sizes, offsets = (count, n, k), (first if op.ta else first * k, 0, first * n)
    product = Gemm(op.ta, op.tb, sizes, buffers, offsets, strides)
    after = _epilogue(kernel, slots)
    column = f"i{len(kernel.domain) - 1}." if _columns(m, n) else ""
    rest = _cut(after.body, (first, first + count), m, column)
    body = For("c.", variable("lo"), variable("hi"), (*lets, product, *rest))
    sizes_given = () if batched else (("chunks", extent),)
    return Loops(kernel.name, shown(kernel, slots, after), sizes_given, extent, (body,))


def _chunks(m: Size, n: Size, k: Size, whole: Size) -> Size:
    """Into how many chunks a product is cut: by its size alone.  Each makes the other operand's
    strips contiguous anew, which must repay."""
    near = isinstance(k, int) and isinstance(n, int) and k * n <= DIRECT  # or whole is n: no copies
    rows = CHUNK_ROWS if near or whole == n != m else 3 * CHUNK_ROWS
    count = dim.minimum(dim.product((m, n, k)) // CHUNK_PRODUCTS, dim.floordiv(whole, rows))
    return dim.minimum(dim.maximum(count, 1), MOST_CHUNKS)


def _columns(m: Size, n: Size) -> bool:
    """Whether to cut columns: the longer side, or the known one if it is long."""
    if isinstance(m, int) and isinstance(n, int):
        return n > m
    return isinstance(n, int) and n >= 128


def _epilogue(kernel: Kernel, slots: dict[Value, int]) -> Loops:
    """What follows the product, as a kernel over its whole index space (perhaps of nothing)."""
    return lower_fused(map_after(kernel), slots, whole=False)


def slots_of(kernel: Kernel) -> dict[Value, int]:
    """The numbers of a contraction's buffers; its result's is that of what takes it up."""
    slots = {v: i for i, v in enumerate((*kernel.reads, *kernel.writes))}
    slots[contraction_of(kernel)] = slots[accumulator(kernel)]
    return slots


def shown(kernel: Kernel, slots: dict[Value, int], after: Loops) -> tuple[Buffer, ...]:
    """The buffers of a contraction, named by its epilogue."""
    own = kernel.reads + kernel.writes
    return tuple(b for v, b in zip(slots, after.buffers, strict=True) if v in own)


def map_after(kernel: Kernel) -> Kernel:
    """The epilogue of a contraction, as a kernel over its whole index space; perhaps of nothing."""
    out = contraction_of(kernel)
    members = tuple(v for v in kernel.body if v is not out)
    writes = tuple(v for v in kernel.writes if v is not out)
    reads = (*kernel.reads, out)
    return Kernel(kernel.name, Kind.LOOPS, reads, writes, members, kernel.domain)


def _cut(
    body: tuple[Any, ...], chunk: tuple[Size, Size], rows: Size, column: str
) -> tuple[Any, ...]:
    """The loops over one chunk of the rows, or of the columns if their loop's variable is given;
    nothing, if they do nothing."""
    low, high = chunk
    if not any(isinstance(x, Store) for s in body for x in walk(s)):
        return ()
    every: dict[str, Size] = {"lo.": 0, "hi.": rows} if column else {"lo.": low, "hi.": high}
    limited = [_limit(s, column, low, high) for s in body] if column else body
    return tuple(map_sizes(s, lambda size: dim.substitute(size, every)) for s in limited)


def _limit(s: Any, column: str, low: Size, high: Size) -> Any:
    """The statement with its loop over columns cut to a chunk."""
    if not isinstance(s, For):
        return s
    if s.var == column:
        return For(s.var, low, high, s.body)
    return For(s.var, s.low, s.high, tuple(_limit(x, column, low, high) for x in s.body))


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
    if wide(dtype) != dtype:
        x, y = (Scalar(v.expr, f32, v.emit) for v in (x, y))
    step: Scalar = multiply(x, y)
    loop = For("k.", 0, op.sizes(a.type, b.type)[1], (*emit.close(), fold("total", summing, step)))
    total = Ref("total", wide(dtype))
    store = Store(slots[out], row_major(index, out.type.shape), total)
    body: list[Any] = [Let("total", start_of(summing, dtype)), loop, store]
    for name, size in reversed(list(zip(names, out.type.shape, strict=True))[1:]):
        body = [For(f"{name}.", 0, size, tuple(body))]
    outer = For("i0.", variable("lo"), variable("hi"), tuple(body))
    buffers = tuple(Buffer(emit.name(v.name or v.op.name), v.type.dtype, v is out) for v in slots)
    return Loops(kernel.name, buffers, (), out.type.shape[0], (outer,))
