"""Source code of kernels: the Python function that a user wrote (parameters, syntax tree, meaning
of names), and the kernel body that it becomes."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.ir.dim import Size


@dataclass(frozen=True)
class Body:
    """Kernel source, indented by 4; the sizes named n0, n1, ... in it; and, for each of its lines,
    the user's line."""

    text: str
    sizes: tuple[Size, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class KernelFunction:
    """A function `name([rows,] out, *operands)`; its tree's lines count from `first` in `file`."""

    function: Callable[..., Any]
    name: str
    rows: str
    out: str
    operands: tuple[str, ...]
    body: tuple[ast.stmt, ...]
    locals: frozenset[str]
    file: str
    first: int

    def value(self, node: ast.expr) -> tuple[Any] | None:
        """The value of a name or a module's attribute, in a tuple of one; else None."""
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if owner is None or not isinstance(owner[0], ModuleType):
                return None
            return (getattr(owner[0], node.attr),) if hasattr(owner[0], node.attr) else None
        if not isinstance(node, ast.Name):
            return None
        around = inspect.getclosurevars(self.function)
        for names in (around.nonlocals, around.globals, vars(builtins)):
            if node.id in names:
                return (names[node.id],)
        return None


def read(function: Callable[..., Any], parallel: bool) -> KernelFunction:
    """The code of a function.  Raises `GraphError` if there is none or its parameters do not
    fit."""
    name = getattr(function, "__name__", repr(function))
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError) as error:
        raise GraphError(
            f"gc.kernel: cannot read the source of {name}: {error}", user_location()
        ) from None
    top = tree.body[0]
    if not isinstance(top, ast.FunctionDef):
        raise GraphError(f"gc.kernel: {name} is no function made by `def`", user_location())
    a = top.args
    least = 2 if parallel else 1
    if (
        a.vararg
        or a.kwarg
        or a.kwonlyargs
        or a.defaults
        or len(a.args) + len(a.posonlyargs) < (least)
    ):
        wanted = "(rows, out, *operands)" if parallel else "(out, *operands)"
        raise GraphError(
            f"gc.kernel: {name} must take {wanted}, each by a name of its own", user_location()
        )
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    rows = names.pop(0) if parallel else ""
    stored = {
        n.id for n in ast.walk(top) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return KernelFunction(
        function,
        name,
        rows,
        names[0],
        tuple(names[1:]),
        tuple(top.body),
        frozenset(stored),
        function.__code__.co_filename,
        first,
    )
