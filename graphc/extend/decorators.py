"""The decorators `gc.op`, which makes a pointwise op of a scalar function, and `gc.function`, which
makes a compiled callable of a function of tensors.

An op made by `gc.op` is like a built-in: checked, differentiated, fused and compiled.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import GraphError, user_location
from graphc.extend.op_table import enter, op_class, require_free
from graphc.extend.scalar_function import TracedScalar, UserFunction
from graphc.frontend.boundary import short
from graphc.frontend.declare import placeholder
from graphc.frontend.group import Group
from graphc.frontend.scope import GraphScope, scope_of
from graphc.frontend.signatures import bound, require_takes
from graphc.frontend.tensor import operand
from graphc.ir.op import Operand, Pointwise, sample
from graphc.ir.types import FLOATS, DType, as_dtype, f32
from graphc.passes.autodiff import reverse
from graphc.session.session import Session


def op(
    function: Callable[..., Any] | None = None, *, gradient: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Makes a pointwise op of a function of scalars, written with graphc's functions and operators.

    The op broadcasts its operands and fuses like a built-in.  Its gradient is derived, unless
    `gradient(ct, out, *operands)` gives the operands' cotangents.  It is called as the function is,
    defaults and keywords included.  Raises `GraphError` at once if the function uses an op that is
    not pointwise or a tensor that is no operand, gives anything but one tensor, or has the name of
    a built-in op.

    >>> import graphc as gc
    >>> @gc.op
    ... def shifted_relu(x, a):
    ...     return gc.maximum(x, 0.0) + a
    >>> with gc.Graph().as_default(), gc.Session() as sess:
    ...     sess.run(shifted_relu(gc.asarray([-1.0, 2.0]), 0.5))
    array([0.5, 2.5], dtype=float32)
    """
    if function is None:
        return functools.partial(op, gradient=gradient)
    scalar = UserFunction(function)
    name = scalar.name
    require_free("gc.op", name, Made)
    _check_gradient(scalar, gradient)
    instance = _pointwise(scalar, gradient)

    @functools.wraps(function)
    def call(*operands: Any, **named: Any) -> Any:
        given = bound(name, scalar.signature, operands, named)
        if any(isinstance(x, Operand) for x in given):
            plain = Operand | bool | int | float
            return instance(*(x if isinstance(x, plain) else operand(name, x) for x in given))
        return instance(*(operand(name, x) for x in given))

    return call


def _check_gradient(scalar: UserFunction, gradient: Any) -> None:
    """Raises `GraphError` for what cannot be the gradient of a function."""
    if gradient is None:
        return
    if not callable(gradient):
        raise GraphError(
            f"gc.op: gradient is {short(gradient)}; expected a function", user_location()
        )
    require_takes(f"gc.op: {scalar.name}: gradient", gradient, ["ct", "out", *scalar.operands])


class Made(Pointwise, abstract=True):
    """An op made of a scalar function; see `op`."""

    accepts, cost, exact = FLOATS, 10, False
    trace: ClassVar[Callable[[DType], TracedScalar]]  # of the operands' element type
    gradient: ClassVar[Callable[..., Any] | None]

    def result(self, *dtypes: DType) -> DType:
        return type(self).trace(dtypes[0]).output.dtype

    def scalar(self, *args: Any) -> Any:
        traced = type(self).trace(args[0].dtype)
        return traced.replay(traced.output, dict(zip(traced.inputs, args, strict=True)))

    def reference(self, *arrays: Any) -> Any:
        return type(self).trace(as_dtype(arrays[0].dtype)).reference(arrays)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        backward = type(self).gradient
        if backward is not None:
            cotangents = backward(ct, out, *args)
            return tuple(cotangents) if isinstance(cotangents, tuple | list) else (cotangents,)
        traced = type(self).trace(args[0].type.dtype)
        with GraphScope().as_default():
            parts = reverse.gradients([traced.output], traced.inputs, [None])
        by_input = dict(zip(traced.inputs, args, strict=True))
        return tuple(None if p is None else ct * traced.replay(p, by_input) for p in parts)


def _pointwise(scalar: UserFunction, gradient: Callable[..., Any] | None) -> Pointwise:
    """An instance of a new op class."""
    name, count = scalar.name, len(scalar.operands)
    members = {
        "__doc__": scalar.function.__doc__,
        "__module__": scalar.function.__module__,
        "arity": count,
        "samples": (sample(*[f32[7]] * count), sample(*[f32[0]] * count)),
        "trace": staticmethod(functools.cache(lambda dtype: TracedScalar(scalar, dtype))),
        "gradient": None if gradient is None else staticmethod(gradient),
    }
    cls = op_class(Made, name, members)
    with contextlib.suppress(NameError):  # a name that is defined further down: see the first call
        cls.trace(f32)
    enter(cls)
    return cls()  # type: ignore[no-any-return]


class Function:
    """A Python function of tensors that is called on arrays; see `function`."""

    def __init__(self, python: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, python)
        self.python, self.options = python, options
        self.traces: dict[tuple[tuple[str, int], ...], Callable[..., Any]] = {}
        self.lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        arrays = [
            np.asarray(a, np.float32) if isinstance(a, float) else np.asarray(a) for a in args
        ]
        key = tuple((a.dtype.str, a.ndim) for a in arrays)
        with self.lock:
            if key not in self.traces:
                self.traces[key] = self._trace(arrays)
        return self.traces[key](*arrays)

    def _trace(self, arrays: Sequence[Any]) -> Callable[..., Any]:
        with scope_of(
            f"gc.function: {getattr(self.python, '__name__', 'function')}"
        ).as_default() as graph:
            inputs = [
                placeholder(as_dtype(a.dtype), [None] * a.ndim, name=f"arg{i}")
                for i, a in enumerate(arrays)
            ]
            outputs = self.python(*inputs)
            session = Session(graph, **self.options)
        if isinstance(outputs, Group):
            raise GraphError("gc.function: the function returned a group; return tensors")
        return session.make_callable(outputs, inputs)


def function(python: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Traces a function of tensors, once for each combination of element types and ranks, and calls
    it on arrays of any sizes.  `options` are those of `Session`.

    >>> import graphc as gc
    >>> @gc.function
    ... def norm(x):
    ...     return gc.sqrt(gc.sum(x * x))
    >>> norm(np.array([3.0, 4.0]))
    array(5.)
    """
    if python is None:
        return functools.partial(function, **options)
    return Function(python, options)
