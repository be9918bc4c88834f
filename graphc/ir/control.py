"""Control flow: ops whose fields are graphs.

    Loop     scan, map and while in one: carries go from step to step, slices of arrays go in, rows
             of new arrays come out
    Switch   one of several graphs, chosen at run time; the others are not computed

The inputs of an inner graph are placeholders; what it needs from outside is an operand of the op.
A graph is a field like any other: printed, parsed, simplified, fused and planned by the same code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, ShapeError
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Control, Item
from graphc.ir.requirement import Requirement, all_equal
from graphc.ir.types import TensorType, bool_, i64, tuple_of

COUNTER = TensorType(i64, ())


def carried_operand(item: Value) -> Value | None:
    """The operand as whose copy a result of a control op begins; None if it begins as nothing."""
    (v,) = item.args
    assert isinstance(v.op, Loop | Switch) and isinstance(item.op, Item)
    number = item.op.index - isinstance(v.op, Loop)  # a loop's first result counts its steps
    return v.args[1 + number] if 0 <= number < v.op.carries else None


class Loop(Control):
    """Steps t = 0, 1, ... of `body(*carries, *slices, *constants) -> (*carries, *rows)`.

    Operands: `steps` (i64[]), first carries, arrays of `length` slices, constants.  Results: the
    number of steps made (i64[]), the last carries, arrays of `length` rows, 0 where no step wrote
    one.  At most `length` steps are made (-1: any number; then there are no slices and no rows);
    with `whilst`, steps end when the first carry (bool[]) is false.  With `reverse`, t runs down
    from the last step.
    """

    body: Graph
    carries: int
    slices: int
    length: Size
    reverse: bool = False
    whilst: bool = False
    tape: int = -1  # bytes that the gradient may keep of all steps (-1: any number)

    @property
    def rows(self) -> int:
        """The number of arrays of rows."""
        return len(self.body.outputs) - self.carries

    @property
    def bounded(self) -> bool:
        """Whether `length` is a limit on the steps."""
        return self.length != -1

    def over(self, graphs: Sequence[Any]) -> Loop:
        (body,) = graphs
        return dataclasses.replace(self, body=body)

    def parts(self, operands: Sequence[Any]) -> tuple[Any, Any, Any]:
        """The carries, arrays and constants among the operands (without `steps`)."""
        a, b = self.carries, self.carries + self.slices
        return operands[:a], operands[a:b], operands[b:]

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        given, taken = self._pairs(types)
        inside, made = self.body.inputs, self.body.outputs[: self.carries]
        shapes = [*zip(given, taken, strict=True)]
        shapes += [(v.type.shape, w.type.shape) for v, w in zip(inside, made, strict=False)]
        return tuple(r for a, b in shapes for r in all_equal(a, b))

    def _pairs(self, types: Sequence[TensorType]) -> tuple[list[Shape], list[Shape]]:
        first, arrays, rest = self.parts([t.shape for t in types[1:]])
        given = [*first, *arrays, *rest]
        inner = [v.type.shape for v in self.body.inputs]
        first, arrays, rest = self.parts(inner)
        return given, [*first, *((self.length, *s) for s in arrays), *rest]

    def infer(self, *types: TensorType) -> TensorType:
        inner = [v.type for v in self.body.inputs]
        outputs = [v.type for v in self.body.outputs]
        if len(inner) != len(types) - 1 or len(outputs) < self.carries or types[0] != COUNTER:
            raise ShapeError(f"loop: operands {types} do not fit a body of {len(inner)} inputs")
        given, taken = self._pairs(types)
        fits = all(len(a) == len(b) for a, b in zip(given, taken, strict=True))
        if not fits or any(a.dtype != b.dtype for a, b in zip(types[1:], inner, strict=True)):
            raise ShapeError(f"loop: operands {types} do not fit the body's inputs {inner}")
        for number, (a, b) in enumerate(zip(inner[: self.carries], outputs, strict=False)):
            if a.dtype != b.dtype or a.rank != b.rank:
                raise ShapeError(f"loop: carry {number} is {a}, but a step makes it {b}")
        if not self.bounded and (self.slices or len(outputs) > self.carries):
            raise ShapeError("loop: slices and rows need a length")
        if self.whilst and (not self.carries or inner[0] != TensorType(bool_, ())):
            raise ShapeError("loop: whilst needs a first carry of type bool[]")
        rows = (t.with_shape((self.length, *t.shape)) for t in outputs[self.carries :])
        return tuple_of([COUNTER, *inner[: self.carries], *rows])

    def reference(self, *arrays: Any) -> Any:
        return self.through(interpret, *arrays)

    def through(self, run: Callable[..., Any], *arrays: Any) -> Any:
        carries, slices, constants = self.parts(arrays[1:])
        length = int(self.length) if self.bounded else int(arrays[0])  # type: ignore[arg-type]
        steps = max(0, min(int(arrays[0]), length))
        rows = [_rows(v.type, length) for v in self.body.outputs[self.carries :]]
        carries, count = list(carries), 0
        for step in range(steps):
            if self.whilst and not carries[0]:
                break
            t = steps - 1 - step if self.reverse else step
            inner = run(self.body, *carries, *(x[t] for x in slices), *constants)
            carries = list(inner[: self.carries])
            for row, new in zip(rows, inner[self.carries :], strict=True):
                row[t] = new
            count += 1
        return (np.asarray(count, np.int64), *carries, *rows)


def _rows(type: TensorType, length: int) -> Any:
    return np.zeros((length, *(dim.evaluate(s, {}) for s in type.shape)), type.dtype.numpy)


class Switch(Control):
    """`branches[index](*operands)`: only that branch is computed.  The index, i64[], is valid.

    The first `carries` operands are carried: result i is the next state of operand i.
    """

    branches: tuple[Graph, ...]
    carries: int = 0

    def over(self, graphs: Sequence[Any]) -> Switch:
        return dataclasses.replace(self, branches=tuple(graphs))

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        first, *others = self.branches
        shapes = [
            (v.type.shape, t.shape)
            for g in self.branches
            for v, t in zip(g.inputs, types[1:], strict=True)
        ]
        shapes += [
            (v.type.shape, w.type.shape)
            for g in others
            for v, w in zip(first.outputs, g.outputs, strict=True)
        ]
        return tuple(r for a, b in shapes for r in all_equal(a, b))

    def infer(self, *types: TensorType) -> TensorType:
        if not self.branches or types[0] != COUNTER:
            raise ShapeError(f"switch: {len(self.branches)} branches, index {types[0]}")
        first = [v.type for v in self.branches[0].outputs]
        for number, g in enumerate(self.branches):
            inner, outputs = [v.type for v in g.inputs], [v.type for v in g.outputs]
            if not _alike(inner, types[1:]):
                raise ShapeError(f"switch: branch {number} takes {inner}, operands are {types[1:]}")
            if not _alike(outputs, first):
                raise ShapeError(f"switch: branch {number} gives {outputs}, branch 0 gives {first}")
        return tuple_of(first)

    def reference(self, *arrays: Any) -> Any:
        return self.through(interpret, *arrays)

    def through(self, run: Callable[..., Any], *arrays: Any) -> Any:
        index = int(arrays[0])
        if not 0 <= index < len(self.branches):
            raise GraphError(f"switch: no branch {index} among {len(self.branches)}")
        return run(self.branches[index], *arrays[1:])


def _alike(a: Sequence[TensorType], b: Sequence[TensorType]) -> bool:
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.rank == y.rank for x, y in zip(a, b, strict=True)
    )


def body_of(v: Value) -> Graph:
    """The body of a loop."""
    assert isinstance(v.op, Loop)
    return v.op.body
