"""Every op, declared once.  Importing this package fills the table `graphc.ir.op.OPS`."""

from graphc.ir.ops import (
    angles as angles,
    callback as callback,
    conv as conv,
    elementary as elementary,
    index as index,
    linalg as linalg,
    logic as logic,
    pointwise as pointwise,
    pooling as pooling,
    random as random,
    reduction as reduction,
    rounding as rounding,
    shape as shape,
    state as state,
    window as window,
)
