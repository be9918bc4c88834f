"""Runners: what they keep, what they forget, and what a plan is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, SessionError
from graphc.session import runner as runner_module
from graphc.session.hooks import Hooks
from graphc.session.runner import Runner

F32 = np.float32


@pytest.fixture(autouse=True)
def own_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


def only_runner(sess: gc.Session) -> Runner:
    (found,) = sess._runners.values()
    return found


def test_the_oldest_plans_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "MAX_PLANS", 2)
    x = gc.placeholder(gc.float32, [None], name="x")
    with gc.Session() as sess:
        step, kept = sess.make_callable(x + 1.0, [x]), []
        for n in (1, 2, 3, 2, 1):
            assert step(np.ones(n, F32)).tolist() == [2.0] * n
            kept.append([shapes[0][0] for shapes in only_runner(sess).plans])
    assert kept == [[1], [1, 2], [2, 3], [2, 3], [3, 1]]


class Misaligned:
    """Arrays that a plan cannot take as they are."""

    def __init__(self) -> None:
        raw = np.zeros(17, np.uint8)[1:].view(F32)
        raw[...] = [1, 2, 3, 4]
        self.forms: list[Any] = [
            raw,
            np.array([1, 2, 3, 4], ">f4"),
            np.array([1, 2, 3, 4], np.float64),
            np.repeat(np.array([1, 2, 3, 4], F32), 2)[::2],
            np.array([4, 3, 2, 1], F32)[::-1],
            [1, 2, 3, 4],
        ]
        assert not raw.flags.aligned


def test_a_plan_gets_arrays_of_its_types_aligned_and_contiguous() -> None:
    seen: list[Any] = []

    class Watched:
        def __init__(self, plan: Any) -> None:
            self.plan = plan

        def run(self, arrays: list[Any]) -> Any:
            seen.extend(arrays)
            return self.plan.run(arrays)

    x = gc.placeholder(gc.float32, [4], name="x")
    with gc.Session(hooks=Hooks(watch=Watched)) as sess:
        for form in Misaligned().forms:
            assert sess.run(x * 2.0, {x: form}).tolist() == [2, 4, 6, 8]
    assert len(seen) == len(Misaligned().forms)
    for a in seen:
        assert a.dtype == F32 and a.dtype.isnative and a.flags.aligned and a.flags.c_contiguous


def test_a_callable_counts_its_arrays() -> None:
    x, y = (gc.placeholder(gc.float32, [2], name=name) for name in "xy")
    with gc.Session() as sess:
        step = sess.make_callable(x + y, [x, y])
        assert step([1, 2], [3, 4]).tolist() == [4, 6]
        for feeds in ([[1, 2]], [[1, 2]] * 3, []):
            with pytest.raises(FeedError, match=f"takes 2 arrays, got {len(feeds)}"):
                step(*feeds)
    with pytest.raises(SessionError, match="closed"):
        step([1, 2], [3, 4])


def test_a_runner_forgets_its_plans_and_gets_another_engine() -> None:
    w = gc.variable([1.0, 2.0], name="w")
    with gc.Session() as sess:
        sess.run(w * 2.0)
        found = only_runner(sess)
        before, plans = found.engine, dict(found.plans)
        found.forget()
        assert found.plans == {} and not found.stale
        sess.run(w * 2.0)
        found.outdate()
        watched = found.watched_by(lambda plan: plan)
        assert found.plans == {} and found.stale and watched.stale
        other = object()
        asked: list[Any] = []
        real = sess.engine

        def engine(staged: Any) -> Any:
            asked.append(staged)
            assert other not in asked
            return real(staged)

        sess.engine = engine  # type: ignore[method-assign]
        assert watched().tolist() == [2, 4] and not watched.stale and len(asked) == 1
        assert found().tolist() == [2, 4] and not found.stale and len(asked) == 2
        assert found.engine is before and len(plans) == 1


def test_a_runner_and_its_watched_twin_are_forgotten_together() -> None:
    """A loaded variable may have another array: every plan that is bound to it goes."""
    w = gc.variable([1.0, 2.0], name="w")
    with gc.Session() as sess:
        assert sess.run(w * 2.0).tolist() == [2, 4]
        twin = only_runner(sess).watched_by(lambda plan: plan)
        assert twin().tolist() == [2, 4]
        sess.load(w, [5.0, 6.0])
        assert twin().tolist() == [10, 12] and sess.run(w * 2.0).tolist() == [10, 12]


# ---- sizes told by feeds

FORMULAS = (  # the size of a fed tensor in n, what is fed, and what is said
    ("2*n", 5, r"is 5, which is not 2\*n for any n"),
    ("2*n", 6, ""),
    ("2*n", 0, ""),
    ("2*n+5", 3, r"is 3, which is not 2\*n\+5 for any n"),
    ("2*n+5", 6, r"is 6, which is not 2\*n\+5 for any n"),
    ("2*n+5", 5, ""),
    ("n+3", 2, r"is 2, which is not n\+3 for any n"),
    ("n+3", 3, ""),
)


@pytest.mark.parametrize(("size", "fed", "said"), FORMULAS)
def test_sizes_are_solved_for(size: str, fed: int, said: str) -> None:
    n = gc.placeholder(gc.float32, ["n"], name="n")
    wide = {
        "2*n": lambda: gc.concat([n, n]),
        "2*n+5": lambda: gc.pad(gc.concat([n, n]), [(2, 3)]),
        "n+3": lambda: gc.pad(n, [(1, 2)]),
    }[size]()
    assert str(wide.type) == f"f32[{size}]"
    with gc.Session() as sess:
        if not said:
            assert sess.run(wide + 1.0, {wide: np.ones(fed, F32)}).shape == (fed,)
            return
        with pytest.raises(FeedError, match=f"axis 0 of .* {said}"):
            sess.run(wide + 1.0, {wide: np.ones(fed, F32)})


def test_a_size_that_no_feed_tells() -> None:
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    flat = gc.reshape(x, (-1,))
    with gc.Session() as sess:
        with pytest.raises(FeedError, match="nothing that is fed tells the size m"):
            sess.run(flat * 2.0, {flat: np.ones(6, F32)})
        assert sess.run(gc.reshape(x, (-1,)) * 2.0, {x: np.ones((2, 3))}).shape == (6,)


@pytest.mark.parametrize(("n", "length", "fits"), [(3, 6, True), (3, 7, False), (0, 4, False)])
def test_a_size_by_another_one(n: int, length: int, fits: bool) -> None:
    """n*m is fed and n known: m is what divides it, of n = 0 there is none."""
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    rows = gc.placeholder(gc.float32, ["n"], name="rows")
    flat = gc.reshape(x, (-1,))
    total = gc.sum(gc.reshape(flat, (rows.shape[0], x.shape[1])) + rows[:, None], axis=1)
    with gc.Session() as sess:
        feeds = {rows: np.ones(n, F32), flat: np.ones(length, F32)}
        if fits:
            assert sess.run(total, feeds).tolist() == [4.0, 4.0, 4.0]
            return
        with pytest.raises(FeedError, match=rf"is {length}, which is not .* for any m"):
            sess.run(total, feeds)


def test_what_sizes_must_be_is_asked_when_arrays_are_fed() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    first = gc.split(x, 2)[0]
    with gc.Session() as sess:
        for n in (4, 5, 6, 7, 0):
            if n % 2 == 0:
                assert sess.run(first, {x: np.ones(n, F32)}).shape == (n // 2,)
                continue
            with pytest.raises(FeedError, match="does not split into 2 equal"):
                sess.run(first, {x: np.ones(n, F32)})


def test_feeds_that_disagree_name_both() -> None:
    x, y = (gc.placeholder(gc.float32, ["n"], name=name) for name in "xy")
    z = gc.placeholder(gc.float32, ["n", "m"], name="z")
    with gc.Session() as sess:
        for a, b in ((2, 3), (3, 2)):
            with pytest.raises(FeedError, match=f"axis 0 of 'y' is {b}, but n is {a} by axis 0 of"):
                sess.run(x + y, {x: np.ones(a, F32), y: np.ones(b, F32)})
        for shape in ((2,), (2, 2, 2), ()):
            with pytest.raises(FeedError, match=r"'z' is f32\[n,m\], got shape"):
                sess.run(z * 2.0, {z: np.ones(shape, F32)})


@pytest.mark.parametrize("given", [np.int64(3), np.int64(300), np.uint64(2**63), np.int32(-1)])
def test_numpys_scalars_are_converted_as_arrays_are(given: Any) -> None:
    """NumPy's rule `same_kind` forbids a signed number for an unsigned one, whatever its value."""
    x = gc.placeholder(gc.uint8, [], name="x")
    with gc.Session() as sess:
        with pytest.raises(FeedError, match="do not fit; convert them"):
            sess.run(x, {x: given})
        assert sess.run(x, {x: int(given) % 256}) == int(given) % 256
