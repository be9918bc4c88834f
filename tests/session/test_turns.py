"""Whose turn it is: no run begins inside another, and nobody waits for ever."""

from __future__ import annotations

import gc as garbage
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from support.processes import script

import graphc as gc
from graphc.errors import SessionError

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


class Lazy:
    """A feed that calls a function while a run reads it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        self.call()
        return np.ones(3, F32)


@pytest.mark.parametrize("use", ["run", "value", "load", "load_all", "close", "profile", "compile"])
def test_no_use_of_a_session_inside_its_own_run(use: str) -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    v = gc.variable(np.zeros(3, F32), name="v")
    step = v.assign(v + x)
    said: list[BaseException] = []
    sess = gc.Session()

    def inside() -> None:
        calls: dict[str, Callable[[], Any]] = {
            "run": lambda: sess.run(step, {x: np.full(3, 5, F32)}),
            "value": lambda: sess.value(v),
            "load": lambda: sess.load(v, np.zeros(3)),
            "load_all": lambda: sess.load_all({v: np.zeros(3)}),
            "close": sess.close,
            "profile": lambda: sess.profile(step, {x: np.zeros(3, F32)}, steps=1),
            "compile": lambda: sess.make_callable(gc.exp(v)),
        }
        with pytest.raises(SessionError, match="inside a run of the same session") as caught:
            calls[use]()
        said.append(caught.value)

    assert sess.run(step, {x: Lazy(inside)}).tolist() == [1, 1, 1] and len(said) == 1
    assert sess.run(step, {x: np.ones(3, F32)}).tolist() == [2, 2, 2]


def test_a_finalizer_inside_a_run() -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    y = x * 2.0
    said: list[BaseException] = []
    sess = gc.Session()

    class Dying:
        def __del__(self) -> None:
            try:
                sess.run(y, {x: [1.0]})
            except SessionError as error:
                said.append(error)

    def drop() -> None:
        Dying()
        garbage.collect()

    assert sess.run(y, {x: Lazy(drop)}).tolist() == [2, 2, 2] and len(said) == 1


def test_a_signal_handler_inside_a_run() -> None:
    """Long runs, while the main thread waits, and short ones; the handler's runs and the others
    are right, or errors."""
    x = gc.placeholder(gc.float32, [None], name="x")
    y = gc.sum(gc.exp(gc.sin(x)) * 0.0 + x)
    sess = gc.Session(threads=2)
    mine, other = np.full(1_000_000, 2, F32), np.full(70_000, 3, F32)
    said: list[str] = []

    def handler(*_: object) -> None:
        try:
            assert sess.run(y, {x: other}) == 210_000
            said.append("ran")
        except SessionError:
            said.append("refused")

    before = signal.signal(signal.SIGALRM, handler)
    sess.run(y, {x: mine}), sess.run(y, {x: other})
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0037)
    try:
        while len(said) < 200 or "refused" not in said:
            assert sess.run(y, {x: mine}) == 2_000_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sess.run(y, {x: mine}) == 2_000_000


def joined(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def awaited(call: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


@pytest.mark.parametrize("rows", [3, 300_000], ids=["small", "with helpers"])
@pytest.mark.parametrize(
    "wait",
    [joined, awaited, lambda call: joined(lambda: awaited(lambda: joined(call)))],
    ids=["join", "result", "chain"],
)
def test_a_function_that_waits_for_a_thread_that_uses_the_session(
    wait: Callable[[Callable[[], None]], None], rows: int
) -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    said: list[str] = []
    sess = gc.Session(threads=2)
    twice = x * 2.0

    def use() -> None:
        with pytest.raises(SessionError, match="nor wait for a thread that does") as caught:
            sess.run(twice, {x: np.ones(3, F32)})
        said.append(str(caught.value))

    def function(a: Any) -> Any:
        wait(use)
        return a

    given = np.ones(rows, F32)
    found = sess.run(gc.py_func(function, [gc.exp(gc.log(x))], x.type), {x: given})
    assert len(said) == 1 and found.shape == given.shape
    assert sess.run(twice, {x: given})[0] == 2


def test_two_sessions_whose_functions_use_each_other() -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    sessions = gc.Session(), gc.Session()
    meet = threading.Barrier(2)
    refused: list[int] = []

    def work(n: int) -> None:
        def function(a: Any) -> Any:
            meet.wait()
            try:
                return sessions[1 - n].run(x * 2.0, {x: a})
            except SessionError:
                refused.append(n)
                return a * 2

        found = sessions[n].run(gc.py_func(function, [x], x.type), {x: np.ones(2, F32)})
        assert found.tolist() == [2, 2]

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert refused


def test_other_threads_wait_for_a_slow_function() -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    sess = gc.Session()
    begun, go_on = threading.Event(), threading.Event()

    def slow(a: Any) -> Any:
        begun.set()
        go_on.wait()
        return a

    y = gc.py_func(slow, [x], x.type)
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(sess.run(y, {x: [1.0]})))
    first.start()
    begun.wait()
    others = [
        threading.Thread(target=lambda k=k: found.append(sess.run(x * 2.0, {x: [k]})))
        for k in (2.0, 3.0)
    ]
    for t in others:
        t.start()
    others[0].join(0.3)
    assert not found, "they ran inside of the function's run"
    go_on.set()
    for t in (first, *others):
        t.join()
    assert sorted(float(a[0]) for a in found) == [1, 4, 6]


# ---- forks ----

FORK = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
    from graphc.errors import SessionError
    x = gc.placeholder(gc.float32, [None])
    begun, go_on = threading.Event(), threading.Event()
    def slow(a):
        begun.set()
        go_on.wait()
        return a
    y, twice = gc.py_func(slow, [x], x.type), x * 2.0
    sess, rests = gc.Session(), gc.Session()
    assert sess.run(twice, {x: [1.0]}) == rests.run(twice, {x: [1.0]}) == 2
    thread = threading.Thread(target=lambda: sess.run(y, {x: [1.0]}))
    thread.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs dies of it
        assert rests.run(twice, {x: [2.0]}) == 4
        for use in (lambda: sess.run(twice, {x: [1.0]}), sess.close):
            try:
                use()
                os._exit(1)
            except SessionError as error:
                assert "forked" in str(error), error
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    thread.join()
    assert sess.run(twice, {x: [1.0]}) == 2
    print("parent fine")
"""


