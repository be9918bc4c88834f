"""All names that the source of a CPU kernel may call."""

from __future__ import annotations

from typing import Any

from graphc.codegen.cpu.intrinsics.buffers import BUFFERS
from graphc.codegen.cpu.intrinsics.checks import CHECK_CALLS
from graphc.codegen.cpu.intrinsics.foreign_calls import FOREIGN
from graphc.codegen.cpu.intrinsics.gemm_calls import CALLS
from graphc.codegen.cpu.intrinsics.row_copies import ROW_CALLS
from graphc.codegen.cpu.intrinsics.scalars import SCALARS
from graphc.codegen.cpu.intrinsics.tile_calls import TILE_CALLS

NAMESPACE: dict[str, Any] = {
    **SCALARS,
    **BUFFERS,
    **CHECK_CALLS,
    **FOREIGN,
    **CALLS,
    **ROW_CALLS,
    **TILE_CALLS,
}
