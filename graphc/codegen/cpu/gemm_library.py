"""graphc's own matrix products, with the arguments of CBLAS.

Each element type has a library, compiled once for a machine and kept in the kernel cache: the
loops below around the register tiles of `tiles.py`.  For each block of k and each strip of columns
the loops copy the strip's part of B into contiguous memory (unless B is in cache anyway); then
tiles walk down A, which they read in place.
"""

from __future__ import annotations

from graphc.codegen.cache import Cache
from graphc.codegen.cpu.microkernels.tiles import tiles_ir
from graphc.codegen.cpu.microkernels.vectors import LLVM_TYPES, Shape
from graphc.codegen.cpu.microkernels.winograd_transforms import MATRICES, transforms_ir
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import Cpu, host_cpu, tile_shape

MAX_BLOCK_DEPTH = 768  # of k: a strip of B of this length stays in the second-level cache
MAX_ALIASED_BLOCK_DEPTH = 192  # the same if columns of A share cache sets
MAX_DIRECT_ELEMENTS = 1 << 16  # of B: so many stay in the first-level cache without a copy
MAX_DIRECT_ROW_TILES = 3  # so few do not repay a contiguous strip of B
MAX_ROWS_WITHOUT_TILES = 4  # of A: so few are faster as inner or outer products
ALIASING_ELEMENTS = 1024  # rows a multiple of this apart share sets of the first-level cache

ARGUMENTS_TEXT = """
def kernel(args, lo, hi):
    a = {t}_buffer(args, 0)
    b = {t}_buffer(args, 1)
    c = {t}_buffer(args, 2)
    m = args[3]
    n = args[4]
    k = args[5]
    rs = args[6]  # from a row of A to the next, from a column to the next
    cs = args[7]
    tb = args[8]
    ldb = args[9]
    ldc = args[10]
    adds = args[11]
    tile = args[12]
    transpose = args[13]
    strip = {t}_stack({strip}, 3)
    table = i64_stack(2, 4)  # one tap
    table[0] = i64(0)
    table[1] = i64(0)
"""

# A has hardly any rows, and B lies as the weights of a layer do: inner products.
INNER_PRODUCTS_TEXT = """
    if tb != 0 and m <= {thin} and cs == 1:
        for i in range(m):
            for j in range(n):
                total = {t}(0.0)
                for q in range(k):
                    total = fold_add(total, a[i * rs + q] * b[j * ldb + q])
                c[i * ldc + j] = c[i * ldc + j] + total if adds != 0 else total
        return
"""

# A has hardly any rows: B is read once, four of its rows at a time, not in strips.
OUTER_PRODUCTS_TEXT = """
    if tb == 0 and m <= {thin} and n >= {columns}:
        for i in range(m):
            at = i * ldc
            if adds == 0:
                for j in range(n):
                    c[at + j] = {t}(0.0)
            for p in range(k // 4):
                q = 4 * p
                b0 = q * ldb
                b1 = b0 + ldb
                b2 = b1 + ldb
                b3 = b2 + ldb
                x0 = a[i * rs + q * cs]
                x1 = a[i * rs + (q + 1) * cs]
                x2 = a[i * rs + (q + 2) * cs]
                x3 = a[i * rs + (q + 3) * cs]
                for j in range(n):
                    four = x0 * b[b0 + j] + x1 * b[b1 + j] + x2 * b[b2 + j] + x3 * b[b3 + j]
                    c[at + j] = c[at + j] + four
            for q in range(k // 4 * 4, k):
                x = a[i * rs + q * cs]
                for j in range(n):
                    c[at + j] = c[at + j] + x * b[q * ldb + j]
        return
"""

# A has few rows, and B lies as weights do: transposing A and the result costs less than B.
TRANSPOSED_TILES_TEXT = """
    if tb != 0 and adds == 0 and k <= {depth} and m * (n + k) < n * k:
        square = {t}_stack({square}, 5)
        for s in range((m + {columns} - 1) // {columns}):
            j = s * {columns}
            cols = min({columns}, m - j)
            if cs == 1:
                {t}_transpose(transpose, cols, k, a, j * rs, rs, strip, 0, {columns})
            else:
                for q in range(k):
                    {t}_window(cols, 0, cols, a, q * cs + j, strip, q * {columns}, 1)
            height = {half} if ldb % {alias} == 0 else {rows}
            tiles = (n + height - 1) // height
            for r in range(tiles):
                i = n * r // tiles
                rows = n * (r + 1) // tiles - i
                {t}_tile(tile, rows, cols, k, b, i * ldb, ldb, 1, strip, 0, {columns},
                         square, 0, {columns}, 0, 1, table, 0)
                {t}_transpose(transpose, rows, cols, square, 0, {columns}, c, j * ldc + i, ldc)
        return
"""

