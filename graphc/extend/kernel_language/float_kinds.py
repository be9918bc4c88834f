"""Infers the float type of each expression of a hand-written kernel, as far as possible.

Numbers in the code, loop variables and sizes are Python's.  In NumPy these are `WEAK`: they take
the type of the other operand, where numba would widen f32 to f64.  So the translator converts them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.extend.kernel_language.source import KernelFunction
from graphc.ir.types import TensorType, as_dtype

WEAK = "weak"  # a Python number: takes the type of the array elements that it meets
OTHER = "other"  # no float, or floats of two types
Kind = str | None  # None: nothing is known yet; else WEAK, "f32", "f64", or OTHER


def join(*kinds: Kind) -> Kind:
    """The kind of an arithmetic result."""
    known = {k for k in kinds if k is not None}
    strong = known - {WEAK}
    if not strong:
        return WEAK if known else None
    if strong == {"f32", "f64"}:
        return "f64"
    return strong.pop() if len(strong) == 1 else OTHER


def of_dtype(dtype: Any) -> str:
    """The kind that kernels compute with for elements of a type."""
    t = as_dtype(dtype)
    return OTHER if not t.is_float else "f64" if t.name == "f64" else "f32"


class Kinds:
    """The kinds of a kernel's expressions."""

    def __init__(self, code: KernelFunction, arrays: Mapping[str, TensorType]) -> None:
        self.code, self.arrays = code, arrays
        self.locals: dict[str, Kind] = {}
        for _ in range(len(code.locals) + 1):  # kinds only rise: each round settles one at least
            before = dict(self.locals)
            for statement in code.body:
                for node in ast.walk(statement):
                    self._learn(node)
            if self.locals == before:
                break

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for t in targets:
                    self._bind(t, value)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                self._meet(name, self.of(value))
            case ast.For(target=ast.Name(id=name)):
                self._meet(name, WEAK)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self._meet(name, self.of(value))
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                for t, v in zip(targets, values, strict=True):
                    self._bind(t, v)
            case ast.Tuple(elts=targets), _:
                for t in targets:
                    self._bind(t, value)

    def _meet(self, name: str, kind: Kind) -> None:
        self.locals[name] = join(self.locals.get(name), kind)

    def of(self, node: ast.expr) -> Kind:
        """The kind of an expression."""
        match node:
            case ast.Name(id=name) if name in self.code.locals:
                return self.locals.get(name)
            case ast.Constant() | ast.Name():
                return self._number(node)
            case ast.Attribute(value=ast.Name(id=name)) if name in self.arrays:
                return WEAK
            case ast.Attribute():
                return self._number(node)
            case ast.Subscript(value=ast.Name(id=name)) if name in self.arrays:
                return of_dtype(self.arrays[name].dtype)
            case ast.Subscript():
                return WEAK
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self.of(operand)
            case ast.BinOp(left=left, right=right):
                return join(self.of(left), self.of(right))
            case ast.IfExp(body=body, orelse=other):
                return join(self.of(body), self.of(other))
            case ast.Call():
                return self._call(node)
        return OTHER

    def _number(self, node: ast.expr) -> Kind:
        known = (node.value,) if isinstance(node, ast.Constant) else self.code.value(node)
        if known is None:
            return OTHER
        if isinstance(known[0], np.generic):
            return of_dtype(known[0].dtype)
        plain = isinstance(known[0], int | float) and not isinstance(known[0], bool)
        return WEAK if plain else OTHER

    def _call(self, node: ast.Call) -> Kind:
        match node.func:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name))) if name in self.arrays:
                return of_dtype(self.arrays[name].dtype)  # x.dtype.type
        known = self.code.value(node.func)
        if known is None:
            return OTHER
        if isinstance(known[0], type):
            weak = issubclass(known[0], int | float)
            return (
                WEAK
                if weak
                else (of_dtype(known[0]) if issubclass(known[0], np.generic) else OTHER)
            )
        if known[0] is len:
            return WEAK
        return join(*map(self.of, node.args))
