"""The algebra of symbolic sizes: polynomials over symbols, and over what is no polynomial of them.

Every operation gives a normal form.  What is asked of sizes is in `dim`, under whose name the rest
of graphc knows this module, too.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable
from typing import Union

from graphc.errors import ShapeError
from graphc.ir.piecewise import Piecewise, choose

MAX_REMEMBERED = 1 << 13  # results of a function
MAX_PRODUCT = 50_000  # factors in all terms of a product of two sizes

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
Bounds = tuple[int | None, int | None]
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
            return self if other == 0 else collect((*self.terms, ((), other)))
        return collect(self.terms + other.terms)

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
        return collect(tuple((_join(a, b), c * d) for a, c in self.terms for b, d in other.terms))

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


def collect(terms: tuple[tuple[Monomial, int], ...]) -> Size:
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


def apply_function(name: str, a: Size, b: Size) -> Size:
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
    if remainder == 0:
        return quotient
    return _divided_inside(a, b) or apply_function("//", a, b)


def _divided_inside(a: Size, b: Size) -> Size:
    """The division carried into an atom: (x // p + c) // q is (x + c*p) // (p*q), and
    (max(x, d) + c) // q is max((x + c) // q, (d + c) // q); 0 if `a` has another form."""
    if isinstance(a, int) or not isinstance(b, int) or b <= 0:
        return 0
    rest, added = _apart(a)
    atom = _only_atom(rest)
    if atom is not None and atom.function == "//":
        top, bottom = atom.operands
        if isinstance(bottom, int) and bottom > 0:
            return floordiv(top + added * bottom, bottom * b)
    if atom is not None and atom.function in ("min", "max"):
        x, y = (floordiv(x + added, b) for x in atom.operands)
        if any(isinstance(x, int) for x in atom.operands):
            return (minimum if atom.function == "min" else maximum)(x, y)
    left = _left_by_slice(rest)
    if left is not None:
        whole, place = left
        return maximum(floordiv(whole + (added - place), b), added // b)
    return 0


def modulo(a: Size, b: Size) -> Size:
    """`a % b`, 0 where `b` divides `a`."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return 0 if b == 1 or divide(a, b)[1] == 0 else apply_function("%", a, b)


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
    return collect(tuple(quotient)), collect(tuple(remainder))


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
    return _chosen("max", a, b) if isinstance(gap, Dim) else a if gap >= 0 else b


def minimum(a: Size, b: Size) -> Size:
    """The smaller of two sizes."""
    gap = a - b
    return _chosen("min", a, b) if isinstance(gap, Dim) else a if gap <= 0 else b


@functools.lru_cache(MAX_REMEMBERED)  # kernels that are alike ask the same
def _chosen(name: str, a: Size, b: Size) -> Size:
    """The smaller or larger of two sizes, in normal form if both depend on one natural number."""
    for x, y in ((a, b), (b, a)):
        top, bottom = bounds(x)[1], bounds(y)[0]
        if top is not None and bottom is not None and top <= bottom:
            return x if name == "min" else y
    f, g = _piecewise(a), _piecewise(b)
    if f is None or g is None or (f[0] and g[0] and f[0] != g[0]):
        return _shortened(name, a, b)
    made = choose(f[1], g[1], FUNCTIONS[name])
    of = Dim(((f[0] or g[0], 1),))
    total: Size = made.slope * of + made.constant
    for place, weight in made.weights.items():
        total = weight * apply_function("min", place, of) + total
    return total


def _piecewise(size: Size) -> tuple[Monomial, Piecewise] | None:
    """A size as a function of a natural number, a product of sizes (of none: it is a constant)."""
    if isinstance(size, int):
        return (), Piecewise(size)
    of: Monomial = ()
    slope = constant = 0
    weights: dict[int, int] = {}
    for monomial, factor in size.terms:
        clipped = monomial[0] if len(monomial) == 1 and monomial[0].function == "min" else None
        place, inner = clipped.operands if clipped else (0, 0)
        if isinstance(place, int) and isinstance(inner, Dim) and inner.terms[0][1] == 1:
            found = inner.terms[0][0] if len(inner.terms) == 1 else ()
            weights[place] = factor
        else:
            found, slope = monomial, factor if monomial else slope
            constant = constant if monomial else factor
        if monomial and (not found or (of and found != of) or not all(map(_is_natural, found))):
            return None
        of = of or found
    return of, Piecewise(constant, slope, weights)


def _is_natural(atom: Atom) -> bool:
    """Whether an atom is surely at least 0."""
    low, _ = _atom_bounds(atom)
    return low is not None and low >= 0


def _atom_bounds(atom: Atom) -> Bounds:
    if atom.function == "symbol":  # a loop's variable, which ends with a dot, may begin anywhere
        return (None if atom.text.endswith(".") else 0), None
    (low, high), other = map(bounds, atom.operands)
    if atom.function in ("min", "max"):
        known = [x for x in (low, other[0]) if x is not None]
        above = [x for x in (high, other[1]) if x is not None]
        if atom.function == "min":
            return min(known) if len(known) == 2 else None, min(above, default=None)
        return max(known, default=None), max(above) if len(above) == 2 else None
    divisor = atom.operands[1]
    if not isinstance(divisor, int) or divisor <= 0:
        return None, None
    if atom.function == "%":
        return 0, divisor - 1
    return None if low is None else low // divisor, None if high is None else high // divisor


@functools.lru_cache(MAX_REMEMBERED)
def bounds(size: Size) -> Bounds:
    """The least and the greatest that a size can be, as far as it is known, if sizes that users
    name are at least 0."""
    found = _piecewise(size)
    if found is None:
        return None, None
    of, f = found
    tops = [_atom_bounds(atom)[1] for atom in of]
    last = math.prod(t for t in tops if t is not None) if None not in tops else None
    ends = [p for p in (0, *f.weights) if last is None or p <= last]
    ends.append(max(ends) + 1 if last is None else last)
    values = [f(p) for p in ends]
    falls, rises = (last is None and (values[-1] - f(ends[-1] - 1)) * s > 0 for s in (-1, 1))
    return None if falls else min(values), None if rises else max(values)


def _shortened(name: str, a: Size, b: Size) -> Size:
    """As `_chosen`, of any sizes: constants inside and outside of nested choices become one."""
    number, other = (a, b) if isinstance(a, int) else (b, a)
    if not isinstance(number, int) or not isinstance(other, Dim):
        return apply_function(name, a, b)
    rest, added = _apart(other)
    atom, left = _only_atom(rest), _left_by_slice(rest)
    if atom is not None and atom.function == name:
        inner = next((x for x in atom.operands if isinstance(x, int)), None)
        kept = next((x for x in atom.operands if not isinstance(x, int)), None)
        if inner is not None and kept is not None:
            return _chosen(name, kept + added, FUNCTIONS[name](inner + added, number))
    if name == "min" and added == 0 and number >= 0 and left is not None:
        whole, place = left
        return apply_function("min", place + number, whole) - apply_function("min", place, whole)
    return apply_function(name, a, b)


def _only_atom(size: Size) -> Atom | None:
    """The atom that a size consists of."""
    if isinstance(size, int) or len(size.terms) != 1 or size.terms[0][1] != 1:
        return None
    monomial = size.terms[0][0]
    return monomial[0] if len(monomial) == 1 else None


def _left_by_slice(size: Size) -> tuple[Size, int] | None:
    """(whole, place) of a size `whole - min(place, whole)`: what a slice from a place on leaves."""
    if isinstance(size, int):
        return None
    clipped = [m[0] for m, c in size.terms if c == -1 and len(m) == 1 and m[0].function == "min"]
    if len(clipped) != 1:
        return None
    place, whole = clipped[0].operands
    fits = isinstance(place, int) and place >= 0 and size == whole - Dim((((clipped[0],), 1),))
    return (whole, place) if fits and isinstance(place, int) else None


def _apart(size: Dim) -> tuple[Dim, int]:
    """A size as one without a constant, and the constant."""
    added = next((c for m, c in size.terms if not m), 0)
    rest = size - added
    assert isinstance(rest, Dim)
    return rest, added
