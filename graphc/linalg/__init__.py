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
from graphc.linalg.factorizations import *
from graphc.linalg.norms import *
from graphc.linalg.systems import *
from graphc.public import publish as _publish

_guard(globals(), __name__, "linalg.")
_publish(globals())
