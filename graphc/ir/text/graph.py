"""Graphs as text, and back.  Law: `print_graph(parse_graph(t)) == t` for every printed `t`.

    graph @f(%x: f32[n,4], var %w: f32[4]) {
      %b    = broadcast %w {axes=[1]} : f32[n,4]
      %y    = multiply %x, %b         : f32[n,4]
      %next = add %w, 1.0f32          : f32[4]
      return %y, %w <- %next
    }

A literal carries its dtype and takes the line's shape.  Fields that the type gives (`shape`,
`dtype`) and fields at their default are not printed.  Graphs in fields follow in a block.  ` // `
starts a comment (`n//2` is a size).
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.op import OPS, Control, Op, Pointwise
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.ops.state import Placeholder, RunCounter, Variable
from graphc.ir.text.fields import (
    MAX_PRINTED_ELEMENTS,
    TYPE as TYPE,
    TYPES,
    fitting,
    parse_type as parse_type,
    parse_value as parse_value,
    show as show,
    split as split,
)
from graphc.ir.text.lines import (
    DEFINED,
    END,
    NAME,
    PARSE_ERRORS,
    code_lines,
    fault,
    inside,
    nested,
    parse_blocks,
    wrong_end,
)
from graphc.ir.types import BY_NAME, DType, TensorType

SHOWN_IN_TYPE = ("shape", "dtype")  # fields that the type of a line gives
INPUT = re.compile(rf"(var |counter )?({NAME}): ({TYPE})")
HEADER = re.compile(r"graph @([\w.\-/]+)\((.*)\) \{")
# A line is cut by these and by its braces, never by one expression: each run of blanks that two
# parts of it could take would multiply the time for a line that does not fit.
DECLARED = re.compile(rf"\s*: ({TYPES})")
LITERAL = re.compile(r"(-?(?:inf|nan|[0-9][0-9.e+\-]*))([a-z]+[0-9]+)|(true|false)")


def names_of(graph: Graph, also: Iterable[Value] = ()) -> dict[Value, str]:
    """A distinct name for every value, made from the user's names and the op names.  Literals that
    are written in place are named last, so they never change the name of a line.  `also` are
    further values to name, which no result needs."""
    nodes = graph.nodes()
    lines = set(lines_of(graph))
    hidden = [v for v in nodes if v not in lines]
    shown = dict.fromkeys((*graph.inputs, *(v for v in nodes if v in lines), *also, *hidden))
    return unique_names(shown)


def lines_of(graph: Graph) -> list[Value]:
    """The values that have a line of their own: all but literals written in place.  A literal with
    a line stands before the first line that names it."""
    lines: dict[Value, None] = {}
    for v in graph.nodes():
        if not isinstance(v.op, Full):
            named = (a for a in v.args if isinstance(a.op, Full) and not in_place(a, v.op))
            lines.update(dict.fromkeys((*named, v)))
    return list(dict.fromkeys((*lines, *(v for v in graph.results if isinstance(v.op, Full)))))


def unique_names(values: Iterable[Value]) -> dict[Value, str]:
    """Distinct names; a literal that can be written in place gets one too, unused."""
    names: dict[Value, str] = {}
    used: dict[str, int] = {}
    for v in values:
        base = re.sub(r"[^\w./:\-]", "_", v.name) or v.op.name
        name = base
        while name in used:
            used[base] += 1
            name = f"{base}.{used[base]}"
        used[name] = 0
        if isinstance(v.op, Full) and not v.name:
            del used[name]  # nearly always written in place: other names stay short
            name = f"c{len(names)}"
            while name in used:
                name += "_"
            used[name] = 0
        names[v] = "%" + name
    return names


def show_fields(op: Op) -> str:
    """`{axes=[0]}`, or nothing."""
    shown = [
        f"{f.name}={show(getattr(op, f.name))}"
        for f in op.fields()
        if f.name not in SHOWN_IN_TYPE
        and getattr(op, f.name) != f.default
        and not graphs_in(op, f.name)
    ]
    return f" {{{', '.join(shown)}}}" if shown else ""


def show_literal(value: Value) -> str:
    """`0.5f32`, `true`."""
    op = value.op
    assert isinstance(op, Full)
    return show(op.value) if isinstance(op.value, bool) else f"{op.value!r}{op.dtype}"


def in_place(value: Value, user: Op) -> bool:
    """Whether a literal is written where it is used."""
    return isinstance(value.op, Full) and isinstance(user, Pointwise)


def show_operands(
    value: Value, names: dict[Value, str], kept: Collection[Value] = (), elide: bool = False
) -> str:
    """`op operands {fields}`, literals in place but those in `kept`; `elide` leaves out data."""
    op = value.op
    shown = [show_literal(a) if in_place(a, op) and a not in kept else names[a] for a in value.args]
    large = isinstance(op, Constant) and op.value.array.size > MAX_PRINTED_ELEMENTS
    fields = " {value=…}" if elide and large else show_fields(op)
    return f"{op.name} {', '.join(shown)}".rstrip() + fields


def graphs_in(op: Op, name: str) -> tuple[Graph, ...]:
    """The graphs in a field; none for a field of another kind."""
    value = getattr(op, name)
    values = value if isinstance(value, tuple) else (value,)
    return tuple(g for g in values if isinstance(g, Graph))


def graph_blocks(v: Value, elide: bool) -> list[str]:
    """The graphs in the fields of a control op: one block each, named after the field."""
    return [
        f"{f.name} {print_graph(g, elide)}" for f in v.op.fields() for g in graphs_in(v.op, f.name)
    ]


def print_lines(
    values: Sequence[Value],
    names: dict[Value, str],
    indent: str = "  ",
    kept: Collection[Value] = (),
    elide: bool = False,
    blocks: Callable[[Value, bool], list[str]] = graph_blocks,
) -> list[str]:
    """One aligned line for each value; inner graphs follow on lines of their own."""
    rows = [(names[v], show_operands(v, names, kept, elide), str(v.type)) for v in values]
    left = max((len(r[0]) for r in rows), default=0)
    middle = min(72, max((len(r[1]) for r in rows), default=0))
    lines = [f"{indent}{a:<{left}} = {b:<{middle}} : {t}" for a, b, t in rows]
    for i, v in enumerate(values):
        if isinstance(v.op, Control):
            inner = "\n".join(block.rstrip() for block in blocks(v, elide))
            lines[i] += " {\n" + textwrap.indent(f"{inner}\n", indent + "  ") + indent + "}"
    return lines


def print_graph(graph: Graph, elide: bool = False) -> str:
    """The graph as text; with `elide`, data of constants is left out (then it does not parse)."""
    names = names_of(graph)
    lines = lines_of(graph)
    head = f"graph @{graph.name}({show_inputs(graph, names)}) {{"
    body = print_lines(lines, names, elide=elide)
    return "\n".join([head, *body, show_return(graph, names), "}", ""])


def show_inputs(graph: Graph, names: dict[Value, str]) -> str:
    """The inputs with their types."""
    kinds = {Variable: "var ", RunCounter: "counter "}
    return ", ".join(f"{kinds.get(type(v.op), '')}{names[v]}: {v.type}" for v in graph.inputs)


def show_return(graph: Graph, names: dict[Value, str]) -> str:
    """The `return` line, which names outputs and updates."""
    results = [names[v] for v in graph.outputs]
    results += [f"{names[old]} <- {names[new]}" for old, new in graph.updates]
    return f"  return {', '.join(results)}".rstrip()


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph` printed.  Raises `ParseError` with the line."""
    lines = nested(code_lines(text))
    number, source = lines[0] if lines else (1, "")
    try:
        head = HEADER.fullmatch(source)
        if head is None:
            raise ValueError("expected `graph @name(%input: type, ...) {`")
        env = parse_inputs(head[2])
        inputs = tuple(env.values())
        for at, (number, source) in enumerate(lines[1:], 1):
            if source.startswith("return"):
                graph = parse_return(head[1], inputs, env, source)
                if wrong := wrong_end(lines, at):
                    number, source = wrong
                    raise ValueError(END)
                return graph
            parse_line(source, env)
        raise ValueError("the graph has no `return`")
    except PARSE_ERRORS as error:
        raise fault(error, number, source) from None


