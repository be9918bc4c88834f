"""A row of sessions under fire: what runs, fails, is stopped, forked, shared by threads; after each
the variables are what a model of a few lines of NumPy says.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from proof.row import Row, Verdict
from support.run import options

import graphc as gc
from graphc.errors import GraphcError

STEPS = 25  # of a case
ROWS = 20_000  # of the run that is stopped: long enough to be hit


class Shot(Exception):
    """What a Python function of a run raises."""


class Target:
    """A session with two variables that move together, and what they should be."""

    def __init__(self, case: int) -> None:
        self.rng = np.random.default_rng([case, 3])
        self.session = gc.Session(options=options(threads=1 + case % 2))
        self.total, self.runs = 0, 0  # the model
        self.armed = False
        self.x = gc.placeholder(gc.int64, [None], name="x")
        self.at = gc.placeholder(gc.int64, [], name="at")
        a = gc.variable(np.zeros(7, np.int64), name="a")
        b = gc.variable(np.int64(0), name="b")
        new = a + gc.sum(self.x)
        shot = gc.py_func(self._shoot, [new], new.type)
        self.plain = gc.group(a.assign(new), b.assign_add(1))
        self.indexed = gc.group(a.assign(new + a[self.at] - a[0]), b.assign_add(1))
        self.called = gc.group(a.assign(shot), b.assign_add(1))
        big = gc.cumsum(gc.broadcast_to(gc.sum(self.x), (ROWS,)) * 0)
        slow = gc.sum(gc.sort(gc.cumsum(big)))
        self.slow = gc.group(a.assign(new + slow), b.assign_add(1))
        self.a, self.b = a, b

    def _shoot(self, value: Any) -> Any:
        if self.armed:
            raise Shot
        return value

    def feed(self) -> Any:
        return self.rng.integers(-5, 6, int(self.rng.integers(0, 40)))

    def went(self, fed: Any) -> None:
        """A run of this feed has happened."""
        self.total += int(fed.sum())
        self.runs += 1

    def fault(self) -> str:
        """How the variables differ from the model."""
        a, b = self.session.value(self.a), int(self.session.value(self.b))
        good = b == self.runs and bool((a == self.total).all())
        return "" if good else f"a = {a.tolist()}, b = {b}; expected {self.total}, {self.runs}"


def good_run(t: Target) -> str:
    fed = t.feed()
    t.session.run(t.plain, {t.x: fed})
    t.went(fed)
    return ""


def wrong_feed(t: Target) -> str:
    wrong: tuple[Any, ...] = (
        np.ones(3),
        np.ones((2, 2), np.int64),
        "three",
        None,
        [2**80],
        np.zeros(3, "M8[s]"),
    )
    return _refused(t, t.plain, {t.x: wrong[int(t.rng.integers(len(wrong)))]})


def nothing_fed(t: Target) -> str:
    return _refused(t, t.plain, {})


def wrong_index(t: Target) -> str:
    return _refused(t, t.indexed, {t.x: t.feed(), t.at: int(t.rng.choice([7, -8, 10**12]))})


def python_raises(t: Target) -> str:
    t.armed = True
    try:
        return _refused(t, t.called, {t.x: t.feed()})
    finally:
        t.armed = False


def python_returns(t: Target) -> str:
    fed = t.feed()
    t.session.run(t.called, {t.x: fed})
    t.went(fed)
    return ""


def _refused(t: Target, fetch: Any, feeds: Any) -> str:
    try:
        t.session.run(fetch, feeds)
    except GraphcError:
        return ""
    return f"not refused: {feeds}"


def stopped(t: Target) -> str:
    """Ctrl-C at some moment: the run has happened, or not."""
    fed = t.feed()
    timer = threading.Timer(float(t.rng.uniform(0, 0.01)), os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        t.session.run(t.slow, {t.x: fed})
        while timer.is_alive():
            time.sleep(0.001)
        timer.join()
        time.sleep(0.001)  # the signal is handled here at the latest
    except KeyboardInterrupt:
        timer.join()
    if int(t.session.value(t.b)) == t.runs + 1:
        t.went(fed)
    return ""


def threads(t: Target) -> str:
    """Three threads run at once, each also with feeds that are refused."""
    fed = [t.feed() for _ in range(6)]

    def work(mine: list[Any]) -> None:
        for f in mine:
            t.session.run(t.plain, {t.x: f})
            _refused(t, t.plain, {t.x: "no"})

    workers = [threading.Thread(target=work, args=(fed[i::3],)) for i in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    for f in fed:
        t.went(f)
    return ""


def forked(t: Target) -> str:
    """A child has the variables as they were, and what it does stays there."""
    child = os.fork()
    if child == 0:
        try:
            wrong = good_run(t) or t.fault()
        except BaseException as error:
            wrong = repr(error)
        os._exit(7 if wrong else 0)
    _, status = os.waitpid(child, 0)
    return "" if status == 0 else f"the child ended with status {status}"


def loaded(t: Target) -> str:
    t.total, t.runs = int(t.rng.integers(100)), int(t.rng.integers(100))
    t.session.load_all({t.a: np.full(7, t.total), t.b: t.runs})
    return ""


def half_loaded(t: Target) -> str:
    """Of several values one does not fit: none is loaded."""
    try:
        t.session.load_all({t.a: np.full(7, -1), t.b: np.zeros(3, np.int64)})
    except GraphcError:
        return ""
    return "a value of another shape was loaded"


ACTIONS: tuple[Callable[[Target], str], ...] = (
    good_run,
    wrong_feed,
    nothing_fed,
    wrong_index,
    python_raises,
    python_returns,
    stopped,
    threads,
    forked,
    loaded,
    half_loaded,
)


def session(case: int) -> Verdict:
    """A session that meets some actions at random."""
    seen = set()
    with gc.Graph().as_default():
        target = Target(case)
        with target.session:
            for _ in range(STEPS):
                action = ACTIONS[int(target.rng.integers(len(ACTIONS)))]
                seen.add(action.__name__)
                fault = action(target) or target.fault()
                if fault:
                    return Verdict(f"{action.__name__}: {fault}")
    return Verdict("", frozenset(seen))


SESSION_ROWS = (
    Row(
        "sessions",
        "sessions under fire (wrong feeds, exceptions, Ctrl-C, threads, forks) are before or after "
        "a whole run",
        400,
        "sessions",
        session,
        lambda t: [f"never done: {a.__name__}" for a in ACTIONS if a.__name__ not in t.seen],
    ),
)
