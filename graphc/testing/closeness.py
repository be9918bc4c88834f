"""How close results must be: the same bits where the meaning is exact, else a tolerance.

The tolerance comes from the graph: it is evaluated again with every inexact op disturbed by a few
units in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np

from graphc.errors import GraphError
from graphc.ir import control
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import bind_sizes
from graphc.ir.op import Contraction, Control, Item, Op, Opaque, Pointwise, Reduction, Scatter
from graphc.ir.ops.elementary import Elementary
from graphc.ir.ops.lapack_solve import Lu
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.substitute import substitute_fields
from graphc.passes.oracle.values import equal_bits as equal_bits
from graphc.testing.samples import built_in


def same_bits(a: Any, b: Any) -> bool:
    """Equal, with equal signs of zero; all NaNs alike."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.all(equal_bits(a, b)))


def spacing(x: Any) -> Any:
    """One unit in the last place, as f64."""
    info = {2: (2.0**-10, 6e-8), 4: (2.0**-23, 1.5e-45), 8: (2.0**-52, 5e-324)}
    eps, least = info[x.dtype.itemsize]
    if x.dtype.name == "bfloat16":
        eps, least = 2.0**-7, 1e-40
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.abs(x.astype(np.float64)))
        return np.maximum(np.ldexp(eps / 2, exponent), least)


def _rounds(op: Op) -> bool:
    """Whether an op may round unlike its reference, as foreign routines do, and users' kernels
    and folds in an order of their own."""
    if not built_in(type(op)):
        return isinstance(op, Opaque | Reduction)
    return isinstance(op, Opaque) and bool(op.routines) and not isinstance(op, Lu)  # holds indices


class Lost(Exception):
    """Nothing can be said about the results."""


class Disturbed:
    """Evaluates a graph with the results of inexact ops moved by a few units in the last place.

    With `all_floats` (where rules promise only to be at least as close), every float op is inexact,
    and an overflow may come out as anything.
    """

    def __init__(
        self, graph: Graph, arrays: Sequence[Any], seed: int, all_floats: bool = False
    ) -> None:
        self.graph, self.arrays, self.all_floats = graph, arrays, all_floats
        self.rng = np.random.default_rng(seed)
        self.sizes = bind_sizes(graph.inputs, arrays)
        self.scatters = any(isinstance(v.op, Scatter) for v in graph.nodes())

    def run(self) -> list[Any]:
        """The disturbed results."""
        with mock.patch.object(control, "interpret", self._evaluate), np.errstate(all="ignore"):
            try:
                return self._evaluate(self.graph, *self.arrays)
            except (Lost, GraphError, IndexError):  # an index that was moved out of range
                return []

    def _evaluate(self, graph: Graph, *arrays: Any) -> list[Any]:
        """The disturbed results of a graph, or of one inside it."""
        env = dict(zip(graph.inputs, map(np.asarray, arrays), strict=True))
        for v in graph.nodes():
            args = [env[a] for a in v.args]
            exact = substitute_fields(v.op, self.sizes).reference(*args)
            if isinstance(v.op, Control | Item):  # disturbed inside
                env[v] = exact
                continue
            exact = np.asarray(exact)
            env[v] = self.disturb(v, args, exact)
            if self.all_floats and is_float(exact) and self.scatters:
                with np.errstate(invalid="ignore"):
                    if not np.all(np.isfinite(widened(exact))):
                        raise Lost  # the overflow may stand at any position
        return [env[r] for r in graph.results]

    def disturb(self, v: Value, args: Sequence[Any], exact: Any) -> Any:
        op = v.op
        if not is_float(exact) or exact.size == 0:
            return exact
        if isinstance(op, Reduction) and built_in(type(op)) and op.name.endswith(("_sum", "_prod")):
            return self._sum(op, args[0], exact)
        if isinstance(op, Contraction):
            with np.errstate(all="ignore"):
                sizes = [np.abs(widened(a)) for a in args]
                reach = np.asarray(
                    op.reference(*(np.where(np.isfinite(a), a, 0).astype(a.dtype) for a in sizes))
                )
            moved = self._move(exact, reach, 8 + args[0].shape[-1] ** 0.5, np.isinf(reach))
            signed = np.copysign(widened(moved), self.rng.choice([1.0, -1.0], moved.shape))
            return np.where(widened(moved) == 0, signed.astype(moved.dtype), moved)
        if _rounds(op):
            largest = np.max(np.abs(exact), initial=0, where=np.isfinite(exact))
            return self._move(exact, np.full_like(exact, largest), 64)
        if isinstance(op, Scatter):
            with np.errstate(all="ignore"):
                reach = op.reference(np.abs(widened(args[0])), args[1], np.abs(widened(args[2])))
            return self._move(exact, np.asarray(reach), 8)
        if isinstance(op, Pointwise) and (not op.exact or isinstance(op, Elementary)):
            return self._move(exact, exact, 16)
        if self.all_floats and isinstance(op, Pointwise) and any(is_float(a) for a in args):
            if op.name in ("where", "cast") and v.type.dtype == v.args[-1].type.dtype:
                return exact
            return self._move(exact, exact, 2)
        return exact

    def _sum(self, op: Any, x: Any, exact: Any) -> Any:
        with np.errstate(all="ignore"):
            if op.name.endswith("_prod"):
                return self._product(op, x, exact)
            size = np.abs(widened(x))
            reach = np.asarray(
                op.reference(np.where(np.isfinite(size), size, 0).astype(size.dtype))
            )
            count = x.size / max(exact.size, 1)
        return self._move(exact, reach, 8 + count**0.5, np.isinf(reach))

    def _product(self, op: Any, x: Any, exact: Any) -> Any:
        """A product; where some order of the factors overflows or loses bits, anything."""
        with np.errstate(all="ignore"):
            size = np.log2(np.abs(widened(x).astype(np.float64)))
            size = np.where(np.isfinite(size), size, 0)
            axes = op.axes
            most, least = np.maximum(size, 0).sum(axes), np.minimum(size, 0).sum(axes)
            limit = -np.log2(float(np.finfo(widened(exact).dtype).tiny))
            parts = (
                (exact.shape[0],)
                if exact.shape[:1] != most.shape[:1] and exact.ndim > most.ndim
                else ()
            )
            wild = np.broadcast_to((most > limit - 1) | (least < -limit + 1), (*parts, *most.shape))
        moved = self._move(exact, exact, 8 + 2 * (x.size / max(exact.size, 1)))
        choice = self.rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0], exact.shape).astype(
            exact.dtype
        )
        return np.where(wild, choice, moved).astype(exact.dtype)

    def _move(self, exact: Any, reach: Any, units: float, wilder: Any = False) -> Any:
        """`exact` moved by up to `units` of the last place of `reach`."""
        wide = np.array(exact, np.float64)
        with np.errstate(all="ignore"):
            step = spacing(reach.astype(exact.dtype)) * units * self.rng.uniform(-1, 1, wide.shape)
            step = np.where(np.isfinite(step) & (widened(reach) != 0), step, 0)
            gone = (np.abs(wide) < np.abs(step)) & (self.rng.random(wide.shape) < 0.4)
            moved = np.where(gone, 0, np.where(step == 0, wide, wide + step)).astype(exact.dtype)
            overflow = np.isinf(widened(reach.astype(exact.dtype))) & np.isfinite(wide)
            near = np.abs(wide) > 0.4 * float(np.finfo(widened(exact).dtype).max)
            near |= overflow | wilder
            if self.all_floats:
                near |= ~np.isfinite(wide)
            wild = self.rng.choice([np.nan, np.inf, -np.inf, 1.0], wide.shape)
            signs = self.rng.choice([1.0, -1.0], wide.shape)
            flush = (wide == 0) & self.all_floats
            moved = np.where(flush, (signs * 0.0).astype(exact.dtype), moved)
        return np.where(near, wild.astype(exact.dtype), moved).astype(exact.dtype)


