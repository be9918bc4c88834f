"""Known and symbolic sizes get the same checks: what is refused when a graph is built with known
sizes is refused when arrays of those sizes are fed (semantics 8.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, ShapeError

F = gc.nn.functional
Shapes = tuple[tuple[int, ...], ...]
Call = Callable[..., Any]

# name: the call, shapes that it takes, shapes that it refuses
CALLS: dict[str, tuple[Call, list[Shapes], list[Shapes]]] = {
    "x[5]": (lambda x: x[5], [((6,),), ((9,),)], [((3,),), ((5,),), ((0,),)]),
    "x[-5]": (lambda x: x[-5], [((5,),)], [((4,),), ((0,),)]),
    "x[0]": (lambda x: x[0], [((1,),)], [((0,),)]),
    "x[-1]": (lambda x: x[-1], [((1,),)], [((0,),)]),
    "x[:, 0]": (lambda x: x[:, 0], [((2, 1),), ((0, 1),)], [((2, 0),)]),
    "x[10**9]": (lambda x: x[10**9], [], [((3,),)]),
    "x[-2**70:]": (lambda x: x[-(2**70) :], [((3,),), ((0,),)], []),
    "x[2**70::-1]": (lambda x: x[2**70 :: -1], [((3,),), ((0,),)], []),
    "x[::2**70]": (lambda x: x[:: 2**70], [((3,),), ((0,),)], []),
    "x[int64(-2):]": (lambda x: x[np.int64(-2) :], [((3,),), ((1,),)], []),
    "diagonal of 2**70": (lambda x: gc.diagonal(x, 2**70), [((2, 3),)], []),
    "arange(n, n + 2)": (
        lambda x: gc.arange(x.shape[0], x.shape[0] + 2) + 0 * gc.astype(gc.sum(x), gc.int64),
        [((3,),)],
        [],
    ),
    "x[1:4]": (lambda x: x[1:4], [((9,),), ((2,),), ((0,),)], []),
    "x[::-2]": (lambda x: x[::-2], [((5,),), ((1,),), ((0,),)], []),
    "x[-4:-1]": (lambda x: x[-4:-1], [((9,),), ((2,),), ((0,),)], []),
    "x[7:2:-2]": (lambda x: x[7:2:-2], [((9,),), ((5,),), ((2,),)], []),
    "broadcast_to": (lambda x: gc.broadcast_to(x, (4,)), [((4,),)], [((3,),), ((0,),)]),
    "split": (lambda x: gc.split(x, 3, axis=1)[1], [((2, 6),), ((2, 0),)], [((2, 4),)]),
    "split at": (lambda x: gc.split(x, [2, 5])[1], [((9,),), ((3,),), ((1,),)], []),
    "glu": (lambda x: F.glu(x, dim=0), [((4,),)], [((3,),)]),
    "reflect": (lambda x: F.pad(x, (2, 1), mode="reflect"), [((1, 3),)], [((1, 2),)]),
    "circular": (lambda x: F.pad(x, (2, 1), mode="circular"), [((1, 2),)], [((1, 1),)]),
    "replicate": (lambda x: F.pad(x, (2, 1), mode="replicate"), [((1, 1),)], [((1, 0),)]),
    "cropped": (lambda x: F.pad(x, (-3, 0)), [((3,),), ((4,),)], [((2,),)]),
    "top_k": (lambda x: gc.top_k(x, 3)[0], [((3,),)], [((2,),)]),
    "einsum": (
        lambda x, y: gc.einsum("ij,kj->ik", x, y),
        [((2, 3), (4, 3))],
        [((2, 6), (3, 4)), ((2, 3), (2, 4))],
    ),
    "einsum diagonal": (lambda x: gc.einsum("ii->i", x), [((3, 3),)], [((3, 4),)]),
    "tensordot": (
        lambda x, y: gc.tensordot(x, y, axes=((0, 1), (0, 1))),
        [((2, 6), (2, 6))],
        [((2, 6), (3, 4))],
    ),
    "bincount": (
        lambda x, w: gc.bincount(gc.astype(x, gc.int64) * 0, w, minlength=2),
        [((3,), (3,))],
        [((3,), (4,)), ((3,), (1,))],
    ),
    "bincount of a matrix": (
        lambda x, w: gc.bincount(gc.astype(x, gc.int64) * 0, w, minlength=2),
        [((2, 6), (2, 6))],
        [((2, 6), (3, 4))],
    ),
    "weights of a histogram": (
        lambda x, w: gc.histogram(x, 4, (-9, 9), w)[0],
        [((2, 6), (2, 6))],
        [((2, 6), (3, 4)), ((4,), (2,))],
    ),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 1), [((1, 1, 3),)], [((1, 1, 2),)]),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 3), [((1, 1, 3),)], [((1, 1, 2),)]),
    "conv1d": (
        lambda x, w: F.conv1d(x, w),
        [((1, 2, 5), (3, 2, 3))],
        [((1, 2, 2), (3, 2, 3)), ((1, 3, 5), (3, 2, 3))],
    ),
    "unfold": (lambda x: F.unfold(x, 3), [((1, 1, 3, 3),)], [((1, 1, 2, 3),)]),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), [((1, 4, 2, 2),)], [((1, 6, 2, 2),)]),
    "group_norm": (lambda x: F.group_norm(x, 2), [((1, 4, 3),)], [((1, 3, 3),)]),
    "linear": (lambda x, w: F.linear(x, w), [((2, 3), (4, 3))], [((2, 3), (4, 2))]),
    "reshape": (lambda x: gc.reshape(x, (-1, 3)), [((6,),), ((0,),)], [((7,),)]),
    "add": (lambda x, y: x + y, [((3,), (3,))], [((3,), (4,)), ((3,), (2,))]),
    "concat": (
        lambda x, y: gc.concat([x, y]),
        [((2, 3), (1, 3))],
        [((2, 3), (1, 4))],
    ),
    "dynamic_slice": (
        lambda x: gc.dynamic_slice(x, (gc.asarray(0),), (3,)),
        [((3,),)],
        [((2,),)],
    ),
    "scan": (lambda x: gc.scan(lambda c, r: (c + r, c), 0.0, x)[1][-1], [((2,),)], [((0,),)]),
}


def fed(call: Call, shapes: Shapes, known: bool) -> Any:
    """The result for arrays of these shapes, in a graph of known or of symbolic sizes."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(s).astype(np.float32) for s in shapes]
    with gc.Graph().as_default(), gc.Session() as sess:
        sizes = [s if known else [None] * len(s) for s in shapes]
        xs = [gc.placeholder(gc.float32, s, name=f"x{i}") for i, s in enumerate(sizes)]
        return sess.run(call(*xs), dict(zip(xs, arrays, strict=True)))


