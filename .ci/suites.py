"""The whole suite on several Pythons, each in an environment of its own in `.venvs/`.

`make test-all` runs it on each Python that is installed; `.ci/run` (`--ends`) on the oldest, with
the oldest NumPy that pyproject.toml allows, and on the newest, there without what hangs on neither
(`SAME_ON_ALL`), so that both fit into 25 minutes.  A table ends the output; below it is pytest's
summary of the last suite, or of one that failed.  A Python that pyproject.toml does not list yet is
tried, and left out where graphc's dependencies cannot be installed on it.

Needs Python >= 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CLASSIFIER = "Programming Language :: Python :: 3."
SUPPORTED = [  # minor versions of Python 3
    int(c.removeprefix(CLASSIFIER)) for c in PROJECT["classifiers"] if c.startswith(CLASSIFIER)
]
(OLDEST_NUMPY,) = (  # "2.0"
    d.removeprefix("numpy>=") for d in PROJECT["dependencies"] if d.startswith("numpy>=")
)

# What hangs on neither Python nor NumPy: graphs, kernels, random graphs, planted mistakes, layers,
# optimizers, the judges of all these.
SAME_ON_ALL = (
    "tests/codegen",
    "tests/compiler",
    "tests/fuzz",
    "tests/nn",
    "tests/optim",
    "tests/passes",
    "tests/session/test_cuda_training.py",
    "tests/testing",
)

ASK_PYTHON = """
import sys, sysconfig
usual = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
if usual and sys.version_info.releaselevel == "final":
    print(*sys.version_info[:3])
"""
ASK_NUMPY = "import numpy; print(numpy.__version__)"


@dataclass(frozen=True)
class Python:
    """An interpreter.  Python 3.11.7 has minor 11 and patch 7."""

    path: Path
    minor: int
    patch: int


@dataclass(frozen=True)
class Suite:
    """The tests on one Python, with the oldest NumPy or the newest that it can have."""

    python: Python
    old_numpy: bool = False
    cuda: bool = False  # with the toolchain that compiles for GPUs
    left_out: tuple[str, ...] = ()  # files and folders of tests

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ROOT / ".venvs" / f"3.{self.python.minor}{'-oldest-numpy' * self.old_numpy}"


@dataclass(frozen=True)
class Outcome:
    """What became of a suite: the NumPy it had, its status (None: left out), pytest's last line."""

    suite: Suite
    numpy: str
    status: int | None
    summary: str

    def line(self) -> str:
        """A row of the table."""
        verdict = {None: "left out", 0: "passed"}.get(self.status, "FAILED")
        version = f"3.{self.suite.python.minor}.{self.suite.python.patch}"
        return f"Python {version:<7} NumPy {self.numpy:<6} {verdict:<9} {self.summary}"


def candidates() -> list[Path]:
    """What may be a Python: this one, those on the path, pyenv's."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(f) for f in os.environ["PATH"].split(os.pathsep)]
    folders += sorted(home.glob("versions/*/bin"))
    names = [p for f in folders if f.is_dir() for p in sorted(f.glob("python3*"))]
    usual = [p for p in names if re.fullmatch(r"python3(\.\d+)?", p.name) and os.access(p, os.X_OK)]
    return [Path(sys.executable), *usual]


def ask(path: Path) -> Python | None:
    """What an interpreter is; None if it is no released CPython 3, or a shim that leads nowhere."""
    done = subprocess.run([path, "-c", ASK_PYTHON], capture_output=True, text=True, check=False)
    version = done.stdout.split()
    if done.returncode or len(version) != 3 or version[0] != "3":
        return None
    return Python(path, int(version[1]), int(version[2]))


def newest_patches(found: Iterable[Python]) -> list[Python]:
    """One Python of each minor version from the oldest supported on, oldest first."""
    best = {p.minor: p for p in sorted(found, key=lambda p: p.patch) if p.minor >= min(SUPPORTED)}
    return [best[minor] for minor in sorted(best)]


def installed(suite: Suite) -> bool:
    """Makes a suite's environment anew; whether that worked."""
    pip = [suite.folder / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    pins = [f"numpy=={OLDEST_NUMPY}.*"] if suite.old_numpy else []
    made = subprocess.run([suite.python.path, "-m", "venv", "--clear", suite.folder], check=False)
    if (
        made.returncode
        or subprocess.run([*pip, "-e", f"{ROOT}[test]", *pins], check=False).returncode
    ):
        return False
    if suite.cuda and subprocess.run([*pip, "-e", f"{ROOT}[cuda13]"], check=False).returncode:
        print("no CUDA toolchain here: tests marked cuda_compile will be skipped", flush=True)
    return True


def run(suite: Suite, options: list[str]) -> Outcome:
    """Installs, runs the tests and shows what they print."""
    print(f"\nPython 3.{suite.python.minor}: {suite.python.path}", flush=True)
    if not installed(suite):
        status = 1 if suite.python.minor in SUPPORTED else None
        return Outcome(suite, "-", status, "graphc or its dependencies cannot be installed")
    python = suite.folder / "bin/python"
    numpy = subprocess.run([python, "-c", ASK_NUMPY], capture_output=True, text=True, check=True)
    command = [python, "-m", "pytest", *options, *(f"--ignore={p}" for p in suite.left_out)]
    print(*("left out: " + p for p in suite.left_out), sep="\n", flush=True)
    last = "pytest printed nothing"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return Outcome(suite, numpy.stdout.strip(), process.returncode, last)


def report(outcomes: list[Outcome]) -> int:
    """Prints the table and the summary that counts; the status of all."""
    ran = [o for o in outcomes if o.status is not None]
    failed = [o for o in ran if o.status]
    print("", *(o.line() for o in outcomes), "", sep="\n")
    print((failed or ran or outcomes)[-1].summary, flush=True)
    return int(bool(failed) or not ran)


def ends(pythons: list[Python], test: Callable[[Suite], Outcome]) -> list[Outcome]:
    """The suite on the oldest Python and on the newest that it can be installed on.

    NumPy's oldest release has wheels for the oldest supported Python, and for few others.  The CUDA
    toolchain goes there, too: numba-cuda 0.30 warns of itself when NumPy 2.5 is imported with it.
    """
    old_numpy = pythons[0].minor == min(SUPPORTED)
    oldest = Suite(pythons[0], old_numpy, cuda=old_numpy)
    outcomes = [test(oldest)] if old_numpy or len(pythons) > 1 else []
    left_out = SAME_ON_ALL if outcomes else ()
    for python in reversed(pythons):
        outcomes.append(test(Suite(python, left_out=left_out)))
        if outcomes[-1].status is not None:
            break
    return outcomes


def main() -> int:
    """Finds the Pythons and runs the suites; pytest gets what options are left."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--ends", action="store_true", help="only the oldest and the newest")
    given, options = arguments.parse_known_args()
    pythons = newest_patches(p for p in map(ask, candidates()) if p is not None)
    print("Pythons:", *(f"3.{p.minor}.{p.patch} ({p.path})" for p in pythons), flush=True)
    missing = [f"3.{minor}" for minor in SUPPORTED if minor not in {p.minor for p in pythons}]
    if missing:
        print("not installed here, so not tested:", *missing, flush=True)

    def test(suite: Suite) -> Outcome:
        return run(suite, options)

    return report(ends(pythons, test) if given.ends else [test(Suite(p)) for p in pythons])


if __name__ == "__main__":
    sys.exit(main())