TILES_TEXT = """
    height = {half} if rs % {alias} == 0 else {rows}  # what stays in the first-level cache
    longest = {short} if cs % {alias} == 0 else {depth}
    direct = tb == 0 and (k * n <= {direct} or m <= {few} and ldb % {alias} != 0)
    blocks = max((k + longest - 1) // longest, 1)
    for p in range(blocks):
        first = k * p // blocks
        depth = k * (p + 1) // blocks - first
        plus = adds + p
        for s in range((n + {columns} - 1) // {columns}):
            j = s * {columns}
            cols = min({columns}, n - j)
            if tb != 0:
                {t}_transpose(transpose, cols, depth, b, j * ldb + first, ldb, strip, 0, {columns})
            elif not direct:
                for q in range(depth):
                    {t}_window(cols, 0, cols, b, (first + q) * ldb + j, strip, q * {columns}, 1)
            tiles = (m + height - 1) // height
            for r in range(tiles):
                i = m * r // tiles
                rows = m * (r + 1) // tiles - i
                here = i * rs + first * cs
                if direct:
                    {t}_tile(tile, rows, cols, depth, a, here, rs, cs, b, first * ldb + j, ldb,
                             c, i * ldc + j, ldc, plus, 1, table, 0)
                else:
                    {t}_tile(tile, rows, cols, depth, a, here, rs, cs, strip, 0, {columns},
                             c, i * ldc + j, ldc, plus, 1, table, 0)
"""

CBLAS_IR = """
define void @{name}(i32 %order, i32 %ta, i32 %tb, i32 %m, i32 %n, i32 %k, {real} %alpha,
                    ptr %a, i32 %lda, ptr %b, i32 %ldb, {real} %beta, ptr %c, i32 %ldc) {{
  %words = alloca [14 x i64]
  %ret = alloca ptr
  %exc = alloca ptr
  %ia = ptrtoint ptr %a to i64
  %ib = ptrtoint ptr %b to i64
  %ic = ptrtoint ptr %c to i64
  %wm = sext i32 %m to i64
  %wn = sext i32 %n to i64
  %wk = sext i32 %k to i64
  %la = sext i32 %lda to i64
  %lb = sext i32 %ldb to i64
  %lc = sext i32 %ldc to i64
  %turned = icmp eq i32 %ta, 112
  %rs = select i1 %turned, i64 1, i64 %la
  %cs = select i1 %turned, i64 %la, i64 1
  %tb1 = icmp eq i32 %tb, 112
  %tbw = zext i1 %tb1 to i64
  %plus = fcmp une {real} %beta, 0.0
  %adds = zext i1 %plus to i64
  %tile = ptrtoint ptr @gc_tile_{t} to i64
  %transpose = ptrtoint ptr @gc_transpose_{t} to i64
{stores}
  call i32 @{name}_loops(ptr %ret, ptr %exc, ptr %words, i64 0, i64 1)
  ret void
}}
declare i32 @{name}_loops(ptr, ptr, ptr, i64, i64)
declare void @gc_tile_{t}()
declare void @gc_transpose_{t}()
"""


def host_shape(dtype: str) -> Shape:
    """The register tile that fits this machine."""
    return tile_shape(host_cpu(), dtype)


def source(dtype: str, shape: Shape) -> str:
    """numba source of a product's loops around tiles of a shape."""
    products = INNER_PRODUCTS_TEXT + OUTER_PRODUCTS_TEXT + TRANSPOSED_TILES_TEXT + TILES_TEXT
    return (ARGUMENTS_TEXT + products).format(
        t=dtype,
        rows=shape.rows,
        half=min(shape.rows, 6),
        columns=shape.columns,
        depth=MAX_BLOCK_DEPTH,
        short=MAX_ALIASED_BLOCK_DEPTH,
        thin=MAX_ROWS_WITHOUT_TILES,
        strip=MAX_BLOCK_DEPTH * shape.columns,
        square=shape.rows * shape.columns,
        alias=ALIASING_ELEMENTS,
        direct=MAX_DIRECT_ELEMENTS,
        few=MAX_DIRECT_ROW_TILES * shape.rows,
    )


def _cblas(dtype: str, name: str) -> str:
    """LLVM IR of the function that takes CBLAS's arguments; alpha must be 1, beta 0 or 1, and the
    order row-major."""
    words = (
        "ia",
        "ib",
        "ic",
        "wm",
        "wn",
        "wk",
        "rs",
        "cs",
        "tbw",
        "lb",
        "lc",
        "adds",
        "tile",
        "transpose",
    )
    stores = [
        line
        for i, word in enumerate(words)
        for line in (
            f"  %p{i} = getelementptr i64, ptr %words, i64 {i}",
            f"  store i64 %{word}, ptr %p{i}",
        )
    ]
    return CBLAS_IR.format(name=name, t=dtype, real=LLVM_TYPES[dtype], stores="\n".join(stores))


def compiled(dtype: str, shape: Shape, cpu: Cpu, name: str) -> bytes:
    """Object code of the library for a CPU; `name` is the symbol of its product."""
    linked = tiles_ir(shape, dtype), transforms_ir(shape, dtype), _cblas(dtype, name)
    return jit.compile_kernel(source(dtype, shape), f"{name}_loops", cpu, linked)


def library(dtype: str, cache: Cache) -> dict[str, int]:
    """Addresses of graphc's routines for f32 or f64, by name.  The machine code comes from this
    process, the cache or the compiler."""
    cpu, loader = host_cpu(), jit.loader()
    name = jit.symbol_of(f"gemm {dtype}", cpu)
    if name not in loader.addresses:
        data = cache.read(name)
        if data is None:
            data = compiled(dtype, tile_shape(cpu, dtype), cpu, name)
            cache.write(name, data)
        loader.load(name, data)
    find = loader.engine.get_function_address
    inner = (f"gc_{part}_{dtype}" for part in ("tile", "transpose", *MATRICES))
    return {f"gc_gemm_{dtype}": loader.addresses[name], **{x: find(x) for x in inner}}
