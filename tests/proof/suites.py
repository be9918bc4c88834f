"""Rows that are test files: pytest judges them, and a row counts what passed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proof.row import Tally

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Suite:
    """A promise that tests hold; `paths` are files or folders below tests/."""

    name: str
    promise: str
    paths: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    unit: str = "tests"


def run_suite(suite: Suite, jobs: int) -> Tally:
    """Runs the tests of a suite."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        paths = [str(TESTS / p) for p in suite.paths]
        command = ["-m", "pytest", "-q", "-n", str(jobs), f"--junit-xml={report}"]
        done = subprocess.run(
            [sys.executable, *command, *suite.arguments, *paths],
            cwd=TESTS.parent,
            capture_output=True,
            text=True,
        )
        if not report.exists():
            tally.blame(done.stdout[-2000:] + done.stderr[-2000:])
            return tally
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    for case in cases:
        if case.find("skipped") is not None:
            continue
        tally.cases += 1
        wrong = _wrong(list(case))
        if wrong:
            tally.blame(f"{case.get('classname')}::{case.get('name')}: {wrong}")
    if done.returncode and not tally.failed:
        tally.blame(f"pytest ended with status {done.returncode}: {done.stdout[-2000:]}")
    return tally


def _wrong(children: Sequence[ElementTree.Element]) -> str:
    found = [c for c in children if c.tag in ("failure", "error")]
    return (found[0].get("message") or found[0].text or "failed")[:2000] if found else ""