def parse_inputs(text: str) -> dict[str, Value]:
    """The declared inputs, by name."""
    env: dict[str, Value] = {}
    position = 0
    for match in INPUT.finditer(text):
        if text[position : match.start()].strip(", "):
            raise ValueError(f"cannot read the input {text[position : match.start()]!r}")
        position = match.end()
        kind, name, type = match[1], match[2], parse_type(match[3])
        if name in env:
            raise ValueError(f"{name} is declared twice")
        op = {"var ": Variable, "counter ": RunCounter}.get(kind or "", Placeholder)
        built = op() if op is RunCounter else op(type.dtype, type.shape)
        env[name] = make(built, (), name[1:])
    if text[position:].strip(", "):
        raise ValueError(f"cannot read the input {text[position:]!r}")
    return env


def parse_line(source: str, env: dict[str, Value]) -> None:
    """Adds the value that a line defines."""
    name, value = parse_value_line(source, env)
    if name in env:
        raise ValueError(f"{name} is defined twice")
    env[name] = value


def parse_value_line(
    source: str, env: dict[str, Value], inner: Callable[[str], Graph] = parse_graph
) -> tuple[str, Value]:
    """(name, value) of a line; `inner` reads the graphs in its blocks."""
    source, blocks = parse_blocks(source)
    name, opname, operands, fields, declared = _cut(source)
    if opname not in OPS:
        raise ValueError(f"{opname!r} is not an op; `graphc ops` lists them")
    type = parse_type(declared)
    graphs: dict[str, tuple[Graph, ...]] = {}
    for block in blocks:
        with inside(block):
            graphs[block.field] = (*graphs.get(block.field, ()), inner(block.text))
    op = _parse_op(OPS[opname], fields, type, graphs)
    args = tuple(_parse_operand(t, env, op, type) for t in split(operands))
    value = make(op, args, "" if name[1:] == opname else name[1:])
    if value.type != type:
        raise ValueError(f"{name} is declared {type} but {opname} gives {value.type}")
    return name, value


