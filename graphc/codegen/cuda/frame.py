"""The frame of a CUDA kernel: its parameters, the names in it, its text; and vectors of elements.

A schedule (`cuda_maps.py`, `cuda_rows.py`, `cuda_tiles.py`) prints the lines between.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from graphc.codegen.cpu.printer import KEY
from graphc.codegen.cuda.printer import (
    CudaPrinter,
    bare_index,
    keeping,
    kept,
    kept_type,
    loaded,
    size_name,
    storing,
)
from graphc.codegen.cuda.source import pointer
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.ir import Accumulate, Apply, Buffer, For, Guard, Let, Load, Ref, Store
from graphc.codegen.loops.printer import bare
from graphc.codegen.loops.transform import map_sizes
from graphc.codegen.lower.fused import Nest
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.types import DType

DEAR = ("power(", "exp", "log", "sin", "cos", "tan", "sigmoid", "erf", "cbrt", "atan")
LANES = 16  # bytes of the widest access
ASSIGNED = re.compile(r"^\s*(?:for )?([A-Za-z_]\w*) (?:=|in) ", re.MULTILINE)
WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
NUMBERED = re.compile(r"_\d+$")  # what `Emitter.name` makes of a name that is taken


@dataclass(frozen=True)
class Grid:
    """How a schedule wants its kernel launched."""

    blocks: tuple[Size, Size, Size]
    threads: tuple[int, int, int]
    resident: int = 0
    shared: Size = 0


class Frame:
    """A kernel under construction.  `over` tells which buffers lie where others do; `wide` asks for
    64-bit indices."""

    def __init__(
        self,
        buffers: Sequence[Buffer],
        name: Callable[[str], str],
        over: Mapping[int, int],
        wide: bool = False,
    ) -> None:
        self.buffers, self.name, self.over = tuple(buffers), name, over
        written = {i for i, b in enumerate(buffers) if b.written}
        self.printer = CudaPrinter(
            "u64" if wide else "u32",
            [b.dtype for b in buffers],
            frozenset(written | {over[i] for i in over}),
        )

    @property
    def width(self) -> str:
        return self.printer.width

    def base(self, buffer: int) -> str:
        """What locals that hold elements of a buffer are called after."""
        return NUMBERED.sub("", self.buffers[buffer].name)

    def source(
        self, schedule: str, lines: Sequence[str], grid: Grid, readable: str = ""
    ) -> DeviceSource:
        """The kernel as text; with a `readable` name its own names stay."""
        symbols = list(self.printer.symbols)
        names = [b.name for b in self.buffers]
        text = re.sub(r"@(\d+)", lambda m: names[int(m[1])], "\n".join(lines))
        keys = list(dict.fromkeys(KEY.findall(text)))
        if not readable:
            text = KEY.sub(lambda m: f"key{keys.index(m[1])}", text)
        else:
            keys = []
        status = ["status"] * (re.search(r"\bstatus\b", text) is not None)
        own = {size_name(s): s for s in symbols}
        parameters = [*names, *own, *(f"key{i}" for i in range(len(keys))), *status]
        kinds = [
            *(pointer(b.dtype) for b in self.buffers),
            *([self.width] * len(symbols)),
            *(["u64"] * len(keys)),
            *(["i64*"] * len(status)),
        ]
        head = f"def {readable or 'kernel'}({', '.join(parameters)}):"
        full = f"{head}\n{text}\n"
        sizes: list[Size] = [dim.symbol(s) for s in symbols]
        return DeviceSource(
            plain(full, own, names) if readable else canonical(full, parameters),
            tuple(kinds),
            (*sizes, *map(int, keys)),
            grid.blocks,
            grid.threads,
            grid.shared,
            grid.resident,
            bool(status),
            schedule=schedule,
        )


def once(frame: Frame, nest: Nest) -> list[str]:
    """Lines of what a kernel does once.  What is dear, one thread of a block does for all."""
    printer, top = frame.printer, nest.top
    if not any(_is_dear(s.value) for s in top):
        return printer.statements(top, 1)
    body = (*nest.begin, *nest.body, *nest.end)
    used = set().union(*(names_in(s) for s in body)) if body else set()
    wanted = [s for s in top if s.name in used or f"{s.name}." in used]
    kinds = [kept_type(s.value.dtype) for s in wanted]
    arrays = {k: frame.name(f"once_{k}") for k in dict.fromkeys(kinds)}
    places = [f"{arrays[k]}[{kinds[:n].count(k)}]" for n, k in enumerate(kinds)]
    lines = [f"    {name} = cuda.shared.array({kinds.count(k)}, {k})" for k, name in arrays.items()]
    lines.append("    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:")
    lines += printer.statements(top, 2)
    ends = list(zip(wanted, places, strict=True))
    lines += [f"        {at} = {keeping(s.name, s.value.dtype)}" for s, at in ends]
    lines.append("    cuda.syncthreads()")
    return lines + [f"    {s.name} = {kept(at, s.value.dtype)}" for s, at in ends]


def _is_dear(value: Any) -> bool:
    """Whether an expression calls a function that takes many instructions."""
    return isinstance(value, Apply) and value.spelling.startswith(DEAR)


def canonical(text: str, parameters: Sequence[str]) -> str:
    """The text with parameters and local names replaced in order of appearance, so that equal
    kernels are equal text."""
    assigned = ASSIGNED.findall(text)
    names = {name: f"v{i}" for i, name in enumerate(dict.fromkeys((*parameters, *assigned)))}
    return WORD.sub(lambda m: names.get(m[0], m[0]), text)


def plain(text: str, sizes: Mapping[str, str], buffers: Sequence[str]) -> str:
    """The text with the simplest names: sizes have the user's, buffers come next, locals last; the
    number behind a name is there only if the name is taken."""
    head, _, body = text.partition("\n")
    changing = dict.fromkeys((*buffers, *ASSIGNED.findall(body)))
    others = set(WORD.findall(body)) - {*changing, *sizes}
    shown = {name: name if user in others else user for name, user in sizes.items()}
    names = {**shown, **simplest(changing, {*shown.values(), *others})}
    start, _, parameters = head.partition("(")  # the kernel's own name stays
    return f"{start}(" + WORD.sub(lambda m: names.get(m[0], m[0]), f"{parameters}\n{body}")


def simplest(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """For each name what it began as, before `Emitter.name` put a number behind it; with a new one
    where that is taken."""
    found: dict[str, str] = {}
    used = {*keyword.kwlist, *taken}
    for name in names:
        base = NUMBERED.sub("", name.strip("_"))
        found[name] = (
            base
            if base not in used
            else next(f"{base}_{n}" for n in itertools.count(1) if f"{base}_{n}" not in used)
        )
        used.add(found[name])
    return found


def blocks_of(count: Size, each: int) -> Size:
    """How many blocks of `each` make `count`."""
    return dim.floordiv(count + (each - 1), each)


def loads(node: Any, inside_guards: bool = False) -> Iterator[Load]:
    """The loads that a statement surely makes; with `inside_guards`, those it might."""
    match node:
        case Load():
            yield node
        case Let(value=value) | Store(value=value) | Accumulate(value=value):
            yield from loads(value, inside_guards)
        case For(body=body):
            for s in body:
                yield from loads(s, inside_guards)
        case Apply(args=args):
            for a in args:
                yield from loads(a, inside_guards)
        case Guard(then=then, other=other) if inside_guards:
            yield from loads(then, True)
            yield from loads(other, True)


def names_in(node: Any) -> set[str]:
    """The names of variables and locals that a statement or an expression uses; those of variables
    end with a dot."""
    found: set[str] = set()

    def note(size: Size) -> Size:
        found.update(dim.symbols(size))
        return size

    map_sizes(node, note)
    _references(node, found)
    return found


def _references(node: Any, found: set[str]) -> None:
    match node:
        case Ref(name=name):
            found.add(name)
        case Let(value=value) | Store(value=value):
            _references(value, found)
        case Accumulate(name=name, value=value):
            found.add(name)
            _references(value, found)
        case For(body=body):
            for s in body:
                _references(s, found)
        case Apply(args=args):
            for a in args:
                _references(a, found)
        case Guard(then=then, other=other):
            _references(then, found)
            _references(other, found)


@dataclass(frozen=True)
class Saved:
    """An array of a thread's own, in registers, that holds elements of a buffer."""

    name: str
    length: int
    dtype: DType

    @property
    def kind(self) -> str:
        """The type of its elements."""
        return kept_type(self.dtype)

    def element(self, number: str) -> str:
        """One as a value."""
        return kept(f"{self.name}[{number}]", self.dtype)

    def keep(self, number: str, value: str) -> str:
        """The line that puts a value in."""
        return f"{self.name}[{number}] = {keeping(value, self.dtype)}"


