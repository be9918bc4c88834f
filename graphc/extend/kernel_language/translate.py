"""A hand-written Python loop over arrays -> the body of a kernel (`gc.kernel`).

    def smooth(out, x, w):                      for i in range(n0):
        for i in range(x.shape[0]):       ->        for j in range(n1):
            for j in range(x.shape[1]):                 out[i * n1 + j] = a0[i * n1 + j] * a1[j]
                out[i, j] = x[i, j] * w[j]

Arrays become flat buffers, sizes become arguments, names of NumPy's and math's functions those of
the kernel language.  Python's own meaning of the function is the oracle: code that would mean
something else in a kernel is refused, with its line.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.codegen.loops.printer import literal
from graphc.codegen.loops.transform import MAX_LITERAL_OFFSET
from graphc.errors import GraphError, Location
from graphc.extend.kernel_language.callables import kernel_names
from graphc.extend.kernel_language.float_kinds import WEAK, Kind, Kinds, join
from graphc.extend.kernel_language.source import Body, KernelFunction
from graphc.ir.dim import Size
from graphc.ir.types import DType, TensorType, as_dtype, f32, f64

ARITHMETIC = (
    ast.Load,
    ast.Store,
    ast.BinOp,
    ast.operator,
    ast.UnaryOp,
    ast.unaryop,
    ast.BoolOp,
    ast.boolop,
    ast.Compare,
    ast.IfExp,
    ast.Constant,
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Call,
    ast.Tuple,
)
STATEMENTS = (
    ast.For,
    ast.While,
    ast.If,
    ast.Assign,
    ast.AugAssign,
    ast.Expr,
    ast.Pass,
    ast.Break,
    ast.Continue,
    ast.Return,
)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def translate(code: KernelFunction, out: TensorType, types: Sequence[TensorType]) -> Body:
    """The body of the kernel for operands of these types.  Raises `GraphError` at the guilty
    line."""
    return Translator(code, out, types).run()


class Translator(ast.NodeTransformer):
    """One translation."""

    def __init__(self, code: KernelFunction, out: TensorType, types: Sequence[TensorType]) -> None:
        self.code = code
        self.arrays = {code.out: ("out", out)}
        for i, (name, t) in enumerate(zip(code.operands, types, strict=True)):
            self.arrays[name] = (f"a{i}", t)
        self.sizes: dict[Size, str] = {}
        for _, t in (*(self.arrays[n] for n in code.operands), self.arrays[code.out]):
            for s in t.shape:
                if not isinstance(s, int) or s > MAX_LITERAL_OFFSET:
                    self.sizes.setdefault(s, f"n{len(self.sizes)}")
        self.kinds = Kinds(code, {name: t for name, (_, t) in self.arrays.items()})

    def run(self) -> Body:
        """The body."""
        body = copy.deepcopy([s for s in self.code.body if not _is_text(s)])  # visits change it
        done = [self.visit(s) for s in body] or [ast.Pass()]
        module = ast.Module(done, [])
        text = ast.unparse(ast.fix_missing_locations(module))
        lines = [0] * (text.count("\n") + 1)
        mine = [n for n in ast.walk(module) if isinstance(n, ast.stmt)]
        shown = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)]
        for old, new in zip(mine, shown, strict=True):
            lines[new.lineno - 1] = lines[new.lineno - 1] or old.lineno
        indented = "\n".join(f"    {line}" for line in text.split("\n")) + "\n"
        return Body(indented, tuple(self.sizes), tuple(lines))

    # -- refusals

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, (*ARITHMETIC, *STATEMENTS, *COMPARISONS, ast.cmpop)):
            kind = type(node).__name__
            raise self.refused(node, f"kernels have no {kind}; write loops, arithmetic and `if`")
        if isinstance(node, ast.cmpop) and not isinstance(node, COMPARISONS):
            raise self.refused(node, "kernels have no `is` and no `in`")
        return super().visit(node)

    def refused(self, node: ast.AST, what: str) -> GraphError:
        """The error for a node."""
        line = getattr(node, "lineno", None)
        at = Location(self.code.file, self.code.first + (line or 1) - 1)
        return GraphError(f"gc.kernel: {self.code.name}: {what}", at)

    def visit_Return(self, node: ast.Return) -> Any:
        if node.value is not None:
            raise self.refused(node, f"a kernel returns nothing; write to {self.code.out}")
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self._check_targets(node.targets)
        kinds = {self.kinds.of(t) for t in node.targets}
        value = self._as(node.value, kinds.pop() if len(kinds) == 1 else None)
        made = ast.Assign([self.visit(t) for t in node.targets], value)
        return ast.copy_location(made, node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self._check_targets([node.target])
        updated = ast.BinOp(_read(node.target), node.op, node.value)
        made = ast.Assign([self.visit(node.target)], self.visit(ast.copy_location(updated, node)))
        return ast.copy_location(made, node)

    def visit_For(self, node: ast.For) -> Any:
        if not isinstance(node.target, ast.Name):
            raise self.refused(node, f"a loop counts by a name, not {ast.unparse(node.target)}")
        return self.generic_visit(node)

    def _check_targets(self, targets: Sequence[ast.expr]) -> None:
        for t in targets:
            if isinstance(t, ast.Tuple):
                self._check_targets(t.elts)
            elif not isinstance(t, ast.Name) and not (
                isinstance(t, ast.Subscript) and _name(t.value) == self.code.out
            ):
                raise self.refused(
                    t, f"only elements of {self.code.out} can be written, not {ast.unparse(t)}"
                )

    # -- arrays

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        name = _name(node.value)
        if name in self.arrays:
            return self._element(node, *self.arrays[name])
        base = node.value
        if (
            isinstance(base, ast.Attribute)
            and base.attr == "shape"
            and (_name(base.value) in self.arrays)
        ):
            t = self.arrays[_name(base.value)][1]
            axis = whole(node.slice)
            if axis is None or not -t.rank <= axis < t.rank:
                raise self.refused(node, f"{ast.unparse(node)}: expected one of {t.rank} axes")
            return self._size(t.shape[axis])
        raise self.refused(node, f"{ast.unparse(base)} is no array of this kernel")

    def _element(self, node: ast.Subscript, buffer: str, t: TensorType) -> Any:
        given = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(given) != t.rank:
            raise self.refused(
                node, f"{ast.unparse(node)}: {t} takes {t.rank} indices, got {len(given)}"
            )
        places: list[ast.expr] = []
        for index, size in zip(given, t.shape, strict=True):
            if isinstance(index, ast.Slice):
                raise self.refused(
                    node, f"{ast.unparse(node)}: kernels have no slices; write a loop"
                )
            fixed = whole(index)
            place: ast.expr = self.visit(index)
            if fixed is not None and fixed < 0:
                place = ast.BinOp(self._size(size), ast.Sub(), ast.Constant(-fixed))
            places.append(place)
        at = self._place(node, buffer, t, places)
        return ast.Subscript(ast.Name(buffer, ast.Load()), at, node.ctx)

    def _place(
        self, node: ast.Subscript, buffer: str, t: TensorType, indices: Sequence[ast.expr]
    ) -> ast.expr:
        """The number of an element in its buffer."""
        at: ast.expr = indices[0] if indices else ast.Constant(0)
        for index, size in zip(indices[1:], t.shape[1:], strict=True):
            at = ast.BinOp(ast.BinOp(at, ast.Mult(), self._size(size)), ast.Add(), index)
        return at

    def _size(self, size: Size) -> ast.expr:
        if size in self.sizes:
            return ast.Name(self.sizes[size], ast.Load())
        assert isinstance(size, int)
        return ast.Constant(size)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = _name(node.value)
        if name == self.code.rows and name:
            if node.attr in ("start", "stop"):
                return ast.Name({"start": "lo", "stop": "hi"}[node.attr], ast.Load())
            raise self.refused(node, f"{ast.unparse(node)}: use {name}, {name}.start, {name}.stop")
        if name not in self.arrays:
            return self._outside(node)
        t = self.arrays[name][1]
        sizes = [self._size(s) for s in t.shape]
        match node.attr:
            case "shape":
                return ast.Tuple(list(sizes), ast.Load())
            case "size":
                return functools.reduce(
                    lambda a, b: ast.BinOp(a, ast.Mult(), b), sizes or [ast.Constant(1)]
                )
            case "ndim":
                return ast.Constant(t.rank)
        raise self.refused(
            node,
            f"{ast.unparse(node)}: of an array a kernel knows its elements, "
            "shape, size, ndim, dtype.type and len()",
        )

    # -- names, literals, calls

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in self.arrays:
            raise self.refused(node, f"{node.id} is an array: use its elements, {node.id}[...]")
        if node.id == self.code.rows and node.id:
            rows: list[ast.expr] = [ast.Name(n, ast.Load()) for n in ("lo", "hi")]
            return ast.Call(ast.Name("range", ast.Load()), rows, [])
        if node.id in self.code.locals:
            return ast.Name(f"v_{node.id}", node.ctx)
        return self._outside(node)

    def _outside(self, node: ast.Name | ast.Attribute) -> Any:
        """The present value of a name from outside the function: a number or a function."""
        value = self.code.value(node)
        if value is None:
            raise self.refused(node, f"{ast.unparse(node)} is not defined")
        (value,) = value
        if isinstance(value, bool | int | float | np.generic):
            return self._literal(node, value)
        raise self.refused(
            node,
            f"{ast.unparse(node)} is {_what(value)}; a kernel uses numbers, the functions "
            "of math and numpy, and its own arrays",
        )

    def visit_Constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, bool | int | float):
            raise self.refused(node, f"{node.value!r} is no number")
        return self._literal(node, node.value)

    def _literal(self, node: ast.AST, value: Any) -> Any:
        """A typed literal."""
        if isinstance(value, bool | np.bool_):
            return ast.Constant(bool(value))
        if isinstance(value, int):
            return ast.Constant(value)
        kind = as_dtype(value.dtype) if isinstance(value, np.generic) else f64
        return ast.parse(literal(value, kind.accumulates), mode="eval").body

    def visit_Call(self, node: ast.Call) -> Any:
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.refused(node, f"{ast.unparse(node)}: only plain arguments can be given")
        first = _name(node.args[0]) if len(node.args) == 1 else ""
        if first in self.arrays and _name(node.func) == "len":
            return self._size(self.arrays[first][1].shape[0])
        cast = self._cast(node.func)
        name = cast or self._function(node.func)
        kind = join(*map(self.kinds.of, node.args)) if len(node.args) > 1 else None
        return ast.Call(ast.Name(name, ast.Load()), [self._as(a, kind) for a in node.args], [])

    def _as(self, node: ast.expr, kind: Kind) -> ast.expr:
        """An operand; a `WEAK` one is cast to the float type `kind` of its partner."""
        operand: ast.expr = self.visit(node)
        if kind not in ("f32", "f64") or self.kinds.of(node) != WEAK:
            return operand
        known: Any = (node.value,) if isinstance(node, ast.Constant) else self.code.value(node)
        if known is not None and _name(node) not in self.code.locals:
            text = literal(known[0], {"f32": f32, "f64": f64}[kind])
            return ast.parse(text, mode="eval").body
        return ast.Call(ast.Name(kind, ast.Load()), [operand], [])

    def _cast(self, node: ast.expr) -> str:
        """The kernel's name of `x.dtype.type`; "" for anything else."""
        if not isinstance(node, ast.Attribute) or node.attr != "type":
            return ""
        inner = node.value
        if not isinstance(inner, ast.Attribute) or inner.attr != "dtype":
            return ""
        name = _name(inner.value)
        return _conversion(self.arrays[name][1].dtype) if name in self.arrays else ""

    def _function(self, node: ast.expr) -> str:
        known = self.code.value(node)
        if _name(node) in self.code.locals or known is None:
            raise self.refused(node, f"{ast.unparse(node)} is no function that a kernel can call")
        value = known[0]
        if isinstance(value, type) and issubclass(value, np.generic):
            return _conversion(as_dtype(value))
        name = kernel_names().get(id(value))
        if name is None:
            raise self.refused(
                node,
                f"{ast.unparse(node)} is {_what(value)}; a kernel can call the element-wise "
                "functions of math and numpy, range, len, abs, min, max, int, float",
            )
        return name

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.MatMult):
            raise self.refused(node, "kernels have no `@`; write loops")
        kind = self.kinds.of(node)
        left, right = self._as(node.left, kind), self._as(node.right, kind)
        if isinstance(node.op, ast.Pow):
            return ast.Call(ast.Name("power", ast.Load()), [left, right], [])
        return ast.BinOp(left, node.op, right)

    def visit_Compare(self, node: ast.Compare) -> Any:
        sides = [node.left, *node.comparators]
        kind = join(*map(self.kinds.of, sides))
        for op in node.ops:
            self.visit(op)
        first, *rest = [self._as(s, kind) for s in sides]
        return ast.Compare(first, node.ops, rest)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        kind = self.kinds.of(node)
        test = self.visit(node.test)
        return ast.IfExp(test, self._as(node.body, kind), self._as(node.orelse, kind))


def _read(target: ast.expr) -> ast.expr:
    """A target as an operand."""
    copied = copy.deepcopy(target)
    for node in ast.walk(copied):
        if hasattr(node, "ctx"):
            node.ctx = ast.Load()
    return copied


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def whole(node: ast.AST) -> int | None:
    """The value of an integer literal; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = whole(node.operand)
        return None if inner is None else -inner
    fixed = isinstance(node, ast.Constant) and type(node.value) is int
    return node.value if fixed else None  # type: ignore[attr-defined, no-any-return]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and (isinstance(node.value.value, str))
    )


def _conversion(t: DType) -> str:
    return t.name if t.is_float and not t.is_narrow else f"cast_{t}"


def _what(value: Any) -> str:
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