GOOD = [(name, shapes) for name, (_, good, _) in CALLS.items() for shapes in good]
BAD = [(name, shapes) for name, (_, _, bad) in CALLS.items() for shapes in bad]


@pytest.mark.parametrize("name, shapes", GOOD)
def test_both_forms_agree(name: str, shapes: Shapes) -> None:
    call = CALLS[name][0]
    np.testing.assert_array_equal(fed(call, shapes, known=True), fed(call, shapes, known=False))


@pytest.mark.parametrize("name, shapes", BAD)
def test_both_forms_refuse(name: str, shapes: Shapes) -> None:
    call = CALLS[name][0]
    with pytest.raises(ShapeError) as known:
        fed(call, shapes, known=True)
    with pytest.raises((FeedError, ShapeError)) as symbolic:
        fed(call, shapes, known=False)
    assert known.value.location is not None and symbolic.value.location is not None
    assert symbolic.value.location.file == __file__


def slope(call: Call) -> Call:
    """The gradient of a call, which needs none of the values that it is of where they are sums."""
    return lambda *xs: gc.gradients(gc.sum(call(*xs)), xs[:1])[0]


@pytest.mark.parametrize("name, shapes", BAD)
def test_the_gradient_alone_refuses_what_its_function_refuses(name: str, shapes: Shapes) -> None:
    call = CALLS[name][0]
    with gc.Graph().as_default():
        xs = [gc.placeholder(gc.float32, [None] * len(s)) for s in shapes]
        if gc.gradients(gc.sum(call(*xs)), xs[:1], allow_unused=True)[0] is None:
            return  # counts have no gradient by what is counted
    with pytest.raises((FeedError, ShapeError)) as refused:
        fed(slope(call), shapes, known=False)
    assert refused.value.location is not None and refused.value.location.file == __file__


