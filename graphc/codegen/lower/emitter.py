"""Elements of values -> expressions and statements of the loop IR, one case per family of ops.

Demand drives emission: the element of a value at an index is a load if the value is stored, else
the expression of its op over its operands' elements, at the indices that its family gives.  So
views cost nothing, and a subexpression that two values share is computed once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    BufferArgument,
    Const,
    FoldStep,
    For,
    Guard,
    IndexValue,
    Let,
    Load,
    Ref,
)
from graphc.codegen.loops.scalar import Scalar, index_scalar
from graphc.codegen.lower.reserved import reserved
from graphc.ir import dim
from graphc.ir.dim import Dim, Shape, Size, symbol
from graphc.ir.graph import Value
from graphc.ir.op import Gather, Generator, Number, Pointwise, Reduction, View
from graphc.ir.ops.reduction import ReduceSum
from graphc.ir.ops.shape import Full, SizeOf
from graphc.ir.types import DType, i64

Index = tuple[Size, ...]


def variable(name: str) -> Dim:
    """A loop variable as a size; the dot keeps it apart from the user's size names."""
    return symbol(f"{name}.")


def row_major(index: Index, shape: Shape) -> Size:
    """The offset, in elements, of an index in a dense array."""
    offset: Size = 0
    for i, n in zip(index, shape, strict=True):
        offset = offset * n + i
    return offset


@dataclass
class OpenBlock:
    """Statements under construction, and the elements computed in them so far."""

    variables: set[str]
    body: list[Any] = field(default_factory=list)
    known: dict[tuple[Value, Index], Scalar] = field(default_factory=dict)


