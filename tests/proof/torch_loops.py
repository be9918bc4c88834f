"""Loops in plain Python, for the PyTorch side of programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def rows(step: Callable[[Any, int], Any], carry: Any, count: int) -> Any:
    """The carries after each of the steps, stacked."""
    import torch

    kept = []
    for t in range(count):
        carry = step(carry, t)
        kept.append(carry)
    return torch.stack(kept)


def results(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any) -> Any:
    """What each step gives beside the carry, stacked."""
    import torch

    kept = []
    for x in xs:
        carry, kept_too = step(carry, x)
        kept.append(kept_too)
    return torch.stack(kept)


def last(step: Callable[[Any, int], Any], carry: Any, count: int) -> Any:
    """The carry after the last step."""
    for t in range(count):
        carry = step(carry, t)
    return carry


def while_true(condition: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    """The carry once the condition is false, or after 40 steps: the sum of nothing never grows."""
    for _ in range(40):
        if not bool(condition(carry)):
            break
        carry = step(carry)
    return carry
