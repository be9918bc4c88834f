"""Order along the last axis: sorting, the first k, and binary search.

NaN counts as greater than every number (so it is last in rising and first in falling order), -0.0
and 0.0 as equal.  All orders are stable: equals stay in the order in which they came.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Size, product
from graphc.ir.op import Opaque, sample
from graphc.ir.ops.gather import ScatterAddAlongAxis, zeros_like
from graphc.ir.ops.index_math import ints
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.shape import Reshape, Slice
from graphc.ir.requirement import Requirement, at_least
from graphc.ir.types import NUMBERS, DType, TensorType, f32, f64, i8, i32, i64

INSERTION_RUN_ELEMENTS = 8  # runs of so many elements are sorted by insertion, then merged
MERGE_SORT_SOURCE = """\
    for row in range(lo, hi):
        base = row * n0
        here = base
        there = base + n1 * n0
        width = {run}
        while width < n0:
            here, there = there, here
            width = width * 2
        for start in range(0, n0, {run}):
            for i in range(start, min(start + {run}, n0)):
                y = {element}
                j = i
                while j > start:
                    x = out[here + j - 1]
                    if not {ahead}:
                        break
                    out[here + j] = x
                    j = j - 1
                out[here + j] = y
        width = {run}
        while width < n0:
            for start in range(0, n0, 2 * width):
                middle = min(start + width, n0)
                end = min(middle + width, n0)
                i = start
                j = middle
                for k in range(start, end):
                    right = i >= middle
                    if i < middle and j < end:
                        x = out[here + i]
                        y = out[here + j]
                        right = {ahead}
                    if right:
                        out[there + k] = out[here + j]
                        j = j + 1
                    else:
                        out[there + k] = out[here + i]
                        i = i + 1
            here, there = there, here
            width = width * 2
        for i in range(n0):
            out[base + n1 * n0 + i] = {zero}
"""
SIFT_DOWN_SOURCE = """\
at = 0
child = 1
while child < SIZE:
    held = out[heap + child]
    if child + 1 < SIZE:
        other = out[heap + child + 1]
        if {other}:
            held = other
            child = child + 1
    if not {moved}:
        break
    out[heap + at] = held
    at = child
    child = 2 * at + 1
