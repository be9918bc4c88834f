"""Judges that fail in every way, for tests of the proof's worker processes."""

from __future__ import annotations

import os
import signal
import time

from proof.row import Verdict


def good(case: int) -> Verdict:
    """Finds nothing; covers the case's parity and measures the case."""
    return Verdict("", frozenset({("even", "odd")[case % 2]}), {"case": case})


def failing(case: int) -> Verdict:
    """Case 2 is wrong, 3 raises, 4 ends the process; the others are good."""
    if case == 2:
        return Verdict("wrong")
    if case == 3:
        raise KeyError("three")
    if case == 4:
        os.kill(os.getpid(), signal.SIGSEGV)
    return Verdict()


def hanging(case: int) -> Verdict:
    """Case 1 never ends."""
    while case == 1:
        time.sleep(1)
    return Verdict()
