"""Running folds along an axis, and the first-order linear recurrence that their gradients are.

A scan is a kernel of its own: rows (all axes but the scanned one) are shared among threads, and the
elements of one row are folded in order, so results have the same bits on any number of threads.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Size, floordiv, product
from graphc.ir.op import Opaque, sample
from graphc.ir.ops.gather import ScatterAddAlongAxis, zeros_like
from graphc.ir.ops.logic import equal, logical_or, not_equal, quiet
from graphc.ir.ops.pointwise import maximum, minimum, where
from graphc.ir.ops.shape import Iota, Pad
from graphc.ir.requirement import Requirement, all_equal
from graphc.ir.types import INTS, NUMBERS, DType, TensorType, f32, f64, i8, i32, i64

ROWS_PER_BLOCK = 64  # neighbouring rows scanned together: memory is then read in order
BEYOND_ANY_POSITION = 1 << 62  # a position that no array has


def shifted(x: Any, axis: int, by: int, value: float = 0) -> Any:
    """x moved `by` places along an axis; `value` fills the places that become free."""
    low = tuple(by if a == axis else 0 for a in range(x.type.rank))
    return Pad(low, tuple(-n for n in low), value)(x)


class Rows(Opaque, abstract=True):
    """An op along `axis`; n0 is its size, n1 the number of elements from one to the next."""

    axis: int
    reverse: bool
    accepts: ClassVar[tuple[DType, ...]] = NUMBERS

    def infer(self, *types: TensorType) -> TensorType:
        for t in types:
            if t.dtype not in self.accepts or t.dtype != types[0].dtype or t.rank != types[0].rank:
                wanted = ", ".join(map(str, self.accepts))
                raise DTypeError(
                    f"{self.name}: operands {', '.join(map(str, types))}: expected "
                    f"equal types with elements {wanted}; use gc.astype"
                )
        if not 0 <= self.axis < types[0].rank:
            raise ShapeError(f"{self.name}: axis {self.axis} is not an axis of {types[0]}")
        return types[0]

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return tuple(r for t in types[1:] for r in all_equal(types[0].shape, t.shape))

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return out.shape[self.axis], product(out.shape[self.axis + 1 :])

    def extent(self, out: TensorType) -> Size:
        _, inner = self.size_arguments(out)
        outer = product(out.shape[: self.axis])
        return (
            outer if inner == 1 else outer * floordiv(inner + (ROWS_PER_BLOCK - 1), ROWS_PER_BLOCK)
        )

    def first(self, at: str) -> str:
        """Source text of the first element of a row."""
        return f"a0[{at}]"

    def step(self, total: str, at: str, dtype: DType) -> str:
        """Source text of the next element, after `total`."""
        raise NotImplementedError(self.name)

    def source(self, out: TensorType, *types: TensorType) -> str:
        return self._line(out) if self.size_arguments(out)[1] == 1 else self._block(out)

    def _line(self, out: TensorType) -> str:
        """The kernel where elements of a row are neighbours: the total stays in a register."""
        return f"""\
    if n0 > 0:
        for row in range(lo, hi):
            at = row * n0{" + n0 - 1" if self.reverse else ""}
            total = {self.first("at")}
            out[at] = total
            for j in range(1, n0):
                at = at {"-" if self.reverse else "+"} 1
                total = {self.step("total", "at", out.dtype)}
                out[at] = total
"""

    def _block(self, out: TensorType) -> str:
        """The kernel where rows lie side by side: it scans a block of rows together."""
        start = "row * n0 * n1" + (" + (n0 - 1) * n1" if self.reverse else "")
        return f"""\
    blocks = (n1 + {ROWS_PER_BLOCK - 1}) // {ROWS_PER_BLOCK}
    step = {"-n1" if self.reverse else "n1"}
    if n0 > 0:
        for b in range(lo, hi):
            row = b // blocks
            first = (b - row * blocks) * {ROWS_PER_BLOCK}
            last = min(first + {ROWS_PER_BLOCK}, n1)
            at = {start}
            for k in range(at + first, at + last):
                out[k] = {self.first("k")}
            for j in range(1, n0):
                at = at + step
                for k in range(at + first, at + last):
                    out[k] = {self.step("out[k - step]", "k", out.dtype)}
