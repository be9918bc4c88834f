"""The cost of a kernel: bytes moved and operations made, as formulas of the sizes.

The cost counts what must be done, not what the code happens to do:

    bytes   each stored operand once, as far as views of it are read; each result once
    flops   operations, in additions: `Pointwise.cost` for each element (1 for an addition, 8 for
            exp, 10 for tanh, ... whatever the element type), 1 for each element folded by a
            reduction, 2 for each product of a matrix product or a convolution, `Opaque.work`.
            Views, literals and positions are free

A loop costs its steps times its body, a switch its dearest branch.  Where only the run tells the
number of steps, one step counts.  `work` (`passes/cost/work.py`) is another measure: it decides
into how many chunks a kernel is cut.

>>> from graphc.ir.text.graph import parse_graph
>>> from graphc.passes.pipeline import schedule
>>> g = parse_graph('''graph @f(%x: f32[n,4], %w: f32[4]) {
...   %b = broadcast %w {axes=[1]}  : f32[n,4]
...   %p = multiply %x, %b          : f32[n,4]
...   %s = reduce_sum %p {axes=[1]} : f32[n]
...   return %s
... }''')
>>> cost_of(schedule(g).kernels[0])
Cost(read=16*n+16, written=4*n, flops=8*n)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.control import Loop, body_of
from graphc.ir.dim import Size
from graphc.ir.graph import Value, topological
from graphc.ir.op import (
    Gather,
    Generator,
    Item,
    Opaque,
    Pointwise,
    Reduction,
    Scatter,
    View,
)
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.shape import Full, SizeOf
from graphc.ir.program import Kernel, Kind, Program, scatters_in_place, storage

UNKNOWN_STEPS = 1 << 40  # so many steps or more stand for any number
Needs = dict[Value, Size]  # elements of each value


@dataclass(frozen=True)
class Cost:
    """Bytes read and written, and operations."""

    read: Size = 0
    written: Size = 0
    flops: Size = 0

    @property
    def moved(self) -> Size:
        """Bytes read and written."""
        return self.read + self.written

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.read + other.read, self.written + other.written, self.flops + other.flops)

    def times(self, count: Size) -> Cost:
        """The cost times `count`."""
        return Cost(self.read * count, self.written * count, self.flops * count)


def cost_of(kernel: Kernel, in_place: bool = False) -> Cost:
    """The cost of one launch.  `in_place` says of a scatter that its result lies where its operand
    lay (`program.scatters_in_place`)."""
    if kernel.kind is Kind.CONTROL:
        return _control(kernel)
    needs = _needs(kernel)
    read, written = touched(kernel, in_place)
    return Cost(_nbytes(read), _nbytes(written), _operations(kernel, needs))


def program_cost(program: Program) -> Cost:
    """The cost of all kernels."""
    total = Cost()
    for k in program.kernels:
        total = total + cost_of(k, scatters_in_place(program, k))
    return total


def touched(kernel: Kernel, in_place: bool = False) -> tuple[Needs, Needs]:
    """The elements that a launch reads and writes of each stored value: (read, written)."""
    written: Needs = {w: w.type.count for w in kernel.writes}
    if kernel.kind in (Kind.CONTROL, Kind.SCAN):
        return {r: r.type.count for r in kernel.reads}, written
    needs = _needs(kernel)
    read = {r: needs[r] for r in kernel.reads if r in needs}
    if in_place:
        (out,) = kernel.body
        rows = least(out.type.count, out.args[2].type.count)
        written[out] = rows
        read[storage(out.args[0])] = rows
    return read, written


def loop_steps(kernel: Kernel) -> Size | None:
    """The most steps that a control kernel makes (1 for a switch); None where only the run
    tells."""
    op = kernel.body[0].op
    if not isinstance(op, Loop):
        return 1
    if op.bounded:
        return op.length
    match kernel.body[0].args[0].op:
        case SizeOf(size=size):
            return size
        case Full(value=value) if value < UNKNOWN_STEPS:
            return int(value)
    return None


def least(a: Size, b: Size) -> Size:
    """The smaller of two sizes, simpler than `dim.minimum`: it knows that symbols are not
    negative."""
    if a in _choices(b) or b in _choices(a):
        return b if a in _choices(b) else a
    gap = a - b
    if isinstance(gap, int):
        return b if gap >= 0 else a
    signs = {coefficient > 0 for _, coefficient in gap.terms}
    if len(signs) == 2:
        return dim.minimum(a, b)
    return b if signs == {True} else a


def _choices(size: Size) -> tuple[Size, ...]:
    """The operands of a size that is a minimum; () for any other size."""
    if isinstance(size, int) or len(size.terms) != 1:
        return ()
    ((atoms, coefficient),) = size.terms
    if coefficient != 1 or len(atoms) != 1 or atoms[0].function != "min":
        return ()
    return tuple(s for x in atoms[0].operands for s in (x, *_choices(x)))


def _nbytes(elements: Needs) -> Size:
    total: Size = 0
    for v, count in elements.items():
        total = total + count * v.type.dtype.size
    return total


def _control(kernel: Kernel) -> Cost:
    costs = [program_cost(p) for p in kernel.programs]
    if isinstance(kernel.body[0].op, Loop):
        return costs[0].times(loop_steps(kernel) or 1)
    worst = costs[0]
    for c in costs[1:]:
        worst = Cost(
            dim.maximum(worst.read, c.read),
            dim.maximum(worst.written, c.written),
            dim.maximum(worst.flops, c.flops),
        )
    return worst


def _needs(kernel: Kernel) -> Needs:
    """The number of elements needed of each value: all of a member, else those that are read."""
    if kernel.kind in (Kind.SCAN, Kind.CONTROL):
        return {}
    members = set(kernel.body)
    needs: Needs = {v: v.type.count for v in kernel.body}
    for v in reversed(topological(kernel.body, kernel.reads)):
        for a, count in _demands(v, needs.get(v, v.type.count)):
            if a not in members:
                needs[a] = least(a.type.count, needs.get(a, 0) + count)
    return needs


def _demands(v: Value, count: Size) -> Sequence[tuple[Value, Size]]:
    """How many elements of each operand are read for `count` elements of v."""
    match v.op:
        case Pointwise():
            return [(a, count) for a in v.args]
        case View():
            return _viewed(v, count)
        case Gather():
            return _gathered(v, count)
        case Reduction():
            return [(v.args[0], _folded(v, count))]
    return [(a, a.type.count) for a in v.args]


def _folded(v: Value, count: Size) -> Size:
    """How many elements are folded for `count` elements of a reduction."""
    (x,) = v.args
    if count == v.type.count:
        return x.type.count
    assert isinstance(v.op, Reduction)
    return least(x.type.count, count * dim.product(tuple(x.type.shape[a] for a in v.op.axes)))


def _gathered(v: Value, count: Size) -> Sequence[tuple[Value, Size]]:
    assert isinstance(v.op, Gather)
    x, indices = v.args
    at = v.op.locate(_index(v), x.type, indices.type)
    return [(x, least(x.type.count, count)), (indices, _named(v, at, indices, count))]


def _viewed(v: Value, count: Size) -> Sequence[tuple[Value, Size]]:
    assert isinstance(v.op, View)
    pieces = v.op.pieces(_index(v), *(a.type for a in v.args))
    return [(a, _named(v, p.index, a, count)) for p in pieces for a in (v.args[p.operand],)]


def _index(v: Value) -> tuple[Size, ...]:
    """An index of v: a symbol for each axis."""
    return tuple(dim.symbol(f"{axis}.") for axis in range(v.type.rank))


def _named(v: Value, index: tuple[Size, ...], a: Value, count: Size) -> Size:
    """How many elements of `a` are read at `index`, a formula over the index of v: all along each
    axis that it names."""
    names = {s for i in index for s in dim.symbols(i)}
    axes = [n for axis, n in enumerate(v.type.shape) if f"{axis}." in names]
    read = least(a.type.count, dim.product(tuple(axes)))
    return read if count == v.type.count else least(read, count)


def _operations(kernel: Kernel, needs: Needs) -> Size:
    if kernel.kind is Kind.SCAN:
        body = body_of(kernel.body[0])
        once: Size = 0
        for v in body.nodes():
            once = once + flops_of(v, v.type.count)
        return once * (loop_steps(kernel) or 1)
    total: Size = 0
    reads = set(kernel.reads)
    for v, count in needs.items():
        if v not in reads:
            total = total + flops_of(v, count)
    return total


def flops_of(v: Value, count: Size) -> Size:
    """The operations for `count` elements of a value."""
    types = [a.type for a in v.args]
    match v.op:
        case Pointwise(cost=cost):
            return count * cost
        case Generator(cost=cost):
            return count * cost if cost > 1 else 0
        case Reduction():
            return _folded(v, count)
        case Matmul():
            return 2 * v.type.count * v.op.sizes(*types)[1]
        case Convolving():
            return 2 * v.op.products(*types)
        case Scatter():
            return v.args[2].type.count
        case Opaque():
            return v.op.work(v.type, *types)
        case View() | Gather() | Item():
            return 0
    raise AssertionError(v.op.name)
