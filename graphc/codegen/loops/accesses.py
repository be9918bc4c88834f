"""Certificates of a kernel's accesses: each load and store lies inside of its buffer.

An offset is a formula of loop variables and sizes.  A proof bounds it by the ranges of the
variables (those of loops, of positions cut out of a linear index, of gathered indices that were
checked) and by the guards around it.  What is not proved is checked in the kernel, which then ends
the run; so no kernel touches memory outside of its buffers, whatever op or pass it comes from.
`GRAPHC_CHECK=bounds` checks every access.

The accesses of routines (`Gemm`, `Tile`, ...) are not judged here: `tests/support/guarded.py` runs
them between pages that may not be touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    Const,
    FoldStep,
    For,
    Guard,
    IndexValue,
    Let,
    Load,
    Loops,
    Store,
)
from graphc.ir import dim
from graphc.ir.bounds import greatest, joined, never_negative
from graphc.ir.dim import Atom, Dim, Size, symbol
from graphc.ir.types import i64

CHECKED = "check_index(u64({0}), {1}, status)"  # unsigned: what is negative is too large
Bounds = tuple[tuple[Size, Size, Size], ...]
Path = tuple[tuple[Bounds, bool], ...]  # guards, and whether they hold


@dataclass(frozen=True)
class Known:
    """What holds at a statement: the ranges of variables, what some of them stand for, and
    functions that guards bound, each a variable of its own."""

    ranges: Mapping[str, tuple[Size, Size]]
    meanings: Mapping[str, Size] = field(default_factory=dict)
    functions: Mapping[Atom, str] = field(default_factory=dict)

    def having(self, name: str, low: Size, high: Size) -> Known:
        """The same, with a range more."""
        return replace(self, ranges={**self.ranges, name: (low, high)})

    def written_out(self, size: Size) -> Size:
        """A size over the variables that have ranges."""
        while dim.symbols(size) & self.meanings.keys():
            size = dim.substitute(size, self.meanings)
        for atom, name in self.functions.items():
            size = dim.with_atom(size, atom, symbol(name))
        return size

    def inside(self, offset: Size, count: Size) -> bool:
        """Whether an offset surely lies in [0, count)."""
        offset = self.written_out(joined(offset))
        ends = self.ranges.items()
        ranges = {k: (self.written_out(a), self.written_out(b)) for k, (a, b) in ends}
        return never_negative(offset, ranges) and never_negative(count - 1 - offset, ranges)

    def under(self, bounds: Bounds) -> Known:
        """What holds where low <= e < high for each bound."""
        known = self
        for e, low, high in bounds:
            known = known._bounded(known.written_out(e), low, high - 1)
        return known

    def beyond(self, bounds: Bounds) -> Known:
        """What holds where a single bound does not."""
        if len(bounds) != 1:
            return self
        ((e, low, high),) = bounds
        e = self.written_out(e)
        name = _free(e, self.ranges)
        if (
            name is None
            or dim.coefficient(e, name) != 1
            or not never_negative(e - low, self.ranges)
        ):
            return self
        return self.having(name, high - (e - symbol(name)), self.ranges[name][1])

    def _bounded(self, e: Size, low: Size, high: Size) -> Known:
        known, atom = self, _free_function(e)
        if atom is not None:  # it says most of what hangs on it
            name = f"f{len(self.functions)}."
            known = replace(self, functions={**self.functions, atom: name})
            e, low, high = (dim.with_atom(x, atom, symbol(name)) for x in (e, low, high))
        else:
            found = _free(e, self.ranges)
            if found is None:
                return self
            name = found
        factor = dim.coefficient(e, name)
        rest = e - factor * symbol(name)
        ends = (low - rest, high - rest) if factor == 1 else (rest - high, rest - low)
        return known.having(name, *ends)

    def after(self, s: Let) -> Known:
        """What holds after a new local variable, if it is an index."""
        name = f"{s.name}."
        match s.value:
            case IndexValue(below=below) if below is not None:
                return self.having(name, 0, below - 1)
            case IndexValue(size=size):
                return replace(self, meanings={**self.meanings, name: size})
            case Apply(spelling=spelling, args=(_, IndexValue(size=count))) if (
                "check_index" in spelling
            ):
                return self.having(name, 0, count - 1)
        return self


def _free(e: Size, ranges: Mapping[str, Any]) -> str | None:
    """A ranged variable that a size has once, with the factor 1 or -1."""
    for name in sorted(dim.symbols(e) & ranges.keys()):
        if dim.is_linear(e, {name}) and dim.coefficient(e, name) in (1, -1):
            return name
    return None


def _free_function(e: Size) -> Atom | None:
    """A function that a size has once, with the factor 1 or -1."""
    terms = e.terms if isinstance(e, Dim) else ()
    plain = (m[0] for m, factor in terms if len(m) == 1 and factor in (1, -1))
    return next((a for a in plain if a.function != "symbol"), None)


def certified(loops: Loops, everything: bool = False) -> Loops:
    """The loops, with a check of each access that is not proved; with `everything`, of all."""
    counts = [*(b.count for b in loops.buffers), *(s.count for s in loops.scratch)]
    work = _Certifying(counts, loops.extent, everything)
    body = work.statements(loops.body, Known({}))
    return replace(loops, body=tuple(body)) if work.checks else loops


class _Certifying:
    """Judges the accesses of one kernel."""

    def __init__(self, counts: Sequence[Size], extent: Size, everything: bool) -> None:
        self.counts, self.extent, self.everything = counts, extent, everything
        self.checks = 0
        self.before: list[Let] = []  # the checks of the statement at hand

    def statements(self, body: Sequence[Any], known: Known) -> list[Any]:
        """The statements, each after the checks that it needs."""
        result: list[Any] = []
        for s in body:
            new = self._statement(s, known)
            result += [*self.before, new]
            self.before = []
            if isinstance(s, Let):
                known = known.after(s)
        return result

    def _statement(self, s: Any, known: Known) -> Any:
        match s:
            case Let(value=value) | FoldStep(value=value):
                return replace(s, value=self._expression(value, known, ()))
            case Store(buffer=buffer, offset=offset, value=value):
                value = self._expression(value, known, ())
                place = self._offset(buffer, offset, known, (), anywhere=False)
                return replace(s, offset=place, value=value)
            case For(var=var, low=low, high=high, body=body):
                ends = {"lo.": 0, "hi.": self.extent}
                first, end = (known.written_out(dim.substitute(x, ends)) for x in (low, high))
                first = 0 if never_negative(first, known.ranges) else first
                inner = known.having(var, first, greatest(end, known.ranges) - 1)
                body = tuple(self.statements(body, inner))
                return replace(s, body=body)
        return s

    def _expression(self, e: Any, known: Known, path: Path) -> Any:
        match e:
            case Load(buffer=buffer, offset=offset, dtype=dtype):
                new = self._offset(buffer, offset, known, path)
                if new is offset or path:
                    return replace(e, offset=new)
                # a load may stand before a loop that makes no step, of a buffer without elements;
                # no guard holds there
                some = ((self.counts[buffer], 1, self.counts[buffer] + 1),)
                return Guard(some, replace(e, offset=new), Const(0, dtype), dtype)
            case Apply(args=args):
                return replace(e, args=tuple(self._expression(a, known, path) for a in args))
            case Guard(bounds=bounds, then=then, other=other):
                then = self._expression(then, known.under(bounds), (*path, (bounds, True)))
                other = self._expression(other, known.beyond(bounds), (*path, (bounds, False)))
                return replace(e, then=then, other=other)
        return e

    def _offset(
        self, buffer: int, offset: Size, known: Known, path: Path, anywhere: bool = True
    ) -> Size:
        """The offset, or a new variable that is the offset once it has been checked.  `anywhere`:
        it may be that of an empty buffer, which is not read then."""
        count = self.counts[buffer]
        if not self.everything and known.inside(offset, count):
            return offset
        name = f"inside{self.checks}"
        self.checks += 1
        place: Any = Apply(CHECKED, (IndexValue(offset, i64), IndexValue(count, i64)), i64)
        if not path and anywhere:
            place = Guard(((count, 1, count + 1),), place, Const(0, i64), i64)
        for bounds, hold in reversed(path):  # it is made only where the access is
            then, other = (place, Const(0, i64)) if hold else (Const(0, i64), place)
            place = Guard(bounds, then, other, i64)
        self.before.append(Let(name, place))
        return symbol(f"{name}.")
