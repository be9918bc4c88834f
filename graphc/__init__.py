"""graphc: a static computation-graph compiler and executor.

Declare (`placeholder`, `variable`, the functions below), differentiate (`gradients`), then let a
session compile and run.  Nothing is computed while a graph is built:

>>> import graphc as gc
>>> x = gc.placeholder(gc.float32, ["n", 784])
>>> w = gc.variable(gc.init.xavier_uniform((784, 10)))
>>> (x @ w).type
f32[n,10]

Layers, from the ground up: `graphc.ir` (types, ops, graphs, their text and their meaning),
`graphc.passes` (graph to graph, graph to program), `graphc.codegen` (kernels to machine code),
`graphc.frontend` and `graphc.functions` (what users hold and call), `graphc.linalg`, `random`,
`fft`, `init` (ordinary graph code), `graphc.runtime` (runs machine code), `graphc.compiler`,
`graphc.profile` and `explain`, `graphc.session`, `graphc.nn`, `optim` and `data` (training, as
ordinary graph code), `graphc.extend`, `graphc.testing`, and `graphc.cli`.

`import graphc` imports what declares a graph.  The rest is imported when it is first touched.
"""

import importlib as _importlib
import typing as _typing

from graphc import errors as errors
from graphc.errors import DeviceError as DeviceError
from graphc.frontend.boundary import guard as _guard
from graphc.frontend.declare import placeholder as placeholder, variable as variable
from graphc.frontend.gradients import (
    custom_gradient as custom_gradient,
    explain_gradient as explain_gradient,
    gradients as gradients,
)
from graphc.frontend.group import Group as Group, group as group
from graphc.frontend.scope import (
    GraphScope as _GraphScope,
    device as device,
    name_scope as name_scope,
    reset_default_graph as reset_default_graph,
)
from graphc.frontend.tensor import Tensor as Tensor, Variable as Variable
from graphc.frontend.with_update import with_update as with_update
from graphc.functions import *
from graphc.ir import types as _types
from graphc.ir.machine import DeviceSpec as DeviceSpec, Link as Link, Machine as Machine
from graphc.public import publish as _publish, refuse as _refuse

Graph = _GraphScope
DType = _types.DType
bool_ = _types.bool_
int8, int16, int32, int64 = _types.i8, _types.i16, _types.i32, _types.i64
uint8, uint16, uint32, uint64 = _types.u8, _types.u16, _types.u32, _types.u64
float16, bfloat16 = _types.f16, _types.bf16
float32, float64 = _types.f32, _types.f64

_PARTS = ("data", "extend", "fft", "init", "linalg", "nn", "optim", "random", "testing")
_LATE = {  # name -> the module that holds it, or is it
    **{part: f"graphc.{part}" for part in _PARTS},
    **dict.fromkeys(("function", "kernel", "op", "py_func"), "graphc.extend"),
    "Session": "graphc.session.session",
    "Stats": "graphc.session.engine",
    **dict.fromkeys(("Plan", "plan"), "graphc.explain.what_if"),
}

__version__: str  # of what is installed: pyproject.toml says it

_guard(globals(), "graphc.")
_publish(globals(), "errors", *_LATE)

if _typing.TYPE_CHECKING:  # what `_LATE` says, for type checkers and editors
    from graphc import (
        data as data,
        extend as extend,
        fft as fft,
        init as init,
        linalg as linalg,
        nn as nn,
        optim as optim,
        random as random,
        testing as testing,
    )
    from graphc.explain.what_if import Plan as Plan, plan as plan
    from graphc.extend import function as function, kernel as kernel, op as op, py_func as py_func
    from graphc.session.engine import Stats as Stats
    from graphc.session.session import Session as Session
else:

    def __getattr__(name):
        """What is imported when it is first touched."""
        if name == "__version__":
            return _importlib.import_module("importlib.metadata").version("graphc")
        if name not in _LATE:
            _refuse(globals(), name)
        module = _importlib.import_module(_LATE[name])
        found = {name: module if _LATE[name] == f"graphc.{name}" else getattr(module, name)}
        _guard(found, "graphc.")
        return globals().setdefault(name, found[name])  # another thread may have been faster
