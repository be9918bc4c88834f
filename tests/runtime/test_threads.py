"""Threads, forks and signals: the same bits however a run is cut up, an end when asked for."""

from __future__ import annotations

import _thread
import threading
from typing import Any

import numpy as np
import pytest
from support.processes import script
from support.threads import in_threads

import graphc as gc
from graphc.errors import OutOfMemoryError
from graphc.runtime.cpu import threads as threads_module
from graphc.runtime.cpu.threads import ThreadPool

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def workload() -> tuple[gc.Tensor, list[gc.Tensor]]:
    """Elementwise, row kernels, partial sums and products of a fed matrix."""
    x = gc.placeholder(gc.float32, [None, 64], name="x")
    w = gc.variable(np.linspace(-1, 1, 64 * 32, dtype=F32).reshape(64, 32))
    rows = gc.nn.functional.softmax(x * 3.0)
    return x, [
        gc.exp(x) * gc.tanh(x),
        rows,
        gc.sum(x, axis=0),
        gc.mean(x * x),
        gc.sum(rows @ w, axis=0),
        x @ w,
        gc.argmax(x, axis=0),
        gc.prod(1.0 + 0.001 * x),
    ]


def batches(sizes: tuple[int, ...]) -> list[Any]:
    return [np.random.default_rng(n).standard_normal((n, 64)).astype(F32) for n in sizes]


def test_bits_do_not_depend_on_threads() -> None:
    x, fetches = workload()
    for given in batches((7, 1000, 12_345)):
        found = []
        for threads in (1, 2, 4):
            with gc.Session(threads=threads) as sess:
                found.append([sess.run(fetches, {x: given}) for _ in range(3)])
        for runs in found:
            for run in runs:
                for a, b in zip(run, found[0][0], strict=True):
                    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_one_session_from_many_threads(threads: int) -> None:
    x, fetches = workload()
    count = gc.variable(0, name="count")
    fetches = [*fetches, gc.group(count.assign_add(1))]
    given = batches((1, 3, 50, 3000))
    with gc.Session(threads=threads) as sess:
        wanted = [sess.run(fetches, {x: g})[:-1] for g in given]

        def work(start: int) -> None:
            for i in range(200):
                k = (start + i) % (4 if i % 20 == 0 else 3)
                for a, b in zip(sess.run(fetches, {x: given[k]}), wanted[k], strict=False):
                    assert a is None or a.tobytes() == b.tobytes()

        in_threads([lambda n=n: work(n) for n in range(8)])
        assert sess.value(count) == 4 + 8 * 200


def test_many_sessions_at_once_compile_and_run() -> None:
    x, fetches = workload()
    given = batches((4000,))[0]
    with gc.Session(threads=1) as sess:
        wanted = sess.run(fetches, {x: given})
    scale = gc.placeholder(gc.float32, [], name="scale")
    extra = gc.cos(x) * scale + gc.sin(x * 0.37)  # compiled by whoever is first

    def work() -> None:
        with gc.Session(x.graph, threads=2) as sess:
            for _ in range(10):
                for a, b in zip(sess.run(fetches, {x: given}), wanted, strict=True):
                    assert a.tobytes() == b.tobytes()
                sess.run(extra, {x: given, scale: 2.0})

    in_threads([work] * 4)


def test_failures_in_threads_stay_where_they_are() -> None:
    table = gc.variable(np.arange(300_000, dtype=F32), name="table")
    i = gc.placeholder(gc.int64, [None], name="i")
    out = gc.take(table, i) * 2.0
    good = np.arange(300_000)
    bad = good.copy()
    bad[-1] = 300_000
    with gc.Session(threads=2) as sess:

        def work(fails: bool) -> None:
            for _ in range(20):
                if fails:
                    with pytest.raises(gc.errors.GraphcError, match="index 300000"):
                        sess.run(out, {i: bad})
                else:
                    np.testing.assert_array_equal(sess.run(out, {i: good}), good * F32(2))

        in_threads([lambda: work(True), lambda: work(False)] * 2)


def test_graphs_are_built_in_threads() -> None:
    graph = gc.Graph()

    def work() -> None:
        with graph.as_default():
            for _ in range(50):
                gc.placeholder(gc.float32, [None], name="x")

    in_threads([work] * 4)
    assert len(graph.by_name) == 200


# ---- processes of their own ----


def test_fork_after_use() -> None:
    assert "parent fine" in script("""
        x = gc.placeholder(gc.float32, [None])
        v = gc.variable(np.ones(200_000, np.float32))
        step = v.assign(v + gc.sum(gc.exp(x)))
        sess = gc.Session(threads=2)
        feed = np.zeros(200_000, np.float32)
        sess.run(step, {x: feed})
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            got = sess.run(step, {x: feed})
            other = gc.Session(threads=2).run(gc.sum(gc.cos(x)), {x: feed})  # something new
            os._exit(0 if got[0] == 400_001 and other == 200_000 else 3)
        assert os.waitpid(child, 0)[1] == 0
        assert sess.run(step, {x: feed})[0] == 400_001
        print("parent fine")
    """)


