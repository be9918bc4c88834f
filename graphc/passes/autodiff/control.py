"""Reverse mode through control flow.

The gradient of a loop is a loop that runs the other way: its carries are the cotangents of the
carries, its slices are the tape (tape.py).  The forward loop with the tape is another loop of equal
steps; `merge_loops` merges the two.  The cotangent of a constant of the body (a weight) is a sum
over all steps.  Where a step adds a matrix product or a sum, the loop stacks the operands, and one
large product or sum follows the loop.

The gradient of a switch is a switch; each branch computes its forward part again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.errors import GradientError
from graphc.ir import dim
from graphc.ir.control import Loop, Switch
from graphc.ir.graph import Graph, Value, closed, full, topological
from graphc.ir.op import Control, Item
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.reduction import ReduceSum
from graphc.ir.ops.shape import Full, Reshape, SizeOf, Transpose
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import TensorType
from graphc.passes.autodiff.tape import Tape, leaves, over

Gradients = Callable[..., list[Value | None]]  # reverse.gradients
Cotangents = Mapping[int, Value]
Parts = Sequence[Value | None]


def control_vjp(
    value: Value, cts: Cotangents, masked: set[int], active: set[Value], gradients: Gradients
) -> Parts:
    """The cotangents of a control op's operands, given those of its items; a choice may have made
    the `masked` ones zero."""
    if isinstance(value.op, Loop):
        return LoopGradient(value, value.op, cts, masked, active, gradients).run()
    assert isinstance(value.op, Switch)
    return _switch(value, value.op, cts, masked, active, gradients)


def inner_like(like: Value, type: TensorType, name: str) -> Value:
    """An input of an inner graph, of the same class as `like`: a custom gradient may keep it, and
    would make a new tensor of a plain value each time."""
    made = like.apply(Placeholder(type.dtype, type.shape), ())
    return dataclasses.replace(made, name=name)


def _switch(
    value: Value,
    op: Switch,
    cts: Cotangents,
    masked: set[int],
    active: set[Value],
    gradients: Gradients,
) -> Parts:
    places = [i for i, a in enumerate(value.args) if i and a in active and a.type.dtype.is_float]
    graphs = []
    for g in op.branches:
        seeds = {i: inner_like(value, ct.type, f"d.{i}") for i, ct in cts.items()}
        wanted = [g.inputs[i - 1] for i in places]
        chosen = {d for i, d in seeds.items() if i in masked}
        ys = [g.outputs[i] for i in seeds]
        cotangents = gradients(ys, wanted, list(seeds.values()), chosen)
        graphs.append(
            Graph(f"d.{g.name}", (*g.inputs, *seeds.values()), _filled(cotangents, wanted))
        )
    captured = list(dict.fromkeys(v for g in graphs for v in leaves(g.outputs, g.inputs)))
    closing = []
    for g in graphs:
        more = {v: inner_like(value, v.type, v.name) for v in captured}
        closing.append(closed(g.name, g.outputs, {v: v for v in g.inputs} | more))
    out = value.apply(Switch(tuple(closing)), (*value.args, *cts.values(), *captured))
    parts: list[Value | None] = [None] * len(value.args)
    for n, i in enumerate(places):
        parts[i] = value.apply(Item(n), (out,))
    return parts


def _filled(found: Parts, like: Sequence[Value]) -> tuple[Value, ...]:
    """The cotangents, with zeros for missing ones."""
    return tuple(full(0.0, v.type) if d is None else d for d, v in zip(found, like, strict=True))


def _transposed_product(p: Value) -> Value:
    """(a @ b).T as b.T @ a.T: the cotangent of a weight that a step transposes has this form."""
    (product,) = p.args if isinstance(p.op, Transpose) else (p,)
    if product is p or not isinstance(product.op, Matmul) or p.type.rank != 2:
        return p
    if p.op != Transpose((1, 0)):
        return product
    a, b = product.args
    return p.apply(Matmul(ta=not product.op.tb, tb=not product.op.ta), (b, a))


@dataclass
class LoopGradient:
    """Builds the gradient of one loop.  Keys are positions among the body's inputs."""

    value: Value
    op: Loop
    cts: Cotangents
    masked: set[int]
    active: set[Value]
    gradients: Gradients
    parts: dict[int, Value] = field(default_factory=dict)  # cotangents, as values of a step
    stacks: dict[Value, Value] = field(default_factory=dict)  # values of a step -> their rows

    def run(self) -> Parts:
        """The cotangents of the operands."""
        op, value = self.op, self.value
        seeds, rows = self._differentiate()
        tape = Tape(op, [*self.parts.values()])
        if tape.saved and not op.bounded:
            raise GradientError(
                "while_loop: the gradient needs a tape, whose size must be known: give "
                "maximum_iterations",
                value.loc,
            )
        forward = value.apply(tape.loop(), value.args)
        first_saved = 1 + len(op.body.outputs)
        for n, v in enumerate(tape.saved):
            self.stacks[v] = value.apply(Item(first_saved + n), (forward,))
        for i, v in enumerate(op.body.inputs[op.carries : op.carries + op.slices], op.carries):
            self.stacks[v] = value.args[1 + i]
        self.stacks |= {d: self.cts[i] for i, d in rows.items()}
        return self._backward(value.apply(Item(0), (forward,)), seeds)

    def _differentiate(self) -> tuple[dict[int, Value], dict[int, Value]]:
        """Differentiates a step.  The cotangents of its outputs are inputs: (by carry, by item)."""
        op, body = self.op, self.op.body
        wanted, carries = self._wanted()
        seeds = {i: self._input(body.inputs[i], f"d.{body.inputs[i].name}") for i in carries}
        rows = {
            i: self._input(body.outputs[i - 1], f"d.y{i - 1 - op.carries}")
            for i in sorted(self.cts)
            if i > op.carries
        }
        ys = [*(body.outputs[i] for i in seeds), *(body.outputs[i - 1] for i in rows)]
        xs = [body.inputs[i] for i in (*carries, *wanted)]
        started = {d for i, d in seeds.items() if i + 1 in self.cts and i + 1 not in self.masked}
        chosen = {*seeds.values()} - started  # others are 0 at the last step, whatever the carry
        chosen |= {d for i, d in rows.items() if i in self.masked}
        cotangents = self.gradients(ys, xs, [*seeds.values(), *rows.values()], chosen)
        filled = (_transposed_product(d) for d in _filled(cotangents, xs))
        self.parts = dict(zip((*carries, *wanted), filled, strict=True))
        return seeds, rows

    def _wanted(self) -> tuple[list[int], list[int]]:
        """The inputs that need a cotangent: (those that are no carries, carries)."""
        op, body, asked = self.op, self.op.body, self._asked()
        floats = [i for i, v in enumerate(body.inputs) if v.type.dtype.is_float]
        direct = {i for i in floats if self.value.args[i + 1] in self.active}
        carries: set[int] = {i for i in direct & asked if i < op.carries}
        while True:
            reached = {body.inputs[i] for i in direct | carries}
            for v in topological(body.outputs, body.inputs):
                if _carries(v) and any(a in reached for a in v.args):
                    reached.add(v)
            grown = carries | {i for i in asked if i in floats and body.outputs[i] in reached}
            if grown == carries:
                return sorted(i for i in direct if i >= op.carries), sorted(carries)
            carries = grown

    def _asked(self) -> set[int]:
        """The carries that reach a carry or a row whose cotangent is asked for.  The others have
        none: not even 0, which would be NaN where a derivative is not finite."""
        op, body = self.op, self.op.body
        asked = {i - 1 for i in self.cts if 0 < i <= op.carries}
        rows = [body.outputs[i - 1] for i in self.cts if i > op.carries]
        while True:
            ends = [*rows, *(body.outputs[i] for i in asked)]
            needed = set(ends)
            for v in reversed(topological(ends, body.inputs)):
                if v in needed and _carries(v):
                    needed.update(v.args)
            grown = asked | {i for i in range(op.carries) if body.inputs[i] in needed}
            if grown == asked:
                return asked
            asked = grown

    def _backward(self, count: Value, seeds: dict[int, Value]) -> Parts:
        """Builds the backward loop, and the sums after it."""
        op, value, end = self.op, self.value, self.op.carries + self.op.slices
        after = {i for i, p in self.parts.items() if i >= end and self._is_sum(p)}
        sums = {
            i: self._input(p, f"sum.{i}")
            for i, p in self.parts.items()
            if i >= end and i not in after
        }
        rows = {p: None for i, p in self.parts.items() if op.carries <= i < end}
        rows |= {a: None for i in after for a in self.parts[i].args if a not in self.stacks}
        carried = [*(self.parts[i] for i in seeds), *(s + self.parts[i] for i, s in sums.items())]
        slices = {v: self._input(v, v.name) for v in self.stacks}
        constants = {v: self._input(v, v.name) for v in op.body.inputs[end:]}
        carry_inputs = {v: v for v in (*seeds.values(), *sums.values())}
        captured = leaves([*carried, *rows], carry_inputs | slices | constants)
        constants |= {v: self._input(v, v.name) for v in captured}
        body = closed(f"d.{op.body.name}", [*carried, *rows], carry_inputs | slices | constants)
        first = [self.cts.get(i + 1, full(0.0, d.type)) for i, d in seeds.items()]
        first += [full(0.0, s.type) for s in sums.values()]
        operands = dict(zip(op.body.inputs, value.args[1:], strict=True))
        outside = [operands.get(v, v) for v in constants]
        back = Loop(body, len(carried), len(slices), op.length, not op.reverse, tape=op.tape)
        loop = value.apply(back, (count, *first, *self.stacks.values(), *outside))
        results = [value.apply(Item(1 + n), (loop,)) for n in range(len(body.outputs))]
        self.stacks |= dict(zip(rows, results[len(carried) :], strict=True))
        cotangents: list[Value | None] = [None] * len(value.args)
        for i, v in enumerate(value.args[1 : 1 + op.carries], 1):
            cotangents[i] = full(0.0, v.type) if v.type.dtype.is_float else None
        for n, i in enumerate((*seeds, *sums)):
            cotangents[1 + i] = results[n]
        for i in range(op.carries, end):
            cotangents[1 + i] = self.stacks[self.parts[i]] if i in self.parts else None
        for i in after:
            cotangents[1 + i] = self._sum(self.parts[i])
        return cotangents

    def _input(self, like: Value, name: str) -> Value:
        return inner_like(self.value, like.type, name)

    def _is_sum(self, p: Value) -> bool:
        """Whether the sum of p over all steps is better made after the loop, of stacked operands.

        Not if some steps may be left out: their rows are 0, but 0 times a slice may be NaN.  Nor if
        the stacks would take more than the tape may.
        """
        unstacked = [a for a in p.args if a not in self.stacks]
        if not makes_all_steps(self.value) or over(unstacked, self.op):
            return False
        if isinstance(p.op, Matmul):
            return p.type.rank == 2
        return isinstance(p.op, ReduceSum) and bool(p.args[0].args)

    def _sum(self, p: Value) -> Value:
        """The sum over all steps of p, a sum or a product of stacked operands."""
        apply = self.value.apply
        stacks = [self.stacks[a] for a in p.args]
        if isinstance(p.op, ReduceSum):
            return apply(ReduceSum((0, *(a + 1 for a in p.op.axes))), stacks)
        assert isinstance(p.op, Matmul)
        turned = (not p.op.ta, p.op.tb)
        left, right = (
            apply(Transpose((0, 2, 1)), (x,)) if turn else x
            for x, turn in zip(stacks, turned, strict=True)
        )
        left, right = (
            apply(Reshape((dim.product(x.type.shape[:2]), x.type.shape[2])), (x,))
            for x in (left, right)
        )
        return apply(Matmul(ta=True), (left, right))


def _carries(v: Value) -> bool:
    """Whether a cotangent may pass through a value: integers have none."""
    return v.type.dtype.is_float or isinstance(v.op, Control)


def makes_all_steps(value: Value) -> bool:
    """Whether a loop surely makes `length` steps."""
    op, steps = value.op, value.args[0]
    if not isinstance(op, Loop) or op.whilst:
        return False
    match steps.op:
        case SizeOf(size=size):
            return size == op.length
        case Full(value=number):
            return number == op.length
        case Item(index=0):
            return makes_all_steps(steps.args[0])
    return False
