"""Loops of maps -> Loops: one kernel for all steps.

    for i in elements: carry[i] = first[i]
    for t in steps:
        for i in elements: carry[i], row[t, i] = step(carry[i], slice[t, i])

Threads share the elements; a chunk's carries stay in cache from step to step.
"""

from __future__ import annotations

from typing import Any

from graphc.codegen.loops.ir import For, IndexValue, Load, Loops, Store
from graphc.codegen.loops.scalar import Scalar
from graphc.codegen.loops.transform import collapse
from graphc.codegen.lower.emitter import Emitter, Index, row_major, variable
from graphc.ir import dim
from graphc.ir.control import Loop
from graphc.ir.dim import Size
from graphc.ir.graph import Value, rewired
from graphc.ir.program import Kernel, storage
from graphc.ir.types import i64


def lower_scan(kernel: Kernel) -> Loops:
    """The loops of a scan kernel."""
    return ScanLowering(kernel).lower()


class ScanLowering:
    """Lowers one scan kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        v, *self.items = kernel.body
        assert isinstance(v.op, Loop)
        self.op, self.shape = v.op, kernel.domain[1:]
        self.first, self.arrays, constants = v.op.parts(v.args[1:])
        self.slots = {b: i for i, b in enumerate((*kernel.reads, *kernel.writes))}
        self.emit = Emitter(self.slots)
        self.emit.reads = set(kernel.reads)
        self.names = [f"i{n}" for n in range(len(self.shape))]
        self.index: Index = tuple(variable(n) for n in self.names)
        self.outputs = self._over(constants)

    def _over(self, constants: Any) -> list[Value]:
        """The outputs of a step, which read the constants outside of the loop."""
        body, count = self.op.body, self.op.carries + self.op.slices
        own = {x: x for x in body.inputs[:count]}
        return rewired(body.outputs, own | dict(zip(body.inputs[count:], constants, strict=True)))

    def lower(self) -> Loops:
        """The loops: first values of the carries, then the steps."""
        first, step = self._start(), self._step()
        body, axes = collapse([*first, *step], list(zip(self.names, self.shape, strict=True)))
        start, steps = (elements(b, axes) for b in (body[: len(first)], body[len(first) :]))
        extent = axes[0][1] if axes else 1
        count = Store(self.slots[self.items[0]], 0, IndexValue(self.op.length, i64))
        buffers = self.emit.buffers(self.slots, self.kernel.writes)
        loop = For("t0.", 0, self.op.length, (steps,))
        return Loops(self.kernel.name, buffers, (), extent, (count, start, loop))

    def _start(self) -> list[Any]:
        self.emit.open(*self.names)
        stores = [
            Store(self.slots[item], self._offset(), self.emit.element(x, self.index).expr)
            for item, x in zip(self.items[1:], self.first, strict=False)
        ]
        return [*self.emit.close(), *stores]

    def _step(self) -> list[Any]:
        """One step of one element: everything is read before anything is written."""
        carries = self.op.carries
        self.emit.open("t0", *self.names)
        t: Size = variable("t0")
        if self.op.reverse:
            t = self.op.length - 1 - t
        inputs = self.op.body.inputs
        for x, item in zip(inputs, self.items[1 : 1 + carries], strict=False):
            self._known(x, Load(self.slots[item], self._offset(), x.type.dtype))
        for x, array in zip(inputs[carries:], self.arrays, strict=False):
            place = t * dim.product(self.shape) + self._offset()
            self._known(x, Load(self.slots[storage(array)], place, x.type.dtype))
        results = [self.emit.element(y, self.index).expr for y in self.outputs]
        stores = []
        for number, (item, expr) in enumerate(zip(self.items[1:], results, strict=True)):
            row = 0 if number < carries else t * dim.product(self.shape)
            stores.append(Store(self.slots[item], row + self._offset(), expr))
        return [*self.emit.close(), *stores]

    def _known(self, x: Value, load: Load) -> None:
        """Emits the load of an input of the step, and notes it as its element."""
        emit = self.emit.emitter(len(self.emit.stack) - 1)
        scalar = Scalar(emit(load, x.name or "x"), x.type.dtype, emit)
        self.emit.stack[-1].known[x, self.index] = scalar

    def _offset(self) -> Size:
        return row_major(self.index, self.shape)


def elements(body: list[Any], axes: list[tuple[str, Size]]) -> For:
    """The loops over elements around a body; threads share the first axis."""
    for name, size in reversed(axes[1:]):
        body = [For(f"{name}.", 0, size, tuple(body))]
    outer = axes[0][0] if axes else "r"
    return For(f"{outer}.", variable("lo"), variable("hi"), tuple(body))
