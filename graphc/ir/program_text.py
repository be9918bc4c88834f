"""Programs as text, and back.  Law: `print_program(parse_program(t)) == t` for every printed `t`.

    program @f(%x: f32[n,784], var %w: f32[784,10], %b: f32[10]) {
      arena cpu = 64*((40*n+63)//64)  // 64*((40*n+63)//64) without reuse
      matmul %x, %w -> %h: f32[n,10] @cpu+0
      kernel %h, %b {domain=[n,10], inner=[1]} -> %y: f32[n] @out {
        %wide ~ broadcast %b {axes=[1]} : f32[n,10]
        %z    = add %h, %wide           : f32[n,10]
        %y    = reduce_sum %z {axes=[1]} : f32[n]
      }
      return %y
    }

A kernel names what it reads and writes; its body is graph lines.  `=` is computed once for each
element of the kernel's index space; `~` is melted: an index lambda, computed again wherever it is
read.  `domain` is not printed where it is the shape of the first result and nothing is folded.  A
kernel of one op is one line.  A `commit` kernel runs when nothing can fail any more.  Places are
`@out` (the caller's), `@var(%w)` (over the variable) and `@cpu+offset` (the arena); before planning
there are none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.graph import Graph, Value
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.program import KINDS, Buffer, Kernel, Kind, Place, Program, storage
from graphc.ir.text import (
    FAULTS,
    NAME,
    TYPE,
    code_lines,
    fault,
    in_place,
    names_of,
    parse_inputs,
    parse_return,
    parse_type,
    parse_value,
    parse_value_line,
    print_lines,
    show,
    show_inputs,
    show_operands,
    show_return,
    split,
)
from graphc.ir.types import TensorType, f32

HEADER = re.compile(r"program @([\w.\-/]+)\((.*)\) \{")
ARENA = re.compile(r"\s*arena cpu = (.*?)\s+// (.*) without reuse\s*")
KERNEL = re.compile(
    r"(commit )?(kernel|matmul|convolution|opaque|scatter)(?: (%.*?))?(?: \{(.*)\})? -> ?(.*) ?\{"
)
SINGLE = re.compile(rf"(commit )?(\w+(?: .*)?) -> ({NAME}): ({TYPE})( @.+)?")
WRITE = re.compile(rf"({NAME}): ({TYPE})(?: @(.+))?")
WIDTH = 100
NONE = TensorType(f32, ())


def print_program(
    program: Program, elide: bool = False, note: Callable[[Kernel], str] | None = None
) -> str:
    """The program as text.  `elide` leaves out the data of constants (then it does not parse);
    `note` adds a comment above each kernel."""
    return _Printer(program, elide, note).run()


class _Printer:
    def __init__(self, program: Program, elide: bool, note: Callable[[Kernel], str] | None) -> None:
        self.program, self.elide, self.note = program, elide, note
        self.names = names_of(program.graph)
        self.stored = {v for k in program.kernels for v in k.body}
        self.known = {*program.graph.inputs}

    def run(self) -> str:
        """All lines."""
        program, graph = self.program, self.program.graph
        lines = [f"program @{graph.name}({show_inputs(graph, self.names)}) {{"]
        if program.buffers:
            lines.append(f"  arena cpu = {program.arena}  // {program.naive} without reuse")
        lines += self._constants()
        for kernel in program.kernels:
            note = self.note(kernel) if self.note else ""
            lines += [f"  // {note}"] if note else []
            lines += self._views(list(kernel.body[0].args) if is_single(kernel) else [])
            lines += [self._single(kernel)] if is_single(kernel) else self._block(kernel)
            self.known.update(kernel.body)
        lines += self._views(list(graph.results))
        return "\n".join([*lines, show_return(graph, self.names), "}", ""])

    def _constants(self) -> list[str]:
        found: dict[Value, None] = {}
        for v in (*(r for k in self.program.kernels for r in k.reads), *self.program.graph.results):
            if isinstance(storage(v).op, Constant):
                found[storage(v)] = None
        self.known.update(found)
        return print_lines(list(found), self.names, elide=self.elide)

    def _views(self, values: list[Value]) -> list[str]:
        """Reshapes outside of kernels: another type for the same buffer."""
        chain: list[Value] = []
        for v in values:
            part: list[Value] = []
            while v not in self.known and storage(v) is not v:
                part.append(v)
                self.known.add(v)
                v = v.args[0]
            chain += reversed(part)
        return [_melt(line) for line in print_lines(chain, self.names)]

    def _single(self, kernel: Kernel) -> str:
        (out,) = kernel.body
        commit = "commit " if kernel.commits else ""
        return f"  {commit}{show_operands(out, self.names)} -> {self._write(out)}"

    def _block(self, kernel: Kernel) -> list[str]:
        reads = ", ".join(self.names[v] for v in kernel.reads)
        head = f"{kernel.kind.value} {reads}".rstrip() + _space(kernel)
        commit = "commit " if kernel.commits else ""
        values = body_lines(kernel, self.stored)
        lines = print_lines(values, self.names, "    ", self.stored, self.elide)
        members = set(kernel.body)
        shown = [
            line if v in members else _melt(line) for v, line in zip(values, lines, strict=True)
        ]
        return [
            *_head(f"  {commit}{head} ->", list(map(self._write, kernel.writes))),
            *shown,
            "  }",
        ]

    def _write(self, v: Value) -> str:
        text = f"{self.names[v]}: {v.type}"
        buffer = self.program.buffers.get(v)
        if buffer is None:
            return text
        match buffer.place:
            case Place.ARENA:
                return f"{text} @cpu+{buffer.offset}"
            case Place.VARIABLE:
                assert buffer.slot is not None
                return f"{text} @var({self.names[buffer.slot]})"
        return f"{text} @{buffer.place.value}"


def _melt(line: str) -> str:
    return line.replace(" = ", " ~ ", 1)


def _head(start: str, writes: list[str]) -> list[str]:
    """The first line of a kernel, its results each on a line if they are long."""
    line = " ".join([start, ", ".join(writes), "{"]).replace("  {", " {")
    if len(line) <= WIDTH or not writes:
        return [line]
    ends = [","] * (len(writes) - 1) + [" {"]
    return [start, *(f"      {w}{end}" for w, end in zip(writes, ends, strict=True))]


def _space(kernel: Kernel) -> str:
    """`{domain=[n,10], inner=[1]}`, unless the first result says it."""
    if not kernel.inner and kernel.writes and kernel.writes[0].type.shape == kernel.domain:
        return ""
    inner = f", inner={show(kernel.inner)}" if kernel.inner else ""
    return f" {{domain={show(kernel.domain)}{inner}}}"


def is_single(kernel: Kernel) -> bool:
    """Whether one line says all about a kernel."""
    if (
        kernel.kind is Kind.LOOPS
        or len(kernel.body) != 1
        or kernel.writes != kernel.body
        or kernel.inner
    ):
        return False
    out = kernel.body[0]
    return kernel.domain == out.type.shape and kernel.reads == tuple(
        dict.fromkeys(map(storage, out.args))
    )


def body_lines(kernel: Kernel, stored: set[Value]) -> list[Value]:
    """The members and what they read through index lambdas, each after its operands, but not the
    literals that are written where they are used (all that are not in `stored`)."""
    seen = set(kernel.reads)
    order: list[Value] = []
    stack: list[tuple[Value, bool]] = [(v, False) for v in reversed(kernel.body)]
    while stack:
        v, done = stack.pop()
        if done:
            order.append(v)
        elif v not in seen:
            seen.add(v)
            stack.append((v, True))
            stack += [(a, False) for a in reversed(v.args) if a in stored or not in_place(a, v.op)]
    return order


@dataclass
class _Parser:
    """What has been read so far."""

    name: str
    env: dict[str, Value]
    kernels: list[Kernel] = field(default_factory=list)
    buffers: dict[Value, Buffer] = field(default_factory=dict)
    planned: bool = False
    arena: Size = 0
    naive: Size = 0
    opened: re.Match[str] | None = None
    body: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = tuple(self.env.values())

    def line(self, source: str) -> None:
        """One line before the `return`."""
        if self.opened is not None:
            if source == "}":
                self.block(self.opened, self.body)
                self.opened = None
            else:
                self.body += self.body_line(source)
        elif source.startswith("arena cpu ="):
            self.planned = True
            self.arena = dim.parse(source.partition("=")[2])
        elif opened := KERNEL.fullmatch(source):
            self.opened, self.body = opened, []
        elif single := SINGLE.fullmatch(source):
            self.single(single)
        elif any(not isinstance(v.op, Constant) for v in self.body_line(source)):
            raise ValueError("outside of a kernel stand only constants and reshapes (`~`)")

    def define(self, source: str, again: bool) -> Value:
        """The value of a line.  An index lambda may stand in several kernels, each time alike."""
        name, value = parse_value_line(source, self.env)
        have = self.env.get(name)
        if have is not None:
            if again and _alike(have, value):
                return have
            raise ValueError(f"{name} is defined twice")
        self.env[name] = value
        return value

    def body_line(self, source: str) -> list[Value]:
        """A line of a body: the member it defines, none for an index lambda."""
        if re.match(rf"{NAME}\s*~ ", source):
            self.define(source.replace("~", "=", 1), True)
            return []
        return [self.define(source, False)]

    def single(self, match: re.Match[str]) -> None:
        """A kernel of one op."""
        commit, call, name, type, place = match.groups()
        out = self.define(f"{name} = {call} : {type}", False)
        kind = next((k for family, k in KINDS.items() if isinstance(out.op, family)), None)
        if kind is None:
            raise ValueError(f"{out.op.name} is no kernel of its own; write `kernel ... {{`")
        reads = tuple(dict.fromkeys(map(storage, out.args)))
        self.kernels.append(
            Kernel(
                out.name or out.op.name,
                kind,
                reads,
                (out,),
                (out,),
                out.type.shape,
                (),
                bool(commit),
            )
        )
        self._place(out, (place or "").removeprefix(" @"))

    def block(self, match: re.Match[str], body: list[Value]) -> None:
        """A kernel with its body."""
        commit, kind, reads, fields, results = match.groups()
        writes, places = [], []
        for text in split(results):
            found = WRITE.fullmatch(text)
            if found is None or found[1] not in self.env or self.env[found[1]] not in body:
                raise ValueError(
                    f"{text!r} is no result: expected `%name: type @place` of a line of the body"
                )
            value = self.env[found[1]]
            if value.type != parse_type(found[2]):
                raise ValueError(f"{found[1]} is declared {found[2]} but is {value.type}")
            writes.append(value)
            places.append(found[3] or "")
        domain, inner = _parse_space(fields, writes)
        name = next((v.name for v in reversed(body) if v.name), body[-1].op.name if body else kind)
        self.kernels.append(
            Kernel(name, Kind(kind), tuple(map(self.value, split(reads or ""))), tuple(writes),
                   tuple(body), domain, inner, bool(commit)))
        for value, place in zip(writes, places, strict=True):
            self._place(value, place)

    def value(self, name: str) -> Value:
        """The value of a name."""
        if name not in self.env:
            raise ValueError(f"{name!r} is not defined above")
        return self.env[name]

    def _place(self, v: Value, text: str) -> None:
        if not self.planned:
            if text:
                raise ValueError("a program with places says its arena first: `arena cpu = ...`")
            return
        if text == Place.OUTPUT.value:
            self.buffers[v] = Buffer(Place.OUTPUT, v.type.nbytes)
        elif text.startswith("var(") and text.endswith(")"):
            self.buffers[v] = Buffer(Place.VARIABLE, v.type.nbytes, slot=self.value(text[4:-1]))
        elif text.startswith("cpu+"):
            self.buffers[v] = Buffer(Place.ARENA, v.type.nbytes, dim.parse(text[4:]))
        else:
            raise ValueError(f"place {text!r}: expected out, var(%name) or cpu+offset")

    def finish(self, source: str) -> Program:
        """The program that the `return` line ends."""
        graph: Graph = parse_return(self.name, self.inputs, self.env, source)
        buffers: dict[Value, Buffer] = {}
        if self.planned:
            buffers = {v: Buffer(Place.INPUT, v.type.nbytes) for v in self.inputs}
            constants = (v for v in self.env.values() if isinstance(v.op, Constant))
            buffers |= {v: Buffer(Place.CONSTANT, v.type.nbytes) for v in constants}
        return Program(graph, tuple(self.kernels), buffers | self.buffers, self.arena, self.naive)


def _alike(a: Value, b: Value) -> bool:
    same = len(a.args) == len(b.args) and all(
        x is y or (isinstance(x.op, Full) and x.op == y.op)
        for x, y in zip(a.args, b.args, strict=True)
    )
    return same and a.op == b.op and a.type == b.type


def _parse_space(fields: str | None, writes: list[Value]) -> tuple[Shape, tuple[int, ...]]:
    if fields is None:
        if not writes:
            raise ValueError("a kernel without results needs {domain=[...]}")
        return writes[0].type.shape, ()
    given = {}
    for part in split(fields):
        key, _, text = part.partition("=")
        given[key.strip()] = parse_value(text, NONE)
    if not set(given) <= {"domain", "inner"} or not isinstance(given.get("domain"), tuple):
        raise ValueError("expected {domain=[sizes], inner=[axes]}")
    domain, inner = given["domain"], given.get("inner", ())
    if not isinstance(inner, tuple) or any(a not in range(len(domain)) for a in inner):
        raise ValueError(f"inner={inner} are not axes of the domain")
    return domain, inner


def parse_program(text: str) -> Program:
    """The program that `print_program` printed.  Raises `ParseError` with the line."""
    lines = _joined(code_lines(text))
    number, source = lines[0] if lines else (1, "")
    try:
        head = HEADER.fullmatch(source)
        if head is None:
            raise ValueError("expected `program @name(%input: type, ...) {`")
        parser = _Parser(head[1], parse_inputs(head[2]))
        parser.naive = next(
            (dim.parse(m[2]) for m in map(ARENA.fullmatch, text.splitlines()) if m), 0
        )
        for number, source in lines[1:]:  # noqa: B007
            if parser.opened is None and source.startswith("return"):
                return parser.finish(source)
            parser.line(source)
        raise ValueError("the program has no `return`")
    except FAULTS as error:
        raise fault(error, number, source) from None


def _joined(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines, each with its continuations."""
    joined: list[tuple[int, str]] = []
    for number, source in lines:
        if joined and joined[-1][1].endswith((",", " ->")):
            number, before = joined.pop()
            source = f"{before} {source}"
        joined.append((number, source))
    return joined
