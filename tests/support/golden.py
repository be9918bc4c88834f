"""Where golden texts are, and how two texts differ."""

from __future__ import annotations

import difflib
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def differing(wanted: str, got: str, name: str) -> str:
    """A readable diff; empty if there is none."""
    lines = difflib.unified_diff(
        wanted.splitlines(), got.splitlines(), f"golden/{name}", "printed now", lineterm=""
    )
    return "\n".join(lines)
