"""Every name that a kernel's text may call, for numba-cuda."""

from __future__ import annotations

from typing import Any

from numba import cuda

from graphc.codegen.gcuda_memory import MEMORY
from graphc.codegen.gcuda_mma import INTRINSICS
from graphc.codegen.gcuda_scalars import SCALARS
from graphc.codegen.gcuda_warp import WARP

NAMESPACE: dict[str, Any] = {"cuda": cuda, **SCALARS, **MEMORY, **WARP, **INTRINSICS}
