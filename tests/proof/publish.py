"""Writes the proof's table, and the tables of its rows, into docs/reliability.md."""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def publish(rows: Sequence[tuple[str, str]]) -> None:
    """Puts the rows, promises with their figures, in the place of the table that is there."""
    lines = [
        "| promise | what was tried |",
        "|---|---|",
        *(f"| {promise} | {figure} |" for promise, figure in rows),
    ]
    put("proof: written by `make proof`", "proof", "\n".join(lines) + "\n")


def publish_details(name: str, text: str) -> None:
    """Puts a row's own table in the place of the one that is there."""
    put(f'{name}: written by `make proof ARGS="--only {name} --publish"`', name, text)


def put(begin: str, name: str, text: str) -> None:
    """Replaces what stands between two marks.  Raises `LookupError` if they are not there."""
    python, numpy = platform.python_version(), np.__version__
    today = datetime.date.today().isoformat()
    head = f"Run on {today}, Python {python}, NumPy {numpy}, {platform.machine()}:\n\n"
    first, last = f"<!-- {begin} -->\n", f"<!-- end of {name} -->\n"
    before = DOCUMENT.read_text(encoding="utf-8")
    whole = re.compile(re.escape(first) + ".*?" + re.escape(last), re.DOTALL)
    after, found = whole.subn(lambda _: first + head + text + last, before)
    if found != 1:
        raise LookupError(f"{DOCUMENT} has not one {first.strip()} with its end")
    DOCUMENT.write_text(after, encoding="utf-8")
