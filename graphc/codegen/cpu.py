"""Loops -> numba source for the CPU.

The source is a product: `graphc dump --stage kernels` prints it with the graph's names.  What is
compiled is the same text with canonical names and large sizes as arguments, so equal loops share
one compiled kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from graphc.codegen.loops import (
    Accumulate,
    Apply,
    Const,
    For,
    Gemm,
    Guard,
    IndexValue,
    Let,
    Load,
    Loops,
    Memory,
    Ref,
    Row,
    Store,
    Tile,
    Transform,
    Turn,
)
from graphc.codegen.nests import Parameters, map_sizes, walk
from graphc.config import Method
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.op import Number
from graphc.ir.types import DType

NARROW = ("f16", "bf16")
WRAPS = ("i8", "i16", "i32", "u8", "u16", "u32", "u64")
WRAPPING = {  # i64 operators of numba are undefined where they overflow
    "({0} + {1})": "wrap_add({0}, {1})",
    "({0} - {1})": "wrap_subtract({0}, {1})",
    "({0} * {1})": "wrap_multiply({0}, {1})",
}
KEY = re.compile(r"\bu64\((\d{10,})\)")  # of random numbers, each op's own: an argument
STATUS = "status"


NOWHERE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class Source:
    """A kernel as text: `text` is what is compiled, `sizes` the values of its size arguments."""

    text: str
    sizes: tuple[Size, ...]
    extent: Size
    uses_status: bool
    calls: bool = False  # whether it calls Python: the last argument is where to
    least: Size = 1  # of the extent, that a chunk should have
    method: Method | None = None  # of its contraction
    over: tuple[tuple[int, int], ...] = ()  # buffers that lie where others do
    routines: tuple[str, ...] = ()  # whose addresses are its last arguments but that


def print_kernel(
    loops: Loops, readable: bool = False, over: Mapping[int, int] = NOWHERE
) -> Source:
    """Numba source of `kernel(args, lo, hi)`; `readable` keeps names and sizes as they are.

    A buffer of `over` lies where another does, and is that buffer: LLVM takes those of different
    arguments for different memory.
    """
    parameters = Parameters()
    for given, value in loops.sizes:
        parameters.values[value] = dim.symbol(f"{given}.")
    change = (lambda s: _named(s, parameters)) if readable else parameters.generalize
    body = [map_sizes(s, change, None if readable else parameters.bound) for s in loops.body]
    lines = [*_scratch(loops, [change(s.count) for s in loops.scratch]), *_statements(body, 1)]
    lines += [f"    free_scratch({s.name})" for s in loops.scratch]
    if not readable:
        lines = [KEY.sub(lambda m: f"u64({_size(parameters(_signed(m[1])))})", x) for x in lines]
    sizes = {_size(name) for name in parameters.values.values()}
    names = [f"{b.name}_" if b.name in sizes else b.name for b in loops.buffers]
    memory: list[Memory] = [*loops.buffers, *loops.scratch]
    names += [s.name for s in loops.scratch]
    text = with_buffers("\n".join(lines), names)
    uses_status = STATUS in text
    routines = tuple(sorted({r for s in body for x in walk(s) for r in _routines(x, memory)}))
    head = [f"def {_identifier(loops.name) if readable else 'kernel'}(args, lo, hi):"]
    for i, b in enumerate(loops.buffers):
        got = names[over[i]] if i in over else f"{b.dtype}_buffer(args, {i})"
        head.append(f"    {names[i]} = {got}")
    head += _words(len(loops.buffers), parameters, uses_status, routines, readable)
    full = "\n".join([*head, text, ""])
    if not readable:
        full = canonical(full)
    sizes_given = tuple(parameters.values)
    return Source(full, sizes_given, loops.extent, uses_status, least=loops.least,
                  over=tuple(over.items()), routines=routines)


def _words(
    at: int, parameters: Parameters, uses_status: bool, routines: tuple[str, ...], readable: bool
) -> list[str]:
    """Lines that read the arguments that are not buffers, from number `at` on."""
    shown = [(_size(name), value) for value, name in parameters.values.items()]
    named = [(name, f"  # {value}" if readable and name != str(value) else "")
             for name, value in shown]
    named += [(STATUS, "")] * uses_status + [(r.split("_")[1], "") for r in routines]
    return [f"    {name} = args[{i}]{note}" for i, (name, note) in enumerate(named, at)]


def _routines(s: Any, memory: list[Memory]) -> tuple[str, ...]:
    """What a statement calls by an address that is an argument."""
    match s:
        case Gemm(buffers=(_, _, c)):
            return (f"gc_gemm_{memory[c].dtype}",)
        case Tile(dtype=dtype):
            return (f"gc_tile_{dtype}",)
        case Turn(dtype=dtype):
            return (f"gc_transpose_{dtype}",)
        case Transform(dtype=dtype, name=name):
            return (f"gc_{name}_{dtype}",)
    return ()


def _signed(key: str) -> int:
    """The word that holds a number of 64 bits."""
    return (int(key) + (1 << 63)) % (1 << 64) - (1 << 63)


def _named(size: Size, parameters: Parameters) -> Size:
    """Registers the user's size names as arguments that keep their names."""
    for name in sorted(dim.symbols(size)):
        if not name.endswith("."):
            parameters.values.setdefault(dim.symbol(name), dim.symbol(name))
    return size


