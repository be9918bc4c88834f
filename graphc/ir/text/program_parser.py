"""Parses programs: Text -> Program.  `program.py` describes the form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from graphc.ir.dim import Shape
from graphc.ir.graph import Graph, Value, closed, placeholder
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.program import (
    KINDS,
    STORES_ALL_RESULTS,
    Kernel,
    Kind,
    Place,
    PlannedBuffer,
    Program,
    storage,
)
from graphc.ir.text.graph import (
    TYPE,
    parse_graph,
    parse_inputs,
    parse_return,
    parse_type,
    parse_value,
    parse_value_line,
    split,
)
from graphc.ir.text.lines import (
    END,
    NAME,
    PARSE_ERRORS,
    code_lines,
    fault,
    nested,
    wrong_end,
)
from graphc.ir.types import TensorType, f32

HEADER = re.compile(r"program @([\w.\-/]+)\((.*)\) \{")
ARENA = re.compile(r"arena (\S+) = .*")
AGAIN = re.compile(rf"again ({NAME})(?:, {NAME})*")
KERNEL = re.compile(r"(commit )?(kernel|matmul|convolution|opaque|scatter|control|scan)(?= )")
SINGLE = re.compile(rf"(commit )?(\w+(?: .*)?) -> ({NAME}): ({TYPE})( @.+)?")
WRITE = re.compile(rf"({NAME}): ({TYPE})(?: @(.+))?")
Opening = tuple[
    str | None, str, str | None, str | None, str
]  # commit, kind, reads, fields, results
NO_TYPE = TensorType(f32, ())  # domains and axes hold no arrays that would take a type


def _opened(source: str) -> Opening | None:
    """The parts of a line that opens a kernel, `commit kind %reads {fields} -> results {`."""
    start = KERNEL.match(source)
    if start is None or not source.endswith("{"):
        return None
    before, arrow, results = source[start.end() : -1].rpartition(" ->")
    reads, brace, fields = before.partition(" {")
    if not arrow or (brace and not fields.endswith("}")) or (reads and not reads.startswith(" %")):
        return None
    shown = fields.removesuffix("}") if brace else None
    return start[1], start[2], reads[1:] or None, shown, results.strip()


@dataclass
class _Parser:
    """The state of the parser: the program that has been read so far."""

    name: str
    env: dict[str, Value]
    kernels: list[Kernel] = field(default_factory=list)
    buffers: dict[Value, PlannedBuffer] = field(default_factory=dict)
    planned: bool = False
    device: str = "cpu"
    opened: Opening | None = None
    programs: list[Program] = field(default_factory=list)
    body: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = tuple(self.env.values())

    def line(self, source: str) -> None:
        """Reads one line before the `return`."""
        if self.opened is not None:
            self.body += self.body_line(source)
        elif arena := ARENA.fullmatch(source):
            self.planned, self.device = True, arena[1]
        elif again := AGAIN.fullmatch(source):
            self.kernels.append(self.writer(self.value(again[1])))
        elif opened := _opened(source):
            self.opened, self.body, self.programs = opened, [], []
        elif single := SINGLE.fullmatch(source):
            self.single(single)
        elif any(not isinstance(v.op, Constant) for v in self.body_line(source)):
            raise ValueError("outside of a kernel stand only constants and reshapes (`~`)")

    def close(self) -> None:
        """Ends the kernel that is open."""
        assert self.opened is not None
        self.block(self.opened, self.body)
        self.opened = None

    def define(self, source: str, again: bool) -> Value:
        """The value of a line.  An index lambda may stand in several kernels, each time alike."""
        name, value = parse_value_line(source, self.env, self.inner)
        earlier = self.env.get(name)
        if earlier is not None:
            if again and _alike(earlier, value):
                return earlier
            raise ValueError(f"{name} is defined twice")
        self.env[name] = value
        return value

    def inner(self, text: str) -> Graph:
        """The graph of a program inside; the program is kept for the kernel."""
        if text.startswith("graph"):  # in a scan, whose kernel is made of the graph itself
            return parse_graph(text)
        self.programs.append(replace(parse_program(text), step=True))
        return step_body(self.programs[-1].graph)

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
        if kind in (None, Kind.CONTROL):
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

    def block(self, opened: Opening, body: list[Value]) -> None:
        """A kernel with its body."""
        commit, kind, reads, fields, results = opened
        writes, places = [], []
        for text in split(results):
            result = WRITE.fullmatch(text)
            if result is None or result[1] not in self.env or self.env[result[1]] not in body:
                raise ValueError(
                    f"{text!r} is no result: expected `%name: type @place` of a line of the body"
                )
            value = self.env[result[1]]
            if value.type != parse_type(result[2]):
                raise ValueError(f"{result[1]} is declared {result[2]} but is {value.type}")
            writes.append(value)
            places.append(result[3] or "")
        control = Kind(kind) is Kind.CONTROL and fields is None
        domain, inner = ((), ()) if control else _parse_space(fields, writes)
        name = next((v.name for v in reversed(body) if v.name), body[-1].op.name if body else kind)
        self.kernels.append(
            Kernel(
                name,
                Kind(kind),
                tuple(map(self.value, split(reads or ""))),
                tuple(writes),
                tuple(body),
                domain,
                inner,
                bool(commit),
                tuple(self.programs),
            )
        )
        for value, place in zip(writes, places, strict=True):
            self._place(value, place)

    def writer(self, v: Value) -> Kernel:
        """The kernel that has written a value."""
        kernel = next((k for k in self.kernels if v in k.writes), None)
        if kernel is None:
            raise ValueError("no kernel above has written what is to be written again")
        return kernel

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
            self.buffers[v] = PlannedBuffer(Place.OUTPUT, v.type.nbytes)
        elif text.startswith("var(") and text.endswith(")"):
            self.buffers[v] = PlannedBuffer(Place.VARIABLE, v.type.nbytes, self.value(text[4:-1]))
        elif text == self.device:
            self.buffers[v] = PlannedBuffer(Place.ARENA, v.type.nbytes)
        elif text.startswith(f"{self.device}(") and text.endswith(")"):
            over = self.value(text[len(self.device) + 1 : -1])
            self.buffers[v] = PlannedBuffer(Place.ARENA, v.type.nbytes, over)
        else:
            raise ValueError(
                f"place {text!r}: expected out, var(%name), {self.device} or {self.device}(%name)"
            )

    def finish(self, source: str) -> Program:
        """The program that the `return` line ends."""
        graph: Graph = parse_return(self.name, self.inputs, self.env, source)
        needed = {*graph.inputs, *graph.nodes()}
        for kernel in self.kernels:
            values = () if kernel.kind in STORES_ALL_RESULTS else (*kernel.body, *kernel.writes)
            for v in values:
                if v not in needed:
                    told = next(name for name, known in self.env.items() if known is v)
                    raise ValueError(f"a kernel computes {told}, which no result hangs on")
        buffers: dict[Value, PlannedBuffer] = {}
        if self.planned:
            buffers = {v: PlannedBuffer(Place.INPUT, v.type.nbytes) for v in self.inputs}
            constants = (v for v in self.env.values() if isinstance(v.op, Constant))
            buffers |= {v: PlannedBuffer(Place.CONSTANT, v.type.nbytes) for v in constants}
        return Program(graph, tuple(self.kernels), buffers | self.buffers, self.device)


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
    parsed = {}
    for part in split(fields):
        key, _, text = part.partition("=")
        if key.strip() in parsed:
            raise ValueError(f"{key.strip()} is given twice")
        parsed[key.strip()] = parse_value(text, NO_TYPE)
    if not set(parsed) <= {"domain", "inner"} or not isinstance(parsed.get("domain"), tuple):
        raise ValueError("expected {domain=[sizes], inner=[axes]}")
    domain, inner = parsed["domain"], parsed.get("inner", ())
    if not isinstance(inner, tuple) or any(a not in range(len(domain)) for a in inner):
        raise ValueError(f"inner={inner} are not axes of the domain")
    return domain, inner


def step_body(graph: Graph) -> Graph:
    """The graph in a control op's field, from its program's graph: carries become plain inputs,
    their new values the first outputs."""
    inputs = {v: placeholder(v.type, v.name) for v in graph.inputs}
    return closed(graph.name, (*(new for _, new in graph.updates), *graph.outputs), inputs)


def parse_program(text: str) -> Program:
    """The program that `print_program` printed.  Raises `ParseError` with the line."""
    lines = _joined(nested(code_lines(text)))
    number, source = lines[0] if lines else (1, "")
    try:
        head = HEADER.fullmatch(source)
        if head is None:
            raise ValueError("expected `program @name(%input: type, ...) {`")
        parser = _Parser(head[1], parse_inputs(head[2]))
        opening = number, source
        for at, (number, source) in enumerate(lines[1:], 1):
            if parser.opened is None and source.startswith("return"):
                program = parser.finish(source)
                if wrong := wrong_end(lines, at):
                    number, source = wrong
                    raise ValueError(END)
                return program
            if parser.opened is not None and source == "}":
                number, source = opening  # what is wrong with a kernel, its first line says
                parser.close()
                continue
            within = parser.opened is not None
            parser.line(source)
            opening = opening if within else (number, source)
        raise ValueError("the program has no `return`")
    except PARSE_ERRORS as error:
        raise fault(error, number, source) from None


def _joined(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines, each joined with its continuation lines."""
    joined: list[tuple[int, str]] = []
    for number, source in lines:
        if joined and joined[-1][1].endswith((",", " ->")):
            number, before = joined.pop()
            source = f"{before} {source}"
        joined.append((number, source))
    return joined
