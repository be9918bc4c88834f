"""Recorder: watches plans while they run and makes profiles of what it saw."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import SessionError, user_location
from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.graph import Graph
from graphc.ir.op import Array
from graphc.profile.machine_limits import Limits, limits
from graphc.profile.report import Memory, Profile, Run
from graphc.profile.table import DeviceTable, HostTable, Table, Typical, limits_of
from graphc.runtime.cpu.timer import Times, Timing
from graphc.runtime.device.timer import DeviceTiming
from graphc.session.placed_engine import DevicePart, PlacedReady
from graphc.session.runner import Ready, Runner

TRACED = 20  # runs of a plan of which the events are kept


class Recorder:
    """Times the runs of plans: `watch` is an `Options.profile`.  Of each plan, `warmup` runs are
    left out, then `steps` are timed (None: all); what counts is the median run of each kernel, or
    the `fastest`.  `enough` is called when a plan has had its runs."""

    def __init__(
        self,
        steps: int | None = None,
        warmup: int = 0,
        fastest: bool = False,
        enough: Callable[[], None] = lambda: None,
    ) -> None:
        self.steps, self.warmup, self.enough = steps, warmup, enough
        self.typical: Typical = np.min if fastest else np.median
        self.watched: list[Watched] = []

    def watch(self, ready: Ready | PlacedReady) -> Watched:
        """What runs in a plan's place."""
        self.watched.append(Watched(self, ready))
        return self.watched[-1]

    def profiles(self) -> list[Profile]:
        """A profile of each plan that ran, the one that took most time first."""
        ran = [w for w in self.watched if w.times]
        ran.sort(key=lambda w: -sum(r.end - r.start for r in w.runs))
        return [w.profile() for w in ran]


class Watched:
    """A plan with timers."""

    def __init__(self, recorder: Recorder, ready: Ready | PlacedReady) -> None:
        self.recorder, self.ready = recorder, ready
        self.own: list[Timing | DeviceTiming] = []
        if isinstance(ready, PlacedReady):
            ready.time()
        else:
            self.own.append(Timing(ready.bound))
        self.left = recorder.warmup
        self.times: list[Times] = []
        self.runs: list[Run] = []
        self.fed = 0

    @property
    def timings(self) -> Sequence[Timing | DeviceTiming]:
        """The timers of each part; plans over several devices are made anew at times."""
        return self.ready.timings if isinstance(self.ready, PlacedReady) else self.own

    def run(self, arrays: list[Array]) -> Any:
        """One run; see `Ready.run`."""
        if self.left > 0 or len(self.times) == self.recorder.steps:
            self.left -= 1
            return self.ready.run(arrays)
        for timing in self.timings:
            timing.reset()
        start = time.perf_counter_ns()
        result = self.ready.run(arrays)
        end = time.perf_counter_ns()
        times = _together([t.taken() for t in self.timings])
        self.fed = sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
        self.times.append(Times(times.calls, times.nanoseconds, EMPTY, 0))
        traced = len(self.times) <= TRACED
        self.runs.append(Run(start, end, times.events if traced else EMPTY, times.dropped))
        if len(self.times) == self.recorder.steps:
            self.recorder.enough()
        return result

    def profile(self) -> Profile:
        """What was seen."""
        ready, options = self.ready, self.ready.session.options
        tables, found = self._tables()
        spent = np.array([t.nanoseconds for t in self.times]) / 1e9
        places = [p for t in self.timings for p in t.places]
        outside = [i for i, p in enumerate(places) if p.within is None]
        typical = self.recorder.typical
        executable = ready.executable if isinstance(ready, PlacedReady) else ready.bound.executable
        return Profile(
            _title(ready),
            tuple(row for t in tables for row in t.rows()),
            len(self.times),
            float(typical([r.end - r.start for r in self.runs])) / 1e9,
            float(typical(spent[:, outside].sum(axis=1))),
            options.threads,
            _memory(ready, self.fed),
            found,
            tuple(executable.spans),
            tuple(label for t in tables for label in t.labels()),
            tuple(self.runs[:TRACED]),
            typical is np.min,
        )

    def _tables(self) -> tuple[list[Table], Limits]:
        """The table of each part, and the limits of what does the most."""
        ready, session = self.ready, self.ready.session
        parts = ready.parts if isinstance(ready, PlacedReady) else [ready]
        gpus = [p for p in parts if isinstance(p, DevicePart)]
        host = limits(session.options) if len(gpus) < len(parts) or not gpus else None
        tables: list[Table] = []
        at = 0
        for part, timing in zip(parts, self.timings, strict=True):
            here = slice(at, at + len(timing.places))
            at = here.stop
            figures = (
                timing.places,
                np.array([t.calls[here] for t in self.times]),
                np.array([t.nanoseconds[here] for t in self.times]) / 1e9,
                self.recorder.typical,
            )
            if isinstance(part, DevicePart):
                plan, spec = part.plan, session.devices.spec(part.segment.device)
                tables.append(DeviceTable(plan.code.program, plan.sizes, *figures, spec))
            else:
                assert host is not None
                tables.append(HostTable(part.bound, *figures, host))
        if not gpus:
            assert host is not None
            return tables, host
        return tables, limits_of(session.devices.spec(gpus[0].segment.device))