Key = tuple[int, Size]  # of an element: its buffer and its offset, a formula of a loop's variable
Saves = Mapping[Key, tuple[Saved, bool]]  # where a store goes, and whether memory gets it too
NOTHING: Saves = MappingProxyType({})


class Vector:
    """Prints statements for `count` neighbours along a variable: at `base`, base + 1, ...  Elements
    that lie side by side are moved together; what does not depend on the variable is done once."""

    def __init__(
        self,
        frame: Frame,
        variable: str,
        base: Size,
        count: int,
        saves: Saves = NOTHING,
        number: str = "0",
    ) -> None:
        self.frame, self.printer = frame, frame.printer
        self.variable, self.base, self.count = variable, base, count
        self.saves, self.number = saves, number

    def at(self, size: Size, lane: int) -> Size:
        """A size for one of the neighbours."""
        return dim.substitute(size, {self.variable: self.base + lane})

    def aligned(self, offset: Size) -> bool:
        """Whether neighbours lie side by side, the first where a vector may begin."""
        if self.count == 1 or not dim.is_linear(offset, {self.variable}):
            return False
        first = self.at(offset, 0)
        return dim.coefficient(offset, self.variable) == 1 and divisible(first, self.count)

    def load(self, e: Load, later: set[str], pad: str) -> list[str]:
        """Lines that load neighbours as vectors and make them known."""
        known = (e.buffer, self.at(e.offset, 0)) in self.printer.known
        if known or dim.symbols(e.offset) & later or not self.aligned(e.offset):
            return []
        lines = []
        piece = min(self.count, max(1, LANES // e.dtype.size))
        way = "read" if e.buffer in self.printer.written else "load"
        for start in range(0, self.count, piece):
            name = self.frame.name(f"{self.frame.base(e.buffer)}_vector")
            at = bare_index(self.printer.size(self.at(e.offset, start)))
            lines.append(f"{pad}{name} = {way}{piece}(@{e.buffer}, {at})")
            for k in range(piece):
                text = loaded(f"{name}[{k}]", e.dtype)
                self.printer.known[e.buffer, self.at(e.offset, start + k)] = text
        return lines

    def lines(self, body: Sequence[Any], pad: str) -> list[str]:
        """All loads, then the statements, then stores of whole vectors."""
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
        """A statement for each of the neighbours."""
        made = []
        for lane in range(self.count):
            here = map_sizes(s, lambda size, lane=lane: self.at(size, lane))  # type: ignore[misc]
            if isinstance(here, Let) and self.count > 1:
                own = self.frame.name(NUMBERED.sub("", here.name))
                here = replace(here, value=renamed(here.value, names[lane]))
                names[lane][here.name] = own
                here = replace(here, name=own)
            else:
                here = renamed(here, names[lane])
            made.append(here)
        if isinstance(s, Store):
            return self._store(s, made, pad)
        if isinstance(s, Accumulate) and self.count > 1:
            return [pad + x for x in self.printer.simple(_together(made))]
        return [pad + x for one in made for x in self.printer.simple(one)]

    def place(self, lane: int) -> str:
        """The number of a neighbour among the elements that a thread keeps."""
        return " + ".join(x for x in (self.number, str(lane)) if x != "0") or "0"

    def _store(self, s: Store, made: Sequence[Store], pad: str) -> list[str]:
        """Results: to registers, to memory, or both; to memory as vectors where they may be."""
        saved, to_memory = self.saves.get((s.buffer, s.offset), (None, True))
        lines = (
            [
                pad + saved.keep(self.place(lane), bare(self.printer.expression(x.value)))
                for lane, x in enumerate(made)
            ]
            if saved
            else []
        )
        if not to_memory:
            return lines
        if not self.aligned(s.offset):
            return lines + [pad + x for one in made for x in self.printer.simple(one)]
        dtype = self.printer.dtypes[s.buffer]
        piece = min(self.count, max(1, LANES // dtype.size))
        for start in range(0, self.count, piece):
            values = [
                storing(bare(self.printer.expression(x.value)), dtype)
                for x in made[start : start + piece]
            ]
            at = bare_index(self.printer.size(made[start].offset))
            lines.append(f"{pad}store{piece}(@{s.buffer}, {at}, ({', '.join(values)}))")
        return lines


def _together(made: Sequence[Accumulate]) -> Accumulate:
    """Steps of a fold as one: neighbours are folded in pairs first."""
    values = [s.value for s in made]
    first = made[0]
    while len(values) > 1:
        values = [
            Apply(first.combine, (a, b), first.dtype)
            for a, b in zip(values[::2], values[1::2], strict=True)
        ]
    return replace(first, value=values[0])


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The statement or expression with other local names."""
    if not names:
        return node
    sizes = {f"{old}.": dim.symbol(f"{new}.") for old, new in names.items()}
    return _renamed(map_sizes(node, lambda size: dim.substitute(size, sizes)), names)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    match node:
        case Ref(name=name):
            return replace(node, name=names.get(name, name))
        case Let(value=value) | Store(value=value) | Accumulate(value=value):
            return replace(node, value=_renamed(value, names))
        case Apply(args=args):
            return replace(node, args=tuple(_renamed(a, names) for a in args))
        case Guard(then=then, other=other):
            return replace(node, then=_renamed(then, names), other=_renamed(other, names))
    return node


def divisible(size: Size, by: int) -> bool:
    """Whether a size surely is a multiple of a number."""
    if isinstance(size, int):
        return size % by == 0
    return all(coefficient % by == 0 for _, coefficient in size.terms)
