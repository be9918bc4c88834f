"""Random views: ops that move, repeat, cut or join elements and compute nothing."""

from __future__ import annotations

from graphc.ir import dim
from graphc.ir.graph import Value, make
from graphc.ir.op import OPS
from graphc.ir.ops.index_math import others
from graphc.ir.ops.reduction import (
    Broadcast,
)
from graphc.ir.ops.shape import (
    Concat,
    Dilate,
    Pad,
    Reshape,
    Slice,
    Transpose,
    flip,
)
from graphc.ir.types import (
    bool_,
)
from graphc.testing.random_values import ValuePool, count


class Views(ValuePool):
    """A pool that makes views."""

    def view(self) -> Value:
        x = self.any_value()
        t = x.type
        if t.rank == 0:
            shape = self.pick([(1,), (1, 1), (3,), self.pick(self.shapes)])
            return make(Broadcast((), shape), (x,), self.name())
        maker = self.pick(
            [
                self.transpose,
                self.reshape,
                self.slice,
                self.reverse,
                self.pad,
                self.broadcast,
                self.concat,
                self.dilate,
            ]
        )
        return maker(x)

    def views(self) -> Value:
        """Views of views; often elements repeated along an axis, as upsampling does."""
        x = self.value(lambda v: v.type.rank == 1)
        if x is not None and self.chance(0.4):
            doubled = make(Broadcast((0,), (*x.type.shape, 2)), (x,))
            flat = make(Reshape((2 * x.type.shape[0],)), (doubled,), self.name())
            return make(
                Broadcast((0,), (*flat.type.shape, self.random_size())), (flat,), self.name()
            )
        views = [self.keep(self.view()) for _ in range(int(self.rng.integers(2, 5)))]
        return views[-1]

    def crossed(self) -> Value:
        """Two broadcasts of one shape along different axes."""
        x = self.value(lambda v: v.type.rank == 1 and count(v.type.shape) < 40)
        if x is None:
            return self.view()
        shape = x.type.shape * 2
        y = self.like(x.type)
        pair = (make(Broadcast((0,), shape), (x,)), make(Broadcast((1,), shape), (y,)))
        name = (
            "not_equal"
            if x.type.dtype == bool_
            else self.pick(["add", "less", "maximum", "minimum"])
        )
        return make(OPS[name](), pair, self.name())

    def symmetric(self) -> Value:
        """A value with its own transpose."""
        x = self.value(lambda v: v.type.rank == 2 and v.type.shape[0] == v.type.shape[1])
        if x is None:
            return self.view()
        y = make(Transpose((1, 0)), (x,), self.name())
        name = "not_equal" if x.type.dtype == bool_ else self.pick(["add", "less", "subtract"])
        return make(OPS[name](), (x, y), self.name())

    def transpose(self, x: Value) -> Value:
        y = make(self._turn(x.type.rank), (x,), self.name())
        return make(self._turn(x.type.rank), (y,), self.name()) if self.chance(0.3) else y

    def _turn(self, rank: int) -> Transpose:
        return Transpose(tuple(map(int, self.rng.permutation(rank))))

    def reshape(self, x: Value) -> Value:
        shape = list(x.type.shape)
        if len(shape) > 1 and self.chance(0.5):
            at = int(self.rng.integers(len(shape) - 1))
            shape[at : at + 2] = [shape[at] * shape[at + 1]]
        elif self.chance(0.5):
            shape.insert(int(self.rng.integers(len(shape) + 1)), 1)
        else:
            at = int(self.rng.integers(len(shape)))
            for k in (2, 3, 5, 4):
                if shape[at] != 0 and dim.divide(shape[at], k)[1] == 0:
                    parts = [k, dim.floordiv(shape[at], k)]
                    shape[at : at + 1] = parts if self.chance(0.5) else parts[::-1]
                    break
            else:
                shape = [dim.product(tuple(shape))]
        return make(Reshape(tuple(shape)), (x,), self.name())

    def slice(self, x: Value) -> Value:
        starts, steps, sizes = [], [], []
        for n in x.type.shape:
            if not isinstance(n, int):
                half = n // 2
                start, step, size = self.pick(
                    [(0, 1, n), (0, 2, half), (1, 2, half), (n - 1, -1, n), (n - 1, -2, half)]
                )
            elif n == 0:
                start, step, size = 0, 1, 0
            else:
                step = int(self.pick([1, 1, 2, 3, -1, -2]))
                size = int(self.rng.integers(0 if self.chance(0.1) else 1, -(-n // abs(step)) + 1))
                room = n - 1 - max(size - 1, 0) * abs(step)
                start = int(self.rng.integers(room + 1))
                start = n - 1 - start if step < 0 else start
            starts.append(start)
            steps.append(step)
            sizes.append(size)
        return make(Slice(tuple(starts), tuple(steps), tuple(sizes)), (x,), self.name())

    def reverse(self, x: Value) -> Value:
        made: Value = flip(x, tuple(self.chance(0.6) for _ in x.type.shape))
        return made

    def pad(self, x: Value) -> Value:
        low, high = [], []
        for n in x.type.shape:
            least = -n // 2 if isinstance(n, int) else 0
            low.append(int(self.rng.integers(least, 4)) if self.chance(0.6) else 0)
            high.append(int(self.rng.integers(least, 4)) if self.chance(0.6) else 0)
        value = self.literal(x.type).op.value  # type: ignore[attr-defined]
        return make(Pad(tuple(low), tuple(high), value), (x,), self.name())

    def broadcast(self, x: Value) -> Value:
        rank = x.type.rank
        where = int(self.rng.integers(rank + 1))
        shape = (*x.type.shape[:where], self.random_size(), *x.type.shape[where:])
        return make(Broadcast(others(rank + 1, (where,)), shape), (x,), self.name())

    def concat(self, x: Value) -> Value:
        axis = int(self.rng.integers(x.type.rank))
        found = [x]
        for _ in range(int(self.rng.integers(0, 3))):
            shape = list(x.type.shape)
            if self.chance(0.5):
                shape[axis] = self.random_size()
            found.append(self.like(x.type.with_shape(tuple(shape))))
        return make(Concat(axis), tuple(found), self.name())

    def dilate(self, x: Value) -> Value:
        return make(
            Dilate(tuple(int(self.pick([1, 2, 3])) for _ in x.type.shape)), (x,), self.name()
        )
