"""Recorder: watches plans while they run and makes profiles of what it saw."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import Location, SessionError, user_location
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.op import Array
from graphc.ir.program import Kernel, Kind, scatters_in_place
from graphc.ir.types import f64
from graphc.passes.cost import Cost, cost_of
from graphc.passes.reuse import Touch, touches
from graphc.profile import Label, Memory, Profile, Row, Run
from graphc.runner import Ready, Runner
from graphc.runtime.limits import Limits, limits
from graphc.runtime.timer import Timed, Times, Timing

TRACED = 20  # runs of a plan of which the events are kept
Typical = Callable[[Any], Any]  # of many times, one


class Recorder:
    """Times the runs of plans: `watch` is an `Options.profile`.  Of each plan, `warmup` runs are
    left out, then `steps` are timed (None: all); what counts is the median run of each kernel, or
    the `fastest`.  `enough` is called when a plan has had its runs."""

    def __init__(
        self, steps: int | None = None, warmup: int = 0, fastest: bool = False,
        enough: Callable[[], None] = lambda: None,
    ) -> None:
        self.steps, self.warmup, self.enough = steps, warmup, enough
        self.typical: Typical = np.min if fastest else np.median
        self.watched: list[Watched] = []

    def watch(self, ready: Ready) -> Watched:
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

    def __init__(self, recorder: Recorder, ready: Ready) -> None:
        self.recorder, self.ready = recorder, ready
        self.timing = Timing(ready.bound)
        self.left = recorder.warmup
        self.times: list[Times] = []
        self.runs: list[Run] = []
        self.fed = 0

    def run(self, arrays: list[Array]) -> Any:
        """One run; see `Ready.run`."""
        if self.left > 0 or len(self.times) == self.recorder.steps:
            self.left -= 1
            return self.ready.run(arrays)
        self.timing.reset()
        start = time.perf_counter_ns()
        result = self.ready.run(arrays)
        end = time.perf_counter_ns()
        times = self.timing.taken()
        self.fed = sum(a.nbytes for a in arrays)
        self.times.append(Times(times.calls, times.nanoseconds, EMPTY, 0))
        traced = len(self.times) <= TRACED
        self.runs.append(Run(start, end, times.events if traced else EMPTY, times.dropped))
        if len(self.times) == self.recorder.steps:
            self.recorder.enough()
        return result

    def profile(self) -> Profile:
        """What was seen."""
        ready, options = self.ready, self.ready.session.options
        bound = ready.bound
        spent = np.array([t.nanoseconds for t in self.times]) / 1e9
        outside = [i for i, p in enumerate(self.timing.places) if p.within is None]
        found = limits(options)
        table, typical = _Table(self, found), self.recorder.typical
        return Profile(
            _title(ready), table.rows(None), len(self.times),
            float(typical([r.end - r.start for r in self.runs])) / 1e9,
            float(typical(spent[:, outside].sum(axis=1))), options.threads,
            _memory(ready, self.fed), found, tuple(bound.executable.spans), table.labels(),
            tuple(self.runs[:TRACED]), typical is np.min)


EMPTY = np.zeros((0, 4), np.int64)


def record(
    runner: Runner, feeds: Iterable[Any], steps: int, warmup: int, fastest: bool
) -> Profile:
    """A profile of a runner's signature, with these feeds.  Raises `SessionError` unless there is a
    step, and what a run raises."""
    if steps < 1 or warmup < 0:
        raise SessionError(
            f"Session.profile: steps is {steps}, warmup {warmup}; expected at least 1 and 0",
            user_location())
    recorder, arrays = Recorder(steps, warmup, fastest), list(feeds)
    again = type(runner)(runner.session, runner.staged, runner.executable, runner.fed, runner.pack)
    again.watch = recorder.watch
    for _ in range(warmup + steps):
        again(*arrays)
    (profile,) = recorder.profiles()
    return profile


class _Table:
    """The rows of a profile."""

    def __init__(self, watched: Watched, found: Limits) -> None:
        self.bound, self.limits = watched.ready.bound, found
        self.places, self.typical = watched.timing.places, watched.recorder.typical
        program = self.bound.executable.program
        self.calls = np.array([t.calls for t in watched.times])
        self.spent = np.array([t.nanoseconds for t in watched.times]) / 1e9
        self.touches = touches(program, self._number, self.bound.layout)
        self.costs: dict[Kernel, Cost] = {}
        homes = [program]
        for home in homes:
            for k in home.kernels:
                self.costs[k] = cost_of(k, scatters_in_place(home, k))
                homes += k.programs

    def _number(self, size: Size) -> int:
        return dim.evaluate(size, self.bound.sizes)

    def rows(self, within: Kernel | None) -> tuple[Row, ...]:
        """The rows of a control kernel's steps, or of the run."""
        chosen = [(i, p) for i, p in enumerate(self.places) if p.within is within]
        return tuple(self._row(i, p) for i, p in chosen)

    def _row(self, number: int, place: Timed) -> Row:
        calls, spent = self.calls[:, number], self.spent[:, number]
        ran = calls > 0
        seconds = float(self.typical(spent[ran]) * ran.mean()) if ran.any() else 0.0
        launches = float(calls.mean() if place.within else ran.mean())  # chunks make one launch
        if place.kernel is None:
            return self._copy(place, launches, seconds)
        kernel = place.kernel
        if kernel.kind is Kind.CONTROL:
            return _around(kernel, launches, seconds, self.rows(kernel))
        cost = self.costs[kernel]
        flops = launches * self._number(cost.flops)
        return Row(kernel.name, kernel.kind.value, lines_of(kernel), launches, seconds,
                   launches * self._number(cost.read), launches * self._number(cost.written), flops,
                   launches * self._memory_seconds(self.touches[kernel]),
                   flops / self._peak(kernel))

    def _copy(self, place: Timed, launches: float, seconds: float) -> Row:
        moved = launches * place.nbytes
        best = self.limits.seconds(moved, 0, 2 * place.nbytes)
        best += self.limits.seconds(0, moved, 2 * place.nbytes)
        return Row(_target(place), "copy", (), launches, seconds, moved, moved, 0.0, best, 0.0)

    def _memory_seconds(self, used: Sequence[Touch]) -> float:
        return sum(self.limits.seconds(t.read, t.written, t.distance) for t in used)

    def _peak(self, kernel: Kernel) -> float:
        wide = f64 in {v.type.dtype for v in (*kernel.reads, *kernel.writes)}
        return self.limits.peaks["f64" if wide else "f32"]

    def labels(self) -> tuple[Label, ...]:
        """What each instruction is, for a trace."""
        made = []
        for place in self.places:
            if place.kernel is None:
                made.append(Label(_target(place), "copy", "", 2 * place.nbytes, 0))
                continue
            kernel, cost = place.kernel, self.costs[place.kernel]
            lines = lines_of(kernel)
            made.append(Label(kernel.name, kernel.kind.value, str(lines[0]) if lines else "",
                              self._number(cost.moved), self._number(cost.flops)))
        return tuple(made)


