"""Program: the second IR.  Kernels in order, and where each buffer lies.

A kernel computes `writes` from `reads` through `body`, a slice of the graph.  Values between are
index lambdas: they exist in registers only.  Buffers live in the caller's arrays, in variables, in
constants or in the arena, where `ir/arena.py` finds places once sizes are numbers.  A kernel may
stand in the order twice: it then computes its results again, because memory is short.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from graphc.ir.dim import Shape, Size, product
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Contraction, Control, Gather, Opaque, Pointwise, Scatter
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.ops.shape import Reshape


class Kind(enum.Enum):
    """How a kernel is lowered."""

    LOOPS = "kernel"
    MATMUL = "matmul"
    CONVOLUTION = "convolution"
    OPAQUE = "opaque"
    SCATTER = "scatter"
    CONTROL = "control"  # runs programs of its own
    SCAN = "scan"  # a loop of maps: each element goes its own way through the steps


KINDS: dict[type, Kind] = {  # ops whose operands must lie in memory; the first that fits
    Convolving: Kind.CONVOLUTION,
    Contraction: Kind.MATMUL,
    Opaque: Kind.OPAQUE,
    Scatter: Kind.SCATTER,
    Control: Kind.CONTROL,
}
STORES_ALL_RESULTS = (Kind.CONTROL, Kind.SCAN)  # of control ops: those that nothing reads, too


class Place(enum.Enum):
    """Where a buffer lives."""

    INPUT = "in"  # the caller's array, or a variable: read only
    CONSTANT = "const"
    OUTPUT = "out"  # handed to the caller
    VARIABLE = "var"  # the variable's own storage, written by a commit
    ARENA = "arena"


@dataclass(frozen=True, eq=False)
class Kernel:
    """One launch.  `domain` is its index space; `inner` are the axes that its reductions fold.

    A CONTROL kernel runs `programs`, one for each graph of its op; their arenas lie in the arena
    around.
    """

    name: str
    kind: Kind
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    body: tuple[Value, ...]
    domain: Shape = ()
    inner: tuple[int, ...] = ()
    commits: bool = False
    programs: tuple[Program, ...] = ()


@dataclass(frozen=True)
class PlannedBuffer:
    """Where a value is stored.  `over` is what it overwrites: a variable, or the value whose place
    in a variable or in the arena it takes."""

    place: Place
    nbytes: Size
    over: Value | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Program:
    """Kernels in order, all of one device; `buffers` says where their values lie (empty before
    planning).

    A `step` runs inside a control kernel.  Its variables are carries: nothing keeps them if the
    run fails, so any kernel may write over a carry that nothing reads any more."""

    graph: Graph
    kernels: tuple[Kernel, ...]
    buffers: dict[Value, PlannedBuffer] = field(default_factory=dict)
    device: str = "cpu"
    step: bool = False


def moved(program: Program, device: str) -> Program:
    """The program, and those inside it, for another device."""
    kernels = {
        k: replace(k, programs=tuple(moved(p, device) for p in k.programs)) if k.programs else k
        for k in program.kernels
    }
    return replace(program, kernels=tuple(kernels[k] for k in program.kernels), device=device)


def contraction_of(kernel: Kernel) -> Value:
    """The product or convolution among a kernel's values; the others are its epilogue."""
    return next(v for v in kernel.body if isinstance(v.op, Contraction))


def accumulator(kernel: Kernel) -> Value:
    """The value whose buffer holds a contraction's result until the epilogue has read it: the
    contraction itself, if it is stored."""
    out = contraction_of(kernel)
    return out if out in kernel.writes else next(w for w in kernel.writes if holds(w, out))


def holds(w: Value, v: Value) -> bool:
    """Whether the buffer of w can hold v, element by element, until w is computed."""
    return w.type.dtype == v.type.dtype and product(w.type.shape) == product(v.type.shape)


def launched(program: Program) -> Iterator[tuple[Program, Kernel]]:
    """The kernels that have code of their own, those of inner programs too, each once and with its
    program."""
    for kernel in dict.fromkeys(program.kernels):
        if kernel.kind is not Kind.CONTROL:
            yield program, kernel
        for inner in kernel.programs:
            yield from launched(inner)


def storage(v: Value) -> Value:
    """The value in whose buffer v lies: reshapes share their operand's."""
    while isinstance(v.op, Reshape):
        v = v.args[0]
    return v


def reached(body: Iterable[Value], reads: Iterable[Value]) -> list[Value]:
    """The members of a kernel, and the index lambdas between its members and the values it
    reads."""
    seen = set(reads)
    order = []
    stack = list(body)
    while stack:
        v = stack.pop()
        if v not in seen:
            seen.add(v)
            order.append(v)
            stack.extend(v.args)
    return order


def can_fail(v: Value) -> bool:
    """Whether computing v may end the run with an error."""
    if isinstance(v.op, Control):
        return any(can_fail(w) for g in v.op.graphs for w in g.nodes())
    if isinstance(v.op, Scatter):
        index = storage(v.args[1]).op
        return not (isinstance(index, CheckIndex) and index.size == v.op.extent(v.args[0].type))
    return isinstance(v.op, Gather) or (isinstance(v.op, Pointwise | Opaque) and v.op.can_fail)


def may_repeat(kernel: Kernel) -> bool:
    """Whether a kernel may run twice in a run: it gives the same bits again and has no effects."""
    return not kernel.commits and not any(can_fail(v) for v in reached(kernel.body, kernel.reads))


def overwritten(program: Program, kernel: Kernel) -> dict[int, int]:
    """The results of a kernel that overwrite one of its operands: position of the result among
    reads and writes -> position of the operand."""
    if kernel.kind not in (Kind.LOOPS, Kind.SCATTER):
        return {}
    values = (*kernel.reads, *kernel.writes)
    operand_of = {}
    for i, w in enumerate(values[len(kernel.reads) :], len(kernel.reads)):
        over = program.buffers[w].over
        if over is not None and over in kernel.reads:
            operand_of[i] = kernel.reads.index(over)
    return operand_of


def home(program: Program, v: Value) -> Value:
    """The first value in v's place: v itself, or the value that it overwrites, and so on.  Of a
    value that lies in a variable, the variable."""
    over = program.buffers[v].over
    while over is not None:
        v, over = over, program.buffers[over].over
    return v


def copied_updates(program: Program) -> Iterator[tuple[Value, Value, Value]]:
    """The updates that no kernel makes in place: (variable, new value, the value that stores it).
    They are copied at the end of the run; all are read before any is written."""
    for old, new in program.graph.updates:
        base = storage(new)
        buffer = program.buffers.get(base)
        if base is not old and (buffer is None or buffer.place is not Place.VARIABLE):
            yield old, new, base


def scatters_in_place(program: Program, kernel: Kernel) -> bool:
    """Whether a scatter's result lies where its operand lay, so that nothing need be copied."""
    if kernel.kind is not Kind.SCATTER:
        return False
    (out,) = kernel.body
    x, place = storage(out.args[0]), program.buffers[out]
    return place.over is x
