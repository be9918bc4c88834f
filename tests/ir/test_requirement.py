"""Requirements of sizes, the proofs behind them, and certificates of views (semantics 8.4)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, ShapeError
from graphc.extend import Op, Piece, View
from graphc.frontend.stage import stage
from graphc.ir import dim
from graphc.ir.bounds import never_negative, never_negative_where
from graphc.ir.dim import maximum, minimum, symbol
from graphc.ir.inside import Reach, requirements, stays_inside
from graphc.ir.op import OPS
from graphc.ir.ops.shape import Slice
from graphc.ir.requirement import at_least, equal, multiple
from graphc.ir.types import TensorType, f32
from graphc.passes.graph.unify_sizes import unify_sizes

n, m = symbol("n"), symbol("m")
PROVED = (
    n,
    2 * n + 3,
    n - minimum(n, 5),
    maximum(n, 4) - 4,
    n - 2 * (n // 2),
    (n + 2) // 3,
    n - n % 7,
    6 - n % 7,
    n * m + m - minimum(m, 3),
    n - minimum(maximum(n - 5, 0), n),
    (n + 3) // 4 * 4 - n,
)
NOT_PROVED = (n - 1, n - m, minimum(n, 5) - 1, n // 2 - 1, n % 7 - 1, n * m - n, -n)


@pytest.mark.parametrize("size", PROVED, ids=str)
def test_what_is_proved_is_true(size: Any) -> None:
    assert never_negative(size)
    for values in itertools.product(range(12), repeat=2):
        assert dim.evaluate(size, dict(zip("nm", values, strict=True))) >= 0


@pytest.mark.parametrize("size", NOT_PROVED, ids=str)
def test_what_is_wrong_somewhere_is_not_proved(size: Any) -> None:
    assert not never_negative(size)


def test_ranges_and_facts() -> None:
    i = symbol("i.")
    ranges = {"i.": (0, n - 1)}
    assert never_negative(n - 1 - i, ranges) and not never_negative(n - 2 - i, ranges)
    assert never_negative_where(n + 4 - i, [7 - i, n - 4], {}) is False
    assert never_negative_where(9 - i, [7 - i], {})


def test_a_requirement_holds_always_never_or_for_some_sizes() -> None:
    assert equal(n + 1, 1 + n).holds() is True
    assert equal(2 * n, 2 * m + 1).holds() is False and equal(n, n + 1).holds() is False
    assert equal(n, m).holds() is None and equal(n, m).holds_for({"n": 2, "m": 2})
    assert at_least(n, 0).holds() is True and at_least(-1 - n, 0).holds() is False
    assert at_least(n, 3).holds() is None and not at_least(n, 3).holds_for({"n": 2})
    assert multiple(6 * n, 3).holds() is True and multiple(7, 3).holds() is False
    assert multiple(n, 3).holds() is None and multiple(n, 3).holds_for({"n": 9})
    assert at_least(2, 5, unless_empty=0).holds() is True
    assert at_least(2, 5, unless_empty=n).holds() is None
    assert at_least(2, 5, unless_empty=n).holds_for({"n": 0})
    assert not at_least(2, 5, unless_empty=n).holds_for({"n": 1})


def symbolic(types: tuple[TensorType, ...]) -> list[TensorType]:
    """The types with a symbol for each size that is not 1."""
    return [
        t.with_shape(tuple(1 if s == 1 else symbol(f"n{a}_{k}") for a, s in enumerate(t.shape)))
        for k, t in enumerate(types)
    ]


def is_refused(op: Op, types: list[TensorType]) -> bool:
    """Whether an op does not take operands of these types."""
    try:
        op.infer(*types)
    except ShapeError:
        return True
    return False


@pytest.mark.parametrize("op_cls", [c for c in OPS.values() if issubclass(c, View) and c.proved])
def test_views_that_are_proved_stay_inside(op_cls: type[View]) -> None:
    """With known sizes; and with symbolic ones, where the op's own requirements hold."""
    random = np.random.default_rng(0)
    for sample in op_cls.samples:
        op = op_cls(**sample.fields)
        assert all(c.holds() is True for c in stays_inside(op, sample.types))
        types = symbolic(sample.types)
        if isinstance(op, Slice):
            continue  # states what its pieces need, in words
        names = sorted({s for t in types for size in t.shape for s in dim.symbols(size)})
        for _ in range(40):
            values: dict[str, int] = {s: int(random.integers(0, 7)) for s in names}
            known = [t.with_shape(dim.numbers(t.shape, values)) for t in types]
            wanted = [*requirements(op, types), *(at_least(s, 0) for s in op.infer(*types).shape)]
            if all(c.holds_for(values) for c in wanted) and not is_refused(op, known):
                assert all(c.holds() is True for c in stays_inside(op, known)), (op, known)


class Skewed(View):
    """out[i] = x[2 * i + shift], of half of x: wrong where `shift` is 2 or more."""

    shift: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        return x.with_shape((dim.floordiv(x.shape[0], 2),))

    def pieces(self, index: tuple[Any, ...], *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, (2 * index[0] + self.shift,)),)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        return x[self.shift :: 2][: len(x) // 2]


class Folded(View):
    """out[i] = x[i * i % 7]: no formula proves it, so it is tried."""

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def pieces(self, index: tuple[Any, ...], *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, (index[0] * index[0] % 7,)),)

    def reference(self, *arrays: Any) -> Any:
        return arrays[0][np.arange(len(arrays[0])) ** 2 % 7]


@pytest.fixture(autouse=True)
def no_new_ops() -> Any:
    yield
    for cls in (Skewed, Folded):
        OPS.setdefault(cls.name, cls)


def applied(op: Op, *args: Any) -> Any:
    return op(*args)


def test_a_view_of_an_author_cannot_leave_its_operand() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        assert sess.run(applied(Skewed(1), x), {x: np.arange(7)}).tolist() == [1, 3, 5]
        wrong = applied(Skewed(2), x)
        with pytest.raises(FeedError, match=r"skewed: index 2\*0\.\+2 of axis 0 of f32\[n\]: need"):
            sess.run(wrong, {x: np.arange(6)})
        with pytest.raises(ShapeError, match="skewed: index"):
            applied(Skewed(2), gc.zeros((6,)))
        with pytest.raises(ShapeError, match=r"skewed: index .*: needs -3 >= 0"):
            applied(Skewed(-3), gc.zeros((6,)))


def test_what_no_formula_proves_is_tried_when_sizes_are_known() -> None:
    reach = next(c for c in stays_inside(Folded(), [f32["n"]]) if isinstance(c, Reach))
    assert reach.holds() is None and reach.holds_for({"n": 5}) and not reach.holds_for({"n": 4})
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        y = applied(Folded(), x)
        assert sess.run(y, {x: np.arange(5)}).tolist() == [0, 1, 4, 2, 2]
        with pytest.raises(FeedError, match=r"folded: index .* leaves it where n = 4"):
            sess.run(y, {x: np.arange(4)})


def test_common_factors_are_cancelled() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, ["n", 16, 64])
        y = gc.placeholder(gc.float32, ["m", 16, 64])
        total = gc.reshape(x, (-1,)) + gc.reshape(y, (-1,))
        unified = unify_sizes(stage([total]).graph)
    assert not unified.checks
    shapes = {v.type.shape[0] for v in unified.graph.inputs}
    assert len(shapes) == 1
