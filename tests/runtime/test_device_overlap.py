"""The host goes ahead of the device: what runs read from pinned memory is not overwritten, and
nobody waits longer than that takes.  The device here does nothing until someone waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("greenlet", reason="the simulator needs it: pip install 'graphc[sim]'")

import graphc as gc
from graphc.runtime.cuda import family
from graphc.runtime.cuda.simulated import SimulatedDevice, SimulatedGraph
from graphc.runtime.device.protocol import LaunchNode, Node


class SlowDevice(SimulatedDevice):
    """One that puts work off: `queue` is what is still to do, `log` what happened."""

    def __init__(self) -> None:
        super().__init__("cuda:sim")
        self.queue: list[Callable[[], None]] = []
        self.log: list[str] = []
        self.done = 0

    def finish(self, until: int) -> None:
        """Does the work up to a moment."""
        while self.done < until and self.queue:
            self.queue.pop(0)()
            self.done += 1

    def put(self, work: Callable[[], None]) -> None:
        self.queue.append(work)

    def copy(self, target: Any, source: Any) -> None:
        if isinstance(source, np.ndarray):
            source = source.copy()
        self.put(lambda: super(SlowDevice, self).copy(target, source))
        if isinstance(target, np.ndarray):
            self.synchronize()

    def launch(self, launch: LaunchNode) -> None:
        self.put(lambda: super(SlowDevice, self).launch(launch))

    def graph(self, nodes: Sequence[Node]) -> Any:
        return Later(self, super().graph(nodes))

    def mark(self) -> Any:
        return Moment(self, self.done + len(self.queue), self.log.count("run"))

    def synchronize(self) -> None:
        self.log.append("synchronize")
        self.finish(self.done + len(self.queue))


@dataclass
class Later:
    """A graph that runs when someone waits."""

    device: SlowDevice
    graph: SimulatedGraph

    def run(self) -> None:
        self.device.log.append("run")
        self.device.put(lambda: at_once(self.device, self.graph))


def at_once(device: SlowDevice, graph: SimulatedGraph) -> None:
    """Runs a graph whose nodes are not put off again."""
    before, device.queue = device.queue, []
    graph.run()
    late, device.queue = device.queue, before
    for work in late:
        work()


@dataclass
class Moment:
    device: SlowDevice
    until: int
    run: int

    def wait(self) -> None:
        self.device.log.append(f"wait for run {self.run}")
        self.device.finish(self.until)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowDevice:
    found = SlowDevice()
    monkeypatch.setattr(family, "SimulatedDevice", lambda name: found)
    return found


def session(tmp_path: Path) -> Any:
    """A session, a placeholder, a variable and an update in which order tells.  Nothing sums: to
    simulate a sum over many blocks takes seconds."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float64, ["n"])
        w = gc.variable(np.zeros(2), name="w")
        update = gc.group(w.assign(w * 2 + x[0]))
    return gc.Session(graph, device="cuda:sim", strict=True, cache_dir=tmp_path), x, w, update


def expected(feeds: Sequence[float]) -> float:
    total = 0.0
    for value in feeds:
        total = total * 2 + value
    return total


def test_feeds_of_a_run_are_written_while_the_run_before_is_on_the_device(
    slow: SlowDevice, tmp_path: Path
) -> None:
    sess, x, w, update = session(tmp_path)
    with sess:
        for k in range(6):
            before = len(slow.log)
            array = np.full(3, float(k))
            sess.run(update, {x: array})
            array[...] = np.nan  # the caller may do this
            said = slow.log[before:]
            if k >= 2:  # of a run, the memory is used again two runs later
                assert said == [f"wait for run {k - 1}", "run"]
                assert slow.queue  # the run before is still to be done
            elif k == 1:
                assert said == ["run"]
        np.testing.assert_array_equal(sess.value(w), [expected(range(6))] * 2)


def test_a_fetch_waits_for_all_and_needs_one_set_of_memory(
    slow: SlowDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sess, x, _, _ = session(tmp_path)
    pinned: list[int] = []
    plain = slow.pinned
    monkeypatch.setattr(slow, "pinned", lambda n: (pinned.append(n), plain(n))[1])
    with sess.graph.as_default():
        y = x * 3
    with sess:
        for k in range(4):
            assert sess.run(y, {x: np.full(3, float(k))}).tolist() == [3.0 * k] * 3
    assert pinned == [24, 24] and not slow.queue


def test_fetches_come_between(slow: SlowDevice, tmp_path: Path) -> None:
    sess, x, w, update = session(tmp_path)
    with sess.graph.as_default():
        now = w[0] + w[1] + x[0]
    fed: list[float] = []
    with sess:
        for k, fetch in enumerate([False, True, False, False, False, True, True, False, True]):
            sess.run(update, {x: [float(k)]})
            fed.append(float(k))
            if fetch:
                assert sess.run(now, {x: [0.5]}) == 2 * expected(fed) + 0.5


def test_two_batch_sizes_have_memory_of_their_own(slow: SlowDevice, tmp_path: Path) -> None:
    sess, x, w, update = session(tmp_path)
    fed: list[float] = []
    with sess:
        for k, count in enumerate([3, 2, 3, 3, 2, 2, 3]):
            sess.run(update, {x: np.full(count, float(k))})
            fed.append(float(k))
        assert "synchronize" not in slow.log[slow.log.index("run") + 1 :]
        np.testing.assert_array_equal(sess.value(w), [expected(fed)] * 2)


def test_without_feeds_nobody_waits(slow: SlowDevice, tmp_path: Path) -> None:
    with gc.Graph().as_default() as graph:
        w = gc.variable(np.ones(2), name="w")
        update = gc.group(w.assign(w * 2))
    with gc.Session(graph, device="cuda:sim", cache_dir=tmp_path) as sess:
        sess.run(update)
        start = len(slow.log)
        for _ in range(4):
            sess.run(update)
        assert slow.log[start:] == ["run"] * 4 and len(slow.queue) >= 4
        np.testing.assert_array_equal(sess.value(w), [32.0] * 2)