def test_a_fork_while_another_thread_runs_the_session() -> None:
    assert "parent fine" in script(FORK)


def test_a_fork_inside_a_run() -> None:
    """The thread that forks goes on with its run, in both processes."""
    assert "parent fine" in script("""
        x = gc.placeholder(gc.float32, [None])
        sess = gc.Session()
        pids = []
        def fork(a):
            pids.append(os.fork())
            return a
        found = sess.run(gc.py_func(fork, [x], x.type) * 2.0, {x: [1.0]})
        again = sess.run(x * 3.0, {x: [1.0]})
        if pids == [0]:
            os._exit(0 if (found, again) == (2, 3) else 1)
        assert os.waitpid(pids[0], 0)[1] == 0 and (found, again) == (2, 3)
        print("parent fine")
    """)


def test_a_fork_while_another_thread_compiles() -> None:
    """What is compiled runs; what is not is an error, not a wait for numba's lock."""
    assert "parent fine" in script("""
        import tempfile, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from graphc.codegen.cpu.toolchain import jit
        from graphc.errors import SessionError
        x = gc.placeholder(gc.float32, [None])
        folder = tempfile.TemporaryDirectory()
        known = gc.Session(cache_dir=folder.name + "/kernels")
        assert known.run(x * 2.0, {x: [1.0]}) == 2
        begun, go_on, real = threading.Event(), threading.Event(), jit._compiled
        def slow(*args):
            begun.set()
            go_on.wait()
            return real(*args)
        jit._compiled = slow
        new = gc.Session(cache_dir=folder.name + "/kernels")
        thread = threading.Thread(target=lambda: new.run(gc.sin(x), {x: [1.0]}))
        thread.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            assert known.run(x * 2.0, {x: [2.0]}) == 4
            try:
                known.run(gc.cos(x), {x: [1.0]})
                os._exit(1)
            except SessionError as error:
                assert "the compiler was at work" in str(error), error
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        thread.join()
        assert known.run(gc.cos(x), {x: [0.0]}) == 1
        print("parent fine")
    """)