INTERRUPTED = """
    n = {n}
    v = gc.variable(np.ones((n, n), np.float32), name="v")
    y = v
    for _ in range({steps}):
        y = {step}
    step = gc.group(v.assign(v + y), {more})
    sess = gc.Session(threads={threads})
    sess.run(v)
    runner = sess.make_callable(step)
    def interrupt():
        time.sleep(0.6)
        os.kill(os.getpid(), signal.SIGINT)
    done = sess.stats.runs, sess.stats.launches
    try:
        threading.Thread(target=interrupt).start()
        runner()
        print("no interrupt")
    except KeyboardInterrupt:
        print("interrupted")
    assert (sess.stats.runs, sess.stats.launches) == done, "the run went on to its end"
    assert np.all(sess.value("v") == 1), "the variable changed"
    assert sess.run(gc.sum(v)) == n * n
    small = gc.variable(np.ones(8, np.float32))
    assert sess.run(small.assign_add(1.0))[0] == 2
    print("usable")
"""


@pytest.mark.parametrize(
    ("threads", "n", "steps", "step", "more"),
    [
        (1, 1500, 100, "y @ v * 1e-3", "[]"),
        (2, 1500, 100, "y @ v * 1e-3", "[]"),
        (2, 2000, 50, "gc.tanh(gc.flip(gc.sin(y), axis=1) ** 1.5 + gc.sum(y))", "[gc.sum(y)]"),
    ],
)
def test_ctrl_c_ends_a_long_run(threads: int, n: int, steps: int, step: str, more: str) -> None:
    out = script(INTERRUPTED.format(n=n, steps=steps, step=step, threads=threads, more=more))
    assert "interrupted" in out and "usable" in out, out


def test_ctrl_c_in_short_runs_leaves_the_session_whole() -> None:
    """Interrupts at any moment: a run happens whole or not at all (semantics 10.2)."""
    assert "whole" in script("""
        a = gc.variable(np.zeros(300_000, np.float32), name="a")
        b = gc.variable(np.zeros(300_000, np.float32), name="b")
        step = gc.group(a.assign(a + 1.0), b.assign(gc.flip(b) + 1.0))
        sess = gc.Session(threads=2)
        run = sess.make_callable(step)
        run()
        hits = 0
        ready = threading.Semaphore(0)
        def interrupt():  # one signal whenever the main thread is ready for one
            for k in range(60):
                ready.acquire()
                time.sleep(0.005 + 0.00037 * k)
                os.kill(os.getpid(), signal.SIGINT)
        signals = threading.Thread(target=interrupt)
        signals.start()
        while hits < 60:
            try:
                ready.release()
                while True:
                    run()
            except KeyboardInterrupt:
                hits += 1
        signals.join()
        got = sess.value("a"), sess.value("b")
        assert np.all(got[0] == got[0][0]) and np.all(got[1] == got[0][0]), (got[0][0], got[1][0])
        print("whole", hits, got[0][0])
    """)


# ---- threads that are not there ----


@pytest.fixture
def long_run() -> Any:
    """A run that leaves the main thread, and its result."""
    x = gc.placeholder(gc.float32, [None], name="x")
    y, wanted = x, (fed := np.linspace(0, 1, 3_000_000, dtype=F32))
    for _ in range(12):
        y, wanted = gc.sin(y), np.sin(wanted)
    with gc.Session(threads=3) as sess:
        yield lambda: np.testing.assert_allclose(sess.run(y, {x: fed}), wanted, rtol=1e-4)


def test_a_run_whose_thread_dies_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, long_run: Any
) -> None:
    start = _thread.start_new_thread
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", lambda work, args: start(lambda: None, args))
        with pytest.raises(OutOfMemoryError, match="the thread of the run has died"):
            long_run()
    long_run()


def test_a_run_whose_thread_has_no_memory(monkeypatch: pytest.MonkeyPatch, long_run: Any) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(threads_module, "_execute", fails)
        with pytest.raises(OutOfMemoryError, match="not enough memory"):
            long_run()
    long_run()


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_system_without_threads(
    monkeypatch: pytest.MonkeyPatch, long_run: Any, left: int
) -> None:
    class Thread(threading.Thread):
        count = left

        def start(self) -> None:
            Thread.count -= 1
            if Thread.count < 0:
                raise RuntimeError("can't start new thread")
            super().start()

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threads_module, "_pool", lambda pid, size: ThreadPool(size))
        patch.setattr(threads_module.threading, "Thread", Thread)
        if left < 2:
            patch.setattr(_thread, "start_new_thread", none)
        long_run()
    long_run()


def test_ctrl_c_in_the_first_compilation() -> None:
    """Wherever it strikes, also inside of an import: the next run works."""
    for delay in (0.1, 0.25, 0.4, 0.6, 0.9):
        assert "usable" in script(
            """
            import tempfile
            x = gc.placeholder(gc.float32, [None])
            y = gc.sum(gc.exp(gc.sin(x)) * 3.0)
            with tempfile.TemporaryDirectory() as folder:
                sess = gc.Session(cache_dir=folder + "/kernels")
                signal.signal(signal.SIGINT, signal.default_int_handler)
                def interrupt():
                    time.sleep(float(sys.argv[1]))
                    os.kill(os.getpid(), signal.SIGINT)
                thread = threading.Thread(target=interrupt)
                thread.start()
                try:
                    sess.run(y, {x: [0.0]})
                    while thread.is_alive():
                        thread.join(0.01)
                except KeyboardInterrupt:
                    print("interrupted")
                assert sess.run(y, {x: [0.0]}) == 3
                assert gc.Session(cache_dir=folder + "/other").run(gc.cos(x), {x: [0.0]}) == 1
            print("usable")
            """,
            str(delay),
        )
