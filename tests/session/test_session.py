"""Sessions: fetches, feeds, one compilation for all sizes, callables, wrong uses."""

from __future__ import annotations

import gc as garbage
import sys
import warnings
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, FetchError, GraphError, SessionError
from graphc.ir.graph import Graph
from graphc.runtime.cpu import result_pool
from graphc.runtime.cpu.result_pool import MAX_ARRAYS_PER_SHAPE, MAX_POOLED_SHAPES

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def vector(name: str = "x", dtype: Any = gc.float32) -> gc.Tensor:
    return gc.placeholder(dtype, [None], name=name)


ONES = np.ones(3, np.float32)


# ---- fetches ----


def test_fetches_keep_their_nest() -> None:
    Pair = namedtuple("Pair", "left right")
    x = vector()
    y, z = x + 1.0, gc.sum(x)
    w = gc.variable(np.zeros(3, np.float32), name="w")
    step = gc.group(w.assign(y), [z])
    fetches = {
        "list": [y, (z,)],
        "pair": Pair(x, {"deep": y}),
        "none": step,
        "name": "x",
        "empty": (),
    }
    with gc.Session() as sess:
        got = sess.run(fetches, {x: ONES})
        assert isinstance(got["list"], list) and isinstance(got["list"][1], tuple)
        assert isinstance(got["pair"], Pair) and list(got) == list(fetches)
        assert got["none"] is None and got["empty"] == ()
        np.testing.assert_array_equal(got["pair"].right["deep"], ONES + 1)
        np.testing.assert_array_equal(got["name"], ONES)
        assert got["list"][1][0] == 3 and got["list"][1][0].shape == ()
        np.testing.assert_array_equal(sess.value("w"), ONES + 1)


def test_fetches_that_are_no_tensors() -> None:
    x = vector()
    with gc.Session() as sess:
        for wrong in (
            None,
            3,
            [x, object()],
            {"a": 1.5},
            np.ones(2),
            [[np.ones(2)]],
            {1, 2},
            print,
        ):
            with pytest.raises(FetchError, match="fetch"):
                sess.run(wrong, {x: ONES})
        with pytest.raises(FetchError, match="no tensor is called 'y'; named ones: x"):
            sess.run("y", {x: ONES})


def test_a_fetch_may_need_nothing() -> None:
    with gc.Session() as sess:
        assert sess.run([]) == []
        assert sess.run(gc.group()) is None
        np.testing.assert_array_equal(sess.run(gc.full((2,), 3.0)), [3, 3])
        np.testing.assert_array_equal(sess.run(gc.arange(3)), [0, 1, 2])


def test_duplicates_are_separate_arrays() -> None:
    x = vector()
    y = x * 2.0
    v = gc.variable(ONES, name="v")
    const = gc.asarray(ONES)
    fetches = [y, y, gc.reshape(y, (-1, 1)), x, x, v, v, const, const]
    with gc.Session() as sess:
        got = sess.run(fetches, {x: ONES})
        for i, a in enumerate(got):
            for b in [*got[:i], ONES, sess.values[v]]:
                assert not np.shares_memory(a, b)


# ---- results belong to the caller ----


@pytest.mark.parametrize("size", [3, 100_000])
def test_writing_into_results_is_harmless(size: int) -> None:
    x = vector()
    v = gc.variable(np.ones(size, np.float32))
    ones = np.ones(size, np.float32)
    fetches = [x + 1.0, v, v.assign(v * 1.0), gc.asarray(ones), x]
    with gc.Session() as sess:
        first = sess.run(fetches, {x: ones})
        wanted = [a.copy() for a in first]
        for a in first:
            a[...] = -7
        for a, w in zip(sess.run(fetches, {x: ones}), wanted, strict=True):
            np.testing.assert_array_equal(a, w)
        assert ones.min() == 1


def test_large_results_are_not_reused_while_seen() -> None:
    x = vector()
    with gc.Session() as sess:
        call = sess.make_callable(x + 1.0, [x])
        zeros = np.zeros(100_000, np.float32)
        kept: list[Any] = []
        for i in range(8):
            out = call(zeros + i)
            kept.append([out, out[5:9], memoryview(out), out.reshape(2, -1).T][i % 4])
            del out
        garbage.collect()
        for i, a in enumerate(kept):
            assert np.all(np.asarray(a) == i + 1)
        addresses = set()
        for _ in range(10):
            addresses.add(call(zeros).ctypes.data)
        assert len(addresses) <= 2, "dropped results are used again"


