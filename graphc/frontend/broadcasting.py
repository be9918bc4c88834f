"""Broadcasting and slicing of shapes, whose sizes may be symbolic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ShapeError, user_location
from graphc.frontend.boundary import require
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.requirement import at_least


def broadcast_shapes(what: str, shapes: Sequence[Shape]) -> Shape:
    """NumPy's rule.  Two unequal symbolic sizes are taken to be equal, and checked at feed time."""
    rank = max(map(len, shapes), default=0)
    result: list[Size] = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            have = result[axis]
            if have == 1:
                result[axis] = size
            elif size != 1 and dim.differ(have, size):
                shown = " and ".join(str(list(s)) for s in shapes)
                raise ShapeError(
                    f"{what}: shapes {shown} do not broadcast: sizes {have} and {size}"
                )
            elif size != 1 and isinstance(size, int):
                result[axis] = size
    return tuple(result)


def may_be_same(a: Shape, b: Shape) -> bool:
    """Whether two shapes may be the same; a pointwise op then requires that they are."""
    return len(a) == len(b) and all(
        m == n or (m != 1 and not dim.differ(m, n)) for m, n in zip(a, b, strict=True)
    )


FARTHEST = 1 << 62  # beyond every axis, and a word of a launch


def clamped(e: int) -> int:
    """A position on an axis of any size: what lies farther out means the same as `FARTHEST`."""
    return max(-FARTHEST, min(FARTHEST, e))


def slice_range(size: Size, k: slice) -> tuple[Size, int, Size]:
    """(start, step, size) of a slice of an axis."""
    step = 1 if k.step is None else clamped(int(k.step))
    if step == 0:
        raise ShapeError("index: a slice's step is 0", user_location())
    if isinstance(size, int) and all(
        e is None or hasattr(e, "__index__") for e in (k.start, k.stop)
    ):
        chosen = range(*k.indices(size))
        return (chosen.start if len(chosen) else 0), step, len(chosen)

    def bound(e: Any, default: Size) -> Size:
        """A symbolic size clips nothing that it cannot know: [a:b] with a, b >= 0 is min(b, n)."""
        if e is None:
            return default
        e = clamped(e.__index__()) if hasattr(e, "__index__") else e
        if isinstance(e, int) and e < 0:
            return dim.maximum(size + e, 0)
        require("index", at_least(e, 0, f"bound {e} of a slice"))
        return dim.minimum(e, size)

    if step > 0:
        start, stop = bound(k.start, 0), bound(k.stop, size)
        gap = stop - start
        count = gap if step == 1 else (gap + (step - 1)) // step
    else:
        start = size - 1 if k.start is None else dim.minimum(bound(k.start, size), size - 1)
        stop = -1 if k.stop is None else bound(k.stop, size)
        count = (start - stop + (-step - 1)) // -step
    plain = k.start in (None, 0) or k.stop is None
    return start, step, count if plain else dim.maximum(count, 0)
