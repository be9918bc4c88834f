"""The decorators `gc.op`, which makes a pointwise op of a scalar function, and `gc.function`, which
makes a compiled callable of a function of tensors.

An op made by `gc.op` is like a built-in: checked, differentiated, fused and compiled.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import GraphError, user_location
from graphc.frontend.declare import placeholder
from graphc.frontend.group import Group
from graphc.frontend.scope import GraphScope
from graphc.frontend.tensor import as_tensor
from graphc.ir.graph import Value, topological
from graphc.ir.op import OPS, Operand, Pointwise, sample
from graphc.ir.ops.shape import Full
from graphc.ir.types import FLOATS, DType, as_dtype, f32
from graphc.passes.autodiff import reverse
from graphc.session.session import Session


class TracedScalar:
    """A scalar function as a graph of pointwise ops over 0-d inputs of one element type."""

    def __init__(self, function: Callable[..., Any], arity: int, dtype: DType) -> None:
        with GraphScope().as_default():
            self.inputs = tuple(placeholder(dtype, (), name=f"x{i}") for i in range(arity))
            self.output = as_tensor(function(*self.inputs))
        for v in topological([self.output], self.inputs):
            if not isinstance(v.op, Pointwise | Full):
                raise GraphError(
                    f"gc.op: {function.__name__} uses {v.op.name}, which is not pointwise", v.loc
                )
        if self.output.shape != ():
            raise GraphError(
                f"gc.op: {function.__name__} gives {self.output.type}; expected one element"
            )

    def replay(self, root: Value, given: Mapping[Any, Any]) -> Any:
        """The traced arithmetic on other operands: tensors, scalars of a kernel, or patterns."""
        done: dict[Value, Any] = dict(given)
        for v in topological([root], given):
            if isinstance(v.op, Full):
                done[v] = v.op.value
                continue
            args = [done[a] for a in v.args]
            if any(isinstance(a, Operand) for a in args):
                done[v] = v.op(*args)
            else:
                arrays = (
                    np.asarray(a, b.type.dtype.numpy) for a, b in zip(args, v.args, strict=True)
                )
                done[v] = np.asarray(v.op.reference(*arrays)).item()
        return done[root]

    def reference(self, arrays: Sequence[Any]) -> Any:
        """The traced arithmetic in NumPy, one op after the other."""
        done: dict[Value, Any] = dict(zip(self.inputs, arrays, strict=True))
        for v in topological([self.output], self.inputs):
            done[v] = v.op.reference(*(done[a] for a in v.args))
        return np.broadcast_to(done[self.output], np.shape(arrays[0]))


def op(
    function: Callable[..., Any] | None = None, *, gradient: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Makes a pointwise op of a function of scalars, written with graphc's functions and operators.

    The op broadcasts its operands and fuses like a built-in.  Its gradient is derived, unless
    `gradient(ct, out, *operands)` gives the operands' cotangents.  Raises `GraphError` if the
    function uses an op that is not pointwise, or if its name is that of a built-in op.

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
    name = function.__name__
    if name in OPS and not issubclass(OPS[name], Made):
        raise GraphError(f"gc.op: {name!r} is a built-in op; choose another name", user_location())
    arity = function.__code__.co_argcount
    instance = _pointwise(function, name, arity, gradient)

    @functools.wraps(function)
    def call(*operands: Any) -> Any:
        if len(operands) != arity:
            raise GraphError(
                f"{name}: takes {arity} operands, got {len(operands)}", user_location()
            )
        tensors = [
            o if isinstance(o, Operand | bool | int | float) else as_tensor(o) for o in operands
        ]
        if not any(isinstance(t, Operand) for t in tensors):
            tensors = [as_tensor(t) for t in tensors]
        return instance(*tensors)

    return call


class Made(Pointwise, abstract=True):
    """An op made of a scalar function; see `op`."""

    accepts, cost, exact = FLOATS, 10, False
    trace: ClassVar[Callable[[DType], TracedScalar]]
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


def _pointwise(
    function: Callable[..., Any], name: str, count: int, gradient: Callable[..., Any] | None
) -> Pointwise:
    """An instance of a new op class."""
    members = {
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "arity": count,
        "samples": (sample(*[f32[7]] * count), sample(*[f32[0]] * count)),
        "trace": staticmethod(functools.cache(lambda dtype: TracedScalar(function, count, dtype))),
        "gradient": None if gradient is None else staticmethod(gradient),
    }
    cls: Any = type("".join(p.capitalize() for p in name.split("_")), (Made,), members)
    OPS.pop(cls.name, None)
    cls.name = name
    OPS[name] = cls
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
        with GraphScope().as_default() as graph:
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