def _target(place: Timed) -> str:
    """What a copy is for."""
    return "to variables" if place.within is None else "to carries"


def _around(kernel: Kernel, launches: float, seconds: float, inner: tuple[Row, ...]) -> Row:
    """The row of a loop or switch: what its kernels cost together."""
    def total(figure: Callable[[Row], float]) -> float:
        return sum(map(figure, inner))

    return Row(kernel.name, kernel.kind.value, lines_of(kernel), launches, seconds,
               total(lambda r: r.read), total(lambda r: r.written), total(lambda r: r.flops),
               total(lambda r: r.best_memory), total(lambda r: r.best_compute), inner)


def lines_of(kernel: Kernel) -> tuple[Location, ...]:
    """The user's lines that a kernel computes: that of its last result first."""
    found = [v.loc for v in (*reversed(kernel.writes), *reversed(kernel.body)) if v.loc is not None]
    return tuple(dict.fromkeys(found))


def _title(ready: Ready) -> str:
    """`loss, %w at n=32`."""
    graph = ready.bound.executable.program.graph
    names = [v.name or v.op.name for v in graph.outputs]
    names += [f"{old.name} <-" for old, _ in graph.updates]
    shown = ", ".join(names[:4]) + (f", {len(names) - 4} more" if len(names) > 4 else "")
    sizes: Mapping[str, int] = ready.bound.sizes
    return (shown or "nothing") + (
        " at " + ", ".join(f"{k}={v}" for k, v in sorted(sizes.items())) if sizes else "")


def _memory(ready: Ready, fed: int) -> Memory:
    bound = ready.bound
    program, sizes = bound.executable.program, bound.sizes
    kept = [a for a in ready.inputs if a is not None]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(
        bound.layout.arena, bound.layout.naive, sum(a.nbytes for a in kept), fed,
        sum(dim.evaluate(v.type.nbytes, sizes) for v in program.graph.outputs),
        peak * (1 if sys.platform == "darwin" else 1024))
