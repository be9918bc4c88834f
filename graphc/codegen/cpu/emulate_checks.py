"""What the checked build of a hand-written kernel calls, in plain Python: the twins of
`intrinsics/checks.py`.  `emulate.py` runs kernels with them."""

from __future__ import annotations

import ctypes
from typing import Any

from graphc.codegen.status import Status


def fail(index: int, size: int, site: int, status: int) -> None:
    """Notes a fault, unless there is one already."""
    words = (ctypes.c_int64 * 4).from_address(status)
    if words[0] == Status.FINE:
        words[:] = [Status.BROKEN, int(index), int(size), site]


def inside(before: int, index: Any, size: int, site: int, status: int) -> int:
    """The place of `index` on the next axis, of a size: before * size + index."""
    if before < 0 or 0 <= index < size:
        return -1 if before < 0 else before * size + int(index)
    fail(index, size, site, status)
    return -1


def own_row(row: int, low: int, high: int, site: int, status: int) -> int:
    """The row of the result, if it is one of this call's."""
    if row < 0 or low <= row < high:
        return row
    fail(row, high, site, status)
    return -1


def written_at(place: int, written: Any, first: int, site: int, status: int) -> int:
    """The place, if the element there has been written; `written` begins at element `first`."""
    if place < 0 or written[place - first]:
        return place
    fail(place, 0, site, status)
    return -1


def element(buffer: Any, place: int) -> Any:
    """The element at a place; 0 if there is none."""
    return buffer[place] if place >= 0 else buffer.zero


def stopped(status: int) -> bool:
    """Whether the run has failed."""
    return ctypes.c_int64.from_address(status).value != Status.FINE


CHECK_TWINS: dict[str, Any] = {
    "inside": inside,
    "own_row": own_row,
    "written_at": written_at,
    "element": element,
    "fail": fail,
    "stopped": stopped,
}
