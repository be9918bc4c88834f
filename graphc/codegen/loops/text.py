"""Loops as text: Python-looking, typed, one line a statement.

    softmax(x: f32 in, y: f32 out), [lo, hi) of n:
        for i0 in [lo, hi):
            total: f32 = 0.0f32
            for j0 in [0, 10):
                x_1: f32 = x[10*i0+j0]
                total += x_1
            y[i0] = total

People read this text (`graphc dump --stage loops`); `codegen/cpu/printer.py` prints the source that
is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    BufferArgument,
    Const,
    FoldStep,
    For,
    Gemm,
    Guard,
    IndexValue,
    Let,
    Load,
    Loops,
    Memory,
    Ref,
    RowMove,
    Store,
    Tile,
    Transform,
    TransposeMove,
)
from graphc.ir.dim import Size

ASSIGNMENTS = {"({0} + {1})": "+=", "({0} * {1})": "*="}


def print_loops(loops: Loops) -> str:
    """The loops of a kernel."""
    memory: list[Memory] = [*loops.buffers, *loops.scratch]
    names = [m.name for m in memory]
    buffers = ", ".join(map(_buffer, loops.buffers))
    name = re.sub(r"[^\w.]", "_", loops.name)
    head = f"{name}({buffers}), [lo, hi) of {loops.extent}:"
    sizes = [f"    {given} = {value}" for given, value in loops.sizes]
    sizes += [f"    {s.name}: {s.dtype}[{_size(s.count)}]" for s in loops.scratch]
    return "\n".join([head, *sizes, *_statements(loops.body, names, 1), ""])


def _buffer(b: BufferArgument) -> str:
    return f"{b.name}: {b.dtype} {'out' if b.written else 'in'}"


def _statements(body: Sequence[Any], names: list[str], depth: int) -> list[str]:
    pad = "    " * depth
    lines: list[str] = []
    for s in body:
        match s:
            case Let(name=name, value=value):
                lines.append(f"{pad}{name}: {value.dtype} = {_bare(_expression(value, names))}")
            case Store(buffer=buffer, offset=offset, value=value):
                lines.append(
                    f"{pad}{names[buffer]}[{_size(offset)}] = {_bare(_expression(value, names))}"
                )
            case FoldStep(name=name, combine=combine, value=value):
                lines.append(f"{pad}{name} {_step(combine, name, _expression(value, names))}")
            case Gemm():
                lines.append(f"{pad}{_gemm(s, names)}")
            case RowMove():
                lines.append(f"{pad}{_row(s, names)}")
            case Tile(a=a, b=b, c=c, sizes=sizes):
                places = (f"{names[x]}[{_size(at)}:]" for x, at in (a, b, c))
                left, right, result = places
                shape = ", ".join(map(_size, (*sizes, s.taps)))
                sign = "+=" if s.adds else "="
                lines.append(f"{pad}{result} {sign} tile({left}, {right}, {shape})")
            case Transform(source=(x, x_at), target=(y, y_at)):
                squares = ", ".join(map(_size, (s.channels, s.squares)))
                taken = f"{names[x]}[{_size(x_at)}:]"
                lines.append(f"{pad}{names[y]}[{_size(y_at)}:] = {s.name}({taken}, {squares})")
            case TransposeMove(source=(x, x_at), target=(y, y_at), rows=rows, cols=cols):
                turned = f"transpose({names[x]}[{_size(x_at)}:], {_size(rows)}, {_size(cols)})"
                lines.append(f"{pad}{names[y]}[{_size(y_at)}:] = {turned}")
            case For(var=var, low=low, high=high, body=inner):
                lines.append(f"{pad}for {_size(var)} in [{_size(low)}, {_size(high)}):")
                lines += _statements(inner, names, depth + 1) or [f"{pad}    pass"]
            case _:
                raise AssertionError(s)
    return lines


def _gemm(g: Gemm, names: list[str]) -> str:
    """`out[at:] = gemm(a[at:], b[at:]^T, m, n, k)`."""
    places = zip(g.buffers, g.offsets, strict=True)
    left, right, result = (f"{names[b]}[{_size(at)}:]" for b, at in places)
    flags = "".join(f", {name}=true" for name, on in (("ta", g.ta), ("tb", g.tb)) if on)
    sign = "+=" if g.adds else "="
    return f"{result} {sign} gemm({', '.join([left, right, *map(_size, g.sizes)])}{flags})"


def _row(r: RowMove, names: list[str]) -> str:
    """`panel[at:] = window(x[at::2], 28) in [1, 27)`: zeros outside; or `x[at::2] += ...`."""
    step = f":{r.stride}" if r.stride != 1 else ""
    (source, s_at), (target, t_at) = r.source, r.target
    bounds = f"[{_size(r.start)}, {_size(r.stop)})"
    if r.adds:
        left, right = f"{names[target]}[{_size(t_at)}:{step}]", f"{names[source]}[{_size(s_at)}:]"
        return f"{left} += {right} in {bounds}"
    left, right = f"{names[target]}[{_size(t_at)}:]", f"{names[source]}[{_size(s_at)}:{step}]"
    return f"{left} = window({right}, {_size(r.count)}) in {bounds}"


def _step(combine: str, name: str, value: str) -> str:
    if combine in ASSIGNMENTS:
        return f"{ASSIGNMENTS[combine]} {_bare(value)}"
    return f"= {_bare(combine.format(name, value))}"


def _expression(e: Any, names: list[str]) -> str:
    match e:
        case Const(value=value, dtype=dtype):
            if dtype.kind == "bool":
                return str(bool(value)).lower()
            return f"{float(value) if dtype.is_float else int(value)!r}{dtype}"
        case Ref(name=name):
            return str(name)
        case IndexValue(size=size):
            text = _size(size)
            return text if text.isalnum() else f"({text})"
        case Load(buffer=buffer, offset=offset):
            return f"{names[buffer]}[{_size(offset)}]"
        case Apply(spelling=spelling, args=args):
            return str(spelling.format(*(_expression(a, names) for a in args)))
        case Guard(bounds=bounds, then=then, other=other):
            tests = " and ".join(f"{_size(a)} <= {_size(e)} < {_size(b)}" for e, a, b in bounds)
            return f"({_expression(then, names)} if {tests} else {_expression(other, names)})"
    raise AssertionError(e)


def _bare(text: str) -> str:
    """Without the outermost parentheses, if they enclose all of it."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:-1] if c == ")" and text[0] == "(" and i == len(text) - 1 else text
    return text


def _size(size: Size | str) -> str:
    """A size without the dots that tell loop variables from sizes."""
    return re.sub(r"(?<=\w)\.", "", str(size))
