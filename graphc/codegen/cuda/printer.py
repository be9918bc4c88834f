"""Statements and expressions of the loop IR in the spelling of CUDA kernels (numba-cuda).

Index arithmetic is unsigned and 32 bits wide (64 past 2^31 elements): numba would widen a sum of
two u32, so each polynomial is converted back as a whole, which LLVM turns into 32-bit instructions.
Sizes that may be negative are divided as signed numbers, and compared so where the sign matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.codegen.loops.ir import FoldStep, For, Let, Load, Store
from graphc.codegen.loops.printer import Printer, bare, fold_step
from graphc.ir.dim import Dim, Size
from graphc.ir.types import DType

SIGNED = {"u32": "i32", "u64": "i64"}


@dataclass
class CudaPrinter(Printer):
    """`width` is the type of indices; `written` are the buffers that the kernel writes: others are
    loaded through the read-only path.  `known` holds the text of elements that were loaded already,
    `symbols` the size names that were printed."""

    width: str
    dtypes: Sequence[DType]
    written: frozenset[int]
    known: dict[tuple[int, Size], str] = field(default_factory=dict)
    symbols: dict[str, None] = field(default_factory=dict)

    def size(self, size: Size) -> str:
        """A size as a number of type `width`."""
        if isinstance(size, int):
            return f"{self.width}({size})" if size >= 0 else f"{self.width}(0 - {-size})"
        text = polynomial(size, self)
        done = text.isidentifier() or (text.startswith(f"{self.width}(") and _is_call(text))
        return text if done else f"{self.width}({text})"

    def signed(self, size: Size) -> str:
        """A size that may be negative."""
        kind = SIGNED[self.width]
        return f"{kind}({size if isinstance(size, int) else polynomial(size, self)})"

    def load(self, e: Load) -> str:
        """An element of a buffer, in the type of computations."""
        if (e.buffer, e.offset) in self.known:
            return self.known[e.buffer, e.offset]
        at = self.size(e.offset)
        text = (
            f"@{e.buffer}[{bare_index(at)}]"
            if e.buffer in self.written
            else (f"load(@{e.buffer}, {bare_index(at)})")
        )
        return loaded(text, e.dtype)

    def position(self, size: Size) -> str:
        """A size as an i64."""
        return f"i64({self.signed(size) if may_be_negative(size) else self.size(size)})"

    def test(self, e: Size, low: Size, high: Size) -> str:
        """Whether low <= e < high: one comparison where a negative difference, without a sign, is
        too large."""
        if may_be_negative(high - low) or may_be_negative(low):
            return f"{self.signed(low)} <= {self.signed(e)} < {self.signed(high)}"
        return f"{self.size(e - low)} < {self.size(high - low)}"

    # -- statements

    def statements(self, body: Sequence[Any], depth: int) -> list[str]:
        """Lines of statements, for one thread."""
        pad = "    " * depth
        lines: list[str] = []
        for s in body:
            match s:
                case For():
                    lines += self.loop(s, depth)
                case _:
                    lines += [pad + line for line in self.simple(s)]
        return lines

    def simple(self, s: Any) -> list[str]:
        """Lines of a statement that is no loop."""
        match s:
            case Let(name=name, value=value):
                return [f"{name} = {bare(self.expression(value))}"]
            case Store(buffer=buffer, offset=offset, value=value):
                stored = storing(bare(self.expression(value)), self.dtypes[buffer])
                return [f"@{buffer}[{bare_index(self.size(offset))}] = {stored}"]
            case FoldStep(name=name, combine=combine, value=value, dtype=dtype):
                return [f"{name} = {bare(fold_step(combine, name, self.expression(value), dtype))}"]
        raise AssertionError(s)

    def loop(self, s: For, depth: int) -> list[str]:
        """A loop that one thread runs through."""
        return self.counted(
            s.var.rstrip("."),
            self.size(s.low),
            self.size(s.high),
            "1",
            lambda d: self.statements(s.body, d),
            depth,
        )

    def counted(
        self,
        name: str,
        low: str,
        high: str,
        step: str,
        body: Callable[[int], list[str]],
        depth: int,
    ) -> list[str]:
        """`for name in range(low, high, step)`, counting in `width`."""
        pad = "    " * depth
        head = [f"{pad}{name} = {low}", f"{pad}while {name} < {bare_index(high)}:"]
        return [*head, *body(depth + 1), f"{pad}    {name} = {self.width}({name} + {step})"]


def bare_index(text: str) -> str:
    """An index; a literal stands without its conversion."""
    inner = text[4:-1]
    return inner if text[:4] in ("u32(", "u64(") and inner.isdigit() else text


def _is_call(text: str) -> bool:
    """Whether a text is one call: its last parenthesis closes its first."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == ")" and depth == 0:
            return i == len(text) - 1 and text[: text.index("(")].isidentifier()
    return False


