"""Helper threads, and runs that Ctrl-C can end.

A helper is a Python thread that waits for work and then spends the run inside native code, without
the GIL.  A helper may come late: the leading thread never waits for one that has not begun.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import os
import queue
import sys
import threading
from typing import Any

from graphc.errors import OutOfMemoryError, user_location
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.executable import Bound
from graphc.runtime.cpu.plan_words import Gate, Word

MIN_WORK_FOR_HELPERS = 150_000  # element operations of a run
MIN_INTERRUPTIBLE_WORK = 30_000_000  # element operations; shorter runs need no Ctrl-C
CANCEL_WORD = int(Word.CANCEL)
LOOK_AFTER_SECONDS = 0.5  # of waiting for a thread: is it still there?
HELPER_THREAD_NAME = "graphc-helper-"  # and the number in its pool, from 1


class ThreadPool:
    """Helper threads of this process, fewer than wanted if the system gives no more."""

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        self.queues: list[Any] = []
        self.busy = threading.Lock()
        for number in range(1, size + 1):
            q: Any = queue.SimpleQueue()
            name = f"{HELPER_THREAD_NAME}{number}"
            helper = threading.Thread(target=_help, args=(q,), daemon=True, name=name)
            try:
                helper.start()
            except RuntimeError:  # no thread is left: the others do its work, with equal results
                return
            self.queues.append(q)

    def run(self, bound: Bound, helpers: int) -> None:
        """One run of a plan with up to `helpers` threads besides this one."""
        native = driver()
        if not self.busy.acquire(blocking=False):  # another session has the helpers
            native.run(bound.address)
            return
        try:
            native.reset(bound.address)
            ticket = bound.view[Word.GATE] >> Gate.BITS
            try:
                for q in self.queues[:helpers]:
                    q.put((bound, ticket))
                native.lead(bound.address)
            except BaseException:  # Ctrl-C between two lines: no helper may go on alone
                bound.view[CANCEL_WORD] = 1
                native.lead(bound.address)
                bound.view[CANCEL_WORD] = 0
                raise
        finally:
            self.busy.release()


def _help(waiting: Any) -> None:
    native = driver()
    while True:
        try:
            bound, ticket = waiting.get()
            native.join(bound.address, ticket)
            del bound
        except (KeyboardInterrupt, MemoryError):
            # The first was meant for a Python function of the graph that had just returned; and
            # who has no memory to help leaves the work to the others.
            continue


@functools.cache
def _pool(pid: int, size: int) -> ThreadPool:
    return ThreadPool(size)


def execute(bound: Bound, threads: int) -> bool:
    """Runs a plan: alone if it is small, with helpers if it is large, interruptibly if it is long.

    Returns whether Ctrl-C asked for an end.  The plan's status then tells whether it came in time.
    """
    # Plans that call Python functions always leave the main thread: there Ctrl-C is noticed.
    interruptible = bound.work >= MIN_INTERRUPTIBLE_WORK or bound.thunks
    if interruptible and threading.current_thread() is threading.main_thread():
        return _interruptible(bound, threads)
    _execute(bound, threads)
    return False


def _execute(bound: Bound, threads: int) -> None:
    if threads > 1 and bound.work >= MIN_WORK_FOR_HELPERS:
        _pool(os.getpid(), threads - 1).run(bound, threads - 1)
    else:
        driver().run(bound.address)


class _Beside:
    """A run in a thread of its own.  What tells of its end needs no memory, and is set by a single
    step: an exception sent to the thread may strike after any call there."""

    def __init__(self, bound: Bound, threads: int) -> None:
        self.bound, self.threads = bound, threads
        self.ended = False
        self.failure: BaseException | None = None
        self.ident: int | None = None
        # It only wakes the waiting thread sooner (an Event does not survive Ctrl-C).
        self.news: Any = queue.SimpleQueue()

    def work(self) -> None:
        """The thread's."""
        self.ident = _thread.get_ident()
        try:
            _execute(self.bound, self.threads)
        except BaseException as error:
            self.failure = error
        finally:
            self.ended = True
            self.news.put(None)

    def wait(self) -> None:
        """Waits for the end.  Raises `OutOfMemoryError` if the thread has died before."""
        while not self.ended:
            with contextlib.suppress(queue.Empty):
                self.news.get(timeout=LOOK_AFTER_SECONDS)
                continue
            if self.ident not in (None, *sys._current_frames()) and not self.ended:
                self.failure, self.ended = _died(), True


def _died() -> OutOfMemoryError:
    return OutOfMemoryError(
        "Session.run: the thread of the run has died, for lack of memory most likely; feed "
        "smaller batches, or set a memory_limit",
        user_location(),
    )


def _interruptible(bound: Bound, threads: int) -> bool:
    """Runs in another thread, so that the main thread can take a signal; returns whether one
    came."""
    run = _Beside(bound, threads)
    interrupted = sent = False
    try:
        run.ident = _thread.start_new_thread(run.work, ())
    except KeyboardInterrupt:  # the thread has begun: a signal is seen after a call, not within it
        interrupted = True
    except RuntimeError:  # no thread is left: then Ctrl-C waits for the run's end
        _execute(bound, threads)
        return False
    while True:  # Python looks for signals where a loop turns: the inner one turns inside of `try`
        try:
            if interrupted and not sent:
                sent = True
                bound.view[CANCEL_WORD] = 1
                for thunk in bound.thunks:
                    thunk.interrupt()
            run.wait()
            break
        except KeyboardInterrupt:
            interrupted, sent = True, False
    bound.view[CANCEL_WORD] = 0
    if run.failure is not None:
        raise run.failure
    return interrupted
