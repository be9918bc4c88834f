"""Recorder: times plans while they run, and makes profiles of the times."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import SessionError, user_location
from graphc.ir import dim
from graphc.profile.machine_limits import Limits, limits
from graphc.profile.report import MemoryUse, Profile, Run
from graphc.profile.table import DeviceTable, HostTable, ProfileTable, Typical, limits_of
from graphc.runtime.cpu.timer import Times
from graphc.session.engine import Fed, RunPlan
from graphc.session.runner import Runner

MAX_TRACED_RUNS = 20  # the first runs of a plan, whose events are kept
NO_EVENTS = np.zeros((0, 4), np.int64)


class Recorder:
    """Times the runs of plans; its `watch` is one of a session's hooks.  Each plan first makes
    `warmup` runs without timers, then `steps` timed ones (None: all).  The median time of each
    kernel counts, or the `fastest`.  `enough` is called when a plan has made its timed runs."""

    def __init__(
        self,
        steps: int | None = None,
        warmup: int = 0,
        fastest: bool = False,
        enough: Callable[[], None] = lambda: None,
    ) -> None:
        self.steps, self.warmup, self.enough = steps, warmup, enough
        self.typical: Typical = np.median
        if fastest:
            self.typical = np.min
        self.watched: list[Watched] = []

    def watch(self, plan: RunPlan) -> Watched:
        """A watcher, which runs in the plan's place."""
        self.watched.append(Watched(self, plan))
        return self.watched[-1]

    def profiles(self) -> list[Profile]:
        """A profile of each plan that ran, in falling order of total time."""
        ran = [w for w in self.watched if w.times]
        ran.sort(key=lambda w: -sum(r.end - r.start for r in w.runs))
        return [w.profile() for w in ran]


class Watched:
    """A plan with timers."""

    def __init__(self, recorder: Recorder, plan: RunPlan) -> None:
        self.recorder, self.plan = recorder, plan
        plan.time()
        self.left = recorder.warmup
        self.times: list[Times] = []
        self.runs: list[Run] = []
        self.fed = 0

    def run(self, arrays: list[Fed]) -> Any:
        """One run; see `RunPlan.run`."""
        if self.left > 0 or len(self.times) == self.recorder.steps:
            self.left -= 1
            return self.plan.run(arrays)
        for timer in self.plan.timers:
            timer.reset()
        start = time.perf_counter_ns()
        result = self.plan.run(arrays)
        end = time.perf_counter_ns()
        times = _together([t.taken() for t in self.plan.timers])
        self.fed = sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
        self.times.append(Times(times.calls, times.nanoseconds, NO_EVENTS, 0))
        traced = len(self.times) <= MAX_TRACED_RUNS
        self.runs.append(Run(start, end, times.events if traced else NO_EVENTS, times.dropped))
        if len(self.times) == self.recorder.steps:
            self.recorder.enough()
        return result

    def profile(self) -> Profile:
        """The profile of the timed runs."""
        plan = self.plan
        tables, machine = self._tables()
        spent = np.array([t.nanoseconds for t in self.times]) / 1e9
        places = [p for t in plan.timers for p in t.places]
        outside = [i for i, p in enumerate(places) if p.within is None]
        typical = self.recorder.typical
        return Profile(
            _title(plan),
            tuple(row for t in tables for row in t.rows()),
            len(self.times),
            float(typical([r.end - r.start for r in self.runs])) / 1e9,
            float(typical(spent[:, outside].sum(axis=1))),
            plan.session.options.threads,
            _memory(plan, self.fed),
            machine,
            tuple(plan.stages),
            tuple(label for t in tables for label in t.labels()),
            tuple(self.runs[:MAX_TRACED_RUNS]),
            typical is np.min,
        )

    def _tables(self) -> tuple[list[ProfileTable], Limits]:
        """The table of each part, and the limits that the profile shows: the first device's, else
        the host's."""
        plan = self.plan
        specs = [part.spec for part in plan.parts]
        declared = [spec for spec in specs if spec is not None]
        host = limits(plan.session.options) if not declared or None in specs else None
        tables: list[ProfileTable] = []
        first = 0
        for part, spec, timer in zip(plan.parts, specs, plan.timers, strict=True):
            here = slice(first, first + len(timer.places))
            first = here.stop
            figures = (
                timer.places,
                np.array([t.calls[here] for t in self.times]),
                np.array([t.nanoseconds[here] for t in self.times]) / 1e9,
                self.recorder.typical,
            )
            if spec is not None:
                tables.append(DeviceTable(part.program, plan.sizes, *figures, spec))
            else:
                assert host is not None
                tables.append(HostTable(part.program, plan.sizes, *figures, part.layout, host))
        if host is not None and not declared:
            return tables, host
        return tables, limits_of(declared[0])


def record(runner: Runner, feeds: Iterable[Any], steps: int, warmup: int, fastest: bool) -> Profile:
    """A profile of a runner's signature, with these feeds.  Raises `SessionError` unless there is a
    step, and what a run raises."""
    if steps < 1 or warmup < 0:
        raise SessionError(
            f"Session.profile: steps is {steps}, warmup {warmup}; expected at least 1 and 0",
            user_location(),
        )
    recorder, arrays = Recorder(steps, warmup, fastest), list(feeds)
    again = runner.watched_by(recorder.watch)
    for _ in range(warmup + steps):
        again(*arrays)
    (profile,) = recorder.profiles()
    return profile


def _together(times: Sequence[Times]) -> Times:
    """The times of all parts as those of one plan, its places numbered through."""
    events, places_before = [], 0
    for t in times:
        events.append(t.events + np.array([places_before, 0, 0, 0]))
        places_before += len(t.calls)
    return Times(
        np.concatenate([NO_EVENTS[:0, 0], *(t.calls for t in times)]),
        np.concatenate([NO_EVENTS[:0, 0], *(t.nanoseconds for t in times)]),
        np.concatenate([NO_EVENTS, *events]),
        sum(t.dropped for t in times),
    )


def _title(plan: RunPlan) -> str:
    """The profile's title, such as `loss, %w at n=32`."""
    graph, sizes, devices = plan.graph, plan.sizes, plan.devices_used
    names = [v.name or v.op.name for v in graph.outputs]
    names += [f"{old.name} <-" for old, _ in graph.updates]
    shown = ", ".join(names[:4]) + (f", {len(names) - 4} more" if len(names) > 4 else "")
    return (
        (shown or "nothing")
        + (" at " + ", ".join(f"{k}={v}" for k, v in sorted(sizes.items())) if sizes else "")
        + (" on " + ", ".join(devices) if devices else "")
    )


def _memory(plan: RunPlan, fed: int) -> MemoryUse:
    layouts = [part.layout for part in plan.parts]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return MemoryUse(
        sum(x.arena for x in layouts),
        sum(x.naive for x in layouts),
        plan.variable_bytes(),
        fed,
        sum(dim.evaluate(v.type.nbytes, plan.sizes) for v in plan.graph.outputs),
        peak * (1 if sys.platform == "darwin" else 1024),
    )
