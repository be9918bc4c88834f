"""Values of variables are read and loaded all at once, between two runs."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, FetchError
from graphc.session import variables

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def state(n: int, size: int = 5) -> list[gc.Variable]:
    return [gc.variable(np.zeros(size, F32), name=f"v{i}") for i in range(n)]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError, FeedError("no")])
@pytest.mark.parametrize("function", ["copyto", "copy"])
def test_a_load_that_is_stopped_at_any_step(
    monkeypatch: pytest.MonkeyPatch, fault: Any, function: str
) -> None:
    chosen = state(4)
    steps = gc.group(*[v.assign_add(1.0) for v in chosen[:2]])  # the others share their constants

    class Faulty:
        def __init__(self, k: int) -> None:
            self.left = k

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def count(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise fault

        def copyto(self, *args: Any) -> None:
            if function == "copyto":
                self.count()
            np.copyto(*args)

    with gc.Session() as sess:
        sess.run(steps)
        before = [v.tolist() for v in sess.values_of(chosen)]
        new = {v: np.full(5, 7 + i) for i, v in enumerate(chosen)}
        for k in itertools.count(1):
            with monkeypatch.context() as patch:
                patch.setattr(variables, "np", faulty := Faulty(k))
                if function == "copy":
                    real = variables.value_of
                    patch.setattr(
                        variables, "value_of", lambda *a, f=faulty, r=real: (f.count(), r(*a))[1]
                    )
                try:
                    sess.load_all(new)
                    break
                except (KeyboardInterrupt, MemoryError, FeedError):
                    pass
            assert [v.tolist() for v in sess.values_of(chosen)] == before
        assert k == 5
        assert [v[0] for v in sess.values_of(chosen)] == [7, 8, 9, 10]
        sess.run(steps)
        assert [v[0] for v in sess.values_of(chosen)] == [8, 9, 9, 10]


def test_one_that_does_not_fit_loads_none() -> None:
    a, b = state(2)
    with gc.Session() as sess:
        for wrong in (np.zeros(4), np.zeros(5, complex), "text"):
            with pytest.raises(FeedError, match="load_all: 'v1'"):
                sess.load_all({a: np.ones(5), b: wrong})
        with pytest.raises(FetchError, match=r"load_all: .*no variable"):
            sess.load_all({a: np.ones(5), a + 1.0: np.ones(5)})
        assert sess.value(a).tolist() == [0] * 5


def test_readers_and_runs_see_all_or_none() -> None:
    chosen = state(12, 2000)
    step = gc.group(*[v.assign_add(1.0) for v in chosen])
    stop = threading.Event()
    with gc.Session(threads=1) as sess:
        sess.run(step)

        def runs() -> None:
            while not stop.is_set():
                sess.run(step)

        thread = threading.Thread(target=runs)
        thread.start()
        for k in range(300):
            if k % 2:
                sess.load_all({v: np.full(2000, k) for v in chosen})
            assert len({float(v[0]) for v in sess.values_of(chosen)}) == 1
        stop.set()
        thread.join()
