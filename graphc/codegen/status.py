"""What a kernel writes to the status words of its run: one of these, then what it found."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """The first status word."""

    FINE = 0
    OUT_OF_RANGE = 1  # a kernel met a bad index; the next words are that index and the size
    CANCELLED = 2  # Ctrl-C stopped the run
    RAISED = 3  # a Python function raised
    BROKEN = 4  # a checked kernel found a fault; an index, a size, the code of its `Site` follow
