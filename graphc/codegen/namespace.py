"""All that the source of a CPU kernel may call, by name."""

from __future__ import annotations

from typing import Any

from graphc.codegen.builtins import BUILTINS
from graphc.codegen.calls import CALLS
from graphc.codegen.foreign import FOREIGN
from graphc.codegen.integers import INTEGERS
from graphc.codegen.row_calls import ROW_CALLS
from graphc.codegen.tile_calls import TILE_CALLS

NAMESPACE: dict[str, Any] = {
    **BUILTINS, **FOREIGN, **CALLS, **ROW_CALLS, **TILE_CALLS, **INTEGERS,
}
