"""The recorder: which runs of a plan are timed, traced and counted; and how a stopped run ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphc.runtime.cpu.plan_words import Status
from graphc.runtime.cpu.timer import Times
from graphc.session import recorder as recorder_module
from graphc.session.host_engine import raise_stop
from graphc.session.recorder import NO_EVENTS, Recorder, Watched


class FakeTimer:
    """A part of two places, each of whose runs logs one event."""

    places = (SimpleNamespace(within=None),) * 2

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def taken(self) -> Times:
        one = np.ones(2, np.int64)
        return Times(one, 10 * self.resets * one, np.array([[1, 5, 6, 0]]), self.resets)


class FakePlan:
    def __init__(self, parts: int = 1) -> None:
        self.timers = [FakeTimer() for _ in range(parts)]
        self.runs = 0
        self.timed = 0

    def time(self) -> None:
        self.timed += 1

    def run(self, arrays: list[Any]) -> int:
        self.runs += 1
        return self.runs


def watched(recorder: Recorder, parts: int = 1) -> tuple[Watched, FakePlan]:
    plan = FakePlan(parts)
    return recorder.watch(plan), plan  # type: ignore[arg-type]


def test_warm_runs_come_first_and_later_ones_are_not_timed() -> None:
    ended: list[str] = []
    recorder = Recorder(steps=3, warmup=2, enough=lambda: ended.append("enough"))
    watcher, plan = watched(recorder)
    found = [(watcher.run([]), len(watcher.times), plan.timers[0].resets) for _ in range(7)]
    assert [run for run, _, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [timed for _, timed, _ in found] == [0, 0, 1, 2, 3, 3, 3]
    assert [resets for _, _, resets in found] == [0, 0, 1, 2, 3, 3, 3]
    assert ended == ["enough"] and plan.timed == 1
    assert [run.dropped for run in watcher.runs] == [1, 2, 3]


def test_without_a_number_of_steps_all_are_timed() -> None:
    watcher, _ = watched(Recorder())
    for _ in range(5):
        watcher.run([np.zeros(3, np.float32)])
    assert len(watcher.times) == 5 and watcher.fed == 12


def test_only_the_first_runs_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_TRACED_RUNS", 2)
    watcher, _ = watched(Recorder())
    for _ in range(4):
        watcher.run([])
    assert [len(run.events) for run in watcher.runs] == [1, 1, 0, 0]
    assert all(t.events is NO_EVENTS for t in watcher.times)


def test_places_of_all_parts_are_numbered_through() -> None:
    watcher, _ = watched(Recorder(), parts=3)
    watcher.run([])
    (run,) = watcher.runs
    assert run.events[:, 0].tolist() == [1, 3, 5] and run.events[:, 1].tolist() == [5, 5, 5]
    (times,) = watcher.times
    assert times.calls.tolist() == [1] * 6 and times.nanoseconds.tolist() == [10] * 6
    assert run.dropped == 3


def test_profiles_come_in_falling_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    watchers = [watched(recorder)[0] for _ in range(4)]
    for w, took in zip(watchers[:3], (5, 20, 10), strict=True):
        w.run([])
        w.runs = [SimpleNamespace(start=0, end=took)]  # type: ignore[list-item]
    monkeypatch.setattr(Watched, "profile", lambda self: self)
    order: list[Any] = recorder.profiles()
    assert order == [watchers[1], watchers[2], watchers[0]]  # the fourth has not run


# ---- how a run ended


class FakeThunk:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def taken(self) -> BaseException | None:
        return self.error


def stopped(status: int, *errors: BaseException | None) -> Any:
    return SimpleNamespace(status_at=0, view=[status, 9, 4], thunks=[FakeThunk(e) for e in errors])


def test_how_a_run_was_stopped() -> None:
    raised, other = ValueError("first"), ValueError("second")
    for status, errors, wanted in (
        (Status.CANCELLED, (None, None), KeyboardInterrupt),
        (Status.CANCELLED, (raised,), KeyboardInterrupt),
        (Status.RAISED, (None, raised, other), ValueError),
        (Status.RAISED, (None,), KeyboardInterrupt),  # it struck where nothing could be kept
        (Status.RAISED, (), KeyboardInterrupt),
    ):
        with pytest.raises(wanted) as caught:
            raise_stop(stopped(status, *errors))
        assert wanted is KeyboardInterrupt or caught.value is raised
    assert raise_stop(stopped(Status.OUT_OF_RANGE, raised)) is None  # type: ignore[func-returns-value]
