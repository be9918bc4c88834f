"""Interleaved timing: the contestants take turns, so that a slow moment of the machine hits all
alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15
ROUND_SECONDS = 0.05


def median_times(contestants: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of one call of each: the median over rounds of each round's fastest call."""
    for call in contestants.values():
        call()
        call()
    best: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, call in contestants.items():
            best[name].append(_fastest(call))
    return {name: statistics.median(times) for name, times in best.items()}


def _fastest(call: Callable[[], object]) -> float:
    end = time.perf_counter() + ROUND_SECONDS
    fastest = float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest
