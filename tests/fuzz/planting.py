"""Wrong lines, put into graphc while it runs.

A mutant names a file, a function (or class.method), and a piece of its text with what to put in its
place.
"""

from __future__ import annotations

import ast
import importlib
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Mutant:
    """A wrong line."""

    module: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.function}: {self.old.strip()[:40]}"


def m(place: str, old: str, new: str) -> Mutant:
    module, function = place.split(":")
    return Mutant(f"graphc.{module}", function, old, new)


def plant(patch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    """Puts a function's mutant in its place, everywhere it is known."""
    module = importlib.import_module(mutant.module)
    owner_name, _, name = mutant.function.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    text = function_text(module, mutant.function)
    assert text.count(mutant.old) >= 1, (
        f"{mutant}: the text is gone from {mutant.module}; write another"
    )
    scope: dict[str, Any] = {}
    changed = "from __future__ import annotations\n" + text.replace(mutant.old, mutant.new)
    exec(compile(changed, f"<mutant of {mutant.function}>", "exec"), vars(module), scope)
    original, made = vars(owner)[name], scope[name]
    if owner is not module:
        patch.setattr(owner, name, property(made) if isinstance(original, property) else made)
        return
    for other in [v for k, v in sys.modules.items() if k.startswith("graphc") and v is not None]:
        for key, value in list(vars(other).items()):
            if value is original:
                patch.setattr(other, key, made)
            elif isinstance(value, tuple) and any(e is original for e in value):
                patch.setattr(other, key, tuple(made if e is original else e for e in value))


def function_text(module: Any, path: str) -> str:
    """The source of a function or method, without decorators."""
    with open(module.__file__, encoding="utf-8") as file:
        source = file.read()
    body: list[Any] = ast.parse(source).body
    for part in path.split("."):
        node = next(n for n in body if getattr(n, "name", "") == part)
        body = getattr(node, "body", [])
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)) + "\n"
