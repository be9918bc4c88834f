"""Every name that a kernel's text may call, for numba-cuda."""

from __future__ import annotations

from typing import Any

from numba import cuda

from graphc.codegen.cuda.toolchain.memory import MEMORY_INTRINSICS
from graphc.codegen.cuda.toolchain.mma import TILE_INTRINSICS
from graphc.codegen.cuda.toolchain.scalars import SCALARS
from graphc.codegen.cuda.toolchain.warp import WARP_INTRINSICS

NAMESPACE: dict[str, Any] = {
    "cuda": cuda,
    **SCALARS,
    **MEMORY_INTRINSICS,
    **WARP_INTRINSICS,
    **TILE_INTRINSICS,
}
