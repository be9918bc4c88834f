"""What holds for tests themselves: they stand alone, and no clock decides what passes."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(p.relative_to(TESTS).as_posix() for p in TESTS.rglob("*.py"))
CLOCKS = {
    name + unit
    for name in ("perf_counter", "monotonic", "process_time", "thread_time", "time")
    for unit in ("", "_ns")
}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each module, or thing of a module, that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def borrowed(tree: ast.AST) -> list[str]:
    """The test modules that a file imports."""
    return [
        f"line {line}: {name}"
        for line, name in imported(tree)
        if any(part.startswith("test_") for part in name.split(".")) and "graphc" not in name
    ]


@pytest.mark.parametrize("path", FILES)
def test_no_test_module_imports_another(path: str) -> None:
    """What two of them need lies beside them, or in graphc/testing: then each runs alone."""
    assert borrowed(ast.parse((TESTS / path).read_text(encoding="utf-8"))) == []


def reads_clock(node: ast.AST, tainted: set[str]) -> bool:
    """Whether an expression asks a clock, or has a name that holds what a clock said."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            called = inner.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in CLOCKS:
                return True
        if isinstance(inner, ast.Name) and inner.id in tainted:
            return True
    return False


def timed_asserts(text: str) -> list[str]:
    """The asserts of a program that a clock decides, and of programs that it holds as text."""
    tree = ast.parse(textwrap.dedent(text))
    tainted: set[str] = set()
    while (
        new := {
            name.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr)
            and node.value is not None
            and reads_clock(node.value, tainted)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        - tainted
    ):
        tainted |= new
    found = [
        ast.unparse(node.test)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and reads_clock(node.test, tainted)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inner = node.value
            if "assert " in inner and any(f"{clock}()" in inner for clock in CLOCKS):
                found += timed_asserts(inner)
    return found


@pytest.mark.parametrize("path", [f for f in FILES if f != "project/test_tests.py"])
def test_no_clock_decides(path: str) -> None:
    """On a busy machine any deadline passes: count calls, kernels, nodes or bytes instead."""
    assert timed_asserts((TESTS / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "program",
    [
        "start = time.perf_counter()\nwork()\nassert time.perf_counter() - start < 2",
        "start = monotonic()\nwork()\ntook = monotonic() - start - 0.6\nassert took < 1, took",
        "assert (took := time.time_ns()) > 0",
        'RUN = """\n    a = time.time()\n    b = a * {n}\n    assert b < 3\n"""',
    ],
)
def test_a_timed_assert_is_found(program: str) -> None:
    assert len(timed_asserts(program)) == 1


def test_what_is_no_timed_assert() -> None:
    assert timed_asserts("os.utime(path, (time.time(),) * 2)\nassert path.exists()") == []


def test_an_import_of_a_test_module_is_found() -> None:
    for text in ("from fuzz.test_mutants import plant", "from fuzz import test_mutants"):
        assert borrowed(ast.parse(text))
    assert borrowed(ast.parse("from fuzz.planting import plant")) == []
