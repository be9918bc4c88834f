"""Certificates that an op reads inside its operands, whatever the sizes.

A view says where it reads (`View.pieces`), an author's as well as ours.  Every index that it names
must lie in [0, n) of its axis, for all positions in the result, wherever the piece's bounds hold.
That is proved from the formulas, once a view; where only some sizes are right, a requirement says
which; what no proof decides is tried position by position when the sizes are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dim
from graphc.ir.bounds import Ranges, least, never_negative_where
from graphc.ir.dim import Dim, Size
from graphc.ir.op import Op, Piece, View
from graphc.ir.requirement import Origin, Relation, Requirement, at_least, equal
from graphc.ir.types import TensorType

MAX_POSITIONS = 1 << 22  # that are tried one by one


@dataclass(frozen=True)
class Reach:
    """`gap` must not be negative at any position (`extents`: names, sizes) where no fact is."""

    gap: Size
    facts: tuple[Size, ...]
    extents: tuple[tuple[str, Size], ...]
    reason: str
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def symbols(self) -> set[str]:
        """The names of its sizes."""
        sizes = [self.gap, *self.facts, *(size for _, size in self.extents)]
        return set().union(*map(dim.symbols, sizes)) - {name for name, _ in self.extents}

    def resolved(self, values: Mapping[str, Size]) -> Reach:
        """The same with symbols replaced."""

        def new(size: Size) -> Size:
            return dim.substitute(size, values)

        facts = tuple(map(new, self.facts))
        extents = tuple((name, new(size)) for name, size in self.extents)
        return replace(self, gap=new(self.gap), facts=facts, extents=extents)

    def holds(self) -> bool | None:
        """Whether it holds for all sizes (True), for none (False), or is not decided (None)."""
        if any(size == 0 for _, size in self.extents):
            return True
        if never_negative_where(self.gap, self.facts, ranges_of(self.extents)):
            return True
        return None if self.symbols() else self._tried()

    def holds_for(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds for these sizes."""
        return self.resolved(sizes).holds() is True

    def failure(self, sizes: Mapping[str, int]) -> str:
        """Why these sizes do not do."""
        shown = ", ".join(f"{name} = {sizes[name]}" for name in sorted(self.symbols()))
        return f"{self.reason} leaves it{' where ' if shown else ''}{shown}"

    def __str__(self) -> str:
        return f"{self.reason} needs {self.gap} >= 0"

    def _tried(self) -> bool | None:
        """Evaluates the gap at every position of the axes that it hangs on."""
        names = set().union(*map(dim.symbols, (self.gap, *self.facts)))
        axes = [(n, int(size)) for n, size in self.extents if n in names]  # type: ignore[arg-type]
        if math.prod(size for _, size in axes) > MAX_POSITIONS:
            return None
        grid = np.ix_(*(np.arange(size) for _, size in axes))
        at = {name: line for (name, _), line in zip(axes, grid, strict=True)}
        wrong: Any = _values(self.gap, at) < 0
        for fact in self.facts:
            wrong = wrong & (_values(fact, at) >= 0)
        return not np.any(wrong)


def _values(size: Size, at: Mapping[str, Any]) -> Any:
    """A size at many positions."""
    total: Any = np.int64(0)
    for monomial, factor in size.terms if isinstance(size, Dim) else (((), size),):
        term: Any = np.int64(factor)
        for atom in monomial:
            if atom.function == "symbol":
                term = term * at[atom.text]
                continue
            a, b = (_values(x, at) for x in atom.operands)
            extreme = np.minimum if atom.function == "min" else np.maximum
            exact = {"//": np.floor_divide, "%": np.remainder}.get(atom.function, extreme)
            term = term * exact(a, b)
        total = total + term
    return total


Condition = Requirement | Reach


def ranges_of(extents: Sequence[tuple[str, Size]]) -> Ranges:
    """The positions along axes."""
    return {name: (0, size - 1) for name, size in extents}


def requirements(op: Op, types: Sequence[TensorType]) -> Iterator[Condition]:
    """What sizes must satisfy for an op on operands of these types.  An author may write a pair of
    sizes for their equality."""
    for r in op.requires(*types):
        yield equal(*r) if isinstance(r, tuple) else r
    if isinstance(op, View) and not op.proved:
        yield from stays_inside(op, types)


def stays_inside(op: View, types: Sequence[TensorType]) -> Iterator[Condition]:
    """What keeps the reads of a view inside its operands; nothing, where all sizes do.

    Raises `ShapeError` for pieces that do not fit the operands at all.
    """
    out = op.infer(*types)
    names = [f"{axis}." for axis in range(out.rank)]
    extents = tuple(zip(names, map(_if_any, out.shape), strict=True))
    beyond: list[Size] = []  # what is not negative where no piece so far is read
    for piece in op.pieces(tuple(map(dim.symbol, names)), *types):
        if not 0 <= piece.operand < len(types):
            raise ShapeError(f"{op.name}: a piece reads operand {piece.operand} of {len(types)}")
        x = types[piece.operand]
        if len(piece.index) != x.rank:
            raise ShapeError(f"{op.name}: a piece has {len(piece.index)} indices for {x}")
        facts = (*beyond, *_facts(piece))
        yield from _piece(op, piece, x, extents, facts, out.count)
        beyond += _complement(piece, beyond, ranges_of(extents))


def _if_any(size: Size) -> Size:
    """A size where it is not 0: max(n, 0) is n there."""
    atom = dim.only_atom(size)
    if atom is not None and atom.function == "max" and 0 in atom.operands:
        return next(x for x in atom.operands if x != 0)
    return size


def _facts(piece: Piece) -> list[Size]:
    """What is not negative where a piece's bounds hold."""
    return [gap for e, low, high in piece.bounds for gap in (e - low, high - 1 - e)]


def _complement(piece: Piece, facts: Sequence[Size], ranges: Ranges) -> list[Size]:
    """What is not negative where a piece with one bound is not read, if one side of it is plain."""
    if len(piece.bounds) != 1:
        return []
    ((e, low, high),) = piece.bounds
    if never_negative_where(e - low, facts, ranges):
        return [e - high]
    return [low - 1 - e] if never_negative_where(high - 1 - e, facts, ranges) else []


def _piece(
    op: View,
    piece: Piece,
    x: TensorType,
    extents: tuple[tuple[str, Size], ...],
    facts: tuple[Size, ...],
    count: Size,
) -> Iterator[Condition]:
    ranges = ranges_of(extents)
    for axis, (at, size) in enumerate(zip(piece.index, x.shape, strict=True)):
        for gap in (at, size - 1 - at):
            if never_negative_where(gap, facts, ranges):
                continue
            reason = f"{op.name}: index {at} of axis {axis} of {x}"
            smallest = None if facts else least(gap, ranges)
            if smallest is None:
                yield Reach(gap, facts, extents, reason)
            else:
                yield at_least(smallest, 0, reason, unless_empty=count)


def check_requirements(op: Op, types: Sequence[TensorType]) -> None:
    """Raises `ShapeError` where sizes can never satisfy what an op requires."""
    for r in requirements(op, types):
        if r.holds() is False:
            differ = ""
            if isinstance(r, Requirement) and r.relation is Relation.EQUAL:
                differ = f"sizes differ: {r.left} and {r.right}"
            problem = differ or r.failure({}).removeprefix(f"{op.name}: ")
            raise ShapeError(f"{op.name}: {problem}, in operands {', '.join(map(str, types))}")
