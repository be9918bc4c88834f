"""Seeded random graphs, typed by construction; inputs for them; a reducer of failing ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fuzz.ordered import SCATTERS, diagonal, order, scan
from support.ops import special_values

import graphc.ir.ops as _every_op_module  # noqa: F401  (fills the table)
from graphc.errors import GraphcError
from graphc.ir import dim
from graphc.ir.dim import Size, symbol
from graphc.ir.graph import Graph, Value, full, make, topological
from graphc.ir.op import OPS, Op, Pointwise
from graphc.ir.ops.conv import Convolution, ConvolutionInput, ConvolutionWeight
from graphc.ir.ops.gather import (
    ScatterAddAlongAxis,
    Take,
    TakeAlongAxis,
)
from graphc.ir.ops.index_math import others
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import Cast, remainder, subtract
from graphc.ir.ops.pooling import ReduceFirstMax
from graphc.ir.ops.random import RandomBits, RandomPermutation
from graphc.ir.ops.reduction import (
    Broadcast,
    ReduceAll,
    ReduceAny,
    ReduceArgmax,
    ReduceArgmin,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReduceSum,
)
from graphc.ir.ops.shape import (
    Concat,
    Constant,
    Data,
    Dilate,
    Iota,
    Pad,
    Reshape,
    SizeOf,
    Slice,
    Transpose,
    flip,
)
from graphc.ir.ops.state import Placeholder, RunCounter, Variable
from graphc.ir.ops.window import Adaptive, Unwindow, Window, along
from graphc.ir.types import (
    ALL,
    BY_NAME,
    FLOATS,
    INTS,
    NUMBERS,
    DType,
    TensorType,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    i32,
    i64,
    u8,
)
from graphc.passes.rewrite.engine import instantiate
from graphc.passes.rewrite.rules import RULES

Rng = np.random.Generator
FIXED = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33)
SIZES_OF_N = (0, 1, 2, 7, 16, 33)
MOST_ELEMENTS = 3000
LITERALS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 7.0, float("inf"), float("nan"))
POINTWISE = tuple(
    c
    for c in OPS.values()
    if issubclass(c, Pointwise)
    and c.__module__.startswith("graphc.ir.ops")
    and c.name != "check_index"
)
N, M = symbol("n"), symbol("m")  # two names for one size, as users have them


class Builder:
    """One random graph in the making."""

    def __init__(self, seed: int, nodes: int, exact: bool, symbolic: bool, square: bool) -> None:
        self.rng: Rng = np.random.default_rng([seed, 77])
        self.nodes, self.exact = nodes, exact
        self.names = itertools.count()
        self.inputs: list[Value] = []
        self.pool: list[Value] = []
        self.symbolic = symbolic
        self.counter: Value | None = None
        ranks = self.rng.choice([1, 2, 2, 3, 3], 2)
        self.shapes = [self.random_shape(int(r)) for r in ranks]
        common = [f32, f32, f64, i32, i64, bool_]
        rare = [f16, bf16, u8, *INTS]
        self.dtypes = [self.pick(common), self.pick(common), self.pick(rare)]
        self.square = square
        if square:  # many values of one type, many kernels: food for the memory planner
            k = N if symbolic else int(self.pick([2, 3, 5, 8, 17]))
            self.shapes = [(k, k), (k, k), (k,)]
            self.dtypes = [self.pick([i32, i64] if exact else [f32, f32, f64])] * 3

    # -- choices

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def random_size(self) -> Size:
        if self.symbolic and self.chance(0.35):
            return self.pick([N, N, N, N + 1, 2 * N])
        return int(self.pick(FIXED[1:] if self.chance(0.9) else FIXED))

    def random_shape(self, rank: int) -> tuple[Size, ...]:
        shape = tuple(self.random_size() for _ in range(rank))
        if self.chance(0.25):
            shape = shape[:1] * rank
        while count(shape) > MOST_ELEMENTS:
            shape = tuple(s if self.chance(0.5) else 2 for s in shape)
        return shape

    def name(self) -> str:
        return f"v{next(self.names)}" if self.chance(0.6) else ""

    def keep(self, v: Value) -> Value:
        """The value, put in the pool unless it is too large."""
        if count(v.type.shape) <= 2 * MOST_ELEMENTS:
            self.pool.append(v)
        return v

    def value(self, accept: Callable[[Value], bool] = lambda v: True) -> Value | None:
        """A value of the pool; late ones more often."""
        found = [v for v in self.pool if accept(v)]
        if not found:
            return None
        at = len(found) - 1 - int(len(found) * self.rng.random() ** 2)
        return found[max(at, 0)]

    def any_value(self) -> Value:
        return self.value() or self.input(
            TensorType(self.pick(self.dtypes), self.pick(self.shapes))
        )

    def of_dtype(self, dtypes: Sequence[DType]) -> Value:
        """A value with one of these element types: found, cast or new."""
        found = self.value(lambda v: v.type.dtype in dtypes)
        if found is not None and self.chance(0.85):
            return found
        wanted = [d for d in self.dtypes if d in dtypes] or list(dtypes)
        base = self.any_value()
        if self.chance(0.5):
            return self.keep(make(Cast(self.pick(wanted)), (base,), self.name()))
        return self.input(TensorType(self.pick(wanted), self.pick(self.shapes)))

    # -- leaves

    def input(self, t: TensorType, twin: bool = True) -> Value:
        fixed = not any(dim.symbols(s) for s in t.shape)
        kind = Variable if fixed and self.chance(0.5 if self.square else 0.25) else Placeholder
        v = make(kind(t.dtype, t.shape), (), f"in{len(self.inputs)}")
        self.inputs.append(v)
        if kind is Variable and twin and self.chance(0.4):
            self.input(t, twin=False)
        return self.keep(v)

    def literal(self, t: TensorType) -> Value:
        value = self.pick(LITERALS) if self.chance(0.8) else float(self.rng.integers(-9, 9)) / 4
        if not t.dtype.is_float:
            value = 1.0 if value != value or abs(value) > 100 else value
            value = abs(value) if t.dtype.kind == "uint" else value
        return full(value, t)

    def run_counter(self) -> Value:
        if self.counter is None:
            self.counter = make(RunCounter(), (), "counter")
            self.inputs.append(self.counter)
        return self.counter

    def like(self, t: TensorType) -> Value:
        """A value of exactly this type."""
        roll = self.rng.random()
        if roll < 0.45:
            found = self.value(lambda v: v.type == t)
            if found is not None:
                return found
        if roll < 0.6:
            return self.literal(t)
        if roll < 0.75:
            found = self.value(lambda v: v.type.shape == t.shape and v.type.dtype != t.dtype)
            if found is not None:
                return self.keep(make(Cast(t.dtype), (found,), self.name()))
        if roll < 0.9 and t.rank:
            axes = tuple(a for a in range(t.rank) if self.chance(0.5))
            small = TensorType(t.dtype, tuple(t.shape[a] for a in axes))
            if small != t:
                found = self.value(lambda v: v.type == small) or self.input(small)
                return self.keep(make(Broadcast(axes, t.shape), (found,), self.name()))
        return self.input(t)

    # -- growth

    def pointwise(self) -> Value:
        for _ in range(50):
            cls = self.pick(POINTWISE)
            wanted = not self.exact or ((cls.exact and cls is not Cast) or self.chance(0.3))
            if wanted and not (self.exact and not cls.exact):
                break
        else:
            cls = OPS["add"]
        if cls is Cast:
            x = self.any_value()
            return make(
                Cast(self.pick([d for d in ALL if d in self.dtypes or self.chance(0.2)] or [f32])),
                (x,),
                self.name(),
            )
        if cls.name == "where":
            x = self.any_value()
            c = self.like(x.type.with_dtype(bool_))
            return make(cls(), (c, x, self.like(x.type)), self.name())
        x = self.of_dtype(cls.accepts)
        args = [x, *(self.like(x.type) for _ in range(cls.arity - 1))]
        if cls.arity == 2 and self.chance(0.5):
            args.reverse()
        return make(cls(), tuple(args), self.name())

    def unified(self) -> Value:
        """A value with one whose size has another name."""
        x = self.value(lambda v: N in v.type.shape)
        if x is None:
            return self.pointwise()
        other = self.input(x.type.with_shape(tuple(M if s == N else s for s in x.type.shape)))
        pair = (x, other) if self.chance(0.5) else (other, x)
        names = (
            ["equal", "not_equal"]
            if x.type.dtype == bool_
            else ["add", "minimum", "less", "subtract"]
        )
        return make(OPS[self.pick(names)](), pair, self.name())

    def symmetric(self) -> Value:
        """A value with its own transpose."""
        x = self.value(lambda v: v.type.rank == 2 and v.type.shape[0] == v.type.shape[1])
        if x is None:
            return self.view()
        y = make(Transpose((1, 0)), (x,), self.name())
        name = "not_equal" if x.type.dtype == bool_ else self.pick(["add", "less", "subtract"])
        return make(OPS[name](), (x, y), self.name())

    def views(self) -> Value:
        """Views of views; often elements repeated along an axis, as upsampling does."""
        x = self.value(lambda v: v.type.rank == 1)
        if x is not None and self.chance(0.4):
            doubled = make(Broadcast((0,), (*x.type.shape, 2)), (x,))
            flat = make(Reshape((2 * x.type.shape[0],)), (doubled,), self.name())
            return make(
                Broadcast((0,), (*flat.type.shape, self.random_size())), (flat,), self.name()
            )
        for _ in range(int(self.rng.integers(2, 5))):
            x = self.keep(self.view())
        return x

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

    def rule_food(self) -> Value:
        """The left side of a rule over values of the pool."""
        r = self.pick(RULES)
        if self.exact and r.kind != "exact":
            return self.pointwise()
        signed = tuple(d for d in r.dtypes or _accepted(r.left.op) if d.kind != "uint")
        x = self.of_dtype(signed)
        found = {h: x for h in "xyz"}
        for h in "yz":
            found[h] = self.like(x.type)
        if r.left.op.name == "where":
            found["c"] = self.like(x.type.with_dtype(bool_))
        return instantiate(r.left, found, x)

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
        return maker(x)  # type: ignore[no-any-return]

    def transpose(self, x: Value) -> Value:
        turn = lambda: Transpose(tuple(map(int, self.rng.permutation(x.type.rank))))  # noqa: E731
        y = make(turn(), (x,), self.name())
        return make(turn(), (y,), self.name()) if self.chance(0.3) else y

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
        return flip(x, tuple(self.chance(0.6) for _ in x.type.shape))  # type: ignore[no-any-return]

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

    def reduction(self) -> Value:
        x = self.any_value()
        if x.type.rank and self.chance(0.07):
            x = self.literal(x.type)
        if x.type.rank == 0:
            return self.view()
        axes = tuple(a for a in range(x.type.rank) if self.chance(0.5)) or (
            self.pick(range(x.type.rank)),
        )
        if x.type.dtype == bool_:
            return make(self.pick([ReduceAny, ReduceAll])(axes), (x,), self.name())
        floats = x.type.dtype.is_float
        folds = (
            [ReduceMax, ReduceMin]
            if self.exact and floats
            else [ReduceMax, ReduceMin, ReduceSum, ReduceSum, ReduceProd]
        )
        n = x.type.shape[axes[0]]
        if self.chance(0.2) and (
            n != 0 if isinstance(n, int) else dim.evaluate(n, sizes_of(0)) != 0
        ):
            return make(self.pick([ReduceArgmax, ReduceArgmin])(axes[:1]), (x,), self.name())
        return make(self.pick(folds)(axes), (x,), self.name())

    def matmul(self) -> Value:
        if self.exact:
            accepted = [d for d in self.dtypes if d.is_integer] or [i32]
        else:
            accepted = [d for d in self.dtypes if d in NUMBERS] or [f32]
        a = self.value(lambda v: v.type.rank >= 2 and v.type.dtype in accepted)
        if a is None:
            a = self.input(TensorType(self.pick(accepted), self.random_shape(2)))
        ta, tb = self.chance(0.5), self.chance(0.5)
        k = a.type.shape[-2] if ta else a.type.shape[-1]
        n = self.shapes[0][0] if self.square and self.chance(0.7) else self.random_size()
        tail = (n, k) if tb else (k, n)
        b = self.like(a.type.with_shape((*a.type.shape[:-2], *tail)))
        if b.op.name == "full" and self.chance(0.7):
            b = self.input(b.type)
        return make(Matmul(ta, tb), (a, b), self.name())

    def convolution(self) -> Value:
        """One of the three, over new inputs; floats without padding (semantics 17.2)."""
        dtype = self.pick([i32, i64] if self.exact else [i32, f32, f64])
        pad = int(self.rng.integers(3)) if dtype.is_integer else 0
        groups, stride, kernel = (int(self.rng.integers(1, 3)) for _ in range(3))
        fields: Any = ((stride,), (1,), (pad,), (pad,), groups)
        images, size = N if self.symbolic else 2, int(self.rng.integers(3, 8))
        x = TensorType(dtype, (images, 2 * groups, size))
        w = TensorType(dtype, (3 * groups, 2, kernel))
        y = Convolution(*fields).infer(x, w)
        op, types = self.pick(
            [
                (Convolution(*fields), (x, w)),
                (ConvolutionInput(*fields, spatial=x.shape[2:]), (y, w)),
                (ConvolutionWeight(*fields, kernel=w.shape[2:]), (x, y)),
            ]
        )
        return make(op, tuple(self.input(t) for t in types), self.name())

    def windows(self) -> Value:
        """Windows over the last axis, one of them put back, or reduced."""
        x = self.value(lambda v: v.type.rank > 0 and v.type.dtype in NUMBERS)
        if x is None or x.type.shape[-1] == 0:
            return self.reduction()
        if self.chance(0.25):
            return make(ReduceFirstMax((self.pick(range(x.type.rank)),)), (x,), self.name())
        size = x.type.shape[-1]
        if self.chance(0.3):
            count = int(self.rng.integers(1, 5))
            least = size if isinstance(size, int) else dim.maximum(size, 1)
            window, shares = dim.floordiv(size, count) + 2, dim.floordiv(count, least) + 2
            return make(Adaptive((count,), (window,), 0), (along(x, (shares,)),), self.name())
        stride, kernel = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 4))
        shared = along(x, (kernel,))
        pad = int(self.rng.integers(2, 4))
        out = make(Window((stride,), (1,), (pad,), (pad,), 0), (shared,), self.name())
        if self.chance(0.5):
            return out
        back = make(Unwindow((stride,), (1,), (pad,), (size,)), (self.keep(out),), self.name())
        return make(ReduceMax((x.type.rank,)), (back,), self.name())

    def residual(self) -> Value:
        """A map, a product of it, and both of them together."""
        x = self.value(
            lambda v: (
                v.type.rank == 2
                and v.type.shape[0] == v.type.shape[1]
                and v.type.dtype in NUMBERS
                and not (self.exact and v.type.dtype.is_float)
            )
        )
        if x is None:
            return self.layer()
        y = self.keep(make(OPS[self.pick(["negative", "absolute", "sign"])](), (x,), self.name()))
        z = make(OPS["absolute"](), (make(Matmul(), (y, self.like(y.type))),), self.name())
        return make(OPS[self.pick(["add", "maximum"])](), (y, z), self.name())

    def ladder(self) -> Value:
        """Two maps, one of which reaches the other through a product: no single kernel."""
        x = self.value(
            lambda v: (
                v.type.rank == 2
                and v.type.shape[0] == v.type.shape[1]
                and v.type.dtype in NUMBERS
                and not (self.exact and v.type.dtype.is_float)
            )
        )
        if x is None:
            return self.layer()
        multiply, add = OPS["multiply"](), OPS["add"]()
        first = make(multiply, (x, self.like(x.type)), self.name())
        second = make(multiply, (self.like(x.type), x), self.name())
        across = make(Matmul(), (second, self.like(x.type)), self.name())
        middle = make(add, (first, across), self.name())
        return make(add, (middle, second), self.name())

    def layer(self) -> Value:
        """A product with what usually follows it: bias, activation, scaling, a sum over rows."""
        y = self.keep(self.matmul())
        t = y.type
        if t.rank == 2 and t.shape[0] == t.shape[1] and self.chance(0.2):
            return make(OPS["subtract"](), (y, make(Transpose((1, 0)), (y,))), self.name())
        if self.chance(0.6):
            bias = self.value(lambda v: v.type == t.with_shape(t.shape[-1:])) or self.input(
                t.with_shape(t.shape[-1:])
            )
            back = make(Broadcast((t.rank - 1,), t.shape), (bias,))
            y = self.keep(make(OPS["add"](), (y, back), self.name()))
        if self.chance(0.6):
            y = self.keep(
                make(OPS[self.pick(["maximum", "minimum"])](), (y, full(0, t)), self.name())
            )
        elif t.dtype.is_float:
            y = self.keep(make(OPS[self.pick(["tanh", "exp", "negative"])](), (y,), self.name()))
        if self.chance(0.4):
            y = self.keep(make(OPS["multiply"](), (y, self.like(t)), self.name()))
        if self.chance(0.3):
            y = make(ReduceSum(self.pick([(0,), (t.rank - 1,)])), (y,), self.name())
        return y

    def indices(self, shape: tuple[Size, ...], extent: Size) -> Value:
        """Integers in [-extent, extent): of any kind, made to fit."""
        dtype = self.pick([i32, i64, i64, u8])
        raw = self.like(TensorType(dtype, shape))
        size = (
            full(extent, raw.type)
            if isinstance(extent, int)
            else make(Broadcast((), shape), (make(SizeOf(extent, dtype), ()),))
        )
        inside = make(remainder, (raw, size))
        if dtype is not u8 and self.chance(0.3):
            inside = make(subtract, (inside, size))
        return inside

    def gather(self) -> Value:
        x = self.value(lambda v: v.type.rank > 0)
        if x is None:
            return self.view()
        axis = int(self.rng.integers(x.type.rank))
        extent = x.type.shape[axis]
        if isinstance(extent, int) and (extent == 0 or extent > 250):
            return self.view()
        if self.chance(0.4):
            shape = list(x.type.shape)
            if isinstance(extent, int):
                shape[axis] = self.pick([1, 2, 5, extent])
            return make(TakeAlongAxis(axis), (x, self.indices(tuple(shape), extent)), self.name())
        options = [(extent,), (2, extent), (extent, 1)]
        if isinstance(extent, int):
            options += [(), (4,), (2, 3), (0,)]
        return make(Take(axis), (x, self.indices(self.pick(options), extent)), self.name())

    def scatter(self) -> Value:
        x = self.value(
            lambda v: (
                v.type.rank > 0
                and v.type.dtype in NUMBERS
                and (not self.exact or v.type.dtype.is_integer)
            )
        )
        if x is None:
            return self.gather()
        axis = int(self.rng.integers(x.type.rank))
        extent = x.type.shape[axis]
        if isinstance(extent, int) and (extent == 0 or extent > 250):
            return self.view()
        if self.chance(0.4):
            at = self.indices(x.type.shape, extent)
            return make(ScatterAddAlongAxis(axis), (x, at, self.like(x.type)), self.name())
        shape: tuple[Size, ...] = self.pick([(extent,), (extent, 2)])
        at = self.indices(shape, extent)
        wanted = x.type.with_shape((*x.type.shape[:axis], *shape, *x.type.shape[axis + 1 :]))
        kind = self.pick(SCATTERS)
        return make(kind(axis), (x, at, self.like(wanted)), self.name())

    def leaf(self) -> Value:
        t = TensorType(self.pick(self.dtypes), self.pick(self.shapes))
        roll = self.rng.random()
        if roll < 0.3 and t.dtype in NUMBERS and t.rank:
            return make(Iota(int(self.rng.integers(t.rank)), t.dtype, t.shape), (), self.name())
        if roll < 0.5:
            key = int(self.rng.integers(2**40))
            return make(RandomBits(key, t.shape), (self.run_counter(),), self.name())
        if roll < 0.55:
            return make(RandomPermutation(5, t.shape[-1]), (self.run_counter(),), self.name())
        if roll < 0.75 and not any(dim.symbols(s) for s in t.shape):
            data = draw(self.rng, t, {}, self.chance(0.5))
            return make(Constant(Data(data), t.dtype, t.shape), (), self.name())
        if roll < 0.85 and self.symbolic:
            return make(
                SizeOf(self.pick([N, 2 * N + 1]), self.pick([i64, i32, u8, f32, f64])),
                (),
                self.name(),
            )
        return self.input(t)

    def partial(self) -> Value:
        x = self.value(lambda v: v.type.rank > 1 and v.type.dtype.is_integer)
        if x is None:
            return self.reduction()
        sums = make(ReduceSum((0,)), (x,), self.name())
        return make(Broadcast(tuple(range(1, x.type.rank)), x.type.shape), (sums,), self.name())

    def normalise(self) -> Value:
        """Something like softmax or layer norm along the last axes."""
        x = self.value(lambda v: v.type.rank > 0 and v.type.dtype in NUMBERS)
        if x is None:
            return self.reduction()
        rank = x.type.rank
        axes = tuple(range(int(self.rng.integers(rank)), rank)) if self.chance(0.7) else (0,)
        sums = not self.exact or x.type.dtype.is_integer
        fold = self.pick(
            [ReduceMax, ReduceMin, ReduceSum, ReduceSum] if sums else [ReduceMax, ReduceMin]
        )
        place = others(rank, axes)
        if place == (0,) and x.type.shape[0] == x.type.shape[-1] and self.chance(0.4):
            place = (rank - 1,)  # along the wrong axis
        back = make(Broadcast(place, x.type.shape), (self.keep(make(fold(axes), (x,))),))
        ops = ["subtract", "add", "multiply", "maximum", "minimum"] + (
            [] if x.type.dtype.is_integer else ["divide"]
        )
        y = self.keep(make(OPS[self.pick(ops)](), (x, back), self.name()))
        if not self.exact and x.type.dtype.is_float and self.chance(0.5):
            y = self.keep(make(OPS[self.pick(["exp", "tanh", "sigmoid"])](), (y,), self.name()))
        return y

    def makers(self) -> list[tuple[Callable[[], Value], float]]:
        """What makes a value, and how often."""
        makers: list[tuple[Callable[[], Value], float]] = [
            (self.pointwise, 6),
            (self.view, 4),
            (self.reduction, 2.5),
            (self.rule_food, 2),
            (self.leaf, 1.5),
            (self.gather, 1),
            (self.scatter, 0.5),
            (self.matmul, 0.5),
            (self.layer, 0.8),
            (self.normalise, 1.2),
            (self.partial, 0.4),
            (self.unified, 0.5),
            (self.crossed, 0.4),
            (self.symmetric, 0.4),
            (self.views, 0.8),
            (lambda: scan(self), 0.9),
            (lambda: order(self), 0.9),
            (lambda: diagonal(self), 0.4),
            (self.windows, 0.5),
            (self.convolution, 0.3),
        ]
        if self.square:
            makers += [
                (self.residual, 1),
                (self.ladder, 0.7),
                (self.matmul, 2),
                (self.layer, 1),
                (self.scatter, 1),
                (self.symmetric, 1),
                (self.normalise, 1),
                (self.pointwise, 6),
            ]
        return makers

    def grow(self) -> None:
        makers = self.makers()
        weights = np.array([w for _, w in makers])
        while len(self.pool) < self.nodes:
            maker = makers[int(self.rng.choice(len(makers), p=weights / weights.sum()))][0]
            self.keep(maker())

    # -- the graph

    def graph(self, name: str) -> Graph:
        self.input(TensorType(self.dtypes[0], self.shapes[0]))
        self.grow()
        outputs = [self.pool[-1]]
        for _ in range(int(self.rng.integers(1, 6))):
            outputs.append(self.value() or outputs[0])
        if self.chance(0.2):
            outputs.append(self.pick(outputs))  # a duplicate
        if self.chance(0.15):
            outputs.append(self.pick([v for v in self.inputs if v is not self.counter]))
        if self.chance(0.1):
            outputs.append(self.literal(TensorType(f32, (3,))))
        if self.chance(0.15):
            x = self.pick(outputs)
            outputs.append(make(Reshape((x.type.count,)), (x,)))
        updates = tuple((v, self._new(v)) for v in self.inputs if isinstance(v.op, Variable))
        updates = self._swapped(updates) if self.chance(0.2) else updates
        reached = set(topological((*outputs, *(new for _, new in updates))))
        told = {str(s) for v in self.inputs if v in reached for s in v.type.shape}
        if self.symbolic and "n" not in told:
            self.inputs.append(make(Placeholder(f32, (N,)), (), "sizes"))
        return Graph(name, tuple(self.inputs), tuple(outputs), updates)

    def _swapped(self, updates: tuple[tuple[Value, Value], ...]) -> tuple[tuple[Value, Value], ...]:
        """Two variables of one type, if there are, take each other's value, or one value both."""
        pairs = itertools.combinations(updates, 2)
        found = next(((p, q) for p, q in pairs if p[0].type == q[0].type), None)
        if found is None:
            return updates
        (a, _), (b, new) = found
        other = {a: b, b: a} if self.chance(0.5) else {a: new, b: new}
        return tuple((old, other.get(old, value)) for old, value in updates)

    def _new(self, old: Value) -> Value:
        swap = [v for v in self.inputs if v.type == old.type and v is not old]
        if swap and self.chance(0.3):
            return self.pick(swap)
        found = self.value(lambda v: v.type == old.type)
        if found is None or found is old or self.chance(0.3):
            op = OPS[
                "logical_xor"
                if old.type.dtype == bool_
                else self.pick(["add", "subtract", "multiply"])
            ]()
            found = make(op, (old, self.value(lambda v: v.type == old.type) or old))
        return found


