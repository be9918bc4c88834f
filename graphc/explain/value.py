"""Explains a value: its kernel, where it is stored, and why it was not fused further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.codegen.cpu.kernels import method_of, methods
from graphc.config import Options
from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.program import Kernel, Place, Program, home, reached, scatters_in_place, storage
from graphc.ir.text.graph import names_of, show_literal, show_operands
from graphc.passes.cost.kernel import cost_of
from graphc.passes.fusion.reasons import Reasons
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import optimise, schedule


def find(graph: Graph, name: str) -> Value | None:
    """The value that the text calls `name`, or else the one with this name."""
    wanted = name.removeprefix("%")
    shown = names_of(graph)
    by_text = next((v for v, n in shown.items() if n == f"%{wanted}"), None)
    return by_text or next((v for v in shown if v.name == wanted), None)


def explain(
    graph: Graph, value: Value, options: Options, sizes: Mapping[str, int] | None = None
) -> str:
    """The story of a value of a staged graph; `sizes` turn bytes into numbers."""
    if value not in {*graph.inputs, *graph.nodes()}:
        raise GraphError(f"explain: {value!r} is no value of the graph")
    probed = Graph(graph.name, graph.inputs, (*graph.outputs, value), graph.updates)
    done = optimise(unify_sizes(probed).graph, options)
    final = Graph(done.name, done.inputs, done.outputs[:-1], done.updates)
    lines = story(final, done.outputs[-1], sizes or {}, options)
    return "\n".join([*declared(probed, value), *lines])


def declared(graph: Graph, value: Value) -> list[str]:
    """The lines about a value's declaration: its op, and the user's line."""
    names = names_of(graph)
    head = f"{names[value]} = {show_operands(value, names, elide=True)} : {value.type}"
    if value.loc is None:
        return [head]
    text = f": {value.loc.text}" if value.loc.text else ""
    return [head, f"  declared    {value.loc}{text}"]


def story(graph: Graph, value: Value, sizes: Mapping[str, int], options: Options) -> list[str]:
    """The lines about what became of a value of an optimised graph."""
    return _Story(graph, value, sizes, options).lines()


@dataclass
class _Story:
    graph: Graph
    value: Value
    sizes: Mapping[str, int]
    options: Options

    def lines(self) -> list[str]:
        """See `story`."""
        v, names = self.value, names_of(self.graph)
        if v in set(self.graph.inputs):
            return [f"  became      {names[v]}, an input", *self._readers(self._program())]
        if isinstance(v.op, Full):
            return [f"  became      the literal {show_literal(v)}, written where it is used"]
        if v not in names:
            return [
                f"  became      {v.op.name} : {v.type}",
                "  kernel      none: after rewriting nothing needs it",
            ]
        lines = [f"  became      {names[v]} = {show_operands(v, names, elide=True)} : {v.type}"]
        program = self._program()
        if isinstance(v.op, Constant):
            return [*lines, *self._readers(program)]
        for number, kernel in enumerate(program.kernels):
            if v in kernel.body:
                return [*lines, *self._member(program, number, kernel), *self._refusals(program)]
        return lines + self._melted(program)

    def _program(self) -> Program:
        return schedule(self.graph, disable=self.options.disable)

    def _member(self, program: Program, number: int, kernel: Kernel) -> list[str]:
        count = len(program.kernels)
        kind = f"{kernel.kind.value} {kernel.name}"
        lines = [
            f"  kernel      {number} of {count}: {kind}, {len(kernel.body)} values"
            + (", commits" if kernel.commits else "")
        ]
        v = self.value
        if v in kernel.writes:
            lines.append(f"  stored      {self._place(program, v)}")
        else:
            lines.append("  stored      nowhere: it lives in registers")
        lines.append(f"  moves       {self._bytes(program, kernel)}")
        return lines + self._method(kernel)

    def _method(self, kernel: Kernel) -> list[str]:
        """The method of a kernel's contraction, and the other possible ones."""
        chosen = method_of(kernel, self.options.method)
        if chosen is None:
            return []
        others = [m.value for m in methods(kernel) if m is not chosen]
        rest = f" (possible: {'; '.join(others)})" if others else ""
        return [f"  method      {chosen.value}{rest}"]

    def _place(self, program: Program, v: Value) -> str:
        buffer = program.buffers[v]
        size = self._number(buffer.nbytes)
        match buffer.place:
            case Place.ARENA:
                over = names_of(self.graph).get(buffer.over) if buffer.over is not None else None
                where = f"the place of {over}, which dies here" if over else "the arena"
                return f"in {where}, {size} bytes"
            case Place.VARIABLE:
                return f"over the variable %{home(program, v).name}, {size} bytes"
        return f"in the caller's result, {size} bytes"

    def _bytes(self, program: Program, kernel: Kernel) -> str:
        cost = cost_of(kernel, scatters_in_place(program, kernel))
        return f"{self._number(cost.read)} bytes in, {self._number(cost.written)} bytes out"

    def _number(self, size: Size) -> str:
        known = {k: v for k, v in self.sizes.items() if k in dim.symbols(size)}
        return str(dim.substitute(size, known))

    def _melted(self, program: Program) -> list[str]:
        v = self.value
        inside = [i for i, k in enumerate(program.kernels) if v in reached(k.body, k.reads)]
        if inside:
            where = ", ".join(map(str, inside))
            return [
                f"  kernel      melted into {where} of {len(program.kernels)}: "
                "an index lambda, computed "
                "again where it is read"
            ]
        base = storage(v)
        if base is not v:
            return [f"  kernel      none: it is {names_of(self.graph)[base]} under another shape"]
        return ["  kernel      none"]

    def _readers(self, program: Program) -> list[str]:
        readers = [i for i, k in enumerate(program.kernels) if self.value in k.reads]
        where = ", ".join(map(str, readers)) or "none"
        return [f"  read by     kernel {where} of {len(program.kernels)}"]

    def _refusals(self, program: Program) -> list[str]:
        """Why each neighbour is in another kernel."""
        reasons = Reasons(self.graph)
        number = {v: i for i, k in enumerate(program.kernels) for v in k.body}
        lines = []
        for u in reasons.operands(self.value):
            lines.append(
                f"    operand {reasons.names[u]} (kernel {number[u]}): "
                f"{reasons.why_not(u, self.value)}"
            )
        for w in reasons.users(self.value):
            lines.append(
                f"    user {reasons.names[w]} (kernel {number[w]}): "
                f"{reasons.why_not(self.value, w)}"
            )
        return (
            ["  not fused with", *lines]
            if lines
            else ["  not fused with  nothing: no neighbour is outside"]
        )
