"""Jobs in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable


def in_threads(jobs: list[Callable[[], None]]) -> None:
    """All jobs at once; their first error."""
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
        assert not t.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