def test_pooled_results_are_as_new() -> None:
    x = vector()
    with gc.Session() as sess:
        call = sess.make_callable(x + 1.0, [x])
        zeros = np.zeros(100_000, np.float32)
        out = call(zeros)
        out.setflags(write=False)
        del out
        out = call(zeros)
        assert out.flags.writeable
        out.resize((2, 50_000), refcheck=False)  # in place
        del out
        out = call(zeros)
        assert out.shape == zeros.shape
        with warnings.catch_warnings():  # from NumPy 2.5 on users are warned, and may
            warnings.simplefilter("ignore", DeprecationWarning)
            out.dtype = np.int32
        del out
        out = call(zeros)
        assert out.dtype == np.float32 and np.all(out == 1)


def test_few_results_are_kept() -> None:
    x = vector()
    with gc.Session() as sess:
        call = sess.make_callable(x + 1.0, [x])
        held = [call(np.full(50_000 + n % 20, n, np.float32)) for n in range(100)]
        assert all(np.all(a == n + 1) for n, a in enumerate(held)), "what is held is not written"
        kept = sess.results.kept
        assert (
            len(kept) <= MAX_POOLED_SHAPES and max(map(len, kept.values())) <= MAX_ARRAYS_PER_SHAPE
        )


# ---- any node is feedable and fetchable ----


def test_intermediate_tensors_are_fed() -> None:
    x = vector()
    y = gc.exp(x)
    z = y * 2.0 + x
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(z, {x: ONES, y: ONES * 5}), ONES * 11)
        np.testing.assert_array_equal(sess.run(y * 3.0, {y: ONES}), ONES * 3)  # x is not needed
        np.testing.assert_array_equal(sess.run([y, x], {x: ONES, y: ONES * 5})[0], ONES * 5)
        np.testing.assert_array_equal(sess.run(y, {"x": ONES * 0}), ONES)


def test_constants_and_literals_are_fed() -> None:
    c = gc.asarray(np.arange(3.0))
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(c * 2, {c: [1, 1, 1]}), [2, 2, 2])
        np.testing.assert_array_equal(sess.run(c * 2), [0, 2, 4])


def test_variables_are_fed_for_one_run() -> None:
    v = gc.variable(ONES, name="v")
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(v * 2.0, {v: ONES * 4}), ONES * 8)
        np.testing.assert_array_equal(sess.run(v), ONES)
        with pytest.raises(GraphError, match="'v' is fed and assigned"):
            sess.run(v.assign_add(1.0), {v: ONES})
        np.testing.assert_array_equal(sess.run(v), ONES)


def test_assignments_are_fed() -> None:
    v = gc.variable(ONES, name="v")
    new = v.assign_add(1.0)
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(new * 2.0, {new: ONES * 9}), ONES * 18)
        np.testing.assert_array_equal(sess.value(v), ONES)


def test_a_fed_tensor_tells_the_sizes() -> None:
    x = vector()
    both = gc.concat([x, x])  # f32[2*n]
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(both + 1.0, {both: np.ones(6)}), np.full(6, 2.0))
        np.testing.assert_array_equal(sess.run(both[: x.shape[0]], {both: np.arange(6)}), [0, 1, 2])
        with pytest.raises(FeedError, match=r"axis 0 of .* is 5, .*2\*n"):
            sess.run(both + 1.0, {both: np.ones(5)})


# ---- one compilation for every size ----


def test_one_compilation_for_every_batch() -> None:
    x = gc.placeholder(gc.float32, [None, 4], name="x")
    w = gc.variable(np.ones((4, 3), np.float32))
    loss = gc.mean(gc.nn.functional.softmax(x @ w) ** 2)
    (grad,) = gc.gradients(loss, [w])
    with gc.Session() as sess:
        sess.run([loss, grad], {x: np.ones((3, 4))})
        compiled = sess.stats.compilations + sess.stats.cache_hits
        for batch in (0, 1, 2, 7, 100):
            got, g = sess.run([loss, grad], {x: np.ones((batch, 4))})
            assert np.isnan(got) if batch == 0 else abs(got - 1 / 9) < 1e-6
            assert g.shape == (4, 3)
            assert sess.stats.arena_planned == sess.stats.arena_allocated
        assert sess.stats.compilations + sess.stats.cache_hits == compiled
        assert sess.stats.runs == 6 and sess.stats.launches >= 6


def test_equal_graphs_share_code_and_unequal_constants_do_not() -> None:
    x = vector()
    a, b = x + np.arange(3, dtype=np.float32), x + np.arange(3, 6, dtype=np.float32)
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(a, {x: ONES}), [1, 2, 3])
        np.testing.assert_array_equal(sess.run(b, {x: ONES}), [4, 5, 6])


# ---- callables ----