"""


class Scan(Rows, abstract=True):
    """Each element is the fold of x up to it (with `reverse`: from it on) along `axis`."""

    axis: int
    reverse: bool
    combine: ClassVar[str] = ""
    wrapping: ClassVar[str] = ""  # for i64: numba's operators are undefined where they overflow

    def step(self, total: str, at: str, dtype: DType) -> str:
        spelled = (dtype == i64 and self.wrapping) or self.combine
        text = spelled.format(total, f"a0[{at}]")
        return f"{dtype}({text})" if dtype in INTS and dtype != i64 else text

    def fold(self, x: Any) -> Any:
        """The reference for the first axis, forwards."""
        raise NotImplementedError(self.name)

    def reference(self, *arrays: Any) -> Any:
        x = np.moveaxis(arrays[0], self.axis, 0)
        done = self.fold(x[::-1])[::-1] if self.reverse else self.fold(x)
        return np.ascontiguousarray(np.moveaxis(done, 0, self.axis))


SCAN_SAMPLES = (
    sample(f32[3, 4], axis=1, reverse=False),
    sample(f64[5, 3], axis=0, reverse=True),
    sample(f32[2, 3, 70], axis=1, reverse=False),
    sample(i32[9], axis=0, reverse=True),
    sample(f32[4], axis=0, reverse=True),
    sample(i8[2, 5, 3], axis=1, reverse=True),
)
EDGE_SAMPLES = (
    sample(f32[0], axis=0, reverse=False),
    sample(f32[3, 0], axis=0, reverse=True),
    sample(f32[0, 3], axis=0, reverse=False),
    sample(f64[1, 1], axis=1, reverse=False),
)
UNCAST_NUMBERS = tuple(t for t in NUMBERS if not t.is_narrow)  # others are cast before and after


class CumulativeSum(Scan):
    """Running sums along `axis`; with `reverse`, from its end."""

    axis: int
    reverse: bool
    accepts, samples = UNCAST_NUMBERS, SCAN_SAMPLES + EDGE_SAMPLES

    combine, wrapping = "({0} + {1})", "wrap_add({0}, {1})"

    def fold(self, x: Any) -> Any:
        return quiet(lambda x: np.cumsum(x, axis=0, dtype=x.dtype))(x)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        return (CumulativeSum(self.axis, not self.reverse)(ct),)


class CumulativeProd(Scan):
    """Running products along `axis`; with `reverse`, from its end.  Zeros have exact gradients."""

    axis: int
    reverse: bool
    accepts, samples = UNCAST_NUMBERS, SCAN_SAMPLES + EDGE_SAMPLES
    combine, wrapping = "({0} * {1})", "wrap_multiply({0}, {1})"

    def fold(self, x: Any) -> Any:
        return quiet(lambda x: np.cumprod(x, axis=0, dtype=x.dtype))(x)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """r[j], the sum over i >= j of ct[i] times the factors after j up to i, is a recurrence."""
        (x,) = args
        by = -1 if self.reverse else 1
        r = LinearRecurrence(self.axis, not self.reverse)(shifted(x, self.axis, -by), ct)
        return (shifted(out, self.axis, by, 1) * r,)


class RunningExtreme(Scan, abstract=True):
    """A running extreme.  NaN wins, and stays; the gradient goes to the last of equals so far."""

    axis: int
    reverse: bool

    def fold(self, x: Any) -> Any:
        better: Any = maximum if isinstance(self, CumulativeMax) else minimum
        out = np.array(x)
        for j in range(1, len(x)):
            out[j] = better.reference(out[j - 1], x[j])
        return out

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        (x,) = args
        position = x.apply(Iota(self.axis, i64, x.type.shape), ())
        hit = logical_or(equal(x, out), not_equal(x, x))
        if self.reverse:
            sources = CumulativeMin(self.axis, True)(where(hit, position, BEYOND_ANY_POSITION))
        else:
            sources = CumulativeMax(self.axis, False)(where(hit, position, 0))
        return (ScatterAddAlongAxis(self.axis)(zeros_like(x), sources, ct),)


class CumulativeMax(RunningExtreme):
    """The largest so far along `axis`; with `reverse`, from its end."""

    axis: int
    reverse: bool
    combine, samples = "maximum({0}, {1})", SCAN_SAMPLES + EDGE_SAMPLES


class CumulativeMin(RunningExtreme):
    """The smallest so far along `axis`; with `reverse`, from its end."""

    axis: int
    reverse: bool
    combine, samples = "minimum({0}, {1})", SCAN_SAMPLES + EDGE_SAMPLES


class LinearRecurrence(Rows):
    """y[j] = a[j] * y[j-1] + b[j] along `axis`, y[0] = b[0]; with `reverse`, y[j+1] for y[j-1]."""

    axis: int
    reverse: bool
    accepts = (f32, f64)
    samples = (
        sample(f32[3, 4], f32[3, 4], axis=1, reverse=False),
        sample(f64[4, 3], f64[4, 3], axis=0, reverse=True),
        sample(f32[2, 3, 2], f32[2, 3, 2], axis=1, reverse=False),
        sample(f32[5], f32[5], axis=0, reverse=True),
        sample(f32[1], f32[1], axis=0, reverse=False),
        sample(f32[0, 2], f32[0, 2], axis=0, reverse=False),
        sample(f32[2, 0], f32[2, 0], axis=0, reverse=True),
    )

    def first(self, at: str) -> str:
        return f"a1[{at}]"

    def step(self, total: str, at: str, dtype: DType) -> str:
        return f"a0[{at}] * {total} + a1[{at}]"

    def reference(self, *arrays: Any) -> Any:
        a, b = (np.moveaxis(v, self.axis, 0)[:: -1 if self.reverse else 1] for v in arrays)
        y = np.array(b)
        with np.errstate(all="ignore"):
            for j in range(1, len(b)):
                y[j] = a[j] * y[j - 1] + b[j]
        return np.ascontiguousarray(np.moveaxis(y[:: -1 if self.reverse else 1], 0, self.axis))

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        by = -1 if self.reverse else 1
        later = shifted(args[0], self.axis, -by)
        r = LinearRecurrence(self.axis, not self.reverse)(later, ct)
        return shifted(shifted(r, self.axis, -by) * out, self.axis, by), r
