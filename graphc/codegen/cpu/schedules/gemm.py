"""Matrix products through register tiles (or BLAS), cut into chunks.

The cuts depend on sizes alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.cpu.gemm_library import MAX_DIRECT_ELEMENTS
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

MULTIPLICATIONS_PER_CHUNK = 8_000_000  # about 150 microseconds
MIN_ROWS_PER_CHUNK = 64  # or columns
COLUMNS_PER_STRIP = 32  # a multiple of the tile width of every machine
MAX_CHUNKS_PER_PRODUCT = 16


def lower_gemm(kernel: Kernel) -> Loops:
    """A product in chunks; its part of the epilogue follows each chunk while that is in cache."""
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
        unit = COLUMNS_PER_STRIP if _columns(m, n) else 1
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
    epilogue = _cut(after.body, (first, first + count), m, column)
    body = For("c.", variable("lo"), variable("hi"), (*lets, product, *epilogue))
    sizes_given = () if batched else (("chunks", extent),)
    buffers = own_buffers(kernel, after.buffers)
    return Loops(kernel.name, buffers, sizes_given, extent, (body,))


def _chunks(m: Size, n: Size, k: Size, whole: Size) -> Size:
    """The number of chunks of a product, from its size alone.  Each chunk copies the other
    operand's strips again, so it must be large enough to repay that."""
    # A small B is read in place, as A is where columns are cut (whole is n): neither is copied.
    near = isinstance(k, int) and isinstance(n, int) and k * n <= MAX_DIRECT_ELEMENTS
    rows = MIN_ROWS_PER_CHUNK if near or whole == n != m else 3 * MIN_ROWS_PER_CHUNK
    count = dim.minimum(
        dim.product((m, n, k)) // MULTIPLICATIONS_PER_CHUNK, dim.floordiv(whole, rows)
    )
    return dim.minimum(dim.maximum(count, 1), MAX_CHUNKS_PER_PRODUCT)


def _columns(m: Size, n: Size) -> bool:
    """Whether to cut columns, not rows: the longer side, or the known one if it is long."""
    if isinstance(m, int) and isinstance(n, int):
        return n > m
    return isinstance(n, int) and n >= 128


def _epilogue(kernel: Kernel, slots: dict[Value, int]) -> Loops:
    """The loops of what follows the product, over its whole index space; perhaps empty."""
    return lower_fused(map_after(kernel), slots, whole=False)


def _cut(
    body: tuple[Any, ...], chunk: tuple[Size, Size], rows: Size, column: str
) -> tuple[Any, ...]:
    """The epilogue's loops over one chunk: of rows, or of columns if `column` names their loop's
    variable.  Empty if they store nothing."""
    low, high = chunk
    if not any(isinstance(x, Store) for s in body for x in walk(s)):
        return ()
    every: dict[str, Size] = {"lo.": 0, "hi.": rows} if column else {"lo.": low, "hi.": high}
    limited = [_limit(s, column, low, high) for s in body] if column else body
    return tuple(map_sizes(s, lambda size: dim.substitute(size, every)) for s in limited)


def _limit(s: Any, column: str, low: Size, high: Size) -> Any:
    """The statement with its loop over columns limited to [low, high)."""
    if not isinstance(s, For):
        return s
    if s.var == column:
        return For(s.var, low, high, s.body)
    return For(s.var, s.low, s.high, tuple(_limit(x, column, low, high) for x in s.body))
