"""Whether the results of both sides are equal, judged by how far PyTorch's own results move when
each of its steps is disturbed by a few units in the last place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TOLERANCE = {"float64": 1e-8, "float32": 2e-4}  # relative to the largest element
MOVES = 30.0  # times what the disturbed runs move
FLOOR = 1e3  # units in the last place of the largest element of all: where sums cancel to nothing


@dataclass
class Comparison:
    """What was found of the results of one run."""

    fault: str = ""
    judged: int = 0  # elements
    unsure: int = 0  # elements that move so much that nothing can be said of them
    ours_alone: int = 0  # elements that are finite here and not in PyTorch


def compared(
    wanted: Mapping[str, Any], got: Mapping[str, Any], moved: Sequence[Mapping[str, Any]]
) -> Comparison:
    """Compares arrays by their names."""
    found = Comparison()
    floor = FLOOR * max((_size(a) for a in wanted.values()), default=1.0)
    for name, a in wanted.items():
        b = got[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            kinds = f"{a.dtype}{list(a.shape)}, here {b.dtype}{list(b.shape)}"
            found.fault = found.fault or f"{name} is {kinds}"
            continue
        with np.errstate(all="ignore"):
            wrong = _wrong(a, b, [m[name] for m in moved], found, floor)
        if wrong.any() and not found.fault:
            where = tuple(int(k[0]) for k in np.nonzero(wrong)) if a.ndim else ()
            found.fault = f"{name}{list(where)} is {a[where]!r}, here {b[where]!r}"
    return found


def _size(a: Any) -> float:
    """The largest finite element, at least 1."""
    if a.dtype.kind != "f":
        return 1.0
    return max(1.0, float(np.abs(np.where(np.isfinite(a), a, 0.0)).max(initial=0.0)))


def _wrong(a: Any, b: Any, moved: Sequence[Any], found: Comparison, floor: float) -> Any:
    """Which elements are wrong."""
    if a.dtype.kind != "f":
        sure = np.ones(a.shape, bool)
        for m in moved:
            sure &= m == a
        found.judged += int(sure.sum())
        found.unsure += int((~sure).sum())
        return sure & (a != b)
    finite = np.isfinite(a)
    scale = float(np.abs(a[finite]).max()) if finite.any() else 0.0
    base = TOLERANCE[a.dtype.name] * scale + floor * float(np.finfo(a.dtype).eps)
    move = np.zeros(a.shape)
    for m in moved:
        same = (m == a) | (np.isnan(m) & np.isnan(a))
        gap = np.abs(np.where(same, 0.0, m - a))
        move = np.maximum(move, np.where(np.isnan(gap), np.inf, gap))
    allowed = base + MOVES * move
    unsure = ~(allowed <= 0.1 * np.where(np.isfinite(a), np.maximum(np.abs(a), scale), np.inf))
    unsure &= move > 0
    alone = ~unsure & np.isnan(a) & ~np.isnan(b)
    found.unsure += int(unsure.sum())
    found.ours_alone += int(alone.sum())
    found.judged += int((~unsure & ~alone).sum())
    equal = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= allowed)
    return ~unsure & ~alone & ~equal