def _cut(source: str) -> tuple[str, str, str, str, str]:
    """The name, op, operands, fields and type of a line without blocks."""
    start = DEFINED.match(source)
    if start is not None:
        operands, brace, rest = source[start.end() :].partition("{")
        fields, _, after = rest.rpartition("}") if brace else ("", "", "")
        if not brace:
            operands, colon, after = operands.rpartition(":")
            after = colon + after
        declared = DECLARED.fullmatch(after.strip())
        if declared is not None:
            return start[1], start[2], operands.strip(), fields, declared[1]
    raise ValueError("expected `%name = op operand, ... {field=value} : type`")


def _parse_op(
    cls: type[Op], text: str, type: TensorType, graphs: dict[str, tuple[Graph, ...]]
) -> Op:
    available: dict[str, Any] = {"shape": type.shape, "dtype": type.dtype}
    repeated = {f.name for f in cls.fields() if str(f.type).startswith("tuple")}
    available |= {k: g if k in repeated or len(g) != 1 else g[0] for k, g in graphs.items()}
    known = {f.name for f in cls.fields()}
    if graphs.keys() - known:
        raise ValueError(f"{cls.name} has no field {min(graphs.keys() - known)!r}")
    values = {k: fitting(cls, k, v) for k, v in available.items() if k in known}
    given: dict[str, Any] = {}
    for part in split(text):
        key, _, value = map(str.strip, part.partition("="))
        if key not in known:
            raise ValueError(f"{cls.name} has no field {key!r}; it has {sorted(known)}")
        if key in given:
            raise ValueError(f"{cls.name}: field {key!r} is given twice")
        if not value:
            raise ValueError(f"{cls.name}: field {key!r} has no value")
        given[key] = fitting(cls, key, parse_value(value, type))
    values |= given
    needed = (f.name for f in cls.fields() if f.default is dataclasses.MISSING)
    missing = [name for name in needed if name not in values]
    if missing:
        raise ValueError(f"{cls.name}: field {missing[0]!r} is missing")
    return cls(**values)


def _parse_operand(text: str, env: dict[str, Value], op: Op, type: TensorType) -> Value:
    if text.startswith("%"):
        if text not in env:
            raise ValueError(f"{text} is not defined above")
        return env[text]
    match = LITERAL.fullmatch(text)
    if match is None or not isinstance(op, Pointwise):
        raise ValueError(f"{text!r} is neither a value (%name) nor a literal (0.5f32)")
    if match[3]:
        return full(match[3] == "true", TensorType(BY_NAME["bool"], type.shape))
    if match[2] not in BY_NAME:
        raise ValueError(f"{match[2]!r} is not an element type")
    dtype: DType = BY_NAME[match[2]]
    number = float(match[1]) if dtype.is_float else int(match[1])
    return full(number, TensorType(dtype, type.shape))


def parse_return(name: str, inputs: tuple[Value, ...], env: dict[str, Value], source: str) -> Graph:
    """The graph that a `return` line ends."""
    outputs: list[Value] = []
    updates: list[tuple[Value, Value]] = []
    for part in split(source.removeprefix("return")):
        names = [n.strip() for n in part.split("<-")]
        for n in names:
            if n not in env:
                raise ValueError(f"{n} is not defined")
        old, *new = (env[n] for n in names)
        if not new:
            outputs.append(old)
            continue
        if len(new) > 1 or not isinstance(old.op, Variable) or old in dict(updates):
            raise ValueError(f"{part}: expected `%variable <- %value`, once for each variable")
        if old.type != new[0].type:
            raise ValueError(f"{names[0]} is {old.type} but {names[1]} is {new[0].type}")
        updates.append((old, new[0]))
    return Graph(name, inputs, tuple(outputs), tuple(updates))
