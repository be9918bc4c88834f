"""Matrix products: through BLAS for f32 and f64, as loops for all else.

BLAS runs on one thread; graphc cuts the product into chunks by size alone, so the bits do not depend on the
number of threads.
"""

from __future__ import annotations

from graphc.codegen.cpu import Source
from graphc.codegen.loops import Buffer, For, Let, Loops, Ref, Store
from graphc.codegen.lower import Emitter, fold, row_major, start_of, variable, wide
from graphc.codegen.scalar import Scalar
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Op
from graphc.ir.ops.linalg import Matmul
from graphc.ir.ops.pointwise import multiply
from graphc.ir.ops.reduction import ReduceSum
from graphc.ir.program import Kernel
from graphc.ir.types import f32
from graphc.passes.fuse import storage

BLAS = ("f32", "f64")
CHUNK_PRODUCTS = 24_000_000  # multiplications a chunk, about half a millisecond
MOST_CHUNKS = 16

TEMPLATE = """\
def kernel(args, lo, hi):
    a = {dtype}_buffer(args, 0)
    b = {dtype}_buffer(args, 1)
    out = {dtype}_buffer(args, 2)
    m = args[3]
    n = args[4]
    k = args[5]
    chunks = args[6]
    gemm = args[7]
    if m == 0 or n == 0:
        return
    for c in range(lo, hi):
{body}"""

BATCH = """\
        blas_gemm(gemm, {ta}, {tb}, m, n, k, a, c * m * k, {lda}, b, c * k * n, {ldb}, out, c * m * n, n)
"""
ROWS = """\
        first = m * c // chunks
        rows = m * (c + 1) // chunks - first
        if rows:
            blas_gemm(gemm, {ta}, {tb}, rows, n, k, a, {a_at}, {lda}, b, 0, {ldb}, out, first * n, n)
"""
COLUMNS = """\
        first = n * c // chunks
        columns = n * (c + 1) // chunks - first
        if columns:
            blas_gemm(gemm, {ta}, {tb}, m, columns, k, a, 0, {lda}, b, {b_at}, {ldb}, out, first, n)
"""


def uses_blas(kernel: Kernel) -> bool:
    """Whether a product goes to BLAS."""
    return kernel.writes[0].type.dtype.name in BLAS


def operands(kernel: Kernel) -> tuple[Matmul, Value, Value, Value]:
    """(op, left, right, result) of a matmul kernel."""
    (out,) = kernel.body
    op: Op = out.op
    assert isinstance(op, Matmul)
    return op, out.args[0], out.args[1], out


def print_gemm(kernel: Kernel) -> Source:
    """The kernel that calls BLAS; its last argument is BLAS's address."""
    op, a, b, out = operands(kernel)
    m, k, _, n = op.sizes(a.type, b.type)
    batched = out.type.rank > 2
    by_columns = not batched and _columns(m, n)
    form = BATCH if batched else COLUMNS if by_columns else ROWS
    # A leading dimension must be positive even where there is nothing to read.
    body = form.format(
        ta=112 if op.ta else 111, tb=112 if op.tb else 111,
        lda="m" if op.ta else "max(k, 1)", ldb="max(k, 1)" if op.tb else "n",
        a_at="first" if op.ta else "first * k", b_at="first * k" if op.tb else "first",
    )
    count = dim.product((m, n, k))
    chunks = dim.minimum(dim.maximum(count // CHUNK_PRODUCTS, 1), MOST_CHUNKS)
    extent: Size = dim.product(out.type.shape[:-2]) if batched else chunks
    text = TEMPLATE.format(dtype=out.type.dtype, body=body)
    return Source(text, (m, n, k, extent), extent, False)


def _columns(m: Size, n: Size) -> bool:
    """Whether to cut columns: the longer side, or the known one if it is long."""
    if isinstance(m, int) and isinstance(n, int):
        return n > m
    return isinstance(n, int) and n >= 128


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
    emit.open(*names)
    inner = variable("k")
    left = (*index[:-2], inner, index[-2]) if op.ta else (*index[:-2], index[-2], inner)
    right = (*index[:-2], index[-1], inner) if op.tb else (*index[:-2], inner, index[-1])
    summing, dtype = ReduceSum((0,)), out.type.dtype
    emit.open("k")
    x, y = emit.element(a, left), emit.element(b, right)
    if wide(dtype) != dtype:
        x, y = (Scalar(v.expr, f32, v.emit) for v in (x, y))
    step: Scalar = multiply(x, y)
    loop = For("k.", 0, op.sizes(a.type, b.type)[1], (*emit.close(), fold("total", summing, step)))
    total = Ref("total", wide(dtype))
    store = Store(slots[out], row_major(index, out.type.shape), total)
    body = [Let("total", start_of(summing, dtype)), loop, store]
    for name, size in reversed(list(zip(names, out.type.shape, strict=True))[1:]):
        body = [For(f"{name}.", 0, size, tuple(body))]
    outer = For("i0.", variable("lo"), variable("hi"), tuple(body))
    buffers = tuple(Buffer(emit.name(v.name or v.op.name), v.type.dtype, v is out) for v in slots)
    return Loops(kernel.name, buffers, (), out.type.shape[0], (outer,))