def may_be_negative(size: Size) -> bool:
    """Whether a size might be below 0: only differences might."""
    if isinstance(size, int):
        return size < 0
    return any(
        coefficient < 0 or any(may_be_negative(x) for atom in monomial for x in atom.operands)
        for monomial, coefficient in size.terms
    )


def polynomial(size: Dim, printer: CudaPrinter) -> str:
    """The sum of a size's terms.  Positive terms come first, because unsigned types have no
    negative literals."""
    terms = sorted(size.terms, key=lambda term: term[1] < 0)
    text = ""
    for monomial, coefficient in terms:
        factors = [_atom(atom, printer) for atom in monomial]
        if abs(coefficient) != 1 or not factors:
            factors.append(str(abs(coefficient)))
        sign = " - " if coefficient < 0 else " + "
        text = (
            f"{text or '0'}{sign}{'*'.join(factors)}"
            if text or coefficient < 0
            else ("*".join(factors))
        )
    return text


def _atom(atom: Any, printer: CudaPrinter) -> str:
    """A symbol, or a quotient, remainder, minimum or maximum of two sizes."""
    if atom.function == "symbol":
        if atom.text.endswith("."):
            return str(atom.text).replace(".", "")
        printer.symbols.setdefault(atom.text)
        return size_name(atom.text)
    a, b = atom.operands
    negative = may_be_negative(a) or may_be_negative(b)
    name = {"//": "floor_divide", "%": "remainder", "min": "minimum", "max": "maximum"}[
        atom.function
    ]
    if negative:
        return f"{name}({printer.signed(a)}, {printer.signed(b)})"
    if name in ("minimum", "maximum"):
        return f"{name}({printer.size(a)}, {printer.size(b)})"
    if not isinstance(b, int):  # half the instructions of Python's own operators
        return f"{name}({printer.size(a)}, {printer.size(b)})"
    return f"{printer.width}({printer.size(a)} {atom.function} {printer.size(b)})"


def size_name(symbol: str) -> str:
    """The name of a size's parameter; no local has such a name."""
    return f"_{symbol}"


def loaded(text: str, dtype: DType) -> str:
    """A stored element as a value."""
    if dtype.is_narrow:
        return f"from_{dtype}({text})"
    return kept(text, dtype)


def kept_type(dtype: DType) -> str:
    """The element type of arrays, in registers or shared memory, that keep values of a type."""
    return str(dtype.stored if dtype.kind == "bool" else dtype.accumulates)


def keeping(text: str, dtype: DType) -> str:
    """A value as an array of `kept_type` holds it."""
    return f"u8({text})" if dtype.kind == "bool" else text


def kept(text: str, dtype: DType) -> str:
    """An element of an array of `kept_type`, as a value."""
    return f"({text} != 0)" if dtype.kind == "bool" else text


def storing(text: str, dtype: DType) -> str:
    """A value as a buffer holds it."""
    if dtype.is_narrow:
        return f"to_{dtype}({text})"
    return keeping(text, dtype)
