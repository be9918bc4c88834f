"""What sizes must satisfy goes through `require`: a check that only known sizes get, and symbolic
ones escape, is how kernels came to read foreign memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "graphc"
FOLDERS = ("functions", "frontend", "nn", "linalg")
FILES = [p for folder in FOLDERS for p in sorted((PACKAGE / folder).rglob("*.py"))]
FILES += [PACKAGE / "fft.py", PACKAGE / "random.py"]


def asks_for_int(test: ast.expr) -> bool:
    """Whether a condition has `isinstance(x, int)` as one of several that must hold."""
    return any(
        isinstance(part, ast.Call)
        and ast.unparse(part).startswith("isinstance(")
        and ast.unparse(part.args[1]) == "int"
        for both in ast.walk(test)
        if isinstance(both, ast.BoolOp) and isinstance(both.op, ast.And)
        for part in both.values
    )


def guards(path: Path) -> Iterator[int]:
    """Lines that raise for a known size and let a symbolic one pass."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.If) or node.orelse or not asks_for_int(node.test):
            continue
        if any(isinstance(s, ast.Raise) for s in node.body):
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_check_is_for_known_sizes_alone(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [f"{n}: {lines[n - 1].strip()}" for n in guards(path)]
    assert not found, "\n".join(["state it with graphc.frontend.boundary.require:", *found])
