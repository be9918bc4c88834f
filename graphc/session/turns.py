"""Whose turn it is: runs of a session happen one after another, and none begins inside another.

A session's lock tells whether this thread is inside a run already: a signal handler, a finalizer
or a tracing function may be called there.  The lock is taken by `with` alone, which Ctrl-C cannot
tear apart.  Another thread waits, unless a Python function of the run waits for that thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from graphc.errors import SessionError, user_location

if TYPE_CHECKING:
    from graphc.session.engine import Owner

LOOK_AFTER_SECONDS = 0.1  # of waiting for a Python function: does it wait for this thread?
JOIN = "threading", "Thread.join"  # module and name of what waits for a thread, with `self`
RESULT = "concurrent.futures._base", "Future.result"
WORK = "concurrent.futures.thread", "_WorkItem.run"  # what computes `self.future`


def require_outside(session: Owner) -> None:
    """Raises `SessionError` if the caller is inside a run of this session, or would wait for ever
    for one to end."""
    if session.running is not None:
        _wait_for_functions(session)
    if session.lock._is_owned():  # type: ignore[attr-defined]
        raise SessionError(
            "Session: called from inside a run of the same session (by a signal handler, a "
            "finalizer or a hook); do it after the run, or use another session",
            user_location(),
        )


def _wait_for_functions(session: Owner) -> None:
    """Waits while a run calls a Python function.  Raises `SessionError` if that function waits
    for this thread, or is this thread's."""
    if session.running is not None and any(t.is_here() for t in session.running.thunks):
        raise _inside()
    while busy := _at_work(session):
        try:
            if session.lock.acquire(timeout=LOOK_AFTER_SECONDS):
                return
        finally:
            try:
                session.lock.release()
            except RuntimeError:  # it has not been acquired
                if threading.get_ident() in _awaited(busy):
                    raise _inside() from None


def _at_work(session: Owner) -> list[int]:
    """The threads in which a run calls Python functions now."""
    thunks = session.running.thunks if session.running is not None else []
    return [thread for t in thunks if (thread := t.thread) is not None]


def _inside() -> SessionError:
    return SessionError(
        "Session: a function that a run calls cannot use the session of that run, nor wait for a "
        "thread that does; give it what it needs as an input, or use another session",
        user_location(),
    )


def _awaited(threads: list[int]) -> set[int]:
    """The threads that these wait for, directly or not, as far as their frames tell."""
    frames = sys._current_frames()
    workers = {
        id(frame.f_locals["self"].future): ident
        for ident, top in frames.items()
        for frame in _stack(top)
        if _place(frame) == WORK
    }
    found: set[int] = set()
    waiting = list(threads)
    while waiting:
        for frame in _stack(frames.get(waiting.pop())):
            new = set(_awaited_by(frame, workers)) - found
            found |= new
            waiting += new
    return found


def _awaited_by(frame: FrameType, workers: dict[int, int]) -> Iterable[int]:
    """The threads that one frame waits for, with no limit of time."""
    if frame.f_code is _wait_for_functions.__code__:
        return _at_work(frame.f_locals["session"])
    if _place(frame) not in (JOIN, RESULT) or frame.f_locals["timeout"] is not None:
        return ()
    what = frame.f_locals["self"]
    ident = what.ident if _place(frame) == JOIN else workers.get(id(what))
    return () if ident is None else (ident,)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> tuple[str, str]:
    return str(frame.f_globals.get("__name__")), frame.f_code.co_qualname
