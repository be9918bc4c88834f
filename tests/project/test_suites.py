"""`make test-all` and `.ci/run`: which Pythons get a suite, and what is made of the outcomes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def loaded() -> Any:
    """.ci/suites.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("ci_suites", ROOT / ".ci" / "suites.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["ci_suites"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


suites = loaded()
Outcome, Python, Suite = suites.Outcome, suites.Python, suites.Suite


def pythons(*minors: int) -> list[Any]:
    return [Python(Path(f"python3.{minor}"), minor, 1) for minor in minors]


def test_what_pyproject_says_is_read() -> None:
    assert suites.SUPPORTED == [11, 12, 13] and suites.OLDEST_NUMPY == "2.0"


def test_this_python_is_found() -> None:
    here = suites.ask(Path(sys.executable))
    assert (here.minor, here.patch) == sys.version_info[1:3]
    assert Path(sys.executable) in suites.candidates()


def test_what_is_no_python_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim, text, other = (tmp_path / name for name in ("python3.12", "python3.13", "python3-config"))
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    text.write_text("no program")
    other.write_text("#!/bin/sh\n")
    for path in (shim, other):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{tmp_path / 'missing'}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert suites.candidates() == [Path(sys.executable), shim]
    assert suites.ask(shim) is None


def test_the_newest_patch_of_each_supported_version_counts() -> None:
    found = [
        Python(Path(name), *version)
        for name, version in {
            "a": (12, 1),
            "b": (11, 9),
            "c": (12, 10),
            "d": (10, 99),
            "e": (14, 0),
        }.items()
    ]
    assert [p.path.name for p in suites.newest_patches(found)] == ["b", "c", "e"]


@pytest.mark.parametrize(
    ("minors", "wanted"),
    [
        ((11, 12, 13), [(11, True), (13, False)]),
        ((11,), [(11, True), (11, False)]),  # both NumPys
        ((12, 13), [(12, False), (13, False)]),
        ((13,), [(13, False)]),
        ((11, 13, 15), [(11, True), (15, False), (13, False)]),  # nothing can be installed on 3.15
    ],
)
def test_the_ends(minors: tuple[int, ...], wanted: list[tuple[int, bool]]) -> None:
    asked = []

    def test(suite: Any) -> Any:
        asked.append((suite.python.minor, suite.old_numpy))
        assert suite.cuda == suite.old_numpy
        assert suite.left_out == (suites.SAME_ON_ALL if asked[1:] else ())
        return Outcome(suite, "2.5", None if suite.python.minor == 15 else 0, "1 passed")

    outcomes = suites.ends(pythons(*minors), test)
    assert asked == wanted and len(outcomes) == len(wanted)


def test_what_is_left_out_is_there() -> None:
    assert all((ROOT / path).exists() for path in suites.SAME_ON_ALL)


def test_the_summary_that_counts_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = (Suite(p) for p in pythons(11, 12, 14))
    good = Outcome(first, "2.0.2", 0, "7 passed")
    bad = Outcome(second, "2.5.5", 1, "1 failed, 6 passed")
    left_out = Outcome(third, "-", None, "cannot be installed")
    assert suites.report([bad, good, left_out]) == 1
    *table, empty, last = capsys.readouterr().out.splitlines()
    assert last == "1 failed, 6 passed" and not empty
    assert table[-1].split()[:5] == ["Python", "3.14.1", "NumPy", "-", "left"]
    assert suites.report([good, left_out]) == 0
    assert capsys.readouterr().out.endswith("\n7 passed\n")
    assert suites.report([left_out]) == 1


def test_environments_differ() -> None:
    (python,) = pythons(11)
    folders = {Suite(python).folder, Suite(python, old_numpy=True).folder}
    assert len(folders) == 2 and all(f.parent == ROOT / ".venvs" for f in folders)
