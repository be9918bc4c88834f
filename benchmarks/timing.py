"""Interleaved timing: the contestants take turns, so that a slow moment of the machine hits all
alike."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import THREADS

ROUNDS = 15
ROUND_SECONDS = 0.05

Contestants = dict[str, Callable[[], Any]]
Rounds = dict[str, list[float]]


def round_times(
    contestants: Mapping[str, Callable[[], Any]], seconds: float = ROUND_SECONDS
) -> Rounds:
    """Seconds of each one's fastest call in each round, which lasts `seconds` for each."""
    for call in contestants.values():
        call()
        call()
    best: Rounds = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, call in contestants.items():
            best[name].append(_fastest(call, seconds))
    return best


def median_times(contestants: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of one call of each: the median over rounds of each round's fastest call."""
    return {name: statistics.median(times) for name, times in round_times(contestants).items()}


def ratio(rounds: Rounds, a: str, b: str) -> float:
    """How many times as fast as `b` `a` is: the median over rounds."""
    return statistics.median(y / x for x, y in zip(rounds[a], rounds[b], strict=True))


def _fastest(call: Callable[[], object], seconds: float) -> float:
    end = time.perf_counter() + seconds
    fastest = float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def torch() -> Any:
    """PyTorch, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(THREADS)
    return torch
