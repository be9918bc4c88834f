"""Constants, views and the index arithmetic behind them.

A view costs nothing unless it must be materialised: it tells where its elements come from
(`pieces`), and fusion composes those maps.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product
from graphc.ir.op import Generator, Number, Op, Piece, Sample, View, sample
from graphc.ir.ops.index_math import (
    Index,
    ints,
    inverse as inverse,
    others as others,
    reindex as reindex,
    unflatten as unflatten,
)
from graphc.ir.ops.pointwise import Cast, cast
from graphc.ir.requirement import Requirement, at_least, equal
from graphc.ir.types import DType, TensorType, bool_, f32, f64, i32


class Data:
    """The elements of a constant: an immutable array that compares and hashes by content."""

    __slots__ = ("array", "digest")

    def __init__(self, array: Any) -> None:
        self.array = np.array(array, order="C", copy=True)
        self.array.flags.writeable = False
        header = f"{self.array.dtype.str}{self.array.shape}".encode()
        digest = hashlib.blake2b(header, digest_size=16)
        digest.update(self.array.reshape(-1).view(np.uint8).data)  # no copy: it may be large
        self.digest = digest.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Data({self.array.dtype}{list(self.array.shape)})"


class Constant(Op):
    """An array known when the graph is built.  Kernels get it as an argument, not in their code."""

    value: Data
    dtype: DType
    shape: Shape
    differentiable = False

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, self.shape)

    def reference(self, *arrays: Any) -> Any:
        return self.value.array


class Full(Generator):
    """One number everywhere; printed as a literal."""

    value: Number
    dtype: DType
    shape: Shape
    differentiable = False

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, self.shape)

    def reference(self, *arrays: Any) -> Any:
        return np.full(ints(self.shape), self.value, self.dtype.numpy)

    def __eq__(self, other: object) -> bool:
        """-0.0 is not 0.0 here, and nan is nan: literals compare by what they print."""
        return isinstance(other, Full) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, DType, Shape]:
        return repr(self.value), self.dtype, self.shape


class SizeOf(Generator):
    """A symbolic size as a number: 0-d."""

    size: Size
    dtype: DType
    differentiable = False

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, ())

    def reference(self, *arrays: Any) -> Any:
        return np.asarray(Cast(self.dtype).reference(np.asarray(self.size)))


class Iota(Generator):
    """Each element is its own position along `axis`."""

    axis: int
    dtype: DType
    shape: Shape
    differentiable = False
    samples = (sample(axis=1, dtype=i32, shape=(3, 4)), sample(axis=0, dtype=f32, shape=(5,)))

    def infer(self, *types: TensorType) -> TensorType:
        if not 0 <= self.axis < len(self.shape):
            raise ShapeError(f"iota: axis {self.axis} is not an axis of shape {list(self.shape)}")
        return TensorType(self.dtype, self.shape)

    def element(self, index: tuple[Any, ...], out: TensorType, *args: Any) -> Any:
        return cast(index[self.axis], self.dtype)

    def reference(self, *arrays: Any) -> Any:
        shape = ints(self.shape)
        along = [n if a == self.axis else 1 for a, n in enumerate(shape)]
        line = Cast(self.dtype).reference(np.arange(shape[self.axis]))
        return np.broadcast_to(line.reshape(along), shape)


class Transpose(View):
    """Axis i of the result is axis `axes[i]` of the operand."""

    axes: tuple[int, ...]
    proved = True
    samples = (sample(f32[3, 4], axes=(1, 0)), sample(f64[2, 3, 4], axes=(2, 0, 1)))

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if sorted(self.axes) != list(range(x.rank)):
            raise ShapeError(f"transpose: axes {self.axes} are no permutation of the axes of {x}")
        return x.with_shape(tuple(x.shape[a] for a in self.axes))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, tuple(index[a] for a in inverse(self.axes))),)

    def reference(self, *arrays: Any) -> Any:
        return np.transpose(arrays[0], self.axes)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (Transpose(inverse(self.axes))(ct),)


class Reshape(View):
    """The same elements in row-major order under another shape."""

    shape: Shape
    proved = True
    samples = (
        sample(f32[3, 4], shape=(12,)),
        sample(f32[12], shape=(3, 4)),
        sample(f32[()], shape=(1, 1)),
        sample(f64[6, 2], shape=(4, 3)),
        sample(f32[2, 0], shape=(0, 5)),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return (equal(product(self.shape), types[0].count),)

    def infer(self, *types: TensorType) -> TensorType:
        return types[0].with_shape(self.shape)

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, reindex(index, self.shape, types[0].shape)),)

    def reference(self, *arrays: Any) -> Any:
        return np.reshape(arrays[0], ints(self.shape))

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (Reshape(x.type.shape)(ct),)


class Slice(View):
    """Element i along an axis is element `start + step * i` of the operand; steps of any sign."""

    starts: tuple[Size, ...]
    steps: tuple[int, ...]
    shape: Shape
    proved = True
    samples = (
        sample(f32[7], starts=(1,), steps=(2,), shape=(3,)),
        sample(f64[5, 4], starts=(4, 1), steps=(-1, 1), shape=(5, 2)),
        sample(f32[4], starts=(2,), steps=(1,), shape=(0,)),
        sample(f32[9], starts=(7,), steps=(-3,), shape=(3,)),
    )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if not len(self.starts) == len(self.steps) == len(self.shape) == x.rank:
            raise ShapeError(f"slice: {len(self.shape)} ranges for {x} of rank {x.rank}")
        ranges = zip(self.starts, self.steps, self.shape, strict=True)
        for axis, (start, step, size) in enumerate(ranges):
            last = start + (size - 1) * step
            ends = [e for e in (start, last) if isinstance(e, int)]
            bound = x.shape[axis]
            beyond = isinstance(bound, int) and any(e >= bound for e in ends)
            if size != 0 and (step == 0 or any(e < 0 for e in ends) or beyond):
                reach = f"{size} elements from {start} by {step}"
                raise ShapeError(f"slice: {reach} leave axis {axis} of {x}")
        return x.with_shape(self.shape)

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        (x,), found = types, list[Requirement]()
        ranges = zip(self.starts, self.steps, self.shape, strict=True)
        for axis, (start, step, size) in enumerate(ranges):
            last = start + (size - 1) * step
            low, high = (start, last) if step > 0 else (last, start)
            reach = f"index {start}" if size == 1 else f"{size} elements from {start} by {step}"
            reason = f"{reach} of axis {axis} of {x}"
            found.append(at_least(low, 0, reason, size))
            found.append(at_least(x.shape[axis], high + 1, reason, size))
        return tuple(found)

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        moved = (a + i * s for a, i, s in zip(self.starts, index, self.steps, strict=True))
        return (Piece(0, tuple(moved)),)

    def reference(self, *arrays: Any) -> Any:
        out = arrays[0]
        ranges = zip(ints(self.starts), self.steps, ints(self.shape), strict=True)
        for axis, (start, step, size) in enumerate(ranges):
            out = np.take(out, start + step * np.arange(size), axis=axis)
        return out

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        grown = ct
        if any(abs(s) != 1 for s in self.steps):
            grown = Dilate(tuple(abs(s) for s in self.steps))(grown)
        flips = tuple(s < 0 for s in self.steps)
        if any(flips):
            grown = flip(grown, flips)
        spans = [(n - 1) * abs(s) for n, s in zip(self.shape, self.steps, strict=True)]
        zipped = zip(self.starts, self.steps, spans, strict=True)
        low = tuple(a if s > 0 else a - span for a, s, span in zipped)
        high = tuple(n - a - b for n, a, b in zip(x.type.shape, low, grown.type.shape, strict=True))
        return (Pad(low, high, 0)(grown),)


class Dilate(View):
    """`steps[a] - 1` zeros between neighbours along axis a."""

    steps: tuple[int, ...]
    proved = True
    samples = (
        sample(f32[4], steps=(2,)),
        sample(f32[3, 2], steps=(1, 3)),
        sample(f32[0], steps=(2,)),
    )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        return x.with_shape(tuple(_dilated(n, s) for n, s in zip(x.shape, self.steps, strict=True)))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        pairs = list(zip(index, self.steps, strict=True))
        bounds = tuple((i % s, 0, 1) for i, s in pairs if s != 1)
        return (Piece(0, tuple(i // s for i, s in pairs), bounds),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        shape = tuple(_dilated(n, s) for n, s in zip(x.shape, self.steps, strict=True))
        out = np.zeros(ints(shape), x.dtype)
        out[tuple(slice(None, None, s) for s in self.steps)] = x
        return out

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (Slice((0,) * len(self.steps), self.steps, x.type.shape)(ct),)


def _dilated(size: Size, step: int) -> Size:
    if step == 1:
        return size
    grown = (size - 1) * step + 1
    return max(0, grown) if isinstance(grown, int) else dim.maximum(grown, 0)


class Pad(View):
    """`low[a]` and `high[a]` more elements before and after axis a; negative counts crop."""

    low: tuple[Size, ...]
    high: tuple[Size, ...]
    value: Number
    proved = True
    samples = (
        Sample((f32[3],), {"low": (1,), "high": (2,), "value": 0}),
        Sample((f64[2, 3],), {"low": (0, 1), "high": (1, 0), "value": 7}),
        Sample((f32[5],), {"low": (-1,), "high": (2,), "value": 0}),
        Sample((f32[0],), {"low": (2,), "high": (1,), "value": 1}),
        Sample((i32[3],), {"low": (-5,), "high": (4,), "value": -3}),
    )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if not len(self.low) == len(self.high) == x.rank:
            widths = f"{len(self.low)} and {len(self.high)} widths"
            raise ShapeError(f"pad: {widths} for {x} of rank {x.rank}")
        shape = tuple(a + n + b for a, n, b in zip(self.low, x.shape, self.high, strict=True))
        if any(isinstance(n, int) and n < 0 for n in shape):
            raise ShapeError(f"pad: {x} cropped to a negative size {list(shape)}")
        return x.with_shape(shape)

    @property
    def filler(self) -> Number:
        return self.value

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        moved = tuple(i - a for i, a in zip(index, self.low, strict=True))
        zipped = zip(moved, types[0].shape, self.low, self.high, strict=True)
        bounds = tuple((i, 0, n) for i, n, a, b in zipped if (a, b) != (0, 0))
        return (Piece(0, moved, bounds),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        sides = list(zip(ints(self.low), ints(self.high), strict=True))
        widths = [(max(a, 0), max(b, 0)) for a, b in sides]
        out = np.pad(x, widths, constant_values=np.asarray(self.value).astype(x.dtype))
        ends = zip(sides, out.shape, strict=True)
        return out[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in ends)]

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        back = Pad(tuple(-a for a in self.low), tuple(-b for b in self.high), 0)
        return (back(ct),)


class Concat(View):
    """The operands one after the other along `axis`."""

    axis: int
    proved = True
    samples = (
        sample(f32[2, 3], f32[1, 3], axis=0),
        sample(f64[2], f64[0], f64[3], axis=0),
        sample(i32[2, 1], i32[2, 4], axis=1),
        sample(bool_[3], axis=0),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        first = types[0]
        kept = others(first.rank, (self.axis,))
        return tuple(equal(first.shape[a], t.shape[a]) for t in types[1:] for a in kept)

    def infer(self, *types: TensorType) -> TensorType:
        first = types[0]
        shown = ", ".join(map(str, types))
        if not 0 <= self.axis < first.rank or any(t.rank != first.rank for t in types):
            raise ShapeError(f"concat: axis {self.axis} does not join {shown}")
        if any(t.dtype != first.dtype for t in types):
            raise ShapeError(f"concat: element types differ: {shown}")
        total: Size = 0
        for t in types:
            total = total + t.shape[self.axis]
        shape = list(first.shape)
        shape[self.axis] = total
        return first.with_shape(tuple(shape))

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        found: list[Piece] = []
        start: Size = 0
        for number, t in enumerate(types):
            moved = list(index)
            moved[self.axis] = index[self.axis] - start
            last = number == len(types) - 1
            bounds = () if last else ((moved[self.axis], 0, t.shape[self.axis]),)
            found.append(Piece(number, tuple(moved), bounds))
            start = start + t.shape[self.axis]
        return tuple(found)

    def reference(self, *arrays: Any) -> Any:
        return np.concatenate(arrays, axis=self.axis)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        parts: list[Any] = []
        start: Size = 0
        for x in args:
            starts = tuple(start if a == self.axis else 0 for a in range(x.type.rank))
            parts.append(Slice(starts, (1,) * x.type.rank, x.type.shape)(ct))
            start = start + x.type.shape[self.axis]
        return tuple(parts)


def flip(x: Any, which: tuple[bool, ...]) -> Any:
    """The operand reversed along the marked axes."""
    shape = x.type.shape
    starts = tuple(n - 1 if f else 0 for n, f in zip(shape, which, strict=True))
    return Slice(starts, tuple(-1 if f else 1 for f in which), shape)(x)
