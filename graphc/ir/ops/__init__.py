"""Every op, declared once.  Importing this package fills the table `graphc.ir.op.OPS`."""

from graphc.ir.ops import (
    angles as angles,
    callback as callback,
    diagonal as diagonal,
    elementary as elementary,
    fourier as fourier,
    index as index,
    lapack as lapack,
    linalg as linalg,
    logic as logic,
    pointwise as pointwise,
    random as random,
    reduction as reduction,
    rounding as rounding,
    scan as scan,
    scatter as scatter,
    shape as shape,
    sort as sort,
    spectral as spectral,
    state as state,
)
