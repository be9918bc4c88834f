"""The proof: `make proof` runs every row and prints a table; README of it: docs/reliability.md.

make proof                              all rows (30 minutes on two cores)
make proof ARGS="--soak 10"             ten times as many cases, from another seed
make proof ARGS="--only passes,torch"   some rows
make proof ARGS="--only passes --case 17"   one case again, in this process
make proof ARGS="--publish"             and write the tables into docs/reliability.md
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from proof.publish import publish, publish_details
from proof.row import Row, Tally
from proof.suites import Suite, run_suite
from proof.table import ROWS, SUITES
from proof.workers import campaign, judged


@dataclass(frozen=True)
class Line:
    """A row of the printed table."""

    row: Row | Suite
    tally: Tally
    seconds: float

    @property
    def figure(self) -> str:
        """`20,000 graphs, 0 faults`"""
        said = f"{self.tally.cases:,} {self.row.unit}, {self.tally.failed} faults"
        more = self.row.figure(self.tally) if isinstance(self.row, Row) else ""
        return f"{said}; {more}" if more else said

    def __str__(self) -> str:
        mark = "FAILED" if self.tally.failed or not self.tally.cases else "ok"
        return f"{mark:6}  {self.row.name:18} {self.figure}  ({self.seconds:.0f} s)"


def main(arguments: Sequence[str]) -> int:
    """Runs the rows that the arguments name; 1 if a row failed."""
    options = _options().parse_args(arguments)
    wanted = options.only.split(",")
    rows = [r for r in (*ROWS, *SUITES) if not options.only or r.name in wanted]
    if not rows:
        print(f"no row {options.only!r}; there are {', '.join(r.name for r in (*ROWS, *SUITES))}")
        return 2
    if options.case is not None and isinstance(rows[0], Row):
        with np.errstate(all="ignore"):
            verdict = judged(rows[0].judge, options.case)
        print(verdict.fault or "holds", dict(verdict.figures) or "")
        return int(bool(verdict.fault))
    lines = []
    for row in rows:
        if isinstance(row, Row) and row.needs and not importlib.util.find_spec(row.needs):
            print(f"        {row.name:18} left out: {row.needs} is not installed")
            continue
        lines.append(_run(row, options))
        print(lines[-1], *lines[-1].tally.faults, sep="\n", flush=True)
    if options.publish:
        _publish(lines)
    return int(any(line.tally.failed or not line.tally.cases for line in lines))


def _publish(lines: Sequence[Line]) -> None:
    """Writes the lines into the table, and the tables of the rows that have one."""
    promises = [r.promise for r in (*ROWS, *SUITES)]
    publish({line.row.promise: line.figure for line in lines}, promises)
    for line in lines:
        if isinstance(line.row, Row) and line.row.details is not None:
            publish_details(line.row.name, line.row.details(line.tally))


def _run(row: Row | Suite, options: argparse.Namespace) -> Line:
    start = time.monotonic()
    if isinstance(row, Suite):
        tally = run_suite(row, options.jobs)
    else:
        count = max(1, int(row.cases * options.soak))
        tally = campaign(row, options.seed, count, options.jobs)
    return Line(row, tally, time.monotonic() - start)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="ROW,...", help="some rows")
    parser.add_argument("--case", type=int, metavar="N", help="with --only: one case, here")
    parser.add_argument("--soak", type=float, default=1, metavar="N", help="N times the cases")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the tables into docs/reliability.md",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
