"""Prints programs as text; `program_parser.py` parses it.

Law: `print_program(parse_program(t)) == t` for every printed `t`.

    program @f(%x: f32[n,784], var %w: f32[784,10], %b: f32[10]) {
      arena cpu = 2560 bytes for n=64 (2560 without reuse)
      matmul %x, %w -> %h: f32[n,10] @cpu
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
`@out` (the caller's), `@var(%w)` (over the variable), `@cpu` (the arena) and `@cpu(%h)` (the place
of %h, which dies there); before planning there are none.  `again %h` runs the kernel that wrote %h
once more.  The arena's bytes are information only: they follow from the program and the sizes.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import STORES_ALL_RESULTS, Kernel, Kind, Place, Program, storage
from graphc.ir.text.graph import (
    graph_blocks,
    graphs_in,
    in_place,
    names_of,
    print_lines,
    show,
    show_inputs,
    show_operands,
    show_return,
)

MAX_COLUMNS = 100  # a longer first line of a kernel is broken up
EXAMPLE_SIZE = 64  # unknown sizes count as this where bytes are printed


def print_program(
    program: Program, elide: bool = False, note: Callable[[Kernel], str] | None = None
) -> str:
    """The program as text.  `elide` leaves out the data of constants (then it does not parse);
    `note` adds a comment above each kernel."""
    return _Printer(program, elide, note).run()


def arena_text(program: Program) -> str:
    """The bytes of the arena, at example sizes where sizes are not known."""
    sizes = sorted({s for b in program.buffers.values() for s in dim.symbols(b.nbytes)})
    places = layout(program, dict.fromkeys(sizes, EXAMPLE_SIZE))
    assumed = ", ".join(f"{s}={EXAMPLE_SIZE}" for s in sizes)
    return (
        f"{places.arena} bytes"
        + (f" for {assumed}" if places.naive and sizes else "")
        + f" ({places.naive} without reuse)"
    )


class _Printer:
    def __init__(self, program: Program, elide: bool, note: Callable[[Kernel], str] | None) -> None:
        self.program, self.elide, self.note = program, elide, note
        unused = (v for k in program.kernels if k.kind in STORES_ALL_RESULTS for v in k.body)
        self.names = names_of(program.graph, unused)
        self.stored = {v for k in program.kernels for v in k.body}
        self.known = {*program.graph.inputs}

    def run(self) -> str:
        """The whole text."""
        program, graph = self.program, self.program.graph
        lines = [f"program @{graph.name}({show_inputs(graph, self.names)}) {{"]
        if program.buffers:
            lines.append(f"  arena {program.device} = {arena_text(program)}")
        lines += self._constants()
        done: set[Kernel] = set()
        for kernel in program.kernels:
            if kernel in done:
                lines.append(f"  again {', '.join(self.names[v] for v in kernel.writes)}")
                continue
            done.add(kernel)
            note = self.note(kernel) if self.note else ""
            lines += [f"  // {note}"] if note else []
            lines += self._views(list(kernel.body[0].args) if is_single(kernel) else [])
            lines += [self._single(kernel)] if is_single(kernel) else self._block(kernel)
            self.known.update(kernel.body)
        lines += self._views(list(graph.results))
        return "\n".join([*lines, show_return(graph, self.names), "}", ""])

    def _constants(self) -> list[str]:
        constants: dict[Value, None] = {}
        for v in (*(r for k in self.program.kernels for r in k.reads), *self.program.graph.results):
            if isinstance(storage(v).op, Constant):
                constants[storage(v)] = None
        self.known.update(constants)
        return print_lines(list(constants), self.names, elide=self.elide)

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
        lines = print_lines(
            values, self.names, "    ", self.stored, self.elide, lambda v, _: self._inner(v, kernel)
        )
        members = set(kernel.body)
        shown = [
            line if v in members else _melt(line) for v, line in zip(values, lines, strict=True)
        ]
        return [
            *_head(f"  {commit}{head} ->", list(map(self._write, kernel.writes))),
            *shown,
            "  }",
        ]

    def _inner(self, v: Value, kernel: Kernel) -> list[str]:
        """The programs of a control op, in place of its graphs."""
        if not kernel.programs:
            return graph_blocks(v, self.elide)
        places = [f.name for f in v.op.fields() for _ in graphs_in(v.op, f.name)]
        texts = (print_program(p, self.elide, self.note) for p in kernel.programs)
        return [f"{place} {text}" for place, text in zip(places, texts, strict=True)]

    def _write(self, v: Value) -> str:
        text = f"{self.names[v]}: {v.type}"
        buffer = self.program.buffers.get(v)
        if buffer is None:
            return text
        match buffer.place:
            case Place.ARENA:
                over = f"({self.names[buffer.over]})" if buffer.over is not None else ""
                return f"{text} @{self.program.device}{over}"
            case Place.VARIABLE:
                assert buffer.over is not None
                return f"{text} @var({self.names[buffer.over]})"
        return f"{text} @{buffer.place.value}"


def _melt(line: str) -> str:
    return line.replace(" = ", " ~ ", 1)


def _head(start: str, writes: list[str]) -> list[str]:
    """The first line of a kernel; if it is too long, each result on a line of its own."""
    line = " ".join([start, ", ".join(writes), "{"]).replace("  {", " {")
    if len(line) <= MAX_COLUMNS or not writes:
        return [line]
    ends = [","] * (len(writes) - 1) + [" {"]
    return [start, *(f"      {w}{end}" for w, end in zip(writes, ends, strict=True))]


def _space(kernel: Kernel) -> str:
    """`{domain=[n,10], inner=[1]}`, unless the first result says it."""
    if kernel.kind is Kind.CONTROL:
        return ""
    if not kernel.inner and kernel.writes and kernel.writes[0].type.shape == kernel.domain:
        return ""
    inner = f", inner={show(kernel.inner)}" if kernel.inner else ""
    return f" {{domain={show(kernel.domain)}{inner}}}"


def is_single(kernel: Kernel) -> bool:
    """Whether a kernel prints as one line."""
    if (
        kernel.kind in (Kind.LOOPS, *STORES_ALL_RESULTS)
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
    """The members and the index lambdas that they read, each after its operands.  Literals that are
    written where they are used (those not in `stored`) have no line."""
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
