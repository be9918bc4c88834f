"""The classes of graphc's own ops, for rules and passes: `ops.Divide`, `ops.Full`.

`ops.Exp()(x)` applies one to a value or to a hole of a rule.  `graphc ops` lists them with their
fields; each is declared in a file of `graphc.ir.ops`, those of loops and branches in
`graphc.ir.control`.

>>> import graphc as gc
>>> from graphc.extend import ops
>>> ops.Exp()(gc.placeholder(gc.float32, ["n"])).type
f32[n]
"""

import typing as _typing

from graphc.ir import control as _control, op as _op, ops as _ops
from graphc.public import publish as _publish

if _typing.TYPE_CHECKING:  # the same, for type checkers; some files' constants share a name
    from graphc.ir.control import *
    from graphc.ir.op import Item as Item
    from graphc.ir.ops.conv import *  # type: ignore[assignment]
    from graphc.ir.ops.diagonal import *
    from graphc.ir.ops.elementary import *
    from graphc.ir.ops.fourier import *
    from graphc.ir.ops.gather import *
    from graphc.ir.ops.lapack_orthogonal import *
    from graphc.ir.ops.lapack_solve import *
    from graphc.ir.ops.logic import *
    from graphc.ir.ops.matmul import *
    from graphc.ir.ops.pointwise import *
    from graphc.ir.ops.pooling import *
    from graphc.ir.ops.py_func import *
    from graphc.ir.ops.random import *
    from graphc.ir.ops.reduction import *  # type: ignore[assignment]
    from graphc.ir.ops.rounding import *
    from graphc.ir.ops.scan import *  # type: ignore[assignment]
    from graphc.ir.ops.scatter import *
    from graphc.ir.ops.shape import *
    from graphc.ir.ops.sort import *
    from graphc.ir.ops.state import *
    from graphc.ir.ops.transfer import *
    from graphc.ir.ops.trigonometry import *
    from graphc.ir.ops.window import *
else:
    _files = (_op.__name__, _control.__name__, _ops.__name__ + ".")
    globals().update(
        (op.__name__, op) for op in _op.OPS.values() if op.__module__.startswith(_files)
    )

_publish(globals())