class Emitter:
    """Emits elements of values into a stack of blocks (kernel, row, inner loop)."""

    def __init__(self, slots: dict[Value, int]) -> None:
        self.slots = slots
        self.stack: list[OpenBlock] = []
        self.pinned: set[Value] = set()
        self.reload: dict[Value, tuple[Value, Size]] = {}
        self.guarded = 0
        self._names: dict[str, int] = dict.fromkeys(reserved(), 1)  # how many locals have each

    # -- blocks and names

    def open(self, *variables: str) -> OpenBlock:
        """A new innermost block, in which these loop variables are known."""
        block = OpenBlock({f"{v}." for v in variables})
        self.stack.append(block)
        return block

    def close(self) -> list[Any]:
        """Ends the innermost block; returns its statements."""
        return self.stack.pop().body

    def name(self, hint: str) -> str:
        """A fresh local name."""
        base = "".join(c if c.isalnum() else "_" for c in hint).strip("_") or "t"
        base = base if base[0].isalpha() else f"t{base}"
        count = self._names.get(base, 0)
        self._names[base] = count + 1
        return f"{base}_{count}" if count or base[-1].isdigit() else base

    def buffers(
        self, values: Iterable[Value], written: Collection[Value]
    ) -> tuple[BufferArgument, ...]:
        """The kernel's buffers, one for each value, with fresh names."""
        return tuple(
            BufferArgument(self.name(v.name or v.op.name), v.type.dtype, v in written, v.type.count)
            for v in values
        )

    def _home(self, index: Index) -> int:
        """The outermost block that knows every loop variable of an index."""
        needed: set[str] = set()
        for i in index:
            needed |= {s for s in dim.symbols(i) if s.endswith(".")}
        for depth in range(len(self.stack)):
            needed -= self.stack[depth].variables
            if not needed:
                return depth
        return len(self.stack) - 1

    def emitter(self, depth: int) -> Any:
        """A function that binds an expression to a name in the block at `depth`."""

        def emit(expr: Any, hint: str) -> Any:
            if self.guarded:
                return expr
            name = self.name(hint or "t")
            self.stack[depth].body.append(Let(name, expr))
            return Ref(name, expr.dtype)

        return emit

    # -- elements

    def element(self, v: Value, index: Index) -> Scalar:
        """The element of v at an index."""
        known = self._known(v, index)
        if known is not None:
            return known
        if self.guarded and v.type.rank == 0:
            return self._everywhere(v)
        if self._computed(v) and not self.guarded:
            self._operands_first(v, index)
        return self._element(v, index)

    def _everywhere(self, v: Value) -> Scalar:
        """A single number that is needed within bounds only: computed outside of them, where it has
        a name.  Inside it would be written out anew for each reader, and so would its operands."""
        guarded, self.guarded = self.guarded, 0
        scalar = self.element(v, ())
        self.guarded = guarded
        return scalar

    def _known(self, v: Value, index: Index) -> Scalar | None:
        key = (v, index)
        return next((block.known[key] for block in self.stack if key in block.known), None)

    def _computed(self, v: Value) -> bool:
        """Whether an element of v is computed from its operands' elements at the same index."""
        stored = v in self.slots and v not in self.pinned and self.is_read(v)
        return isinstance(v.op, Pointwise) and v not in self.reload and not stored

    def _operands_first(self, v: Value, index: Index) -> None:
        """Emits the elements of v's operands, each after its own operands: without recursion, for
        chains may be longer than Python's stack."""
        stack = [iter(v.args)]
        path = [v]
        while stack:
            a = next(stack[-1], None)
            if a is None:
                stack.pop()
                done = path.pop()
                if path:
                    self._element(done, index)
            elif self._known(a, index) is None and self._computed(a):
                stack.append(iter(a.args))
                path.append(a)
            else:
                self.element(a, index)

    def _element(self, v: Value, index: Index) -> Scalar:
        depth = self._home(index)
        if v in self.pinned or any(u in self.pinned for u in self._pins(v)):
            depth = max(depth, min(1, len(self.stack) - 1))
        scalar = self._compute(v, index, depth)
        if not self.guarded:
            self.stack[depth].known[v, index] = scalar
        return scalar

    def _pins(self, v: Value) -> tuple[Value, ...]:
        return v.args if v.type.rank == 0 else ()

    def _compute(self, v: Value, index: Index, depth: int) -> Scalar:
        emit = self.emitter(depth)
        if v in self.reload:
            holder, offset = self.reload[v]
            return Scalar(
                emit(Load(self.slots[holder], offset, v.type.dtype), _hint(v)), v.type.dtype, emit
            )
        if v in self.slots and v not in self.pinned and self.is_read(v):
            return self.load(v, index, emit)
        match v.op:
            case Full(value=value, dtype=dtype):
                return Scalar(Const(value, dtype), dtype, emit)
            case SizeOf(size=size, dtype=dtype):
                value_expr = IndexValue(size, i64)
                return Scalar(
                    emit(Apply(f"cast_{dtype}({{0}})", (value_expr,), dtype), "size"), dtype, emit
                )
            case Pointwise():
                operands = [self.element(a, index) for a in v.args]
                return Scalar(None, v.type.dtype, emit).define(v.op, operands, _hint(v))
            case View():
                return self._view(v, index, emit)
            case Generator():
                scalars = tuple(index_scalar(i, emit) for i in index) or (index_scalar(0, emit),)
                if v.op.name == "random_bits":
                    linear = index_scalar(row_major(index, v.type.shape), emit)
                    scalars = (linear, linear)
                operands = [self.element(a, ()) for a in v.args]
                return v.op.element(scalars, v.type, *operands)  # type: ignore[no-any-return]
            case Gather():
                return self._gather(v, index, emit)
            case Reduction():
                return self._unrolled(v, index, emit)
        raise AssertionError(f"{v.op.name} has no elements to emit")

    def is_read(self, v: Value) -> bool:
        """Whether v lies in memory before the kernel runs."""
        return v in self.reads

    reads: set[Value]

    def load(self, v: Value, index: Index, emit: Any) -> Scalar:
        """An element from memory."""
        dtype = v.type.dtype
        return Scalar(
            emit(Load(self.slots[v], row_major(index, v.type.shape), dtype), _hint(v)), dtype, emit
        )

    def _view(self, v: Value, index: Index, emit: Any) -> Scalar:
        """The first piece whose bounds hold; pieces outside of their bounds are not evaluated."""
        assert isinstance(v.op, View)
        pieces = v.op.pieces(index, *(a.type for a in v.args))
        if not pieces[0].bounds:
            return self.element(v.args[pieces[0].operand], pieces[0].index)
        dtype = v.type.dtype
        self.guarded += 1
        expr: Any = Const(v.op.filler, dtype)
        for piece in reversed(pieces):
            then = self.element(v.args[piece.operand], piece.index).expr
            expr = Guard(piece.bounds, then, expr, dtype) if piece.bounds else then
        self.guarded -= 1
        return Scalar(emit(expr, _hint(v)), dtype, emit)

    def _gather(self, v: Value, index: Index, emit: Any) -> Scalar:
        assert isinstance(v.op, Gather)
        x, indices = v.args
        raw = self.element(indices, v.op.locate(index, x.type, indices.type))
        row = self.checked(raw, v.op.extent(x.type), emit)
        return self.element(x, v.op.source(index, row, x.type, indices.type))

    def checked(self, raw: Scalar, extent: Size, emit: Any) -> Size:
        """A loaded index as a size, once it has been checked against `extent`."""
        spelling = "check_index({0}, {1}, status)"
        local = emit(Apply(spelling, (raw.expr, IndexValue(extent, i64)), i64), "at")
        self._add_variable(local.name)
        return variable(local.name)

    def _add_variable(self, name: str) -> None:
        """Makes an index that a block loads known in that block, and so in the blocks inside it."""
        for block in self.stack:
            if any(isinstance(s, Let) and s.name == name for s in block.body):
                block.variables.add(f"{name}.")

    def _unrolled(self, v: Value, index: Index, emit: Any) -> Scalar:
        """A short reduction written out: a fold of its elements in order."""
        op = v.op
        assert isinstance(op, Reduction)
        x = v.args[0]
        sizes = [int(x.type.shape[a]) for a in op.axes]  # type: ignore[arg-type]
        narrow = x.type.dtype
        dtype = narrow.accumulates
        total: Any = Const(op.identity(narrow), dtype)
        for number, place in enumerate(_positions(sizes)):
            at = _insert(index, op.axes, place)
            step = self.element(x, at).expr
            first = number == 0 and not (
                dtype.is_float and isinstance(op, ReduceSum)
            )  # 0.0 + -0.0 is 0.0
            total = step if first else emit(Apply(op.combine, (total, step), dtype), "")
        if narrow != dtype:
            total = emit(Apply(f"cast_{narrow}({{0}})", (total,), narrow), "")
        return Scalar(total, v.type.dtype, emit)


def _positions(sizes: list[int]) -> list[tuple[int, ...]]:
    places: list[tuple[int, ...]] = [()]
    for n in sizes:
        places = [(*p, i) for p in places for i in range(n)]
    return places


def _insert(index: Index, axes: tuple[int, ...], place: Index) -> Index:
    """`index` with the positions `place` put in at `axes`."""
    result = list(index)
    for axis, i in zip(axes, place, strict=True):
        result.insert(axis, i)
    return tuple(result)


def _hint(v: Value) -> str:
    return v.name or v.op.name


def start_of(op: Reduction, dtype: DType) -> Const:
    """The value of an empty fold, in the type it accumulates in."""
    value: Number = op.identity(dtype)
    return Const(value, dtype.accumulates)


def fold(name: str, op: Reduction, element: Scalar) -> FoldStep:
    """One step of a fold into the local `name`."""
    return FoldStep(name, op.combine, element.expr, element.dtype.accumulates)


def nest(variables: list[str], shape: Shape, body: list[Any]) -> list[Any]:
    """Loops over a shape, the last axis innermost."""
    for name, size in reversed(list(zip(variables, shape, strict=True))):
        body = [For(f"{name}.", 0, size, tuple(body))]
    return body
