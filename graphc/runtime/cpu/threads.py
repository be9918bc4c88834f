"""Helper threads, runs that Ctrl-C can end, and blocks that it cannot interrupt.

A helper is a Python thread that waits for work and then spends the run inside native code, without
the GIL.  A helper may come late: the leading thread never waits for one that has not begun.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import os
import queue
import signal
import threading
from collections.abc import Iterator
from typing import Any

from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.executable import Bound
from graphc.runtime.cpu.plan_words import Gate, Word

MIN_WORK_FOR_HELPERS = 150_000  # element operations of a run
MIN_INTERRUPTIBLE_WORK = 30_000_000  # element operations; shorter runs need no Ctrl-C
CANCEL_WORD = int(Word.CANCEL)
HELPER_THREAD_NAME = "graphc-helper"


class ThreadPool:
    """Helper threads of this process."""

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        self.queues: list[Any] = [queue.SimpleQueue() for _ in range(size)]
        self.busy = threading.Lock()
        for q in self.queues:
            threading.Thread(target=_help, args=(q,), daemon=True, name=HELPER_THREAD_NAME).start()

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
        except KeyboardInterrupt:  # meant for a Python function of the graph that had just returned
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


def _interruptible(bound: Bound, threads: int) -> bool:
    """Runs in another thread, so that the main thread can take a signal; returns whether one
    came."""
    # An exception sent to the other thread may strike after any call there, so the end is noted by
    # a single step; `news` only wakes the main thread sooner (an Event does not survive Ctrl-C).
    failure: list[BaseException] = []
    ended: list[bool] = []
    news: Any = queue.SimpleQueue()

    def work() -> None:
        try:
            _execute(bound, threads)
        except BaseException as error:
            failure.append(error)
        finally:
            ended.append(True)
            news.put(None)

    interrupted = sent = False
    try:
        _thread.start_new_thread(work, ())
    except KeyboardInterrupt:  # the thread has begun: a signal is seen after a call, not within it
        interrupted = True
    while True:  # Python looks for signals where a loop turns: the inner one turns inside of `try`
        try:
            if interrupted and not sent:
                sent = True
                bound.view[CANCEL_WORD] = 1
                for thunk in bound.thunks:
                    thunk.interrupt()
            while not ended:
                with contextlib.suppress(queue.Empty):
                    news.get(timeout=0.5)
            break
        except KeyboardInterrupt:
            interrupted, sent = True, False
    bound.view[CANCEL_WORD] = 0
    if failure:
        raise failure[0]
    return interrupted


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block, Ctrl-C waits for the block's end.  Only the main thread takes signals."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    received: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *arguments: received.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[-1])
