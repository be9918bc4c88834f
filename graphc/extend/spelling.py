"""Source text in the language of kernels, checked where an op's class gives it.

The text of one element (`spelling`, `combine`) is parsed, its names are looked up, and it is
evaluated once for each element type with NumPy's twins of the kernel functions.
"""

from __future__ import annotations

import ast
import builtins
import difflib
from collections.abc import Iterator, Sequence

import numpy as np

from graphc.codegen.cpu.emulate import NAMESPACE
from graphc.ir.types import BY_NAME, DType

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def element_fault(text: str, count: int, sizes: int = 0) -> str:
    """What is wrong with the text of an element over `count` operands, and as many sizes; "" if
    nothing is."""
    names = _operands(count, sizes)
    try:
        shown = text.format(*names)
        tree = ast.parse(shown, mode="eval")
    except (IndexError, KeyError) as error:
        return f"{text!r} asks for operand {error}; operands are {{0}} to {{{len(names) - 1}}}"
    except (SyntaxError, ValueError) as error:
        return f"{text!r} is no expression: {error}"
    return _unknown(tree, {*names}) or _bare_literal(tree)


def type_fault(text: str, operands: Sequence[DType], result: DType, sizes: int = 0) -> str:
    """How the type of an element, computed from elements of some types, differs from its result's;
    "" if it does not."""
    if any(t.is_narrow for t in (*operands, result)):
        return ""  # computed in f32
    names = _operands(len(operands), sizes)
    given = [t.numpy.type(1) for t in operands] + [np.int64(1)] * sizes
    shown = f"{text!r}, of {', '.join(map(str, operands))}"
    try:
        code = compile(text.format(*names), "<spelling>", "eval")
        with np.errstate(all="ignore"):
            value = eval(code, {**NAMESPACE, **dict(zip(names, given, strict=True))})
    except Exception as error:  # whatever the text of a user raises is said, and no more
        return f"{shown}: {type(error).__name__}: {error}"
    found = np.asarray(value).dtype
    if found == result.numpy:
        return ""
    return f"{shown}, gives {found}; expected {result}: type its literals, as in f32(1.0)"


def body_fault(text: str, known: Sequence[str]) -> str:
    """What is wrong with the body of a kernel, which may use the names `known`; "" if nothing
    is."""
    try:
        tree = ast.parse("def kernel(args, lo, hi):\n" + text)
    except SyntaxError as error:
        return f"its line {(error.lineno or 1) - 1} is no Python: {error.msg}"
    bound = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return _unknown(tree, {*known, *bound, "args", "lo", "hi"})


def _operands(count: int, sizes: int) -> list[str]:
    return [f"operand{i}" for i in range(count)] + [f"size{i}" for i in range(sizes)]


def _unknown(tree: ast.AST, known: set[str]) -> str:
    """The first name that kernels do not have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id in known or node.id in NAMESPACE or hasattr(builtins, node.id):
                continue
            close = difflib.get_close_matches(node.id, [*NAMESPACE, *known], 2)
            hint = f"; do you mean {' or '.join(close)}?" if close else ""
            return f"kernels have no {node.id!r}{hint}"
    return ""


def _bare_literal(tree: ast.AST) -> str:
    """The first number without a type that takes part in arithmetic: it would widen f32 to f64."""
    for node in _widening(tree):
        number = node.operand if isinstance(node, ast.UnaryOp) else node
        if isinstance(number, ast.Constant) and isinstance(number.value, float):
            return f"the literal {number.value} is an f64 in kernels; say f32({number.value})"
    return ""


def _widening(tree: ast.AST) -> Iterator[ast.AST]:
    """Operands of arithmetic, and arguments of functions other than the names of types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ARITHMETIC):
            yield from (node.left, node.right)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") not in BY_NAME:
            yield from node.args
