"""Every op, declared once: its types, meaning, lowering, gradient and samples, in one class.

Each file is named after what a user would look for.  Importing this package fills the table
`graphc.ir.op.OPS`.  Loop and Switch stand in `ir/control.py`: their fields are graphs, which are
above ops.
"""

from graphc.ir.ops import (
    conv as conv,
    diagonal as diagonal,
    elementary as elementary,
    fourier as fourier,
    gather as gather,
    lapack as lapack,
    lapack_orthogonal as lapack_orthogonal,
    lapack_solve as lapack_solve,
    logic as logic,
    markers as markers,
    matmul as matmul,
    partial as partial,
    pointwise as pointwise,
    pooling as pooling,
    py_func as py_func,
    random as random,
    reduction as reduction,
    rounding as rounding,
    scan as scan,
    scatter as scatter,
    shape as shape,
    sort as sort,
    state as state,
    transfer as transfer,
    trigonometry as trigonometry,
    window as window,
)
