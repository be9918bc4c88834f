"""The pytest plug-in in a project of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

import pytest

from graphc.ir.op import OPS

OWN_OPS = """
    import graphc as gc

    @gc.op
    def shifted_square(x, a):
        return x * x + a

    @gc.op(gradient=lambda ct, out, x: (ct,))
    def broken(x):
        return x + 1.0
"""
TESTS = """
    from graphc.ir.op import OPS
    import ops

    def test_of_a_user(graphc_fuzz):
        graphc_fuzz(ops.shifted_square)

    def test_that_fails(graphc_fuzz, monkeypatch):
        kind = OPS["broken"]
        monkeypatch.setattr(kind, "reference", lambda self, x: x + x.dtype.type(2))
        graphc_fuzz(ops.broken)
"""


@pytest.fixture
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.Pytester]:
    """A project with ops and tests of them, which has the plug-in."""
    pytester.makepyfile(ops=OWN_OPS, test_ops=TESTS)
    pytester.makeconftest('pytest_plugins = ["graphc.testing.plugin"]\n')
    monkeypatch.syspath_prepend(pytester.path)
    before = dict(OPS)
    yield pytester
    OPS.clear()
    OPS.update(before)


def test_a_test_is_one_for_each_chunk_of_seeds(project: pytest.Pytester) -> None:
    listed = project.runpytest(
        "--collect-only", "-q", "--graphc-fuzz", "120", "--graphc-fuzz-seed", "7"
    )
    listed.stdout.fnmatch_lines(
        [
            "test_ops.py::test_of_a_user[[]seeds-7-56[]]",
            "test_ops.py::test_of_a_user[[]seeds-57-106[]]",
            "test_ops.py::test_of_a_user[[]seeds-107-126[]]",
        ]
    )


def test_random_graphs_judge_the_ops_of_a_user(project: pytest.Pytester) -> None:
    done = project.runpytest("--graphc-fuzz", "6", "-k", "test_of_a_user")
    done.assert_outcomes(passed=1)
    done = project.runpytest("--graphc-fuzz", "6", "-k", "test_that_fails")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*MiscompiledError: seed *", "*= broken *"])


def test_no_graphs_are_no_test(project: pytest.Pytester) -> None:
    project.runpytest("--graphc-fuzz", "0", "-k", "test_of_a_user").assert_outcomes(skipped=1)


@pytest.mark.parametrize("option", ["--graphc-fuzz", "--graphc-fuzz-seed"])
@pytest.mark.parametrize("value", ["-3", "many"])
def test_a_count_below_zero_is_refused(project: pytest.Pytester, option: str, value: str) -> None:
    """It made no test, and pytest was content."""
    done = project.runpytest(f"{option}={value}")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"*argument {option}: invalid count value: '{value}'*"])


def test_pytest_does_not_import_graphc_unasked(pytester: pytest.Pytester) -> None:
    """An entry point would, in every project on the machine."""
    assert not [e for e in metadata.entry_points(group="pytest11") if "graphc" in e.value]
    pytester.makepyfile("import sys\ndef test(): assert 'graphc' not in sys.modules")
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(passed=1)


def test_the_kit_needs_no_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None; import graphc.testing as t; "
        "t.check_graph(t.random_graph(4)); print('judged')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "judged\n", done.stderr


def test_graphc_does_not_import_the_kit() -> None:
    program = "import sys, graphc; print('graphc.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
