"""Random ops over the values of a pool, alone and in the patterns of real programs."""

from __future__ import annotations

from typing import Any

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value, full, make
from graphc.ir.op import OPS, Op, Pointwise
from graphc.ir.ops.conv import Convolution, ConvolutionInput, ConvolutionWeight
from graphc.ir.ops.gather import (
    ScatterAddAlongAxis,
    Take,
    TakeAlongAxis,
)
from graphc.ir.ops.index_math import others
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import Add, Cast, Where, remainder, subtract
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
    Constant,
    Data,
    Iota,
    SizeOf,
    Transpose,
)
from graphc.ir.ops.window import Adaptive, Unwindow, Window, along
from graphc.ir.types import (
    ALL,
    NUMBERS,
    DType,
    TensorType,
    bool_,
    f32,
    f64,
    i32,
    i64,
    u8,
)
from graphc.passes.rewrite.engine import instantiate
from graphc.passes.rewrite.rules import RULES
from graphc.testing.random_ordered import SCATTERS
from graphc.testing.random_values import M, N, draw, sizes_of
from graphc.testing.random_views import Views

POINTWISE = tuple(  # by name: what a seed makes does not depend on the order of files
    c
    for _, c in sorted(OPS.items())
    if issubclass(c, Pointwise)
    and c.__module__.startswith("graphc.ir.ops")
    and c.name != "check_index"
)


class Ops(Views):
    """A pool that makes values of every op."""

    def _kind(self) -> type[Pointwise]:
        """A pointwise op: seldom a cast, and in exact graphs an exact one."""
        for _ in range(50):
            cls = self.pick(POINTWISE)
            wanted = not self.exact or ((cls.exact and cls is not Cast) or self.chance(0.3))
            if wanted and not (self.exact and not cls.exact):
                return cls
        return Add

    def pointwise(self) -> Value:
        """An op of elements."""
        return self.elementwise(self._kind())

    def elementwise(self, cls: type[Pointwise]) -> Value:
        """A pointwise op applied to values of types that it accepts."""
        if cls is Cast:
            x = self.any_value()
            return make(
                Cast(self.pick([d for d in ALL if d in self.dtypes or self.chance(0.2)] or [f32])),
                (x,),
                self.name(),
            )
        if cls is Where:
            x = self.any_value()
            c = self.like(x.type.with_dtype(bool_))
            return make(cls(), (c, x, self.like(x.type)), self.name())
        x = self.of_dtype(cls.accepts)
        args = [x, *(self.like(x.type) for _ in range(cls.arity - 1))]
        if cls.arity == 2 and self.chance(0.5):
            args.reverse()
        return make(cls(), tuple(args), self.name())

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

    def rule_food(self) -> Value:
        """A graph that a rewrite rule matches, over values of the pool."""
        r = self.pick(RULES)
        if self.exact and r.kind != "exact":
            return self.pointwise()
        signed = tuple(d for d in r.dtypes or _accepted(r.left.op) if d.kind != "uint")
        x = self.of_dtype(signed)
        operands = {h: x for h in "xyz"}
        for h in "yz":
            operands[h] = self.like(x.type)
        if isinstance(r.left.op, Where):
            operands["c"] = self.like(x.type.with_dtype(bool_))
        return instantiate(r.left, operands, x)

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

    # -- folds and products

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

    def layer(self) -> Value:
        """A product and its usual successors: bias, activation, scaling, a sum over rows."""
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

    def convolution(self) -> Value:
        """One of three convolutions, over new inputs; floats without padding (semantics 17.2)."""
        dtype = self.pick([i32, i64] if self.exact else [i32, f32, f64])
        pad = int(self.rng.integers(3)) if dtype.is_integer else 0
        groups, stride, kernel = (int(self.rng.integers(1, 3)) for _ in range(3))
        fields: dict[str, Any] = {
            "strides": (stride,),
            "dilations": (1,),
            "before": (pad,),
            "after": (pad,),
            "groups": groups,
        }
        images, size = N if self.symbolic else 2, int(self.rng.integers(3, 8))
        x = TensorType(dtype, (images, 2 * groups, size))
        w = TensorType(dtype, (3 * groups, 2, kernel))
        y = Convolution(**fields).infer(x, w)
        choices: list[tuple[Op, tuple[TensorType, TensorType]]] = [
            (Convolution(**fields), (x, w)),
            (ConvolutionInput(spatial=x.shape[2:], **fields), (y, w)),
            (ConvolutionWeight(kernel=w.shape[2:], **fields), (x, y)),
        ]
        op, types = self.pick(choices)
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

    # -- by index

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


def _accepted(op: Op | None) -> tuple[DType, ...]:
    assert isinstance(op, Pointwise)
    return op.accepts
