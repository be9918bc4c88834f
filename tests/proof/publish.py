"""Writes the proof's table into docs/reliability.md."""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- proof: written by `make proof` -->\n", "<!-- end of proof -->\n"


def publish(rows: Sequence[tuple[str, str]]) -> None:
    """Puts the rows, promises with their figures, in the place of the table that is there."""
    python, numpy = platform.python_version(), np.__version__
    today = datetime.date.today().isoformat()
    lines = [
        f"Run on {today}, Python {python}, NumPy {numpy}, {platform.machine()}:\n",
        "| promise | what was tried |",
        "|---|---|",
        *(f"| {promise} | {figure} |" for promise, figure in rows),
    ]
    text = DOCUMENT.read_text(encoding="utf-8")
    table = BEGIN + "\n".join(lines) + "\n" + END
    new = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: table, text, flags=re.DOTALL)
    DOCUMENT.write_text(new, encoding="utf-8")
