"""Schedules of products and convolutions, whose accesses no certificate covers, touch nothing but
their operands and results: neither reads nor writes leave them, by any method and thread count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


def guarded(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "support.guarded", *arguments],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("side", ["end", "start"])
def test_a_read_behind_or_before_an_array_ends_the_process(side: str) -> None:
    done = guarded("probe", side)
    assert done.returncode < 0 and done.stdout == "probe\n"


@pytest.mark.parametrize("kind", ["products", "convolutions"])
def test_nothing_outside_is_touched(kind: str) -> None:
    done = guarded(kind)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"at {lines[-1:]}: {done.stderr[-800:]}"
    assert lines[-1] == "done" and len(lines) > 60