EMPTY = np.zeros((0, 4), np.int64)


def record(runner: Runner, feeds: Iterable[Any], steps: int, warmup: int, fastest: bool) -> Profile:
    """A profile of a runner's signature, with these feeds.  Raises `SessionError` unless there is a
    step, and what a run raises."""
    if steps < 1 or warmup < 0:
        raise SessionError(
            f"Session.profile: steps is {steps}, warmup {warmup}; expected at least 1 and 0",
            user_location(),
        )
    recorder, arrays = Recorder(steps, warmup, fastest), list(feeds)
    again = type(runner)(runner.session, runner.staged, runner.executable, runner.fed, runner.pack)
    again.watch, again.stale = recorder.watch, runner.stale
    for _ in range(warmup + steps):
        again(*arrays)
    (profile,) = recorder.profiles()
    return profile


def _together(times: Sequence[Times]) -> Times:
    """The times of parts as those of one plan: places are numbered on."""
    events, at = [], 0
    for t in times:
        events.append(t.events + np.array([at, 0, 0, 0]))
        at += len(t.calls)
    return Times(
        np.concatenate([EMPTY[:0, 0], *(t.calls for t in times)]),
        np.concatenate([EMPTY[:0, 0], *(t.nanoseconds for t in times)]),
        np.concatenate([EMPTY, *events]),
        sum(t.dropped for t in times),
    )


def _title(ready: Ready | PlacedReady) -> str:
    """`loss, %w at n=32`."""
    graph, sizes = _graph(ready)
    names = [v.name or v.op.name for v in graph.outputs]
    names += [f"{old.name} <-" for old, _ in graph.updates]
    shown = ", ".join(names[:4]) + (f", {len(names) - 4} more" if len(names) > 4 else "")
    places = [p.segment.device for p in ready.parts] if isinstance(ready, PlacedReady) else []
    return (
        (shown or "nothing")
        + (" at " + ", ".join(f"{k}={v}" for k, v in sorted(sizes.items())) if sizes else "")
        + (" on " + ", ".join(dict.fromkeys(places)) if places else "")
    )


def _graph(ready: Ready | PlacedReady) -> tuple[Graph, Mapping[str, int]]:
    """What a plan computes, and its sizes."""
    if isinstance(ready, PlacedReady):
        return ready.executable.unified.graph, ready.sizes
    return ready.bound.executable.program.graph, ready.bound.sizes


def _memory(ready: Ready | PlacedReady, fed: int) -> Memory:
    graph, sizes = _graph(ready)
    if isinstance(ready, PlacedReady):
        layouts = [layout(part.code.program, ready.sizes) for part in ready.executable.parts]
        variables = sum(v.nbytes for v in ready.kept())
    else:
        layouts = [ready.bound.layout]
        variables = sum(a.nbytes for a in ready.inputs if a is not None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(
        sum(x.arena for x in layouts),
        sum(x.naive for x in layouts),
        variables,
        fed,
        sum(dim.evaluate(v.type.nbytes, sizes) for v in graph.outputs),
        peak * (1 if sys.platform == "darwin" else 1024),
    )
