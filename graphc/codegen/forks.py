"""Locks and forks.  A fork copies a lock that another thread holds, but not the thread: whoever
takes the lock in the child would wait for ever, for what may be half done.

The child gets a `LostLock` in its place, which raises an error that says so.
"""

from __future__ import annotations

import functools
import os
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from graphc.errors import SessionError, user_location


class LostLock:
    """Stands where a lock stood that a thread of the parent process held during a fork."""

    def __init__(self, what: str) -> None:
        self.what = what

    def _lost(self, *_: object, **__: object) -> NoReturn:
        raise SessionError(
            f"{self.what} was at work in another thread when this process was forked, and cannot "
            "be used here; fork while it rests, or start the process with the method 'spawn'",
            user_location(),
        )

    __enter__ = acquire = release = _is_owned = _lost

    def __exit__(self, *exc: object) -> None:
        """Nothing was taken."""


class Guarded(Protocol):
    """An object with an `RLock` called `lock`, which errors call `lock_name`."""

    lock: Any
    lock_name: str


def lose_in_forks(guarded: Guarded) -> None:
    """From now on, a fork while another thread holds the object's lock loses the lock in the
    child."""
    _guarded().add(guarded)


@functools.cache
def _guarded() -> WeakSet[Guarded]:
    """The process's objects with such locks."""
    found: WeakSet[Guarded] = WeakSet()
    os.register_at_fork(after_in_child=functools.partial(_in_child, found))
    return found


def _in_child(found: WeakSet[Guarded]) -> None:
    for guarded in list(found):
        if isinstance(guarded.lock, LostLock) or guarded.lock._is_owned():
            continue  # this thread itself is at work, and goes on
        if guarded.lock.acquire(blocking=False):
            guarded.lock.release()
        else:
            guarded.lock = LostLock(guarded.lock_name)
