"""What the sizes of a program must satisfy, and who needs it.

A requirement on known sizes holds or does not: then it is decided where the program is written.
One on symbolic sizes is kept, and decided when sizes are bound (when arrays are fed).  So known and
symbolic sizes get the same checks, earlier or later.

>>> from graphc.ir.dim import symbol
>>> r = at_least(symbol("n"), 6, "index 5 of axis 0 of f32[n]")
>>> r.holds(), r.holds_for({"n": 6}), r.failure({"n": 3})
(None, True, 'index 5 of axis 0 of f32[n]: needs n >= 6, got 3')
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from graphc.errors import Location
from graphc.ir import dim
from graphc.ir.bounds import never_negative
from graphc.ir.dim import Dim, Size


class Relation(Enum):
    """How the two sides must compare."""

    EQUAL = "="
    AT_LEAST = ">="
    MULTIPLE = "to be a multiple of"


@dataclass(frozen=True)
class Origin:
    """The value that a requirement is of, where another value carries it."""

    op: str
    loc: Location | None


@dataclass(frozen=True)
class Requirement:
    """`left` `relation` `right`, needed by `reason`; it asks nothing where the size `unless_empty`
    is 0."""

    left: Size
    relation: Relation
    right: Size
    reason: str = ""
    unless_empty: Size = 1
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def holds(self) -> bool | None:
        """Whether it holds for all sizes (True), for none (False), or for some (None)."""
        if self.unless_empty == 0:
            return True
        found = self._decided()
        sure = isinstance(self.unless_empty, int) or never_negative(self.unless_empty - 1)
        return None if found is False and not sure else found

    def _decided(self) -> bool | None:
        if self.relation is Relation.MULTIPLE:
            remainder = self.left % self.right if self.right != 0 else self.left
            return None if isinstance(remainder, Dim) else remainder == 0
        gap = self.left - self.right
        if self.relation is Relation.AT_LEAST:
            return True if never_negative(gap) else False if never_negative(-1 - gap) else None
        if isinstance(gap, int):
            return gap == 0
        common = math.gcd(*(factor for monomial, factor in gap.terms if monomial))
        constant = sum(factor for monomial, factor in gap.terms if not monomial)
        one_sign = never_negative(gap - 1) or never_negative(-1 - gap)
        return False if constant % common or one_sign else None

    def holds_for(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds for these sizes."""
        return self.resolved(sizes).holds() is True

    def resolved(self, values: Mapping[str, Size]) -> Requirement:
        """The requirement with symbols replaced."""
        left, right, count = (
            dim.substitute(s, values) for s in (self.left, self.right, self.unless_empty)
        )
        return replace(self, left=left, right=right, unless_empty=count)

    def symbols(self) -> set[str]:
        """The names in its sizes."""
        return set().union(*map(dim.symbols, (self.left, self.right, self.unless_empty)))

    def failure(self, sizes: Mapping[str, int]) -> str:
        """Why these sizes do not do."""
        got = self.resolved(sizes)
        pairs = ((self.left, got.left), (self.right, got.right))
        values = [str(b) for a, b in pairs if a != b]
        return f"{self}, got {' and '.join(values)}" if values else str(self)

    def __str__(self) -> str:
        prefix = f"{self.reason}: " if self.reason else ""
        return f"{prefix}needs {self.left} {self.relation.value} {self.right}"


def equal(left: Size, right: Size, reason: str = "") -> Requirement:
    """Two sizes must be the same."""
    return Requirement(left, Relation.EQUAL, right, reason)


def all_equal(left: Sequence[Size], right: Sequence[Size]) -> tuple[Requirement, ...]:
    """Two shapes must be the same; sizes that are equal as they stand require nothing."""
    return tuple(equal(a, b) for a, b in zip(left, right, strict=True) if a != b)


def at_least(left: Size, right: Size, reason: str = "", unless_empty: Size = 1) -> Requirement:
    """`left` must be `right` or more."""
    return Requirement(left, Relation.AT_LEAST, right, reason, unless_empty)


def multiple(left: Size, right: Size, reason: str = "") -> Requirement:
    """`right` must divide `left`."""
    return Requirement(left, Relation.MULTIPLE, right, reason)
