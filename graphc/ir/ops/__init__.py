"""Every op, declared once.  Importing this package fills the table `graphc.ir.op.OPS`."""

from graphc.ir.ops import (
    angles as angles,
    callback as callback,
    conv as conv,
    elementary as elementary,
    fourier as fourier,
    index as index,
    lapack as lapack,
    linalg as linalg,
    logic as logic,
    pointwise as pointwise,
    pooling as pooling,
    random as random,
    reduction as reduction,
    rounding as rounding,
    shape as shape,
    spectral as spectral,
    state as state,
    window as window,
)
