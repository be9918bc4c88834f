"""A matrix product through register tiles (or BLAS), cut into chunks by its size alone, so that the
bits do not depend on the number of threads."""

from __future__ import annotations

from typing import Any

from graphc.codegen.cpu.gemm_library import DIRECT
from graphc.codegen.loops.ir import For, Gemm, IndexValue, Let, Loops, Store
from graphc.codegen.loops.transform import map_sizes, walk
from graphc.codegen.lower.contraction import map_after, operands, own_buffers, slots_of
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import lower_fused
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.program import Kernel, storage
from graphc.ir.types import i64

CHUNK_PRODUCTS = 8_000_000  # multiplications a chunk, about 150 microseconds


CHUNK_ROWS = 64  # rows or columns a chunk


STRIP = 32  # columns: a whole number of strips of tiles on every machine


MOST_CHUNKS = 16


def lower_gemm(kernel: Kernel) -> Loops:
    """Chunks of a product, each followed by its part of the epilogue while it is in
    cache."""
    op, a, b, out = operands(kernel)
    m, k, _, n = op.sizes(a.type, b.type)
    slots = slots_of(kernel)
    places = (slots[storage(a)], slots[storage(b)], slots[out])
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
    product = Gemm(op.ta, op.tb, sizes, places, offsets, strides)
    after = _epilogue(kernel, slots)
    column = f"i{len(kernel.domain) - 1}." if _columns(m, n) else ""
    rest = _cut(after.body, (first, first + count), m, column)
    body = For("c.", variable("lo"), variable("hi"), (*lets, product, *rest))
    sizes_given = () if batched else (("chunks", extent),)
    buffers = own_buffers(kernel, after.buffers)
    return Loops(kernel.name, buffers, sizes_given, extent, (body,))


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
