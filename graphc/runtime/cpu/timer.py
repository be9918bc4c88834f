"""Timed plans: every launch, also inside loops, notes when it began and ended.

A launch calls a function with the address of its arguments.  A timed launch calls `gc_timed` with
the address of a `Timer` that holds both.  `gc_timed` reads the clock before and after the call,
adds to the timer's totals and writes an event into a log until the log is full.  So native code
times a run, on as many threads as the run has.  The clock is that of `time.perf_counter_ns`.
"""

from __future__ import annotations

import functools
import threading
import time
from dataclasses import dataclass

import numpy as np

from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.ir.op import Array
from graphc.ir.program import Kernel
from graphc.runtime.cpu.driver_text import TABLES_IR
from graphc.runtime.cpu.executable import Bound
from graphc.runtime.cpu.launches import address
from graphc.runtime.cpu.plan_words import Event, Instruction, LogHead, Timer, numbered
from graphc.runtime.cpu.threads import HELPER_THREAD_NAME

MAX_LOGGED_EVENTS = 1 << 14  # of one run
NEVER = np.iinfo(np.int64).max
TIMER_IR = """
declare i32 @clock_gettime(i32, ptr)
declare i64 @pthread_self()

define i64 @gc_now() alwaysinline {
  %t = alloca [2 x i64]
  %r = call i32 @clock_gettime(i32 CLOCK, ptr %t)
  %s = load i64, ptr %t
  %pn = getelementptr i64, ptr %t, i64 1
  %n = load i64, ptr %pn
  %big = mul i64 %s, 1000000000
  %ns = add i64 %big, %n
  ret i64 %ns
}

define i32 @gc_timed(ptr %ret, ptr %exc, ptr %timer, i64 %lo, i64 %hi) {
  %fn = call ptr @at(ptr %timer, i64 Timer.FUNCTION)
  %args = call ptr @at(ptr %timer, i64 Timer.ARGS)
  %start = call i64 @gc_now()
  %code = call i32 %fn(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi)
  %end = call i64 @gc_now()
  %took = sub i64 %end, %start
  %pc = getelementptr i64, ptr %timer, i64 Timer.CALLS
  %oc = atomicrmw add ptr %pc, i64 1 monotonic
  %pt = getelementptr i64, ptr %timer, i64 Timer.TOTAL
  %ot = atomicrmw add ptr %pt, i64 %took monotonic
  %pf = getelementptr i64, ptr %timer, i64 Timer.FIRST
  %of = atomicrmw min ptr %pf, i64 %start monotonic
  %pl = getelementptr i64, ptr %timer, i64 Timer.LAST
  %ol = atomicrmw max ptr %pl, i64 %end monotonic
  %log = call ptr @at(ptr %timer, i64 Timer.LOG)
  %calls = getelementptr i64, ptr %log, i64 LogHead.CALLS
  %at = atomicrmw add ptr %calls, i64 1 monotonic
  %room = call i64 @word(ptr %log, i64 LogHead.ROOM)
  %fits = icmp slt i64 %at, %room
  br i1 %fits, label %note, label %out
note:
  %events = getelementptr i64, ptr %log, i64 LogHead.SIZE
  %event = call ptr @row(ptr %events, i64 %at, i64 Event.SIZE)
  %number = call i64 @word(ptr %timer, i64 Timer.NUMBER)
  %pm = getelementptr i64, ptr %event, i64 Event.NUMBER
  store i64 %number, ptr %pm
  %ps = getelementptr i64, ptr %event, i64 Event.START
  store i64 %start, ptr %ps
  %pe = getelementptr i64, ptr %event, i64 Event.END
  store i64 %end, ptr %pe
  %self = call i64 @pthread_self()
  %pi = getelementptr i64, ptr %event, i64 Event.THREAD
  store i64 %self, ptr %pi
  br label %out
out:
  ret i32 %code
}
"""


@functools.cache
def timed() -> int:
    """The address of `gc_timed`."""
    text = numbered(TABLES_IR + TIMER_IR.replace("CLOCK", str(time.CLOCK_MONOTONIC)))
    data = jit.object_code(text, host_cpu())
    return jit.loader().load("gc_timed", data)


@dataclass(frozen=True)
class Timed:
    """An instruction with a timer: a kernel, or a copy of `nbytes`, at the top of the run or inside
    the control kernel `within`.  `name` says where a copy goes to."""

    kernel: Kernel | None
    within: Kernel | None
    nbytes: int
    name: str = ""


@dataclass(frozen=True)
class Times:
    """The times of one run.  For each instruction: the number of calls and the total time (from the
    start of its first chunk to the end of its last; inside a loop, the sum over its calls).  The
    log has rows of `Event`; threads are numbered, and 0 leads."""

    calls: Array
    nanoseconds: Array
    events: Array
    dropped: int


class Timing:
    """The timers of a plan.  The plan's instructions stay timed for good."""

    def __init__(self, bound: Bound) -> None:
        self.places: list[Timed] = []
        tables = bound.launches.tables
        self.timers = np.zeros((sum(len(t.kernels) for t in tables), Timer.SIZE), np.int64)
        self.log = np.zeros(LogHead.SIZE + MAX_LOGGED_EVENTS * Event.SIZE, np.int64)
        self.log[LogHead.ROOM] = MAX_LOGGED_EVENTS
        for table in tables:
            for kernel, row in zip(table.kernels, table.rows, strict=True):
                self._wrap(row, self.timers[len(self.places)])
                nbytes = int(row[Instruction.EXTENT]) if kernel is None else 0
                name = "to variables" if table.within is None else "to carries"
                self.places.append(Timed(kernel, table.within, nbytes, name))

    def _wrap(self, row: Array, timer: Array) -> None:
        timer[Timer.FUNCTION], timer[Timer.ARGS] = row[Instruction.FUNCTION], row[Instruction.ARGS]
        timer[Timer.LOG], timer[Timer.NUMBER] = address(self.log), len(self.places)
        row[Instruction.FUNCTION], row[Instruction.ARGS] = timed(), address(timer)

    def reset(self) -> None:
        """Forgets the last run."""
        self.timers[:, Timer.CALLS : Timer.SIZE] = 0, 0, NEVER, 0
        self.log[LogHead.CALLS] = 0

    def taken(self) -> Times:
        """The times of the last run."""
        calls, total = self.timers[:, Timer.CALLS].copy(), self.timers[:, Timer.TOTAL].copy()
        passed = self.timers[:, Timer.LAST] - self.timers[:, Timer.FIRST]
        outside = np.array([p.within is None for p in self.places], bool)
        spent = np.where(outside & (calls > 0), passed, total)
        logged = int(self.log[LogHead.CALLS])
        count = min(logged, MAX_LOGGED_EVENTS)
        events = self.log[LogHead.SIZE :][: count * Event.SIZE].reshape(count, Event.SIZE)
        events = events[np.argsort(events[:, Event.START], kind="stable")]
        events[:, Event.THREAD] = _lanes(events[:, Event.THREAD])
        return Times(calls, spent, events, logged - count)


def _lanes(threads: Array) -> Array:
    """The number of each thread: 0 for the one that leads (a new thread in each long run), then
    helpers, by their number in the pool that they belong to."""
    lane = {
        t.ident: int(t.name.removeprefix(HELPER_THREAD_NAME))
        for t in threading.enumerate()
        if t.name.startswith(HELPER_THREAD_NAME)
    }
    return np.array([lane.get(ident, 0) for ident in threads.tolist()], np.int64)