def test_make_callable() -> None:
    x, y = vector("x"), vector("y")
    with gc.Session() as sess:
        call = sess.make_callable({"d": x - y}, [x, "y"])
        np.testing.assert_array_equal(call([1, 2], [3, 5])["d"], [-2, -3])
        np.testing.assert_array_equal(call(ONES, ONES)["d"], [0, 0, 0])
        with pytest.raises(FeedError, match="takes 2 arrays, got 1"):
            call(ONES)
        with pytest.raises(FeedError, match=r"'y' .* needed but not fed"):
            sess.make_callable(x - y, [x])
    with pytest.raises(SessionError, match="closed"):
        call(ONES, ONES)


def test_function_traces_once_for_each_rank_and_type() -> None:
    seen = []

    @gc.function
    def double(x: Any, y: Any) -> Any:
        seen.append(x.type)
        return {"sum": x + y, "twice": x * 2}

    np.testing.assert_array_equal(double([1, 2], [3, 4])["sum"], [4, 6])
    assert double(np.ones(5), np.ones(5))["twice"].dtype == np.float64
    double(np.ones(7), np.ones(7))
    assert len(seen) == 2
    with pytest.raises(FeedError, match="equal"):
        double(np.ones(7), np.ones(8))


def test_own_ops_run() -> None:
    @gc.op
    def session_cube(x: Any) -> Any:
        return x * x * x

    x = vector()
    (d,) = gc.gradients(gc.sum(session_cube(x)), [x])
    with gc.Session() as sess:
        y, dy = sess.run([session_cube(x), d], {x: [2, 3]})
        np.testing.assert_array_equal(y, [8, 27])
        np.testing.assert_array_equal(dy, [12, 27])


# ---- sessions ----


def test_closed_sessions() -> None:
    v = gc.variable(ONES, name="v")
    sess = gc.Session()
    sess.run(v)
    sess.close()
    sess.close()
    for use in (
        lambda: sess.run(v),
        lambda: sess.value(v),
        lambda: sess.load(v, ONES),
        lambda: sess.make_callable(v),
    ):
        with pytest.raises(SessionError, match="session is closed"):
            use()


def test_sessions_do_not_share_variables() -> None:
    v = gc.variable(ONES, name="v")
    step = v.assign_add(1.0)
    with gc.Session() as one, gc.Session() as two:
        one.run(step)
        one.run(step)
        two.run(step)
        np.testing.assert_array_equal(one.value(v), ONES * 3)
        np.testing.assert_array_equal(two.value("v"), ONES * 2)


def test_tensors_of_another_graph() -> None:
    x = vector()
    with gc.Graph().as_default():
        other = vector()
        other_v = gc.variable(ONES)
    with gc.Session() as sess:
        with pytest.raises(FetchError, match="another graph"):
            sess.run(other, {x: ONES})
        with pytest.raises(FeedError, match="another graph"):
            sess.run(x, {x: ONES, other: ONES})
        with pytest.raises(FetchError, match="another graph"):
            sess.value(other_v)
    with pytest.raises(GraphError, match="two different graphs"):
        x + other


def test_wrong_options() -> None:
    for threads in (0, -1, 1.5, "two", None):
        if threads is None:
            continue
        with pytest.raises(SessionError, match="threads"):
            gc.Session(threads=threads)
    with pytest.raises(SessionError, match="seed"):
        gc.Session(seed="x")
    with pytest.raises(SessionError, match="graph"):
        gc.Session(graph=3)


def test_a_session_runs_the_passes_it_is_given() -> None:
    def forgetful(graph: Graph) -> Graph:
        return Graph(graph.name, graph.inputs, (), ())

    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None], name="x")
        with gc.Session(passes=[lambda graph: graph]) as sess:
            assert sess.run(x + 1.0, {x: [1.0]}) == [2.0]
        with gc.Session(passes=[forgetful]) as sess, pytest.raises(GraphError, match="forgetful"):
            sess.run(x + 1.0, {x: [1.0]})
        with gc.Session(passes=[lambda graph: None]) as sess, pytest.raises(GraphError):
            sess.run(x + 1.0, {x: [1.0]})


@pytest.mark.parametrize("borrowed", [-1, 0, 1, 2])
def test_results_are_counted_as_any_python_counts(
    monkeypatch: pytest.MonkeyPatch, borrowed: int
) -> None:
    """CPython 3.14 borrows references where 3.11 counts them."""

    class Counting:
        @staticmethod
        def getrefcount(x: Any) -> int:
            return sys.getrefcount(x) - 1 - borrowed  # one is this function's own

    monkeypatch.setattr(result_pool, "sys", Counting)
    results = result_pool.Results()
    kept = [results.empty((20_000,), np.dtype(F32)) for _ in range(6)]
    assert len({id(a) for a in kept}) == 6
    view = kept[3][5:]
    address = kept.pop().ctypes.data
    assert results.empty((20_000,), np.dtype(F32)).ctypes.data == address
    kept.clear()
    for _ in range(9):
        assert not np.shares_memory(results.empty((20_000,), np.dtype(F32)), view)
