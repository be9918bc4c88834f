"""The tape of a loop: what a backward step needs of its forward step.

Slices and constants of the forward loop are there already.  Of the other values, the backward step
computes the cheap ones (views, generators, casts) again; the forward loop saves all others as rows.
If the rows take more bytes than the loop's `tape` allows, only the carries are saved, and the
backward step computes the whole forward step again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from graphc.ir.control import Loop
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.op import Generator, State, View
from graphc.ir.ops.pointwise import Cast


class Tape:
    """The values of a loop's body that `wanted` (computed from them and from others) need."""

    def __init__(self, op: Loop, wanted: Sequence[Value]) -> None:
        self.op, body = op, op.body
        self.forward = {*body.inputs, *topological(body.outputs, body.inputs)}
        a, b = op.carries, op.carries + op.slices
        carries, self.slices = set(body.inputs[:a]), set(body.inputs[a:b])
        self.constants = set(body.inputs[b:])
        self.saved = self._needed(wanted, lambda v: v in carries or not is_cheap(v))
        if over(self.saved, op):
            self.saved = self._needed(wanted, lambda v: v in carries)

    def _needed(self, wanted: Iterable[Value], saves: Callable[[Value], bool]) -> list[Value]:
        """The forward values to save; the others that are reached are computed again."""
        needed: dict[Value, None] = {}
        seen: set[Value] = set()
        stack = list(wanted)
        while stack:
            v = stack.pop()
            if v in seen or v in self.slices or v in self.constants:
                continue
            seen.add(v)
            if v in self.forward and saves(v):
                needed[v] = None
            else:
                stack.extend(v.args)
        order = {v: i for i, v in enumerate(topological(self.op.body.outputs))}
        return sorted(needed, key=lambda v: order.get(v, -1))

    def loop(self) -> Loop:
        """The forward loop that saves what is needed, as its last rows."""
        body = self.op.body
        outputs = (*body.outputs, *self.saved)
        return dataclasses.replace(self.op, body=Graph(body.name, body.inputs, outputs))


def is_cheap(v: Value) -> bool:
    """Whether computing v again costs next to nothing."""
    return isinstance(v.op, View | Generator | Cast)


def over(saved: Iterable[Value], op: Loop) -> bool:
    """Whether rows of these values are known to take more bytes than the loop allows."""
    saved = list(saved)
    if op.tape == 0:
        return bool(saved)  # any size, symbolic ones too
    total: Size = 0
    for v in saved:
        total = total + v.type.nbytes
    total = total * op.length
    return isinstance(total, int) and 0 <= op.tape < total


def leaves(outputs: Sequence[Value], known: Iterable[Value]) -> list[Value]:
    """The graph inputs that `outputs` reach and that are not `known`: values from outside that a
    custom gradient keeps."""
    return [v for v in topological(outputs, known) if isinstance(v.op, State) and not v.args]