def disagreements(
    graph: Graph,
    arrays: Sequence[Any],
    wanted: Sequence[Any],
    got: Sequence[Any],
    loose: bool = False,
) -> list[str]:
    """What is wrong with `got` as the results of `graph`, whose oracle says `wanted`; [] if all is
    well.

    `loose`: rules have fired that are only `stable`.
    """
    wrong = [i for i, (w, g) in enumerate(zip(wanted, got, strict=True)) if not same_bits(w, g)]
    for runs in (4, 48):
        if not wrong:
            return []
        bounds = _Bounds(graph, arrays, wanted, runs, loose)
        wrong = [i for i in wrong if not bounds.admit(i, got[i])]
    return [_describe(i, wanted[i], got[i], bounds) for i in wrong]


class _Bounds:
    """The allowed distance of each element from the oracle's."""

    def __init__(
        self, graph: Graph, arrays: Sequence[Any], wanted: Sequence[Any], runs: int, loose: bool
    ) -> None:
        self.wanted = wanted
        found = [Disturbed(graph, arrays, seed, loose).run() for seed in range(runs)]
        self.others = [o for o in found if o]

    def admit(self, i: int, got: Any) -> bool:
        """Whether result i may be `got`."""
        want = self.wanted[i]
        return (
            want.shape == got.shape
            and want.dtype == got.dtype
            and bool(np.all(self.allowed(i, got)))
        )

    def allowed(self, i: int, got: Any) -> Any:
        want = self.wanted[i]
        same = equal_bits(want, got)
        if not self.others:  # every disturbance fails: nothing can be said
            return np.ones_like(same)
        stable = np.ones(want.shape, bool)
        moved = np.zeros(want.shape)
        for other in self.others:
            o = other[i]
            if not is_float(want):
                stable &= o == want
                continue
            w, x = widened(want).astype(np.float64), widened(o).astype(np.float64)
            with np.errstate(all="ignore"):
                kind = (np.isnan(w) == np.isnan(x)) & (np.isinf(w) == np.isinf(x))
                kind &= ~np.isinf(w) | (w == x)
                stable &= kind
                moved = np.maximum(
                    moved, np.where(np.isfinite(w) & np.isfinite(x), np.abs(w - x), 0)
                )
                moved = np.where(
                    (w == 0) & (np.signbit(w) != np.signbit(x)), np.maximum(moved, 1e-300), moved
                )
        if not is_float(want):
            return same | ~stable
        w, g = widened(want).astype(np.float64), widened(got).astype(np.float64)
        with np.errstate(all="ignore"):
            stable &= np.isfinite(g) | (moved <= 0.5 * np.abs(w))  # beyond, no digit is certain
            close = np.isfinite(g) & (moved > 0) & (np.abs(g - w) <= 4 * moved + 4 * spacing(want))
        return same | ~stable | close


def _describe(i: int, want: Any, got: Any, bounds: _Bounds) -> str:
    if want.shape != got.shape or want.dtype != got.dtype:
        return (
            f"result {i}: wanted {want.dtype}{list(want.shape)}, got {got.dtype}{list(got.shape)}"
        )
    bad = np.argwhere(~bounds.allowed(i, got))
    at = tuple(bad[0])
    return (
        f"result {i} at {list(map(int, at))} ({len(bad)} of {want.size} wrong): "
        f"wanted {want[at]!r}, got {got[at]!r}"
    )
