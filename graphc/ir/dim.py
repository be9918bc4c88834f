"""Sizes that may be symbolic: small integer polynomials over named symbols.

A size is an `int` or a `Dim`.  Arithmetic normalises, so equal sizes compare equal however they
were computed: `(n + 1) * 2 - 2 == 2 * n`.  The same class serves as index arithmetic in kernels
(loop variables are symbols there) and as arena formulas, so one printer and one evaluator serve all
three.

>>> n = symbol("n")
>>> print(2 * n + 1, (4 * n) // 2, n // 2)
2*n+1 2*n n//2
>>> evaluate(2 * n + 1, {"n": 5})
11
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Union

from graphc.errors import ShapeError

MAX_PRODUCT = 50_000  # factors in all terms of a product of two sizes
MAX_TEXT = 4000  # characters of a size that is parsed

Size = Union[int, "Dim"]
Shape = tuple[Size, ...]


class Atom:
    """A symbol, or a function of two sizes that is no polynomial (`//`, `%`, `min`, `max`)."""

    __slots__ = ("_hash", "function", "operands", "text")

    def __init__(self, function: str, operands: tuple[Size, ...], text: str) -> None:
        self.function, self.operands, self.text = function, operands, text
        self._hash = hash(text)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.text == other.text


Monomial = tuple[Atom, ...]
FUNCTIONS: dict[str, Callable[[int, int], int]] = {
    "//": operator.floordiv,
    "%": operator.mod,
    "min": min,
    "max": max,
}


class Dim:
    """A polynomial that is not a constant.  Build it with `symbol` and arithmetic."""

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._text: str | None = None
        self._hash = hash(terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms

    def __add__(self, other: Size) -> Size:
        if isinstance(other, int):
            return self if other == 0 else _collect((*self.terms, ((), other)))
        return _collect(self.terms + other.terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return Dim(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: Size) -> Size:
        return self + (-other)

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: Size) -> Size:
        if isinstance(other, int):
            if other == 1:
                return self
            return Dim(tuple((m, c * other) for m, c in self.terms)) if other else 0
        work = len(self.terms) * len(other.terms) * (_degree(self) + _degree(other))
        if work > MAX_PRODUCT:
            raise ShapeError(
                f"a size is a product of {len(self.terms)} and {len(other.terms)} terms, which is "
                "more than graphc reckons with; give a part of it a name of its own"
            )
        return _collect(tuple((_join(a, b), c * d) for a, c in self.terms for b, d in other.terms))

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        return floordiv(other, self)

    def __mod__(self, other: Size) -> Size:
        return modulo(self, other)

    def __rmod__(self, other: Size) -> Size:
        return modulo(other, self)

    def __str__(self) -> str:
        if self._text is None:
            self._text = "".join(_spell(m, c) for m, c in self.terms).removeprefix("+")
        return self._text

    __repr__ = __str__


def _join(a: Monomial, b: Monomial) -> Monomial:
    return tuple(sorted(a + b, key=lambda atom: atom.text)) if a and b else a or b


def _degree(size: Dim) -> int:
    return max(len(monomial) for monomial, _ in size.terms)


def _order(term: tuple[Monomial, int]) -> tuple[int, list[str]]:
    """The key that sorts terms: higher degrees first, then by name."""
    return -len(term[0]), [atom.text for atom in term[0]]


def _collect(terms: tuple[tuple[Monomial, int], ...]) -> Size:
    """The normal form of a sum of terms."""
    sums: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        sums[monomial] = sums.get(monomial, 0) + coefficient
    nonzero = [(m, c) for m, c in sums.items() if c]
    if not nonzero:
        return 0
    if len(nonzero) == 1 and not nonzero[0][0]:
        return nonzero[0][1]
    return Dim(tuple(sorted(nonzero, key=_order)))


def _spell(monomial: Monomial, coefficient: int) -> str:
    sign = "-" if coefficient < 0 else "+"
    factors = [atom.text for atom in monomial]
    if abs(coefficient) != 1 or not factors:
        factors.insert(0, str(abs(coefficient)))
    if len(factors) > 1 or sign == "-":  # Python reads -n//2 as (-n)//2
        factors = [f"({f})" if "//" in f or "%" in f else f for f in factors]
    return sign + "*".join(factors)


def symbol(name: str) -> Dim:
    """The size called `name`."""
    return Dim((((Atom("symbol", (), name),), 1),))


def _function(name: str, a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return FUNCTIONS[name](a, b)
    if name in ("min", "max"):
        text = f"{name}({a}, {b})"
    else:
        text = f"{_operand(a)}{name}{_operand(b)}"
    return Dim((((Atom(name, (a, b), text),), 1),))


def _operand(x: Size) -> str:
    text = str(x)
    return text if re.fullmatch(r"[\w.]+", text) else f"({text})"


def floordiv(a: Size, b: Size) -> Size:
    """`a // b`, exact where the division is."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    quotient, remainder = divide(a, b)
    return quotient if remainder == 0 else _function("//", a, b)


