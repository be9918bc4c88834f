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
import re
from collections.abc import Mapping

from graphc.ir.polynomial import (
    Atom as Atom,
    Dim as Dim,
    Shape as Shape,
    Size as Size,
    collect,
    divide as divide,
    floordiv as floordiv,
    maximum as maximum,
    minimum as minimum,
    modulo as modulo,
    symbol as symbol,
)

MAX_TEXT = 4000  # characters of a size that is parsed
TOKENS = re.compile(r"(?:[^\W\d]\w*|\d+(?!\w)|[-+*/%(),]|\s)*")  # all that sizes are written with


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
    return collect(
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
    return divide(size, from_atom(atom))[0]


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


NO_SIZE = "{!r} is not a size: use integers, names, + - * // % min max"


def parse(text: str) -> Size:
    """The size that `str` printed.

    >>> print(parse("2*n+1"))
    2*n+1
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"a size of {len(text)} characters; graphc reads {MAX_TEXT}")
    if not TOKENS.fullmatch(text):  # of other text Python's parser may print warnings
        raise ValueError(NO_SIZE.format(text))
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(NO_SIZE.format(text)) from None
    return _parse(body, text)


def _parse(node: ast.expr, text: str) -> Size:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_parse(operand, text)
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=[a, b]):
            return (minimum if name == "min" else maximum)(_parse(a, text), _parse(b, text))
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
    raise ValueError(NO_SIZE.format(text))
