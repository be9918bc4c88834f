"""What holds for the tests and the examples in docstrings: plug-ins, and how failures are told."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphc as gc

pytest_plugins = ["graphc.testing.plugin", "pytester"]
if importlib.util.find_spec("numba_cuda") is None:  # nothing can be said of these without it
    collect_ignore = [
        f"graphc/codegen/cuda/toolchain/{name}.py"
        for name in ("memory", "mma", "namespace", "scalars", "warp")
    ]


@pytest.fixture(autouse=True)
def _own_graph(request: pytest.FixtureRequest) -> Iterator[None]:
    """An example in a docstring declares in a graph of its own, whatever ran before it."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with gc.Graph().as_default():
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Each failure names the command that repeats it, also where xdist shared the tests out."""
    reports = [r for kind in ("failed", "error") for r in terminalreporter.getreports(kind)]
    for nodeid in dict.fromkeys(r.nodeid for r in reports):
        terminalreporter.write_line(f"rerun: {command(nodeid, terminalreporter.config)}")


def command(nodeid: str, config: pytest.Config) -> str:
    """What runs one test again, in the root of the checkout."""
    python = Path(sys.executable)
    if python.is_relative_to(config.rootpath):
        python = python.relative_to(config.rootpath)
    fuzz = {"--graphc-fuzz": "graphc_fuzz", "--graphc-fuzz-seed": "graphc_fuzz_seed"}
    given = [f"{option} {n}" for option, name in fuzz.items() if (n := config.getoption(name))]
    return " ".join([str(python), "-m pytest", shlex.quote(nodeid), *given])
