"""A run is a transaction: what variables are before, in and after runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, FetchError, GraphcError, GraphError, SessionError, ShapeError
from graphc.session.session import Session

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def check(sess: Session, **wanted: Any) -> None:
    for name, value in wanted.items():
        np.testing.assert_array_equal(
            sess.value(name), np.broadcast_to(F32(value), sess.value(name).shape)
        )


@pytest.fixture(params=[3, 5000])
def ab(request: Any) -> tuple[gc.Variable, gc.Variable]:
    n = request.param
    return gc.variable(np.full(n, 1, F32), name="a"), gc.variable(np.full(n, 10, F32), name="b")


def test_reads_see_the_start(ab: Any) -> None:
    a, b = ab
    steps = [a.assign_add(1.0), b.assign(b + a), a * 2.0]
    with gc.Session() as sess:
        got = sess.run(steps)
        assert [g[0] for g in got] == [2, 11, 2]
        check(sess, a=2, b=11)
        got = sess.run(steps)
        assert [g[0] for g in got] == [3, 13, 4]
        check(sess, a=3, b=13)


def test_swap(ab: Any) -> None:
    a, b = ab
    swap = gc.group(a.assign(b), b.assign(a))
    with gc.Session() as sess:
        sess.run(swap)
        check(sess, a=10, b=1)
        sess.run(swap)
        check(sess, a=1, b=10)


def test_a_copy_of_a_variable_that_changes(ab: Any) -> None:
    a, b = ab
    with gc.Session() as sess:
        sess.run(gc.group(a.assign(a * 3.0), b.assign(a)))
        check(sess, a=3, b=1)
        sess.run(gc.group(b.assign(b + a), a.assign(gc.flip(a))))
        check(sess, a=3, b=4)


def test_old_and_new_value_in_one_run(ab: Any) -> None:
    a, _ = ab
    new = a.assign_add(1.0)
    with gc.Session() as sess:
        for i in (1, 2, 3):
            old_value, new_value, again = sess.run([a, new, a])
            assert old_value[0] == again[0] == i and new_value[0] == i + 1
            assert not np.shares_memory(old_value, again)
        before = sess.run(a)
        sess.run(new)
        assert before[0] == 4, "a fetched value does not change later"


def test_mixed_reads_of_a_variable_that_is_updated() -> None:
    v = gc.variable(np.arange(6, dtype=F32).reshape(2, 3), name="v")
    start = np.arange(6, dtype=F32).reshape(2, 3)
    step = [
        v.assign(v * 2.0),
        gc.transpose(v),
        gc.flip(v, axis=1),
        v[:, ::-1] + v,
        gc.sum(v, axis=0),
        v @ gc.transpose(v),
    ]
    with gc.Session() as sess:
        for _ in range(3):
            new, turned, flipped, mixed, sums, product = sess.run(step)
            np.testing.assert_array_equal(new, start * 2)
            np.testing.assert_array_equal(turned, start.T)
            np.testing.assert_array_equal(flipped, start[:, ::-1])
            np.testing.assert_array_equal(mixed, start[:, ::-1] + start)
            np.testing.assert_array_equal(sums, start.sum(0))
            np.testing.assert_array_equal(product, start @ start.T)
            start = start * 2
            np.testing.assert_array_equal(sess.value(v), start)


def test_updates_that_read_themselves_elsewhere() -> None:
    """A new value that reads the old one out of step must not be written over it."""
    start = np.arange(12, dtype=F32).reshape(3, 4)
    new = {
        "flip": (lambda t: gc.flip(t, axis=0) + t, lambda s: s[::-1] + s),
        "transpose": (
            lambda t: gc.reshape(gc.transpose(t), (3, 4)) + 1.0,
            lambda s: s.T.reshape(3, 4) + 1,
        ),
        "mean": (lambda t: t - gc.mean(t, axis=0), lambda s: s - s.mean(0, dtype=F32)),
        "rows": (lambda t: gc.take(t, [2, 0, 1], axis=0), lambda s: s[[2, 0, 1]]),
        "roll": (lambda t: gc.concat([t[1:], t[:1]]), lambda s: np.roll(s, -1, 0)),
        "softmax": (
            lambda t: t / gc.sum(t, axis=1, keepdims=True),
            lambda s: s / s.sum(1, keepdims=True),
        ),
        "itself": (lambda t: t, lambda s: s),
        "constant": (lambda t: gc.ones((3, 4)), lambda s: np.ones((3, 4), F32)),
        "scatter": (
            lambda t: gc.scatter_add(t, [0, 0], t[:2]),
            lambda s: s + np.vstack([s[0] + s[1], 0 * s[:2]]),
        ),
    }
    for name, (make, wanted) in new.items():
        v = gc.variable(start, name=name)
        step = v.assign(make(v))
        with gc.Session() as sess:
            sess.run(gc.group(step))
            np.testing.assert_allclose(sess.value(v), wanted(start), rtol=1e-6, err_msg=name)


def test_chained_assignments(ab: Any) -> None:
    a, b = ab
    first = a.assign_add(1.0)
    with gc.Session() as sess:
        sess.run(b.assign(first * 2.0))
        check(sess, a=2, b=4)


def test_two_assignments_name_both_lines(ab: Any) -> None:
    """semantics 10.3"""
    a, _ = ab
    one = a.assign_add(1.0)  # line one
    two = a.assign(a * 2.0)  # line two
    with gc.Session() as sess:
        with pytest.raises(GraphError, match="'a' is assigned twice") as caught:
            sess.run([one, two])
        first, second = (v.loc for v in (one, two))
        assert f":{first.line}" in str(caught.value) and f":{second.line}" in str(caught.value)
        assert "line two" in str(caught.value)
        sess.run([one, one])
        check(sess, a=2)


def test_assignments_must_fit(ab: Any) -> None:
    a, _ = ab
    with pytest.raises(ShapeError):
        a.assign(np.ones(4, F32))
    with pytest.raises(GraphcError, match="astype"):
        a.assign(gc.astype(a, gc.float64))
    with pytest.raises(GraphcError, match="assign"):
        a.assign(object())


# ---- runs that fail ----


@pytest.mark.parametrize("n", [4, 100_000])
def test_a_failing_run_changes_nothing(n: int) -> None:
    """In-place updates included: what can fail comes before all commits."""
    a = gc.variable(np.full(n, 1, F32), name="a")
    b = gc.variable(np.full((2, n), 10, F32), name="b")
    c = gc.variable(np.full(n, 5, F32), name="c")
    i = gc.placeholder(gc.int64, [None], name="i")
    picked = gc.take(a, i)  # the guilty line
    step = [a.assign(a * 2.0), b.assign(b + a), c.assign(a), gc.sum(picked)]
    with gc.Session() as sess:
        assert sess.run(step, {i: [0, 1]})[-1] == 2
        check(sess, a=2, b=11, c=1)
        for bad in (n, -n - 1, 2**62, -(2**63)):
            with pytest.raises(
                GraphcError, match=f"take: index {bad} is out of range for a size of {n}"
            ) as caught:
                sess.run(step, {i: [0, bad]})
            assert "the guilty line" in str(caught.value) and __file__ in str(caught.value)
            check(sess, a=2, b=11, c=1)
        assert sess.run(step, {i: [0, -n]})[-1] == 4
        check(sess, a=4, b=13, c=2)


def test_an_update_that_fails_itself() -> None:
    a = gc.variable(np.arange(5000, dtype=F32), name="a")
    i = gc.placeholder(gc.int64, [None], name="i")
    steps = [
        a.assign(gc.take(a, i)),
        a.assign(gc.scatter_add(a, i, gc.ones((5000,)))),
        a.assign(a + gc.take(a, i)),
    ]
    index = np.arange(5000)
    index[4999] = 5000
    with gc.Session() as sess:
        for step in steps:
            with pytest.raises(GraphcError, match="index 5000 is out of range for a size of 5000"):
                sess.run(gc.group(step), {i: index})
            np.testing.assert_array_equal(sess.value(a), np.arange(5000, dtype=F32))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [10, 200_000])
def test_the_guilty_op_is_named(n: int, threads: int) -> None:
    x = gc.variable(np.ones(n, F32), name="x")
    i, j = (gc.placeholder(gc.int64, [None], name=k) for k in "ij")
    one = gc.take(x, i)  # first take
    two = gc.take(x * 2.0, j)  # second take
    table = gc.scatter_add(gc.zeros((7,)), j, two)  # the scatter
    good, bad = np.zeros(n, np.int64), np.full(n, n)
    low = np.full(n, 8)
    with gc.Session(threads=threads) as sess:
        for feeds, line in [
            ((bad, good), "first take"),
            ((good, bad), "second take"),
            ((good, low), "the scatter"),
        ]:
            with pytest.raises(GraphcError, match="is out of range") as caught:
                sess.run([gc.sum(one), gc.sum(two), table], dict(zip((i, j), feeds, strict=True)))
            assert line in str(caught.value)
        sess.run([one, two, table], {i: good, j: good})


def test_labels_out_of_range() -> None:
    logits = gc.placeholder(gc.float32, [None, 3], name="logits")
    labels = gc.placeholder(gc.int64, [None], name="labels")
    loss = gc.nn.functional.cross_entropy(logits, labels)
    with gc.Session() as sess:
        for bad in (3, -1):
            with pytest.raises(GraphcError, match="out of range for a size of 3") as caught:
                sess.run(loss, {logits: np.zeros((2, 3)), labels: [0, bad]})
            assert "cross_entropy(logits, labels)" in str(caught.value)


# ---- initial values ----


def test_variables_are_initialised_when_first_needed() -> None:
    gc.variable(gc.full((2,), 1.0), name="unused")
    a = gc.variable(gc.random.normal((3,)), name="a")
    b = gc.variable(a * 2.0, name="b")
    c = gc.variable(gc.sum(b) + a, name="c")
    with gc.Session() as sess:
        assert not sess.values
        got_c, got_a, got_b = sess.run([c, a, b])
        np.testing.assert_array_equal(got_b, got_a * 2)
        np.testing.assert_allclose(got_c, got_b.sum() + got_a, rtol=1e-6)
        assert set(sess.values) == {a, b, c}
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.value("c"), got_c)


def test_initial_values_do_not_depend_on_when_they_are_needed() -> None:
    """semantics 10.4"""
    a, b = (gc.variable(gc.random.normal((3,)), name=n) for n in "ab")
    with gc.Session(seed=5) as sess:
        for _ in range(3):
            sess.run(gc.random.uniform((2,)))
            sess.run(a)
        late = sess.value(b)
    with gc.Session(seed=5) as sess:
        np.testing.assert_array_equal(sess.value(b), late)
    with gc.Session(seed=6) as sess:
        assert not np.array_equal(sess.value(b), late)


def test_initial_values_need_no_feeds() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    v = gc.variable(x + 1.0, name="v")  # here
    with (
        gc.Session() as sess,
        pytest.raises(GraphError, match="'v' depends on placeholder 'x'") as caught,
    ):
        sess.run(v)
    assert "# here" in str(caught.value)


def test_a_deep_chain_of_initial_values() -> None:
    v = gc.variable(np.zeros(1, F32))
    for _ in range(2000):
        v = gc.variable(v + 1.0)
    with gc.Session() as sess:
        assert sess.value(v) == 2000


def test_value_and_load() -> None:
    v = gc.variable(np.zeros((2, 3), F32), name="v")
    with gc.Session() as sess:
        step = sess.make_callable(v.assign_add(1.0))
        step()
        sess.load(v, [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(step(), [[2, 3, 4], [5, 6, 7]])
        copy = sess.value("v")
        copy[...] = 0
        np.testing.assert_array_equal(sess.value(v), [[2, 3, 4], [5, 6, 7]])
        for wrong in (
            np.zeros((3, 2)),
            1.0,
            np.zeros((2, 3), complex),
            "text",
            None,
            [[1], [2, 3]],
            object(),
        ):
            with pytest.raises(FeedError, match="load: 'v'"):
                sess.load(v, wrong)
        np.testing.assert_array_equal(sess.value(v), [[2, 3, 4], [5, 6, 7]])
        for not_variable in (v + 1.0, "w", 3, None):
            with pytest.raises(FetchError, match=r"value: .*(no tensor|no variable)"):
                sess.value(not_variable)
            with pytest.raises(FetchError, match=r"load: .*(no tensor|no variable)"):
                sess.load(not_variable, 1)
    with pytest.raises(SessionError):
        sess.load(v, np.zeros((2, 3)))


# ---- random draws ----


def test_sessions_share_a_constant_until_they_write_to_it() -> None:
    with gc.Graph().as_default():
        w = gc.variable(np.ones(1000, np.float32), name="w")
        twice, step = w * 2.0, w.assign_add(1.0)
    sessions = [gc.Session(w.graph) for _ in range(3)]
    calls = [s.make_callable(twice) for s in sessions]
    assert [call()[0] for call in calls] == [2, 2, 2]
    assert sessions[0].values[w] is sessions[1].values[w]
    sessions[0].run(step)
    sessions[1].load(w, np.zeros(1000, np.float32))
    assert [call()[0] for call in calls] == [4, 0, 2]
    assert [s.value(w)[0] for s in sessions] == [2, 0, 1]
    sessions[0].run(step)
    assert [call()[0] for call in calls] == [6, 0, 2]
