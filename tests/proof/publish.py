"""Writes the proof's table, and the tables of its rows, into docs/reliability.md."""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


BEGIN, END = "<!-- proof: written by `make proof` -->\n", "<!-- end of proof -->\n"
LINE = re.compile(r"^\| (.+) \| (.+) \| (\d{4}-\d\d-\d\d) \|$", re.MULTILINE)


def published() -> dict[str, tuple[str, str]]:
    """The figure and the day of each promise in the table that is there."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.index(BEGIN) : text.index(END)]
    return {promise: (figure, day) for promise, figure, day in LINE.findall(table)}


def publish(figures: Mapping[str, str], promises: Sequence[str]) -> None:
    """Writes the figures of promises into the table, which has the lines of all `promises` that
    were ever put to the proof, in order."""
    today = datetime.date.today().isoformat()
    known = published() | {p: (figure, today) for p, figure in figures.items()}
    lines = ["| promise | what was tried | when |", "|---|---|---|"]
    lines += [f"| {p} | {known[p][0]} | {known[p][1]} |" for p in promises if p in known]
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOCUMENT.write_text(text[:begin] + "\n".join(lines) + "\n" + text[end:], encoding="utf-8")


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