out[heap + at] = moved"""
TOP_K_SOURCE = """\
    for row in range(lo, hi):
        base = row * n0
        heap = row * n1
        for i in range(n1):
            at = i
            while at > 0:
                above = out[heap + (at - 1) // 2]
                if not {above}:
                    break
                out[heap + at] = above
                at = (at - 1) // 2
            out[heap + at] = i
        for i in range(n1, n0):
            if n1 > 0:
                moved = out[heap]
                if {enters}:
                    moved = i
{sink}
        for gone in range(1, n1):
            size = n1 - gone
            moved = out[heap + size]
            out[heap + size] = out[heap]
{sink_again}
"""


def before(x: str, y: str, dtype: DType, descending: bool) -> str:
    """Source text of: x comes strictly before y."""
    a, b = (y, x) if descending else (x, y)
    return f"({a} < {b} or ({b} != {b} and {a} == {a}))" if dtype.is_float else f"({a} < {b})"


def order(x: Any, descending: bool) -> Any:
    """The stable order of the elements along the last axis."""
    wide = widened(x)
    if not descending:
        return np.argsort(wide, axis=-1, kind="stable").astype(np.int64)
    from_end = np.argsort(wide[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    return x.shape[-1] - 1 - from_end.astype(np.int64)


class Ordered(Opaque, abstract=True):
    """An op on the rows of the last axis."""

    descending: bool

    def check(self, x: TensorType) -> None:
        """Raises for an operand whose elements have no order."""
        if x.dtype not in NUMBERS:
            raise DTypeError(f"{self.name}: operand {x} holds no numbers; use gc.astype")
        if x.rank == 0:
            raise ShapeError(f"{self.name}: operand {x} has no axis to sort along")

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return types[0].shape[-1], product(types[0].shape[:-1])

    def extent(self, out: TensorType) -> Size:
        return product(out.shape[:-1])

    def work(self, out: TensorType, *types: TensorType) -> Size:
        return 32 * types[0].count


class MergeSort(Ordered, abstract=True):
    """Merges runs to and fro between the halves of the result, which the first axis tells apart:
    what is sorted is in the first, zeros are in the second."""

    descending: bool

    def halves(self, x: TensorType, dtype: DType) -> TensorType:
        """The type of the result."""
        self.check(x)
        return TensorType(dtype, (2, *x.shape))

    def extent(self, out: TensorType) -> Size:
        return product(out.shape[1:-1])

    def key(self, element: str) -> str:
        """Source text of the key that orders an element of the result."""
        raise NotImplementedError(self.name)

    def element(self, at: str) -> str:
        """Source text of the element that position `at` of a row starts with."""
        raise NotImplementedError(self.name)

    def source(self, out: TensorType, *types: TensorType) -> str:
        x, y = self.key("x"), self.key("y")
        ahead = before(y, x, types[0].dtype, self.descending)
        zero = f"{out.dtype.accumulates}(0)"
        return MERGE_SORT_SOURCE.format(
            run=INSERTION_RUN_ELEMENTS, ahead=ahead, element=self.element("i"), zero=zero
        )


def upper(v: Any) -> Any:
    """The first half of a result."""
    shape = v.type.shape
    other_starts = (0,) * (len(shape) - 1)
    first = Slice((0, *other_starts), (1,) * len(shape), (1, *shape[1:]))(v)
    return Reshape(shape[1:])(first)


def _with_scratch(x: Any) -> Any:
    return np.stack([x, np.zeros_like(x)])


SORT_SAMPLES = (
    sample(f32[3, 5], descending=False),
    sample(f64[2, 9], descending=True),
    sample(i32[40], descending=True),
    sample(i8[2, 17], descending=False),
    sample(f32[70], descending=False),
    sample(f32[2, 33], descending=True),
    sample(f32[0], descending=False),
    sample(f32[2, 0], descending=True),
    sample(f32[0, 3], descending=False),
    sample(f64[2, 2, 1], descending=False),
)


class Sort(MergeSort):
    """The elements of each row in order, in the first half of the result (see `MergeSort`)."""

    descending: bool
    samples = SORT_SAMPLES

    def infer(self, *types: TensorType) -> TensorType:
        return self.halves(types[0], types[0].dtype)

    def key(self, element: str) -> str:
        return element

    def element(self, at: str) -> str:
        return f"a0[base + {at}]"

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        return _with_scratch(np.take_along_axis(x, order(x, self.descending), axis=-1))

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        (x,) = args
        places = upper(Argsort(self.descending)(x))
        return (ScatterAddAlongAxis(x.type.rank - 1)(zeros_like(x), places, upper(ct)),)


class Argsort(MergeSort):
    """Where the elements of each row stand that are in order, in the first half of the result."""

    descending: bool
    samples, differentiable = SORT_SAMPLES, False

    def infer(self, *types: TensorType) -> TensorType:
        return self.halves(types[0], i64)

    def key(self, element: str) -> str:
        return f"a0[base + {element}]"

    def element(self, at: str) -> str:
        return at

    def reference(self, *arrays: Any) -> Any:
        return _with_scratch(order(arrays[0], self.descending))


class TopK(Ordered):
    """Where the first `k` of each row stand in order: a heap of k, whose root is the last of them.

    A row costs n log k steps, and no memory but the result's.
    """

    k: Size
    descending: bool
    differentiable = False
    samples = (
        sample(f32[3, 5], k=2, descending=True),
        sample(f64[2, 9], k=9, descending=False),
        sample(i32[40], k=7, descending=True),
        sample(f32[3], k=0, descending=True),
        sample(f32[2, 33], k=32, descending=True),
        sample(f32[1], k=1, descending=False),
        sample(f32[0, 4], k=3, descending=True),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return (at_least(types[0].shape[-1], self.k, f"k of the last axis of {types[0]}"),)

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        self.check(x)
        return TensorType(i64, (*x.shape[:-1], self.k))

    def reference(self, *arrays: Any) -> Any:
        (k,) = ints((self.k,))
        return np.ascontiguousarray(order(arrays[0], self.descending)[..., :k])

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return types[0].shape[-1], self.k

    def source(self, out: TensorType, *types: TensorType) -> str:
        def first(x: str, y: str) -> str:
            """x stands before y: by its element, then by its place."""
            a, b = f"a0[base + {x}]", f"a0[base + {y}]"
            dtype, down = types[0].dtype, self.descending
            tie = f"not {before(b, a, dtype, down)} and {x} < {y}"
            return f"({before(a, b, dtype, down)} or ({tie}))"

        sink = SIFT_DOWN_SOURCE.format(other=first("held", "other"), moved=first("moved", "held"))
        return TOP_K_SOURCE.format(
            above=first("above", "i"),
            enters=first("i", "moved"),
            sink=textwrap.indent(sink.replace("SIZE", "n1"), "    " * 5),
            sink_again=textwrap.indent(sink.replace("SIZE", "size"), "    " * 3),
        )


class SearchSorted(Opaque):
    """How many elements of the sorted a come before each v; with `right`, before or with it."""

    right: bool
    differentiable = False
    samples = (
        sample(f32[5], f32[2, 3], right=False),
        sample(f64[4], f64[4], right=True),
        sample(i32[1], i32[3], right=True),
        sample(f32[0], f32[2], right=False),
        sample(f32[3], f32[0], right=False),
    )

    def infer(self, *types: TensorType) -> TensorType:
        a, v = types
        if a.rank != 1 or a.dtype not in NUMBERS or a.dtype != v.dtype:
            raise ShapeError(
                f"searchsorted: expected a sorted vector of numbers and values of its "
                f"type, got {a} and {v}"
            )
        return TensorType(i64, v.shape)

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return (types[0].shape[0],)

    def extent(self, out: TensorType) -> Size:
        return out.count

    def work(self, out: TensorType, *types: TensorType) -> Size:
        return 32 * out.count

    def reference(self, *arrays: Any) -> Any:
        """Halving, as the kernel does: so unsorted vectors have the same results."""
        a, v = (widened(x) for x in arrays)
        low, high = np.zeros(v.shape, np.int64), np.full(v.shape, len(a))
        for _ in range(len(a).bit_length()):
            middle = (low + high) // 2
            probed = a[np.minimum(middle, len(a) - 1)]
            up, busy = self._up(probed, v), low < high
            low, high = (np.where(up & busy, middle + 1, low), np.where(~up & busy, middle, high))
        return np.asarray(low)

    def _up(self, found: Any, v: Any) -> Any:
        """Whether the place of v is beyond the element found."""
        return ~_less(v, found) if self.right else _less(found, v)

    def source(self, out: TensorType, *types: TensorType) -> str:
        dtype = types[0].dtype
        up = before("found", "v", dtype, False)
        up = f"not {before('v', 'found', dtype, False)}" if self.right else up
        return f"""\
    for i in range(lo, hi):
        v = a1[i]
        low = 0
        high = n0
        while low < high:
            middle = (low + high) // 2
            found = a0[middle]
            if {up}:
                low = middle + 1
            else:
                high = middle
        out[i] = low
"""


def _less(x: Any, y: Any) -> Any:
    """x comes before y, NaN being the greatest."""
    plain = x < y
    return plain | ((y != y) & (x == x)) if is_float(x) else plain
