"""Proofs about sizes that hold whatever their symbols are.

A symbol stands for a size, so it is at least 0.  `ranges` says more of some: a loop variable `i.`
over n elements is in [0, n-1].  The proofs are sound and incomplete: False means "not proved".

>>> from graphc.ir.dim import minimum, symbol
>>> n = symbol("n")
>>> never_negative(n - minimum(5, n)), never_negative(n - 5)
(True, False)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.ir import dim
from graphc.ir.dim import Atom, Dim, Size

Ranges = Mapping[str, tuple[Size, Size]]  # the least and the greatest value of a symbol
MAX_STEPS = 200  # of one proof: nested minima double its work


def never_negative(size: Size, ranges: Ranges | None = None) -> bool:
    """Whether a size is at least 0 for all values that its symbols can have."""
    return _Proof(ranges or {}).holds(joined(size))


def joined(size: Size) -> Size:
    """The size with b * (a // b) + a % b written as a."""
    for monomial, factor in size.terms if isinstance(size, Dim) else ():
        for atom in monomial:
            if atom.function == "%" and len(monomial) == 1 and isinstance(size, Dim):
                a, b = atom.operands
                whole = dim.only_atom(dim.floordiv(a, b))
                if whole is not None and dim.atom_coefficient(size, whole) == factor * b:
                    split = dim.from_atom(whole) * b + dim.from_atom(atom)
                    size = size + factor * (a - split)
    return size


def greatest(size: Size, ranges: Ranges) -> Size:
    """A size that is at least `size`: ranged symbols on which it surely rises take their greatest
    value, those inside of a division by a number too."""
    if isinstance(size, int):
        return size
    atom = dim.only_atom(size)
    if atom is not None and atom.function == "//" and isinstance(atom.operands[1], int):
        a, b = atom.operands
        return dim.floordiv(greatest(a, ranges), b) if b > 0 else size  # type: ignore[operator]
    for name in sorted(dim.symbols(size) & ranges.keys()):
        if dim.is_linear(size, {name}) and never_negative(dim.coefficient(size, name)):
            size = dim.substitute(size, {name: ranges[name][1]})
    return size


def never_negative_where(size: Size, facts: Sequence[Size], ranges: Ranges) -> bool:
    """Whether a size is at least 0 wherever each of the facts is at least 0."""
    return any(never_negative(size - fact, ranges) for fact in (0, *facts))


def least(size: Size, ranges: Ranges) -> Size | None:
    """The smallest value of a size that is linear in each ranged symbol; None if it is not, or the
    sign of a factor is not known."""
    for name in sorted(dim.symbols(size) & ranges.keys()):
        factor = dim.coefficient(size, name)
        if not dim.is_linear(size, {name}) or dim.symbols(factor) & ranges.keys():
            return None
        low, high = ranges[name]
        if not never_negative(factor) and not never_negative(-factor):
            return None
        size = dim.substitute(size, {name: low if never_negative(factor) else high})
    return size


class _Proof:
    """One proof: it takes away ranged symbols and functions until signs decide."""

    def __init__(self, ranges: Ranges) -> None:
        self.ranges, self.steps = ranges, 0

    def holds(self, size: Size) -> bool:
        """Whether the size is proved to be at least 0."""
        self.steps += 1
        if isinstance(size, int):
            return size >= 0
        if self.steps > MAX_STEPS:
            return False
        for name in sorted(dim.symbols(size) & self.ranges.keys()):
            if dim.is_linear(size, {name}):  # first, so that equal functions cancel
                return self._without_symbol(size, name)
        atom = _outermost(size)
        if atom is not None:
            return self._without_function(size, atom)
        positive = all(map(self._is_natural, dim.symbols(size)))
        return positive and all(factor >= 0 for _, factor in size.terms)

    def _is_natural(self, name: str) -> bool:
        """Whether a symbol is at least 0: a size is; a variable, which ends with a dot, may begin
        anywhere unless its range says more."""
        low, _ = self.ranges.get(name, (None if name.endswith(".") else 0, None))
        return isinstance(low, int) and low >= 0

    def _without_symbol(self, size: Dim, name: str) -> bool:
        """A size that is linear in a symbol is least at one end of its range."""
        factor = dim.coefficient(size, name)
        low, high = self.ranges[name]
        ends = [end for end, f in ((low, factor), (high, -factor)) if self.holds(f)]
        return bool(ends) and self.holds(dim.substitute(size, {name: ends[0]}))

    def _without_function(self, size: Dim, atom: Atom) -> bool:
        """The size is factor * atom + rest."""
        factor = dim.atom_coefficient(size, atom)
        if atom in dim.atoms(factor):
            return False
        rest = size - factor * dim.from_atom(atom)
        grows = self.holds(factor)
        if not grows and not self.holds(-factor):
            return False
        a, b = atom.operands
        if atom.function in ("min", "max"):
            both = (atom.function == "min") == grows
            parts = (self.holds(rest + factor * x) for x in (a, b))
            return all(parts) if both else any(parts)
        if atom.function == "%":
            ends = (0,) if grows else (b - 1, a) if self.holds(a) else (b - 1,)
            return any(self.holds(rest + factor * end) for end in ends)
        return self._quotient(grows, factor, rest, a, b)

    def _quotient(self, grows: bool, factor: Size, rest: Size, a: Size, b: Size) -> bool:
        """factor * (a // b) + rest, times b: an integer is at least 0 if it is above -1."""
        if grows and self.holds(a) and self.holds(rest):
            return True
        if isinstance(b, int) and b <= 0:
            return False
        end = a if grows else greatest(a, self.ranges)
        if end != a and isinstance(end, int) and self.holds(factor * dim.floordiv(end, b) + rest):
            return True
        numerator = a - b + 1 if grows else a  # (a - b + 1) / b <= a // b <= a / b
        return self.holds(factor * numerator + rest * b + b - 1)


def _outermost(size: Dim) -> Atom | None:
    """A function in a size, none of whose occurrences lies inside of another."""
    found = [a for m, _ in size.terms for a in m if a.function != "symbol"]
    inner = {x for a in found for operand in a.operands for x in dim.atoms(operand)}
    return next((a for a in found if a not in inner), None)
