"""Profile: where the time of a run goes, kernel by kernel, against what the machine can do.

`str(profile)` is a table, `profile.trace()` a Chrome trace, `profile.data()` plain numbers.

    time        of all launches of the kernel in the median run, or the fastest; chunks that run
                side by side count once
    bytes       bytes that the kernel must move (`graphc.passes.cost.kernel`); %mem is the share of
                the time that moving them takes at best, at the speed of sums and copies
    flops       operations that the kernel must make; %peak is the share of the time that they take
                at best, at the speed of multiply-adds in registers
    bound       the nearer limit: memory or compute
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from graphc.errors import GraphcError, Location
from graphc.ir.op import Array
from graphc.passes.trace import StageTime
from graphc.profile.machine_limits import Limits
from graphc.runtime.cpu.plan_words import Event

SORT_KEYS: dict[str, Callable[[ProfileRow], float]] = {
    "time": lambda row: row.seconds,
    "bytes": lambda row: row.moved,
    "flops": lambda row: row.flops,
}
COMPILATION_LANE = 0  # of a trace: the stages of the compilation
FIRST_THREAD_LANE = 1  # of a trace: thread 0; one more lane for each further thread


@dataclass(frozen=True)
class ProfileRow:
    """A kernel in one run.  `best_memory` and `best_compute` are the least seconds that its bytes
    and its operations take; `lines` are the user's, first the one that named the kernel."""

    name: str
    kind: str
    lines: tuple[Location, ...]
    launches: float
    seconds: float
    read: float
    written: float
    flops: float
    best_memory: float
    best_compute: float
    inner: tuple[ProfileRow, ...] = ()

    @property
    def moved(self) -> float:
        """Bytes read and written."""
        return self.read + self.written

    @property
    def memory_share(self) -> float:
        """The share of the time that its bytes would take at best."""
        return self.best_memory / self.seconds if self.seconds else 0.0

    @property
    def compute_share(self) -> float:
        """The share of the time that its operations would take at best."""
        return self.best_compute / self.seconds if self.seconds else 0.0

    @property
    def bound(self) -> str:
        """The nearer limit."""
        if not self.best_memory and not self.best_compute:
            return ""
        return "memory" if self.best_memory >= self.best_compute else "compute"


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that a run needs; `naive` is the arena without reuse, `peak` the most memory that the
    process ever held."""

    arena: int
    naive: int
    variables: int
    fed: int
    results: int
    peak: int


@dataclass(frozen=True)
class Run:
    """One recorded run: its start and end (`perf_counter_ns`), its events (rows of `Event`), and
    how many events were dropped for want of room."""

    start: int
    end: int
    events: Array
    dropped: int


@dataclass(frozen=True)
class Label:
    """The text that a trace shows for an instruction; figures are of one launch."""

    name: str
    kind: str
    line: str
    bytes: int
    flops: int


@dataclass(frozen=True)
class Profile:
    """The result of `Session.profile`.  Seconds are the median of `runs` runs, or the `fastest`."""

    title: str
    rows: tuple[ProfileRow, ...]
    runs: int
    run_seconds: float
    kernel_seconds: float
    threads: int
    memory: MemoryUse
    limits: Limits
    spans: tuple[StageTime, ...]
    labels: tuple[Label, ...]
    recorded: tuple[Run, ...]
    fastest: bool = False

    def __str__(self) -> str:
        return self.table()

    def sorted(self, sort: str = "time", top: int | None = None) -> tuple[ProfileRow, ...]:
        """The rows that have most of `time`, `bytes` or `flops`.  Raises `GraphcError` for another
        order."""
        if sort not in SORT_KEYS:
            raise GraphcError(f"profile: cannot sort by {sort!r}; choose {', '.join(SORT_KEYS)}")
        return _sorted(self.rows, SORT_KEYS[sort], top)

    def grouped(self) -> Profile:
        """The same with one row for kernels that are alike: the same work for the same lines, as
        the layers of a network do it."""
        alike: dict[object, list[ProfileRow]] = {}
        for row in self.rows:
            key = row if row.inner else (row.kind, row.lines, row.read, row.written, row.flops)
            alike.setdefault(key, []).append(row)
        return replace(self, rows=tuple(_together(rows) for rows in alike.values()))

    def table(self, sort: str = "time", top: int | None = None) -> str:
        """The kernels as text, `top` of them."""
        shown = self.sorted(sort, top)
        left = len(self.rows) - len(shown)
        lines = _table(shown, sum(row.seconds for row in self.rows) or 1.0)
        lines += [f"... and {left} more"] if left else []
        return "\n".join([f"{self.title}: {_runs(self)}, {_on(self)}", *lines, *_totals(self)])

    def data(self) -> dict[str, Any]:
        """All figures, as JSON takes them: seconds, bytes, operations."""
        fields = {
            k: getattr(self, k)
            for k in ("title", "runs", "fastest", "run_seconds", "kernel_seconds", "threads")
        }
        stages = [{"name": s.name, "seconds": (s.end - s.start) / 1e9} for s in self.spans]
        return {
            **fields,
            "memory": asdict(self.memory),
            "limits": asdict(self.limits),
            "compilation": stages,
            "kernels": [_data(row) for row in self.rows],
        }

    def trace(self) -> dict[str, Any]:
        """The recorded runs and the compilation for chrome://tracing or ui.perfetto.dev: complete
        events, microseconds, a lane for each thread."""
        return trace([self])

    def save_trace(self, path: str | Path) -> None:
        """Writes the trace as a JSON file."""
        Path(path).write_text(json.dumps(self.trace()), encoding="utf-8")


def trace(profiles: Sequence[Profile]) -> dict[str, Any]:
    """One trace of several profiles; see `Profile.trace`."""
    starts = [s.start for p in profiles for s in p.spans]
    starts += [r.start for p in profiles for r in p.recorded]
    zero = min(starts, default=0)
    spans = dict.fromkeys(s for p in profiles for s in p.spans)
    events = [
        _event(s.name, "compilation", s.start - zero, s.end - zero, COMPILATION_LANE) for s in spans
    ]
    for p in profiles:
        for number, run in enumerate(p.recorded):
            events += _run_events(p, number, run, zero)
    lanes = {COMPILATION_LANE: "compilation", FIRST_THREAD_LANE: "thread 0 (leads)"}
    for event in events:
        lanes.setdefault(event["tid"], f"thread {event['tid'] - FIRST_THREAD_LANE}")
    names = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": lane, "args": {"name": name}}
        for lane, name in lanes.items()
    ]
    return {
        "traceEvents": names + sorted(events, key=lambda e: float(e["ts"])),
        "displayTimeUnit": "ms",
    }


def _run_events(p: Profile, number: int, run: Run, zero: int) -> Iterator[dict[str, Any]]:
    """A recorded run, and each call in it."""
    start, end = run.start - zero, run.end - zero
    about = {"what": p.title, "events_left_out": run.dropped}
    yield _event(f"run {number}", "run", start, end, FIRST_THREAD_LANE, **about)
    for e in run.events.tolist():
        label, lane = p.labels[e[Event.NUMBER]], FIRST_THREAD_LANE + e[Event.THREAD]
        start, end = e[Event.START] - zero, e[Event.END] - zero
        about = {"line": label.line, "bytes": label.bytes, "flops": label.flops}
        yield _event(label.name, label.kind, start, end, lane, **about)


def _event(
    name: str, category: str, start: int, end: int, lane: int, **args: Any
) -> dict[str, Any]:
    """A complete event; times are nanoseconds, given out as microseconds."""
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": start / 1e3,
        "dur": (end - start) / 1e3,
        "pid": 1,
        "tid": lane,
        "args": args,
    }


def _sorted(
    rows: Sequence[ProfileRow], key: Callable[[ProfileRow], float], top: int | None
) -> tuple[ProfileRow, ...]:
    found = sorted(rows, key=key, reverse=True)[:top]
    return tuple(replace(row, inner=_sorted(row.inner, key, None)) for row in found)


def _together(rows: Sequence[ProfileRow]) -> ProfileRow:
    """The sum of rows that are alike."""
    figures = ("launches", "seconds", "read", "written", "flops", "best_memory", "best_compute")
    sums = {name: sum(getattr(row, name) for row in rows) for name in figures}
    return replace(rows[0], **sums) if len(rows) > 1 else rows[0]


def _data(row: ProfileRow) -> dict[str, Any]:
    """A row and those inside it."""
    plain = {
        k: getattr(row, k)
        for k in (
            "name",
            "kind",
            "launches",
            "seconds",
            "read",
            "written",
            "flops",
            "memory_share",
            "compute_share",
            "bound",
        )
    }
    return {**plain, "lines": [str(x) for x in row.lines], "inner": [_data(r) for r in row.inner]}


# -- the table

MAX_NAME_COLUMNS = 40  # of a kernel's kind and name
MAX_LINE_COLUMNS = 32  # of the user's file and line


def _table(rows: Sequence[ProfileRow], total: float) -> list[str]:
    """The head of the table, and a line for each row and each row inside it."""
    nested = list(_nested(rows, 0))
    names = [
        _cut("  " * depth + f"{row.kind} {row.name}", MAX_NAME_COLUMNS) for depth, row in nested
    ]
    places = [_place(row.lines) for _, row in nested]
    wide, far = (max(map(len, (*texts, "kernel"))) for texts in (names, places))
    lines = [
        f"{'time us':>9} {'share':>6} {'launches':>8}  {'kernel':{wide}}  {'line':{far}} "
        f"{'bytes':>8} {'GB/s':>6} {'%mem':>5} {'flops':>8} {'GF/s':>6} {'%peak':>5}  bound"
    ]
    for (_, row), name, place in zip(nested, names, places, strict=True):
        seconds = row.seconds or float("inf")
        lines.append(
            f"{row.seconds * 1e6:9.2f} {row.seconds / total:6.1%} {_count(row.launches):>8}  "
            f"{name:{wide}}  {place:{far}} "
            f"{scaled(row.moved):>8} {row.moved / seconds / 1e9:6.1f} {row.memory_share:5.0%} "
            f"{scaled(row.flops):>8} {row.flops / seconds / 1e9:6.1f} {row.compute_share:5.0%}  "
            f"{row.bound}".rstrip()
        )
    return lines


def _nested(rows: Sequence[ProfileRow], depth: int) -> Iterator[tuple[int, ProfileRow]]:
    for row in rows:
        yield depth, row
        yield from _nested(row.inner, depth + 1)


def _totals(p: Profile) -> list[str]:
    m, inside = p.memory, p.kernel_seconds
    outside = max(p.run_seconds - inside, 0.0)
    memory, cache = p.limits.working_sets[-1], p.limits.working_sets[2]
    copies = [f"{p.limits.bandwidth('copy', size) / 1e9:.0f} GB/s" for size in (memory, cache)]
    peaks = ", ".join(f"{rate / 1e9:.0f} GF/s {name}" for name, rate in p.limits.peaks.items())
    return [
        f"run     {p.run_seconds * 1e6:.2f} us: {inside * 1e6:.2f} in kernels, "
        f"{outside * 1e6:.2f} around them",
        f"memory  arena {scaled(m.arena)}B ({scaled(m.naive)}B without reuse), variables "
        f"{scaled(m.variables)}B, fed {scaled(m.fed)}B, results {scaled(m.results)}B; the process "
        f"at most {scaled(m.peak)}B",
        f"limits  {p.limits.cpu}: copies {copies[0]} in memory, {copies[1]} in cache; peak {peaks}",
    ]


def _runs(p: Profile) -> str:
    return "the fastest of " * p.fastest + f"{p.runs} run{'s' * (p.runs != 1)}"


def _on(p: Profile) -> str:
    return f"{p.threads} thread{'s' * (p.threads != 1)}"


def _count(launches: float) -> str:
    return str(int(launches)) if launches == int(launches) else f"{launches:.1f}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _place(lines: Sequence[Location]) -> str:
    """`model.py:6 +2`: the line, and how many others have a part in it."""
    if not lines:
        return ""
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    text = f"{Path(lines[0].file).name}:{lines[0].line}{more}"
    return text if len(text) <= MAX_LINE_COLUMNS else "…" + text[1 - MAX_LINE_COLUMNS :]


def scaled(number: float) -> str:
    """A number with a decimal prefix.

    >>> scaled(12), scaled(1234), scaled(5_600_000)
    ('12', '1.23k', '5.60M')
    """
    for unit in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5 or unit == "T":
            break
        number /= 1000
    if not unit:
        return f"{number:.0f}"
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f}{unit}"
