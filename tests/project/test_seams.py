"""Seams: no object changes its class, and the session's modules say what they hand one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "graphc"
FILES = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))
SESSION = [path for path in FILES if path.startswith("session/")]


def changes_a_class(tree: ast.AST) -> list[int]:
    """The lines that assign `__class__`, as an attribute or by `setattr`."""
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "__class__"
        and isinstance(node.ctx, ast.Store)
    ]
    return lines + [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(isinstance(a, ast.Constant) and a.value == "__class__" for a in node.args)
    ]


@pytest.mark.parametrize("path", FILES)
def test_no_object_changes_its_class(path: str) -> None:
    assert changes_a_class(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))) == []


ANY = {  # where `Any` stands in a type of the session's, and why
    "fetches": "a nest of tensors is the user's: lists, tuples, dicts of any depth",
    "feed_dict": "what is fed is the user's: all that NumPy takes",
    "feeds": "the same, one by one",
    "feed_list": "tensors or their names: what `feed_dict` has as keys",
    "value": "one of them",
    "values": "several, by variable",
    "x": "a tensor, its name, or what the user took for one",
    "given": "an option as the user gave it; a check follows",
    "pack": "puts values into the nest that was fetched",
    "run": "returns that nest",
    "_finished": "the same",
    "__call__": "the same",
    "call": "the same",
    "callable": "the same",
    "make_callable": "the same",
    "dtype": "NumPy's own parameter: `np.dtype[Any]`",
    "op": "an op that has a size or an extent; no protocol says so",
    "chosen": "options by name, of as many types",
    "Key": "feeds, in a table of runners: what `feed_dict` has as keys",
}


def typed_any(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each parameter, result, variable and alias that has `Any` in its type."""
    for node in ast.walk(tree):
        found: list[tuple[str, ast.AST | None]] = []
        if isinstance(node, ast.arg):
            found = [(node.arg, node.annotation)]
        elif isinstance(node, ast.FunctionDef):
            found = [(node.name, node.returns)]
        elif isinstance(node, ast.AnnAssign):
            found = [(ast.unparse(node.target).rpartition(".")[2], node.annotation)]
        elif isinstance(node, ast.Assign):
            found = [(ast.unparse(node.targets[0]), node.value)]
        for name, type in found:
            for part in ast.walk(type) if type is not None else ():
                if isinstance(part, ast.Name) and part.id == "Any":
                    yield part.lineno, name


@pytest.mark.parametrize("path", SESSION)
def test_what_is_any_in_a_session_is_the_users(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    assert [(line, name) for line, name in typed_any(tree) if name not in ANY] == []


def test_the_reasons_are_needed() -> None:
    names = {
        name
        for path in SESSION
        for _, name in typed_any(ast.parse((PACKAGE / path).read_text(encoding="utf-8")))
    }
    assert names == ANY.keys()


def test_plans_are_not_told_apart_by_their_classes() -> None:
    """Who profiles a plan asks the protocol; a runner knows no engine."""
    for path in ("session/recorder.py", "session/runner.py"):
        tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        engines = {"graphc.session.host_engine", "graphc.session.placed_engine"}
        assert not modules & {*engines, "graphc.session.placed_parts"}


def test_the_checks_find_what_they_are_for() -> None:
    assert changes_a_class(ast.parse("if x:\n    x.__class__ = int")) == [2]
    assert changes_a_class(ast.parse("setattr(x, '__class__', int)")) == [1]
    assert changes_a_class(ast.parse("y = x.__class__")) == []
    text = "def f(a: list[Any], b: int) -> Any:\n    self.c: Any = 1\nKey = tuple[Any]"
    assert sorted(name for _, name in typed_any(ast.parse(text))) == ["Key", "a", "c", "f"]