def _accepted(op: Op | None) -> tuple[DType, ...]:
    assert isinstance(op, Pointwise)
    return op.accepts


def count(shape: Sequence[Size]) -> int:
    """Elements at the largest n."""
    return dim.evaluate(dim.product(tuple(shape)), sizes_of(SIZES_OF_N[-1]))


def sizes_of(n: int) -> dict[str, int]:
    """What the names of sizes stand for."""
    return {"n": n, "m": n}


def random_graph(seed: int, nodes: int = 20) -> Graph:
    """The graph of a seed: about half are exact (every result has defined bits), half symbolic."""
    for attempt in range(20):
        builder = Builder(
            seed + 1_000_003 * attempt, nodes, seed % 2 == 0, seed % 4 < 2, seed % 5 > 2
        )
        try:
            return builder.graph(f"fuzz_{seed}")
        except (
            GraphcError,
            OverflowError,
        ):  # sizes that differ, a literal that its type cannot hold
            continue
    raise AssertionError(f"seed {seed} gives no graph")


# ---- inputs ----


def draw(rng: Rng, t: TensorType, sizes: dict[str, int], special: bool) -> Any:
    """An array: moderate numbers, or special values."""
    shape = tuple(dim.evaluate(s, sizes) for s in t.shape)
    if special:
        return rng.choice(special_values(t.dtype), shape)
    if t.dtype == bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if t.dtype.is_integer:
        return rng.integers(0 if t.dtype.kind == "uint" else -9, 10, shape).astype(t.dtype.numpy)
    return (rng.normal(0, 2, shape) if rng.random() < 0.7 else rng.integers(-4, 5, shape)).astype(
        t.dtype.numpy
    )


def inputs_for(graph: Graph, seed: int, special: bool, n: int) -> list[Any]:
    """Arrays for the inputs of a random graph."""
    rng = np.random.default_rng([seed, 5, special, n])
    return [
        np.asarray(np.uint64(seed))
        if isinstance(v.op, RunCounter)
        else np.asarray(draw(rng, v.type, sizes_of(n), special))
        for v in graph.inputs
    ]


EVERY_DTYPE = (*FLOATS, *INTS, BY_NAME["bool"], f16)