def test_a_gradient_names_the_line_of_its_function() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x, y = gc.placeholder(gc.float32, ["n"], "x"), gc.placeholder(gc.float32, ["m"], "y")
        total = x + y
        far = gc.gradients(total[5], [x])[0]
        assert sess.run(far, {x: np.ones(6)}).tolist() == [0, 0, 0, 0, 0, 1]
        with pytest.raises(FeedError, match="add: needs n = m, got 6 and 7") as refused:
            sess.run(far, {x: np.ones(6), y: np.ones(7)})
        assert refused.value.location is not None
        assert refused.value.location.text == "total = x + y"
        step = gc.optim.SGD(1.0).minimize(gc.sum(x[4] * gc.variable(1.0, name="w")))
        with pytest.raises(FeedError, match=r"needs n >= 5, got 3"):
            sess.run(step, {x: np.ones(3)})


def test_a_gradient_of_what_is_fed_asks_nothing_of_what_made_it() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        pair = gc.stack([x[5], x[0]])
        slope = gc.gradients(gc.sum(pair * pair), [pair])[0]
        assert sess.run(slope, {pair: np.array([1, 2])}).tolist() == [2, 4]
        assert sess.run(slope, {x: np.arange(6)}).tolist() == [10, 0]
        with pytest.raises(FeedError, match="needs n >= 6, got 3"):
            sess.run(slope, {x: np.ones(3)})


def test_a_gradient_that_is_a_value_of_the_user_stays_fed() -> None:
    """The gradient of a sum is its seed: a placeholder here, which a copy would not be."""
    with gc.Graph().as_default(), gc.Session() as sess:
        x, y = gc.placeholder(gc.float32, ["n"], "x"), gc.placeholder(gc.float32, ["m"], "y")
        seed = gc.placeholder(gc.float32, ["n"], "seed")
        slope = gc.gradients(x + y, [x], grad_ys=seed)[0]
        again = gc.gradients(gc.sum(slope * slope), [seed])[0]
        feeds = {x: np.ones(2), y: np.ones(2), seed: np.array([3, 4])}
        assert [a.tolist() for a in sess.run([slope, again], feeds)] == [[3, 4], [6, 8]]
        with pytest.raises(FeedError, match="add: needs n = m, got 2 and 3"):
            sess.run(slope, {**feeds, y: np.ones(3)})


def test_a_size_that_only_an_idle_feed_tells_is_checked() -> None:
    """The gradient of `reshape(x, (4,))` is ones(4): it reads nothing of x."""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        slope = gc.gradients(gc.sum(gc.reshape(x, (4,))), [x])[0]
        assert sess.run(slope, {x: np.ones(4)}).tolist() == [1, 1, 1, 1]
        with pytest.raises(FeedError, match=r"reshape: .*needs n = 4, got 3"):
            sess.run(slope, {x: np.ones(3)})


def test_a_refused_run_changes_nothing() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        w = gc.variable(np.ones(2, np.float32), name="w")
        step = w.assign(w + x[4])
        with pytest.raises(FeedError, match=r"index: 4 is out of range .*: needs n >= 5, got 3"):
            sess.run(step, {x: np.ones(3)})
        assert sess.run(w).tolist() == [1, 1]


def test_a_bound_of_a_slice_may_not_be_negative() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        last = x[x.shape[0] - 5 :]
        assert sess.run(last, {x: np.arange(7)}).tolist() == [2, 3, 4, 5, 6]
        with pytest.raises(FeedError, match="needs n-5 >= 0, got -2"):
            sess.run(last, {x: np.arange(3)})


def test_requirements_inside_of_a_loop_and_of_equal_graphs() -> None:
    """Two graphs of equal text that require different things are compiled apart."""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n", "m"], name="x")
        rows = gc.map_fn(lambda r: gc.split(r, 2)[0], x)
        assert sess.run(rows, {x: np.ones((3, 4))}).shape == (3, 2)
        with pytest.raises(FeedError, match=r"split: axis 0 of f32.m. does not split into 2 equal"):
            sess.run(rows, {x: np.ones((3, 5))})
