"""Prints typed scalar expressions of the loop IR as Python; all targets' printers share this."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.codegen.loops.ir import Apply, Const, Guard, IndexValue, Load, Ref
from graphc.ir.dim import Size
from graphc.ir.op import Number
from graphc.ir.types import DType

# Python and numba widen the operators of these types: their results are cut back.
WRAPPING_TYPES = ("i8", "i16", "i32", "u8", "u16", "u32", "u64")
WRAPPING_CALLS = {  # i64 operators of numba are undefined where they overflow
    "({0} + {1})": "wrap_add({0}, {1})",
    "({0} - {1})": "wrap_subtract({0}, {1})",
    "({0} * {1})": "wrap_multiply({0}, {1})",
}


class Printer:
    """Prints expressions; `@3` stands for buffer 3.  A target says how it spells sizes, loads,
    positions and tests of bounds."""

    def size(self, size: Size) -> str:
        """A size, or an offset."""
        return str(size).replace(".", "")

    def load(self, e: Load) -> str:
        """An element of a buffer."""
        return f"@{e.buffer}[{self.size(e.offset)}]"

    def position(self, size: Size) -> str:
        """A size as a value."""
        return f"i64({self.size(size)})"

    def test(self, e: Size, low: Size, high: Size) -> str:
        """Whether low <= e < high."""
        return f"{self.size(low)} <= {self.size(e)} < {self.size(high)}"

    def guard(self, e: Guard) -> str:
        """An expression within bounds, another outside: only one of them is evaluated."""
        tests = " and ".join(self.test(*b) for b in e.bounds)
        return f"({self.expression(e.then)} if {tests} else {self.expression(e.other)})"

    def expression(self, e: Any) -> str:
        """The source text of an expression."""
        match e:
            case Const(value=value, dtype=dtype):
                return literal(value, dtype)
            case Ref(name=name):
                return name
            case IndexValue(size=size):
                return self.position(size)
            case Load():
                return self.load(e)
            case Apply(spelling=spelling, args=args, dtype=dtype):
                if dtype.name == "i64":
                    spelling = WRAPPING_CALLS.get(spelling, spelling)
                return wrap(spelling.format(*map(self.expression, args)), spelling, dtype)
            case Guard():
                return self.guard(e)
        raise AssertionError(e)


def fold_step(combine: str, name: str, value: str, dtype: DType) -> str:
    """One step of a fold; the compiler may choose, once for all, the order of sums and products of
    floats."""
    if dtype.is_float and combine in ("({0} + {1})", "({0} * {1})"):
        return f"{'fold_add' if '+' in combine else 'fold_multiply'}({name}, {value})"
    if dtype.name == "i64":
        combine = WRAPPING_CALLS.get(combine, combine)
    text = combine.format(name, value)
    return f"{dtype}({bare(text)})" if dtype.name in WRAPPING_TYPES and combine[0] == "(" else text


def wrap(text: str, spelling: str, dtype: DType) -> str:
    """The expression cut back to its type: operators widen narrow types in Python and numba."""
    if dtype.is_narrow and not spelling.startswith(("cast_", "where")):
        return f"round_{dtype}({bare(text)})"
    operator = spelling.startswith("(") and "==" not in spelling and "<" not in spelling
    if operator and (dtype.name in WRAPPING_TYPES):
        return f"{dtype}({bare(text)})"
    return text


def bare(text: str) -> str:
    """The text without its outermost parentheses, if they enclose all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


def literal(value: Number, dtype: DType) -> str:
    """A typed literal: numba would widen a bare 0.0 to f64."""
    if dtype.kind == "bool":
        return str(bool(value))
    if dtype.is_integer:
        return f"{dtype}({int(value)})"
    kind = "f64" if dtype.name == "f64" else "f32"
    rounded = float(np.asarray(value).astype(dtype.numpy))
    if rounded != rounded:
        return f"{kind}(nan)"
    if rounded in (float("inf"), float("-inf")):
        return f"{kind}({'-' if rounded < 0 else ''}inf)"
    return f"{kind}({rounded!r})" if kind == "f64" else f"f32({_short(rounded)})"


def _short(value: float) -> str:
    """The shortest text that gives this f32."""
    return repr(float(str(np.float32(value))))
