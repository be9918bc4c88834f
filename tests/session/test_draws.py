"""Random numbers of runs: the seed and the number of the run decide them, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def test_the_seed_decides_draws() -> None:
    draws = [gc.random.normal((50,)), gc.random.uniform((50,)), gc.random.bernoulli((50,), 0.5)]
    shown = {}
    for seed in (0, 0, 7):
        with gc.Session(seed=seed) as sess:
            runs = [sess.run(draws) for _ in range(3)]
        again = shown.setdefault(seed, runs)
        for one, two in zip(again, runs, strict=True):
            for a, b in zip(one, two, strict=True):
                np.testing.assert_array_equal(a, b)
        for k in range(3):
            assert not np.array_equal(runs[0][k], runs[1][k]), "every run draws anew"
    assert not np.array_equal(shown[0][0][0], shown[7][0][0])


@pytest.mark.parametrize("failure", ["index", "python", "feed", "shape", "rank"])
def test_a_failed_run_draws_nothing(failure: str) -> None:
    """The run after it gets the numbers that it would have got without it."""
    noise = gc.random.uniform((4,), name="noise")
    x = gc.placeholder(gc.float32, [None], name="x")
    i = gc.placeholder(gc.int64, [1], name="i")

    def picky(a: Any) -> Any:
        if a[0] > 1:
            raise ValueError("too large")
        return a

    fetches = [noise, gc.take(x, i), gc.py_func(picky, [x], x.type)]
    good = {x: np.ones(3, np.float32), i: np.array([2])}
    bad: dict[str, dict[Any, Any]] = {
        "index": {**good, i: np.array([3])},
        "python": {**good, x: np.full(3, 2, np.float32)},
        "feed": {**good, x: ["a"]},
        "shape": {**good, i: np.array([1, 2])},
        "rank": {**good, x: np.ones((3, 1), np.float32)},
    }
    with gc.Session(seed=5) as sess, gc.Session(seed=5) as other:
        for _ in range(3):
            with pytest.raises(GraphcError):
                sess.run(fetches, bad[failure])
            with pytest.raises(GraphcError):
                sess.make_callable(fetches, [x, i])(*bad[failure].values())
            wanted = other.run(fetches, good)
            for a, b in zip(sess.run(fetches, good), wanted, strict=True):
                np.testing.assert_array_equal(a, b)
        assert sess.stats.runs == other.stats.runs == 3


@pytest.mark.parametrize("seeds", [(0, 1), (1, 1 << 16), (0, 1 << 31), (5, 5 + (1 << 20)), (-1, 1)])
def test_other_seeds_draw_other_numbers(seeds: tuple[int, int]) -> None:
    """In the first run and in later ones; no seed's later run is another's first."""
    noise = gc.random.uniform((6,), name="noise")
    drawn = []
    for seed in seeds:
        with gc.Session(seed=seed) as sess:
            drawn += [tuple(sess.run(noise)) for _ in range(3)]
    assert len(set(drawn)) == len(drawn)


def test_draws_do_not_depend_on_passes_threads_or_company() -> None:
    noise = gc.random.uniform((300, 1000), name="noise")
    fetches = [noise, gc.sum(gc.exp(noise) * 1.0), noise + gc.random.normal((300, 1000))]
    found = []
    for chosen in ([], ["simplify", "split-reductions", "cleanup"]):
        for threads in (1, 2):
            options = gc.config.Options(threads=threads, seed=3, disable=frozenset(chosen))
            with gc.Session(options=options) as sess:
                found.append(sess.run(fetches[:1] if threads == 2 else fetches)[0])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
