"""graphc: a static computation-graph compiler and executor.

Declare (`placeholder`, `variable`, the functions below), differentiate (`gradients`), then let a
session compile and run.  Nothing is computed while a graph is built:

>>> import graphc as gc
>>> x = gc.placeholder(gc.float32, ["n", 784])
>>> w = gc.variable(gc.init.xavier_uniform((784, 10)))
>>> (x @ w).type
f32[n,10]

Layers, from the ground up: `graphc.ir` (types, ops, graphs, their text and their meaning),
`graphc.passes` (graph to graph, graph to program), `graphc.codegen`, `graphc.runtime` (program
to machine code), `graphc.tensor` and `graphc.functions` (what users hold and call), `graphc.nn`,
`graphc.init` and `graphc.optim` (training: ordinary graph code).
"""

from graphc import (
    errors as errors,
    functions as functions,
    init as init,
    nn as nn,
    optim as optim,
    random as random,
)
from graphc.customize import function as function, op as op
from graphc.declare import placeholder as placeholder, variable as variable
from graphc.differentiate import (
    custom_gradient as custom_gradient,
    explain_gradient as explain_gradient,
    gradients as gradients,
)
from graphc.door import guard as _guard
from graphc.functions import (
    abs as abs,
    acos as acos,
    acosh as acosh,
    add as add,
    all as all,
    any as any,
    arange as arange,
    argmax as argmax,
    argmin as argmin,
    asarray as asarray,
    asin as asin,
    asinh as asinh,
    astype as astype,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    bitwise_and as bitwise_and,
    bitwise_invert as bitwise_invert,
    bitwise_left_shift as bitwise_left_shift,
    bitwise_or as bitwise_or,
    bitwise_right_shift as bitwise_right_shift,
    bitwise_xor as bitwise_xor,
    broadcast_to as broadcast_to,
    cast as cast,
    cbrt as cbrt,
    ceil as ceil,
    clip as clip,
    concat as concat,
    cond as cond,
    cos as cos,
    cosh as cosh,
    count_nonzero as count_nonzero,
    divide as divide,
    dot as dot,
    einsum as einsum,
    equal as equal,
    erf as erf,
    erfc as erfc,
    exp as exp,
    exp2 as exp2,
    expand_dims as expand_dims,
    expm1 as expm1,
    eye as eye,
    flatten as flatten,
    flip as flip,
    floor as floor,
    floor_divide as floor_divide,
    full as full,
    full_like as full_like,
    greater as greater,
    greater_equal as greater_equal,
    hypot as hypot,
    iota as iota,
    isclose as isclose,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    less as less,
    less_equal as less_equal,
    linspace as linspace,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    logaddexp as logaddexp,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    logsumexp as logsumexp,
    map_fn as map_fn,
    matmul as matmul,
    matrix_transpose as matrix_transpose,
    max as max,
    maximum as maximum,
    mean as mean,
    min as min,
    minimum as minimum,
    moveaxis as moveaxis,
    multiply as multiply,
    negative as negative,
    not_equal as not_equal,
    one_hot as one_hot,
    ones as ones,
    ones_like as ones_like,
    outer as outer,
    pad as pad,
    permute_dims as permute_dims,
    positive as positive,
    pow as pow,
    prod as prod,
    reciprocal as reciprocal,
    remainder as remainder,
    repeat as repeat,
    reshape as reshape,
    roll as roll,
    round as round,
    rsqrt as rsqrt,
    scan as scan,
    scatter_add as scatter_add,
    sign as sign,
    sin as sin,
    sinh as sinh,
    size as size,
    split as split,
    sqrt as sqrt,
    square as square,
    squeeze as squeeze,
    stack as stack,
    std as std,
    stop_gradient as stop_gradient,
    subtract as subtract,
    sum as sum,
    swapaxes as swapaxes,
    switch as switch,
    take as take,
    take_along_axis as take_along_axis,
    tan as tan,
    tanh as tanh,
    tensordot as tensordot,
    tile as tile,
    transpose as transpose,
    tril as tril,
    triu as triu,
    trunc as trunc,
    unstack as unstack,
    var as var,
    vecdot as vecdot,
    where as where,
    while_loop as while_loop,
    zeros as zeros,
    zeros_like as zeros_like,
)
from graphc.group import Group as Group, group as group
from graphc.handwritten import kernel as kernel
from graphc.ir import types as _types
from graphc.python_function import py_func as py_func
from graphc.scope import (
    GraphScope as _GraphScope,
    name_scope as name_scope,
    reset_default_graph as reset_default_graph,
)
from graphc.session import Session as Session, Stats as Stats
from graphc.tensor import (
    Tensor as Tensor,
    Variable as Variable,
)

Graph = _GraphScope
DType = _types.DType
bool_ = _types.bool_
int8, int16, int32, int64 = _types.i8, _types.i16, _types.i32, _types.i64
uint8, uint16, uint32, uint64 = _types.u8, _types.u16, _types.u32, _types.u64
float16, bfloat16 = _types.f16, _types.bf16
float32, float64 = _types.f32, _types.f64

_guard(globals(), "graphc.")
