"""Names that kernel text itself uses: no value of a kernel may get one.

`cpu/intrinsics/namespace.py` and `cuda/toolchain/namespace.py` hold what a kernel may call.  They
import numba, which a warm start must not, so this file repeats their names, by rule where there is
one; a test checks that none is missing.
"""

from __future__ import annotations

import functools
import keyword

from graphc.ir.op import OPS
from graphc.ir.types import ALL, NARROW_FLOATS, TILED_FLOATS

NAMES_PER_TYPE = "{0} cast_{0} round_{0} {0}_buffer {0}_scratch"
NAMES_PER_NARROW_FLOAT = "from_{0} to_{0} mma_{0} multiply_tiles_{0}"
CALLED_NAMES = """
    inf nan max min range where cuda hypot rsqrt at random_bits greater_or_nan less_or_nan
    fold_add fold_multiply wrap_add wrap_subtract wrap_multiply
    check_index call_python routine procedure acquire release
    inside own_row written_at element fail stopped
    gemm cblas_gemm cblas_gemm_add free_scratch
    f32_stack f64_stack i64_stack f32_memory f64_memory i32_memory i64_memory
    load read store shuffle shuffle_xor shuffle_up shuffle_down
    load2 read2 store2 load4 read4 store4 load8 read8 store8
    dynamic_shared shared_address copy_one copy_tile store_sums zero_sums
    cp_async16 cp_async16_or_zero cp_async_commit cp_async_wait ldmatrix_x4 ldmatrix_x4_trans
    to_tf32 mma_tf32 multiply_tiles_f32 multiply_tiles_tf32
"""
TILE_CALL_NAMES = "tile transpose window spread winput wkernel wresult"  # and f32_tile, ...
LOCAL_NAMES = """
    above args base block blocks bottom c channel channels chunks column columns count depth first
    group heights hi high image k kernel kernels left length line lines lo low outer padded panel
    part parts piece pieces products r row rows share start status steps stop sums table tiles to
    top total transformed turned weight weights
"""
MAX_LOOPS_PER_LETTER = 64  # loop variables: i0 ..., j0 ..., k0 ...


@functools.cache
def reserved() -> frozenset[str]:
    """All reserved names, with the functions in the spellings of ops."""
    spelled = (str(getattr(op, "spelling", "")) for op in OPS.values())
    functions = (text.partition("(")[0] for text in spelled if text[:1].isalpha())
    names = {*keyword.kwlist, *functions, *CALLED_NAMES.split(), *LOCAL_NAMES.split()}
    names |= {name for t in ALL for name in NAMES_PER_TYPE.format(t).split()}
    names |= {name for t in NARROW_FLOATS for name in NAMES_PER_NARROW_FLOAT.format(t).split()}
    prefixes = ("", *(f"{t}_" for t in TILED_FLOATS))
    names |= {f"{prefix}{name}" for name in TILE_CALL_NAMES.split() for prefix in prefixes}
    return frozenset(
        names | {f"{letter}{n}" for letter in "ijk" for n in range(MAX_LOOPS_PER_LETTER)}
    )
