"""`gc.py_func`: a Python function on NumPy arrays as an op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import GradientError, GraphError, Location, ShapeError, user_location
from graphc.frontend.boundary import short
from graphc.frontend.signatures import require_takes
from graphc.frontend.tensor import Tensor, as_tensor, build, operand
from graphc.functions.creation import zeros
from graphc.ir import dim
from graphc.ir.ops.markers import WithGradient
from graphc.ir.ops.py_func import PyFunc, PyFuncPacked, PythonFunction, Unpack
from graphc.ir.types import TensorType
from graphc.passes.autodiff.reverse import same_type


def py_func(
    function: Callable[..., Any],
    inputs: Any,
    output_types: Any,
    *,
    gradient: Callable[..., Any] | None = None,
    stateful: bool = False,
    name: str | None = None,
) -> Any:
    """The result of `function`, which each run calls on the arrays of `inputs` (one or a list).

    `output_types` is the type of the result (`gc.float32["n", 4]`, `x.type`), or a list of types
    for a function that returns several arrays; then a list of tensors is returned. Sizes may be
    those of the inputs. The function must return just these types (Python's numbers and lists are
    converted). The arrays it is given are its own. `gradient(ct, out, *inputs)` gives the inputs'
    cotangents, as graph code; with several results `ct` and `out` are tuples. Each run calls a
    `stateful` function once for each `py_func` it needs; of others, equal calls may become one.

    What the function raises ends the run as the cause of a `GraphError`, and no variable changes; a
    wrong result is a `DTypeError` or `ShapeError`. The function cannot use the session that calls
    it. Raises `GraphError`, `ShapeError` or `DTypeError` for wrong arguments.

    >>> import numpy as np, graphc as gc
    >>> x = gc.placeholder(gc.float32, ["rows", 2], name="pf")
    >>> ranks = gc.py_func(lambda a: np.argsort(a[:, 0]), [x], gc.int64["rows"])
    >>> with gc.Session() as sess:
    ...     sess.run(ranks * 10, {x: [[3, 0], [1, 0], [2, 0]]})
    array([10, 20,  0])
    """
    loc = user_location()
    label = _label(function, gradient, name)
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    operands = tuple(operand("py_func", x) for x in given)
    names = [f"x{i}" for i in range(len(operands))]
    if gradient is not None:
        require_takes(f"py_func: gradient of {label}", gradient, ["ct", "out", *names])
    require_takes(f"py_func: {label}", function, names)
    several = isinstance(output_types, list | tuple)
    types = [_checked(t, operands, loc) for t in (output_types if several else [output_types])]
    if not types:
        raise GraphError("py_func: output_types is empty; expected at least one type", loc)
    python = PythonFunction(function, label, bool(stateful), loc)
    results = _with_gradient(_calls(python, operands, types), operands, gradient, label)
    return results if several else results[0]


def _label(function: Any, gradient: Any, name: Any) -> str:
    """The function's name in errors.  Raises `GraphError` for wrong arguments."""
    if not callable(function):
        raise GraphError(
            f"py_func: function is {short(function)}; expected a function", user_location()
        )
    if gradient is not None and not callable(gradient):
        raise GraphError(
            f"py_func: gradient is {short(gradient)}; expected a function", user_location()
        )
    if name is not None and not isinstance(name, str):
        raise GraphError(f"py_func: name is {short(name)}; expected a string", user_location())
    return name or str(getattr(function, "__name__", type(function).__name__))


def _checked(t: Any, operands: Sequence[Tensor], loc: Location | None) -> TensorType:
    """The type of a result, checked.  Raises `GraphError` or `ShapeError`."""
    if not isinstance(t, TensorType):
        raise GraphError(
            f"py_func: output type {short(t)}; expected a tensor type such as "
            'gc.float32["n", 4], or x.type',
            loc,
        )
    for size in t.shape:
        if not isinstance(size, dim.Dim) and (not isinstance(size, int) or size < 0):
            raise ShapeError(f"py_func: {size!r} in the output type {t} is no size", loc)
    known = {s for x in operands for size in x.shape for s in dim.symbols(size)}
    unknown = {s for size in t.shape for s in dim.symbols(size)} - known
    if unknown:
        raise ShapeError(
            f"py_func: the output type {t} has a size {min(unknown)!r} that no input has; "
            "sizes must be known before the function runs",
            loc,
        )
    return t


def _calls(
    python: PythonFunction, operands: tuple[Tensor, ...], types: Sequence[TensorType]
) -> list[Tensor]:
    """The results of the function."""
    if len(types) == 1:
        (t,) = types
        return [build(PyFunc(python, t.dtype, t.shape), operands, python.name)]
    ranks = tuple(t.rank for t in types)
    sizes = tuple(s for t in types for s in t.shape)
    op = PyFuncPacked(python, tuple(t.dtype for t in types), ranks, sizes)
    packed = build(op, operands, python.name)
    return [
        build(Unpack(t.dtype, t.shape, at), (packed,))
        for t, at in zip(types, op.places()[:-1], strict=True)
    ]


def _with_gradient(
    results: list[Tensor],
    operands: tuple[Tensor, ...],
    gradient: Callable[..., Any] | None,
    label: str,
) -> list[Tensor]:
    """The results, each with its share of the gradient, which is linear in the cotangents."""
    if gradient is None:
        return results

    def backward_of(number: int) -> Callable[..., Any]:
        def backward(ct: Any, out: Any, *args: Any) -> Any:
            if len(results) == 1:
                return _parts(gradient(ct, out, *args), args, label)
            cts = [zeros(r.shape, r.dtype) if r.dtype.is_float else None for r in results]
            return _parts(
                gradient((*cts[:number], ct, *cts[number + 1 :]), tuple(outputs), *args),
                args,
                label,
            )

        return backward

    outputs = [
        build(WithGradient(backward_of(i)), (r, *operands), label) for i, r in enumerate(results)
    ]
    return outputs


def _parts(gradient: Any, operands: Sequence[Any], label: str) -> tuple[Any, ...]:
    """The cotangents that a user's gradient returned.  Raises `GradientError` unless they fit."""
    parts = tuple(gradient) if isinstance(gradient, tuple | list) else (gradient,)
    if len(parts) != len(operands):
        raise GradientError(
            f"py_func: the gradient of {label} gave {len(parts)} cotangents for "
            f"{len(operands)} inputs",
            user_location(),
        )
    cotangents = tuple(None if p is None else as_tensor(p) for p in parts)
    for i, (part, x) in enumerate(zip(cotangents, operands, strict=True)):
        if part is not None and not same_type(part.type, x.type):
            raise GradientError(
                f"py_func: the gradient of {label} gave input {i} a cotangent {part.type}; "
                f"expected {x.type}",
                user_location(),
            )
    return cotangents
