"""Linear algebra of f32 and f64 matrices, under the names of NumPy and the array API.

Matrices lie in the last two axes; all axes before them are a batch.  What cannot be computed (a
singular system, a matrix that is not positive definite) is NaN: semantics 14.
"""

from graphc.frontend.boundary import guard as _guard
from graphc.functions.linear import (
    matmul as matmul,
    outer as outer,
    tensordot as tensordot,
    vecdot as vecdot,
)
from graphc.functions.shaping import matrix_transpose as matrix_transpose
from graphc.linalg.factorizations import (
    EighResult as EighResult,
    QRResult as QRResult,
    SVDResult as SVDResult,
    cholesky as cholesky,
    eigh as eigh,
    eigvalsh as eigvalsh,
    qr as qr,
    svd as svd,
    svdvals as svdvals,
)
from graphc.linalg.norms import (
    matrix_norm as matrix_norm,
    norm as norm,
    vector_norm as vector_norm,
)
from graphc.linalg.systems import (
    SlogdetResult as SlogdetResult,
    det as det,
    inv as inv,
    matrix_power as matrix_power,
    matrix_rank as matrix_rank,
    pinv as pinv,
    slogdet as slogdet,
    solve as solve,
    solve_triangular as solve_triangular,
)

_guard(globals(), __name__, "linalg.")
