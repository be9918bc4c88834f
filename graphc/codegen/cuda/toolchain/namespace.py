"""Every name that a kernel's text may call, for numba-cuda."""

from __future__ import annotations

from typing import Any

from numba import cuda

from graphc.codegen.cuda.toolchain.memory import MEMORY
from graphc.codegen.cuda.toolchain.mma import INTRINSICS
from graphc.codegen.cuda.toolchain.scalars import SCALARS
from graphc.codegen.cuda.toolchain.warp import WARP

NAMESPACE: dict[str, Any] = {"cuda": cuda, **SCALARS, **MEMORY, **WARP, **INTRINSICS}
