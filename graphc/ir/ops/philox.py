"""Philox4x32-10 in NumPy (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011),
and its constants, which generated code shares."""

from __future__ import annotations

from typing import Any

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(key: int, counter: int, position: Any) -> Any:
    """The first word of Philox4x32-10 at positions (u64 array)."""
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    x0, x1 = position & low, position >> shift
    x2 = np.full_like(x0, counter & 0xFFFFFFFF)
    x3 = np.full_like(x0, counter >> 32)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = x0 * np.uint64(MULTIPLIERS[0]), x2 * np.uint64(MULTIPLIERS[1])
        x0, x2 = (p1 >> shift) ^ x1 ^ np.uint64(k0), (p0 >> shift) ^ x3 ^ np.uint64(k1)
        x1, x3 = p1 & low, p0 & low
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return x0.astype(np.uint32)
