"""numba without what kernels never need: arrays, strings, lists, reference counts.

The full target context imports half of numba, 0.3 s, and looks through all of NumPy's functions to
type `a + b`.  The contexts here know scalars, loops and the intrinsics of this module's
`@intrinsic`, and remember each answer: kernels ask few questions many times.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba.core import cpu, lowering, optional, types, typing  # noqa: F401
from numba.core.typing import builtins, templates
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.cpython import iterators, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

Build = Callable[[Any, Any, Any, Any], Any]  # (context, builder, signature, operands)


def intrinsic(define: Callable[..., Any] | None = None, *, prefer_literal: bool = False) -> Any:
    """A function of kernel source: `define(context, *types)` gives its signature and what builds
    its LLVM code.  Like numba's, which would load the full contexts."""
    if define is None:
        return lambda f: intrinsic(f, prefer_literal=prefer_literal)
    handle = _Handle()
    template = type(
        define.__name__,
        (_Template,),
        {
            "__module__": __name__,
            "key": handle,
            "define": staticmethod(define),
            "builds": {},
            "prefer_literal": prefer_literal,
        },
    )
    infer_global(handle, types.Function(template))
    return handle


class _Handle:
    """What the name of an intrinsic stands for in a kernel's namespace."""


class _Template(AbstractTemplate):  # type: ignore[misc]
    """How numba types calls of one intrinsic."""

    define: Callable[..., Any]
    builds: dict[Any, Build]

    def generic(self, args: Any, kws: Any) -> Any:
        """The signature for these operands."""
        answer = self.define(self.context, *args)
        if answer is None:
            return None
        result, build = answer
        self.builds[result.args] = build
        return result

    def get_impl_key(self, sig: Any) -> Build:
        """What builds its code."""
        return self.builds[sig.args]


class Typing(typing.BaseContext):  # type: ignore[misc]
    """Types calls of operators and intrinsics on scalars."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[Any, Any] = {}
        self._loaded = False

    def _load_builtins(self) -> None:
        """Installs the registered templates of scalars, numba's and graphc's.  Templates of other
        modules would import the full contexts as soon as they are looked at."""
        if self._loaded:
            return
        self._loaded = True
        known, chosen = templates.builtin_registry, templates.Registry()
        chosen.functions += [f for f in known.functions if _wanted(f)]
        chosen.attributes += [f for f in known.attributes if _wanted(f)]
        chosen.globals += [
            (value, kind)
            for value, kind in known.globals
            if not isinstance(kind, types.Function) or all(map(_wanted, kind.templates))
        ]
        self.install_registry(chosen)

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        """The signature for these types."""
        if kws:
            return super().resolve_function_type(func, args, kws)
        key = func, tuple(args)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = super().resolve_function_type(func, args, kws)
        return answer


def _wanted(template: Any) -> bool:
    modules = [c.__module__ for c in template.__mro__[:2]]  # numba wraps what is given
    return builtins.__name__ in modules or modules[-1].startswith("graphc.")


class NumbaTarget(cpu.CPUContext):  # type: ignore[misc]
    """Lowers operators, intrinsics and loops."""

    def __init__(self, context: Typing) -> None:
        super().__init__(context)
        self._functions: dict[Any, Any] = {}

    def load_additional_registries(self) -> None:
        """`abs` calls C; the rest of scalars and loops registered itself as it was imported."""
        self.install_registry(mathimpl.registry)

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        """The implementation of a function for a signature."""
        key = fn, sig
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = self._find(fn, sig, _firstcall)
        return found

    def _find(self, fn: Any, sig: Any, first: bool) -> Any:
        if isinstance(fn, types.Function) and issubclass(fn.templates[0], _Template):
            build: Any = fn.get_impl_key(sig)
            return lambda builder, args, loc=None: build(self, builder, sig, args)
        return super().get_function(fn, sig, first)


class Lower(lowering.Lower):  # type: ignore[misc]
    """Lowers a function.  Operators are not tried again for operands that are literals."""

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """`a + b`."""
        return self._operator(op, (expr.lhs, expr.rhs), self.fndesc.calltypes[expr], resty)

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        """`a[i]`."""
        return self._operator(operator.getitem, (value, index), signature, resty)

    def _operator(self, op: Any, operands: Any, signature: Any, result: Any) -> Any:
        typing, cast = self.context.typing_context, self.context.cast
        function = typing.resolve_value_type(op)
        sig = typing.resolve_function_type(function, signature.args, {})
        values = [
            cast(self.builder, self.loadvar(v.name), self.typeof(v.name), t)
            for v, t in zip(operands, signature.args, strict=True)
        ]
        value = self.context.get_function(function, sig)(self.builder, values)
        return cast(self.builder, value, signature.return_type, result)