def _scratch(loops: Loops, counts: list[Size]) -> list[str]:
    """Lines that get a kernel its own memory."""
    first = len(loops.buffers)
    return [
        f"    {s.name} = {s.dtype}_scratch({_size(count)}, {first + i})"
        for i, (s, count) in enumerate(zip(loops.scratch, counts, strict=True))
    ]


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name) or "kernel"


def canonical(text: str) -> str:
    """The text with local names replaced in order of appearance, so that equal kernels are equal
    text."""
    assigned = re.findall(r"^\s*(?:for )?([A-Za-z_]\w*) (?:=|in) ", text, re.MULTILINE)
    names = {name: f"v{i}" for i, name in enumerate(dict.fromkeys(assigned))}
    return re.sub(r"[A-Za-z_]\w*", lambda m: names.get(m[0], m[0]), text)


def _statements(body: Any, depth: int) -> list[str]:
    pad = "    " * depth
    lines: list[str] = []
    for s in body:
        match s:
            case Let(name=name, value=value):
                lines.append(f"{pad}{name} = {_bare(expression(value))}")
            case Store(buffer=buffer, offset=offset, value=value):
                lines.append(f"{pad}@{buffer}[{_size(offset)}] = {_bare(expression(value))}")
            case Accumulate(name=name, combine=combine, value=value, dtype=dtype):
                step = _fold(combine, name, expression(value), dtype)
                lines.append(f"{pad}{name} = {_bare(step)}")
            case Gemm():
                lines.append(f"{pad}{_gemm(s)}")
            case Row():
                lines.append(f"{pad}{_row(s)}")
            case Tile():
                lines += [f"{pad}{line}" for line in _tile(s)]
            case Turn():
                lines.append(f"{pad}{_turn(s)}")
            case Transform():
                lines.append(f"{pad}{_transform(s)}")
            case For(var=var, low=low, high=high, body=inner):
                bounds = _size(high) if low == 0 else f"{_size(low)}, {_size(high)}"
                lines.append(f"{pad}for {var.rstrip('.')} in range({bounds}):")
                lines += _statements(inner, depth + 1) or [f"{pad}    pass"]
    return lines


def _gemm(g: Gemm) -> str:
    flags = [str(112 if t else 111) for t in (g.ta, g.tb)]
    operands = zip(g.buffers, g.offsets, g.strides, strict=True)
    places = [f"@{b}, {_size(at)}, {_size(stride)}" for b, at, stride in operands]
    name = "cblas_gemm_add" if g.adds else "cblas_gemm"
    return f"{name}(gemm, {', '.join([*flags, *map(_size, g.sizes), *places])})"


def _row(r: Row) -> str:
    name = "spread" if r.adds else "window"
    sizes = [*map(_size, (r.count, r.start, r.stop)), _place(r.source), _place(r.target)]
    return f"{r.dtype}_{name}({', '.join(sizes)}, {r.stride})"


