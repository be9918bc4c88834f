"""Index arithmetic behind views: permutations, and positions under another shape."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir import dim
from graphc.ir.dim import Shape, Size, product

Index = tuple[Size, ...]


def ints(sizes: Iterable[Size]) -> tuple[int, ...]:
    """Sizes that are known numbers (as all are when an op's `reference` runs)."""
    return tuple(dim.evaluate(s, {}) for s in sizes)


def others(rank: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes not in `axes`."""
    return tuple(a for a in range(rank) if a not in axes)


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The inverse permutation."""
    return tuple(axes.index(a) for a in range(len(axes)))


def reindex(index: Index, shape: Shape, to: Shape) -> Index:
    """The position under shape `to` of the element at `index` under `shape` (row-major).

    Axes are matched in groups of equal size from the front, so that `//` and `%` appear only where
    an axis really is split.  Where a shape has no elements none is at any index, and no size may
    divide: the position is the first.
    """
    if _zero(shape) or _zero(to):
        return (0,) * len(to)
    result: list[Size] = []
    a = b = 0
    while b < len(to) or a < len(shape):
        left, right = _group(shape[a:], to[b:])
        linear: Size = 0
        for i, n in zip(index[a : a + left], shape[a : a + left], strict=True):
            linear = linear * n + i
        result += unflatten(linear, to[b : b + right])
        a, b = a + left, b + right
    return tuple(result)


def _group(x: Shape, y: Shape) -> tuple[int, int]:
    """The lengths of the shortest prefixes of `x` and `y` with equal products, else of all."""
    for total in range(1, len(x) + len(y)):
        for i in range(max(0, total - len(y)), min(total, len(x)) + 1):
            if product(x[:i]) == product(y[: total - i]):
                return i, total - i
    return len(x), len(y)


def _zero(shape: Shape) -> bool:
    return any(s == 0 for s in shape)


def unflatten(linear: Size, shape: Shape) -> list[Size]:
    """The index under `shape` of the element at a linear position (an empty shape has none: any
    index will do)."""
    if _zero(shape):
        return [0] * len(shape)
    index: list[Size] = []
    for axis in range(len(shape)):
        inner = product(shape[axis + 1 :])
        here = linear if inner == 1 else linear // inner
        index.append(here if axis == 0 else here % shape[axis])
    return [0 if s == 1 else i for i, s in zip(index, shape, strict=True)]
