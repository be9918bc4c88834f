"""Scatters that set, multiply, or take the smaller or the larger: relatives of `ScatterAdd`.

Updates are applied in their order, so of several that set one place the last one stays.
"""

from __future__ import annotations

from typing import Any

from graphc.ir.op import sample
from graphc.ir.ops.gather import SCATTER_SAMPLES, ScatterAdd, ScatterSlices, Take, zeros_like
from graphc.ir.ops.logic import equal
from graphc.ir.ops.pointwise import cast, maximum, minimum, multiply, where
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Full, Iota, Reshape
from graphc.ir.types import ALL, bool_, f64, i32, i64


class ScatterSet(ScatterSlices):
    """x with its slices along `axis` at `indices` replaced; of several for one place the last.

    `unique` promises that no two indices are equal.
    """

    axis: int
    unique: bool = False
    combine, accepts = "{1}", ALL
    samples = (
        *SCATTER_SAMPLES,
        sample(bool_[4], i32[2], bool_[2], axis=0, special=False),
        sample(f64[4, 3], i64[1], f64[1, 3], axis=0, unique=True, special=False),
    )

    @property
    def apart(self) -> bool:
        return self.unique

    def merge(self, x: Any, y: Any) -> Any:
        return y

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, indices, updates = args
        kept = ScatterSet(self.axis, self.unique)(ct, indices, zeros_like(updates))
        if self.unique:
            return kept, None, Take(self.axis)(ct, indices)
        wins = where(self.last(x, indices, updates), Take(self.axis)(ct, indices), 0.0)
        return kept, None, wins

    def last(self, x: Any, indices: Any, updates: Any) -> Any:
        """Whether each update is the one that stays."""
        shape = indices.type.shape
        count = indices.type.count
        number = Reshape(shape)(x.apply(Iota(0, i64, (count,)), ()))
        no_update = x.apply(Full(-1, i64, (x.type.shape[self.axis],)), ())
        stays = Take(0)(ScatterSet(0)(no_update, indices, number), indices)
        axes = tuple(range(self.axis, self.axis + len(shape)))
        return equal(*(Broadcast(axes, updates.type.shape)(v) for v in (stays, number)))


class ScatterMul(ScatterSlices):
    """x with its slices along `axis` at `indices` multiplied; zeros have exact gradients."""

    axis: int
    combine, samples = "({0} * {1})", SCATTER_SAMPLES

    def merge(self, x: Any, y: Any) -> Any:
        return multiply.reference(x, y)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """The product of the other factors, as in `ReduceProd`: `rest` is that of the factors that
        are not 0, `zero` is 0 and has the derivative of the factors that are."""
        x, at, updates = args
        onto, add, back = ScatterMul(self.axis), ScatterAdd(self.axis), Take(self.axis)
        zero_in_x, zero_in_updates = equal(x, 0.0), equal(updates, 0.0)
        rest = onto(where(zero_in_x, 1.0, x), at, where(zero_in_updates, 1.0, updates))
        zero = add(where(zero_in_x, x, 0.0), at, where(zero_in_updates, updates, 0.0))
        dtype = x.type.dtype
        zeros = add(cast(zero_in_x, dtype), at, cast(zero_in_updates, dtype))
        none, one, two = (equal(zeros, float(n)) for n in (0, 1, 2))
        plain = where(none, rest, where(one, rest * zero, 0.0))
        pair, single, double = (
            where(two, rest * zero, 0.0),
            where(one, rest, 0.0),
            where(two, rest, 0.0),
        )

        def slope(v: Any, is_zero: Any, read: Any) -> Any:
            safe = where(is_zero, 1.0, v)
            of_zero = read(single) + (read(pair) - read(double) * v)
            return read(ct) * where(is_zero, of_zero, read(plain) / safe)

        dx = slope(x, zero_in_x, lambda v: v)
        return dx, None, slope(updates, zero_in_updates, lambda v: back(v, at))


class ScatterExtreme(ScatterSlices, abstract=True):
    """x with its slices along `axis` at `indices` replaced by better ones; ties share gradients."""

    axis: int

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        x, at, updates = args
        back, dtype = Take(self.axis), x.type.dtype
        mine, theirs = equal(x, out), equal(updates, back(out, at))
        share = ct / ScatterAdd(self.axis)(cast(mine, dtype), at, cast(theirs, dtype))
        return where(mine, share, 0.0), None, where(theirs, back(share, at), 0.0)


class ScatterMax(ScatterExtreme):
    """x with its slices along `axis` at `indices` at least `updates`; NaN wins."""

    axis: int
    combine, samples = "maximum({0}, {1})", SCATTER_SAMPLES

    def merge(self, x: Any, y: Any) -> Any:
        return maximum.reference(x, y)


class ScatterMin(ScatterExtreme):
    """x with its slices along `axis` at `indices` at most `updates`; NaN wins."""

    axis: int
    combine, samples = "minimum({0}, {1})", SCATTER_SAMPLES

    def merge(self, x: Any, y: Any) -> Any:
        return minimum.reference(x, y)