def _tile(t: Tile) -> list[str]:
    a, b, c = (_place(x) for x in (t.a, t.b, t.c))
    return [
        f"{t.dtype}_tile(tile, {', '.join(map(_size, t.sizes))}, {a}, {_size(t.rs)}, "
        f"{_size(t.cs)},",
        f"         {b}, {_size(t.ldb)}, {c}, {_size(t.ldc)}, {t.adds}, {_size(t.taps)}, "
        f"{_place(t.table)})",
    ]


def _turn(t: Turn) -> str:
    ends = f"{_place(t.source)}, {_size(t.lds)}, {_place(t.target)}, {_size(t.ldt)}"
    return f"{t.dtype}_transpose(transpose, {_size(t.rows)}, {_size(t.cols)}, {ends})"


def _transform(t: Transform) -> str:
    ends = [_place(t.source), *map(_size, t.source_steps), _place(t.target),
            *map(_size, t.target_steps)]
    sizes = f"{t.name}, {_size(t.channels)}, {_size(t.squares)}"
    return f"{t.dtype}_{t.name}({sizes}, {', '.join(ends)})"


def _place(place: tuple[int, Size]) -> str:
    return f"@{place[0]}, {_size(place[1])}"


def _fold(combine: str, name: str, value: str, dtype: DType) -> str:
    """Sums and products of floats are folded in an order that the compiler may choose once for
    all."""
    if dtype.is_float and combine in ("({0} + {1})", "({0} * {1})"):
        return f"{'fold_add' if '+' in combine else 'fold_multiply'}({name}, {value})"
    if dtype.name == "i64":
        combine = WRAPPING.get(combine, combine)
    text = combine.format(name, value)
    return f"{dtype}({_bare(text)})" if dtype.name in WRAPS and combine[0] == "(" else text


def expression(e: Any) -> str:
    """The source text of an expression."""
    match e:
        case Const(value=value, dtype=dtype):
            return literal(value, dtype)
        case Ref(name=name):
            return name
        case IndexValue(size=size):
            return f"i64({_size(size)})"
        case Load(buffer=buffer, offset=offset):
            return f"@{buffer}[{_size(offset)}]"
        case Apply(spelling=spelling, args=args, dtype=dtype):
            if dtype.name == "i64":
                spelling = WRAPPING.get(spelling, spelling)
            return _wrap(spelling.format(*map(expression, args)), spelling, dtype)
        case Guard(bounds=bounds, then=then, other=other):
            tests = " and ".join(_test(*b) for b in bounds)
            return f"({expression(then)} if {tests} else {expression(other)})"
    raise AssertionError(e)


def _test(e: Size, low: Size, high: Size) -> str:
    return f"{_size(low)} <= {_size(e)} < {_size(high)}"


def _wrap(text: str, spelling: str, dtype: DType) -> str:
    """Operators widen narrow types in Python and numba: cut them back."""
    if dtype.name in NARROW and not spelling.startswith(("cast_", "where")):
        return f"round_{dtype}({_bare(text)})"
    operator = spelling.startswith("(") and "==" not in spelling and "<" not in spelling
    if operator and (dtype.name in WRAPS):
        return f"{dtype}({_bare(text)})"
    return text


def _bare(text: str) -> str:
    """Without the outermost parentheses, if they enclose all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


def literal(value: Number, dtype: DType) -> str:
    """A typed literal: numba would widen a bare 0.0 to f64."""
    if dtype.kind == "bool":
        return str(bool(value))
    if dtype.is_integer:
        return f"{dtype}({int(value)})"
    kind = "f64" if dtype.name == "f64" else "f32"
    rounded = float(np.asarray(value).astype(dtype.numpy))
    if rounded != rounded:
        return f"{kind}(nan)"
    if rounded in (float("inf"), float("-inf")):
        return f"{kind}({'-' if rounded < 0 else ''}inf)"
    return f"{kind}({rounded!r})" if kind == "f64" else f"f32({_short(rounded)})"


def _short(value: float) -> str:
    """The shortest text that gives this f32."""
    return repr(float(str(np.float32(value))))


def _size(size: Size) -> str:
    return str(size).replace(".", "")


def with_buffers(text: str, names: list[str]) -> str:
    """`@3` as the name of buffer 3."""
    return re.sub(r"@(\d+)", lambda m: names[int(m[1])], text)
