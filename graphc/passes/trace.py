"""The record of a compilation: how long each stage took, which rules fired."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from graphc.ir.graph import Value


@dataclass(frozen=True)
class StageTime:
    """A stage of a compilation: when it began and ended, in nanoseconds of `perf_counter_ns`."""

    name: str
    start: int
    end: int


@dataclass
class Trace:
    """What the passes of one compilation did: rule counts and times, and what they need not do
    again."""

    fired: Counter[str] = field(default_factory=Counter)
    spans: list[StageTime] = field(default_factory=list)
    proven: set[Value] = field(default_factory=set)  # values that the verifier has seen
    # values to which no rule applies, by the rules asked
    settled: defaultdict[Hashable, set[Value]] = field(default_factory=lambda: defaultdict(set))

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Notes how long the block takes."""
        start = time.perf_counter_ns()
        yield
        self.spans.append(StageTime(name, start, time.perf_counter_ns()))
