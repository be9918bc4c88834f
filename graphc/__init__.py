"""graphc: a static computation-graph compiler and executor.

Declare (`placeholder`, `variable`, the functions below), differentiate (`gradients`), then let a
session compile and run.  Nothing is computed while a graph is built:

>>> import graphc as gc
>>> x = gc.placeholder(gc.float32, ["n", 784])
>>> w = gc.variable(gc.init.xavier_uniform((784, 10)))
>>> (x @ w).type
f32[n,10]

Layers, from the ground up: `graphc.ir` (types, ops, graphs, their text and their meaning),
`graphc.passes` (graph to graph, graph to program), `graphc.frontend` and `graphc.functions` (what
users hold and call), `graphc.codegen` and `graphc.runtime` (program to machine code),
`graphc.compiler`, `graphc.session`, and `graphc.nn`, `graphc.init` and `graphc.optim` (training:
ordinary graph code).
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from graphc import (
    errors as errors,
    fft as fft,
    functions as functions,
    init as init,
    linalg as linalg,
    nn as nn,
    optim as optim,
    random as random,
)
from graphc.errors import DeviceError as DeviceError
from graphc.extend.kernel.decorator import kernel as kernel
from graphc.extend.op import function as function, op as op
from graphc.extend.py_func import py_func as py_func
from graphc.frontend import trace as trace
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
from graphc.frontend.tensor import (
    Tensor as Tensor,
    Variable as Variable,
)
from graphc.frontend.with_update import with_update as with_update
from graphc.functions import (
    abs as abs,
    acos as acos,
    acosh as acosh,
    add as add,
    all as all,
    allclose as allclose,
    any as any,
    arange as arange,
    argmax as argmax,
    argmin as argmin,
    argsort as argsort,
    array_equal as array_equal,
    asarray as asarray,
    asin as asin,
    asinh as asinh,
    astype as astype,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    atleast_1d as atleast_1d,
    atleast_2d as atleast_2d,
    average as average,
    bincount as bincount,
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
    copysign as copysign,
    cos as cos,
    cosh as cosh,
    count_nonzero as count_nonzero,
    cov as cov,
    cross as cross,
    cummax as cummax,
    cummin as cummin,
    cumprod as cumprod,
    cumsum as cumsum,
    cumulative_prod as cumulative_prod,
    cumulative_sum as cumulative_sum,
    deg2rad as deg2rad,
    dequantize_linear as dequantize_linear,
    diag as diag,
    diagonal as diagonal,
    diff as diff,
    digitize as digitize,
    divide as divide,
    dot as dot,
    dynamic_slice as dynamic_slice,
    dynamic_update_slice as dynamic_update_slice,
    einsum as einsum,
    equal as equal,
    erf as erf,
    erfc as erfc,
    exp as exp,
    exp2 as exp2,
    expand_dims as expand_dims,
    expm1 as expm1,
    eye as eye,
    fake_quantize as fake_quantize,
    flatten as flatten,
    flip as flip,
    floor as floor,
    floor_divide as floor_divide,
    fmax as fmax,
    fmin as fmin,
    full as full,
    full_like as full_like,
    gather_nd as gather_nd,
    greater as greater,
    greater_equal as greater_equal,
    heaviside as heaviside,
    histogram as histogram,
    hstack as hstack,
    hypot as hypot,
    inner as inner,
    interp as interp,
    iota as iota,
    isclose as isclose,
    isfinite as isfinite,
    isin as isin,
    isinf as isinf,
    isnan as isnan,
    kron as kron,
    less as less,
    less_equal as less_equal,
    linear_recurrence as linear_recurrence,
    linspace as linspace,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    logaddexp as logaddexp,
    logcumsumexp as logcumsumexp,
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
    median as median,
    meshgrid as meshgrid,
    min as min,
    minimum as minimum,
    moveaxis as moveaxis,
    multiply as multiply,
    nan_to_num as nan_to_num,
    nanmax as nanmax,
    nanmean as nanmean,
    nanmin as nanmin,
    nansum as nansum,
    negative as negative,
    nonzero as nonzero,
    not_equal as not_equal,
    one_hot as one_hot,
    ones as ones,
    ones_like as ones_like,
    outer as outer,
    pad as pad,
    percentile as percentile,
    permute_dims as permute_dims,
    polyval as polyval,
    positive as positive,
    pow as pow,
    prod as prod,
    ptp as ptp,
    put_along_axis as put_along_axis,
    quantile as quantile,
    quantize_linear as quantize_linear,
    rad2deg as rad2deg,
    ravel_multi_index as ravel_multi_index,
    reciprocal as reciprocal,
    remainder as remainder,
    repeat as repeat,
    reshape as reshape,
    roll as roll,
    rot90 as rot90,
    round as round,
    rsqrt as rsqrt,
    scan as scan,
    scatter as scatter,
    scatter_add as scatter_add,
    scatter_nd as scatter_nd,
    searchsorted as searchsorted,
    segment_max as segment_max,
    segment_mean as segment_mean,
    segment_min as segment_min,
    segment_sum as segment_sum,
    select as select,
    sign as sign,
    signbit as signbit,
    sin as sin,
    sinc as sinc,
    sinh as sinh,
    size as size,
    sort as sort,
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
    top_k as top_k,
    transpose as transpose,
    trapezoid as trapezoid,
    tril as tril,
    triu as triu,
    trunc as trunc,
    unique as unique,
    unravel_index as unravel_index,
    unstack as unstack,
    var as var,
    vecdot as vecdot,
    vstack as vstack,
    where as where,
    while_loop as while_loop,
    zeros as zeros,
    zeros_like as zeros_like,
)
from graphc.ir import types as _types
from graphc.ir.machine import DeviceSpec as DeviceSpec, Link as Link, Machine as Machine
from graphc.session.engine import Stats as Stats
from graphc.session.session import Session as Session

Graph = _GraphScope
DType = _types.DType
bool_ = _types.bool_
int8, int16, int32, int64 = _types.i8, _types.i16, _types.i32, _types.i64
uint8, uint16, uint32, uint64 = _types.u8, _types.u16, _types.u32, _types.u64
float16, bfloat16 = _types.f16, _types.bf16
float32, float64 = _types.f32, _types.f64

_guard(globals(), "graphc.")

if _TYPE_CHECKING:
    from graphc.explain.what_if import Plan as Plan, plan as plan


def __getattr__(name: str) -> _Any:
    """`plan` and `Plan`, which need all that devices need: imported when first asked for."""
    if name not in ("Plan", "plan"):
        raise AttributeError(f"module 'graphc' has no attribute {name!r}")
    from graphc.explain import what_if

    found = {"Plan": what_if.Plan, "plan": what_if.plan}
    _guard(found, "graphc.")
    globals().update(found)
    return found[name]
