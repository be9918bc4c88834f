"""Vectors in CUDA kernels: how one thread loads, computes and stores several neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from graphc.codegen.cuda.frame import KernelFrame
from graphc.codegen.cuda.printer import bare_index, keeping, kept, kept_type, loaded, storing
from graphc.codegen.loops.canonical import NUMBER_SUFFIX
from graphc.codegen.loops.ir import Apply, FoldStep, Let, Load, Store
from graphc.codegen.loops.printer import bare
from graphc.codegen.loops.transform import loads, map_sizes, names_in, renamed
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.types import DType

VECTOR_BYTES = 16  # the widest access to memory


@dataclass(frozen=True)
class Saved:
    """A thread's own array, in registers, that holds elements of a buffer."""

    name: str
    length: int
    dtype: DType

    @property
    def kind(self) -> str:
        """The type of its elements."""
        return kept_type(self.dtype)

    def element(self, number: str) -> str:
        """An element, as a value."""
        return kept(f"{self.name}[{number}]", self.dtype)

    def keep(self, number: str, value: str) -> str:
        """The line that stores an element."""
        return f"{self.name}[{number}] = {keeping(value, self.dtype)}"


Key = tuple[int, Size]  # of an element: its buffer and its offset, a formula of a loop's variable


Saves = Mapping[Key, tuple[Saved, bool]]  # registers that a store fills; whether memory, too


NOTHING_SAVED: Saves = MappingProxyType({})


class Vector:
    """Prints statements for `count` neighbours along a variable: at `base`, base + 1, ...  Elements
    that lie side by side are loaded and stored together; statements that do not depend on the
    variable are printed once.  `number` is the place of the first neighbour in `saves`."""

    def __init__(
        self,
        frame: KernelFrame,
        variable: str,
        base: Size,
        count: int,
        saves: Saves = NOTHING_SAVED,
        number: str = "0",
    ) -> None:
        self.frame, self.printer = frame, frame.printer
        self.variable, self.base, self.count = variable, base, count
        self.saves, self.number = saves, number

    def at(self, size: Size, lane: int) -> Size:
        """A size, at neighbour number `lane`."""
        return dim.substitute(size, {self.variable: self.base + lane})

    def aligned(self, offset: Size) -> bool:
        """Whether neighbours lie side by side, and the first one where a vector may begin."""
        if self.count == 1 or not dim.is_linear(offset, {self.variable}):
            return False
        first = self.at(offset, 0)
        return dim.coefficient(offset, self.variable) == 1 and divisible(first, self.count)

    def load(self, e: Load, later: set[str], pad: str) -> list[str]:
        """Lines that load neighbours as vectors; the printer then knows the elements by name."""
        known = (e.buffer, self.at(e.offset, 0)) in self.printer.known
        if known or dim.symbols(e.offset) & later or not self.aligned(e.offset):
            return []
        lines = []
        piece = min(self.count, max(1, VECTOR_BYTES // e.dtype.size))
        call = "read" if e.buffer in self.printer.written else "load"
        for start in range(0, self.count, piece):
            name = self.frame.name(f"{self.frame.base(e.buffer)}_vector")
            at = bare_index(self.printer.size(self.at(e.offset, start)))
            lines.append(f"{pad}{name} = {call}{piece}(@{e.buffer}, {at})")
            for k in range(piece):
                text = loaded(f"{name}[{k}]", e.dtype)
                self.printer.known[e.buffer, self.at(e.offset, start + k)] = text
        return lines

    def lines(self, body: Sequence[Any], pad: str) -> list[str]:
        """Lines of statements: first all loads, and stores as whole vectors."""
        later = {f"{s.name}." for s in body if isinstance(s, Let)}
        lines = [x for s in body for e in loads(s) for x in self.load(e, later, pad)]
        changing = {self.variable}
        names: list[dict[str, str]] = [{} for _ in range(self.count)]
        for s in body:
            if isinstance(s, Let):
                if not names_in(s) & changing:
                    lines += [pad + x for x in self.printer.simple(s)]
                    continue
                changing |= {s.name, f"{s.name}."}
            lines += self._each(s, names, pad)
        return lines

    def _each(self, s: Any, names: list[dict[str, str]], pad: str) -> list[str]:
        """Lines of a statement, for each of the neighbours."""
        copies = []
        for lane in range(self.count):
            here = map_sizes(s, lambda size, lane=lane: self.at(size, lane))  # type: ignore[misc]
            if isinstance(here, Let) and self.count > 1:
                name = self.frame.name(NUMBER_SUFFIX.sub("", here.name))
                here = replace(here, value=renamed(here.value, names[lane]))
                names[lane][here.name] = name
                here = replace(here, name=name)
            else:
                here = renamed(here, names[lane])
            copies.append(here)
        if isinstance(s, Store):
            return self._store(s, copies, pad)
        if isinstance(s, FoldStep) and self.count > 1:
            return [pad + x for x in self.printer.simple(_together(copies))]
        return [pad + x for one in copies for x in self.printer.simple(one)]

    def place(self, lane: int) -> str:
        """The place of a neighbour among the elements that a thread keeps."""
        return " + ".join(x for x in (self.number, str(lane)) if x != "0") or "0"

    def _store(self, s: Store, copies: Sequence[Store], pad: str) -> list[str]:
        """Lines that store results in registers, in memory (as vectors if possible), or both."""
        saved, to_memory = self.saves.get((s.buffer, s.offset), (None, True))
        lines = (
            [
                pad + saved.keep(self.place(lane), bare(self.printer.expression(x.value)))
                for lane, x in enumerate(copies)
            ]
            if saved
            else []
        )
        if not to_memory:
            return lines
        if not self.aligned(s.offset):
            return lines + [pad + x for one in copies for x in self.printer.simple(one)]
        dtype = self.printer.dtypes[s.buffer]
        piece = min(self.count, max(1, VECTOR_BYTES // dtype.size))
        for start in range(0, self.count, piece):
            values = [
                storing(bare(self.printer.expression(x.value)), dtype)
                for x in copies[start : start + piece]
            ]
            at = bare_index(self.printer.size(copies[start].offset))
            lines.append(f"{pad}store{piece}(@{s.buffer}, {at}, ({', '.join(values)}))")
        return lines


def _together(steps: Sequence[FoldStep]) -> FoldStep:
    """Steps of a fold as one step, which first folds neighbours in pairs."""
    values = [s.value for s in steps]
    first = steps[0]
    while len(values) > 1:
        values = [
            Apply(first.combine, (a, b), first.dtype)
            for a, b in zip(values[::2], values[1::2], strict=True)
        ]
    return replace(first, value=values[0])


def divisible(size: Size, by: int) -> bool:
    """Whether a size is known to be a multiple of a number."""
    if isinstance(size, int):
        return size % by == 0
    return all(coefficient % by == 0 for _, coefficient in size.terms)