def modulo(a: Size, b: Size) -> Size:
    """`a % b`, 0 where `b` divides `a`."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return 0 if b == 1 or divide(a, b)[1] == 0 else _function("%", a, b)


def divide(a: Size, b: Size) -> tuple[Size, Size]:
    """`(q, r)` with `a == q*b + r`, where every term of `a` that the monomial `b` divides is in
    `q`."""
    terms = a.terms if isinstance(a, Dim) else (((), a),) if a else ()
    if isinstance(b, Dim) and len(b.terms) != 1:
        return (1, 0) if a == b else (0, a) if a != 0 else (0, 0)
    factor, scale = b.terms[0] if isinstance(b, Dim) else ((), b)
    quotient, remainder = [], []
    for monomial, coefficient in terms:
        left = _without(monomial, factor)
        if left is None or scale == 0 or coefficient % scale:
            remainder.append((monomial, coefficient))
        else:
            quotient.append((left, coefficient // scale))
    return _collect(tuple(quotient)), _collect(tuple(remainder))


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    """The monomial divided by a factor; None if the factor does not divide it."""
    left = list(monomial)
    for atom in factor:
        if atom not in left:
            return None
        left.remove(atom)
    return tuple(left)


def maximum(a: Size, b: Size) -> Size:
    """The larger of two sizes."""
    gap = a - b
    return _function("max", a, b) if isinstance(gap, Dim) else a if gap >= 0 else b


def minimum(a: Size, b: Size) -> Size:
    """The smaller of two sizes."""
    gap = a - b
    return _function("min", a, b) if isinstance(gap, Dim) else a if gap <= 0 else b


def product(shape: Shape) -> Size:
    """The number of elements of a shape."""
    total: Size = 1
    for size in shape:
        total = size * total
    return total


def differ(a: Size, b: Size) -> bool:
    """Whether two sizes can never be equal."""
    gap = a - b
    return isinstance(gap, int) and gap != 0


def symbols(size: Size) -> set[str]:
    """The names of all symbols in a size."""
    if isinstance(size, int):
        return set()
    names: set[str] = set()
    for monomial, _ in size.terms:
        for atom in monomial:
            if atom.function == "symbol":
                names.add(atom.text)
            for operand in atom.operands:
                names |= symbols(operand)
    return names


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """The size with symbols replaced."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for atom in monomial:
            term = _substitute_atom(atom, values) * term
        total = term + total
    return total


def _substitute_atom(atom: Atom, values: Mapping[str, Size]) -> Size:
    if atom.function == "symbol":
        return values[atom.text] if atom.text in values else Dim((((atom,), 1),))
    a, b = (substitute(x, values) for x in atom.operands)
    if atom.function == "//":
        return floordiv(a, b)
    if atom.function == "%":
        return modulo(a, b)
    return minimum(a, b) if atom.function == "min" else maximum(a, b)


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The number that a size is when its symbols have these values."""
    if isinstance(size, int):
        return size
    result = substitute(size, values)
    if not isinstance(result, int):
        raise KeyError(", ".join(sorted(symbols(result))))
    return result


def numbers(shape: Shape, values: Mapping[str, int]) -> tuple[int, ...]:
    """The numbers that sizes are when their symbols have these values.

    >>> numbers((symbol("n"), 3), {"n": 2})
    (2, 3)
    """
    return tuple(evaluate(size, values) for size in shape)


def coefficient(size: Size, name: str) -> Size:
    """The factor of symbol `name` in a size that is linear in it."""
    if isinstance(size, int):
        return 0
    return _collect(
        tuple(
            (tuple(a for a in m if a.text != name), c)
            for m, c in size.terms
            if any(a.text == name for a in m)
        )
    )


def atoms(size: Size) -> set[Atom]:
    """All symbols and functions in a size, those inside of functions too."""
    found: set[Atom] = set()
    for monomial, _ in size.terms if isinstance(size, Dim) else ():
        for atom in monomial:
            found.add(atom)
            found.update(*(atoms(operand) for operand in atom.operands))
    return found


def from_atom(atom: Atom) -> Dim:
    """The size that is this atom."""
    return Dim((((atom,), 1),))


def only_atom(size: Size) -> Atom | None:
    """The atom that a size is, if it is one."""
    if isinstance(size, Dim) and len(size.terms) == 1:
        ((monomial, factor),) = size.terms
        return monomial[0] if len(monomial) == 1 and factor == 1 else None
    return None


def atom_coefficient(size: Dim, atom: Atom) -> Size:
    """The factor of an atom that no term has twice."""
    return _collect(tuple((_without(m, (atom,)) or (), c) for m, c in size.terms if atom in m))


def with_atom(size: Size, atom: Atom, value: Size) -> Size:
    """The size with an atom, where it is a factor of a term, replaced."""
    total: Size = 0
    for monomial, factor in size.terms if isinstance(size, Dim) else (((), size),):
        term: Size = factor
        for a in monomial:
            term = term * (value if a == atom else from_atom(a))
        total = total + term
    return total


def is_linear(size: Size, names: set[str]) -> bool:
    """Whether the named symbols occur in `size` only as plain factors, at most one in each term."""
    if isinstance(size, int):
        return True
    for monomial, _ in size.terms:
        plain = sum(atom.function == "symbol" and atom.text in names for atom in monomial)
        nested = any(symbols(x) & names for atom in monomial for x in atom.operands)
        if plain > 1 or nested:
            return False
    return True


def parse(text: str) -> Size:
    """The size that `str` printed.

    >>> print(parse("2*n+1"))
    2*n+1
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a size of {len(text)} characters; graphc reads {MAX_TEXT}")
    return _parse(ast.parse(text.strip(), mode="eval").body, text)


def _parse(node: ast.expr, text: str) -> Size:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_parse(operand, text)
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=[a, b]):
            return _function(name, _parse(a, text), _parse(b, text))
        case ast.BinOp(left=left, op=op, right=right):
            x, y = _parse(left, text), _parse(right, text)
            if isinstance(op, ast.Add):
                return x + y
            if isinstance(op, ast.Sub):
                return x - y
            if isinstance(op, ast.Mult):
                return x * y
            if isinstance(op, ast.FloorDiv) and y != 0:
                return floordiv(x, y)
            if isinstance(op, ast.Mod) and y != 0:
                return modulo(x, y)
    raise ValueError(f"{text!r} is not a size: use integers, names, + - * // % min max")
