"""The public face: `dir` shows public names alone, each is written once, and documents and examples
need no other."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import graphc as gc

ROOT = Path(__file__).parents[2]
PUBLIC = {  # the public modules, and which of their names are modules
    "graphc": {
        "data",
        "errors",
        "extend",
        "fft",
        "init",
        "linalg",
        "nn",
        "optim",
        "random",
        "testing",
    },
    "graphc.data": set(),
    "graphc.errors": set(),
    "graphc.extend": {"ops"},
    "graphc.extend.ops": set(),
    "graphc.fft": set(),
    "graphc.init": set(),
    "graphc.linalg": set(),
    "graphc.nn": {"functional", "init"},
    "graphc.nn.functional": set(),
    "graphc.nn.init": set(),
    "graphc.optim": {"lr_scheduler"},
    "graphc.optim.lr_scheduler": set(),
    "graphc.random": set(),
    "graphc.testing": set(),
}
GATHERING = {  # public modules that are files, and show what other files define
    ROOT / "graphc" / "nn" / "init.py",
    ROOT / "graphc" / "optim" / "lr_scheduler.py",
}
HANDING_ON = ("data", "functions", "linalg", "nn", "nn/functional", "nn/layers", "optim")


@pytest.mark.parametrize("name", PUBLIC)
def test_dir_shows_public_names_alone(name: str) -> None:
    module = importlib.import_module(name)
    shown = dir(module)
    assert shown == sorted(set(module.__all__)) and len(shown) >= 4
    assert all(not n.startswith("_") for n in shown)
    held = {n: getattr(module, n) for n in shown}
    assert {n for n, x in held.items() if isinstance(x, ModuleType)} == PUBLIC[name]
    homes = {getattr(x, "__module__", "graphc") or "graphc" for x in held.values()}
    foreign = {h for h in homes if h.split(".")[0] not in ("graphc", "typing", "types", "builtins")}
    assert not foreign


def test_every_public_module_is_reached_from_graphc() -> None:
    for name, inner in PUBLIC.items():
        for part in inner:
            assert f"{name}.{part}" in PUBLIC
            assert getattr(importlib.import_module(name), part) is importlib.import_module(
                f"{name}.{part}"
            )


def test_import_star_brings_the_public_names() -> None:
    space: dict[str, object] = {}
    exec("from graphc import *", space)
    assert space.keys() - {"__builtins__"} == set(dir(gc))
    assert space["Session"] is gc.Session and space["exp"] is gc.exp


def names_in(path: Path) -> list[str] | None:
    """The names in the `__all__` of a file, None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            found = ast.literal_eval(node.value)
            assert isinstance(found, list)
            return found
    return None


def defined_in(path: Path) -> Iterator[str]:
    """The names that a file defines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


@pytest.mark.parametrize("folder", HANDING_ON)
def test_names_are_written_once(folder: str) -> None:
    """In the file that defines them; the package takes them from there."""
    package = importlib.import_module(f"graphc.{folder.removesuffix('/layers').replace('/', '.')}")
    files = sorted((ROOT / "graphc" / folder).glob("*.py"))
    listing = {path: names for path in files if (names := names_in(path))}
    assert listing and ROOT / "graphc" / folder / "__init__.py" not in listing
    for path, names in listing.items():
        assert len(set(names)) == len(names)
        if path in GATHERING:
            continue
        assert set(names) <= set(defined_in(path)), path
        assert set(names) <= set(dir(package)), path


def test_every_error_is_public() -> None:
    kinds = {x for x in vars(gc.errors).values() if isinstance(x, type)}
    errors = {x.__name__ for x in kinds if issubclass(x, gc.errors.GraphcError)}
    assert errors <= set(dir(gc.errors)) and len(errors) > 12


def test_every_op_is_in_extend() -> None:
    from graphc.ir.op import OPS

    built_in = {op for op in OPS.values() if op.__module__.startswith("graphc.ir.")}
    shown = {getattr(gc.extend.ops, name) for name in dir(gc.extend.ops)}
    assert shown == built_in and len(shown) > 130


ALLOWED = {"graphc", "graphc.extend", "graphc.testing"}
IMPORT = re.compile(r"^\s*(?:>>> )?(?:from (graphc[\w.]*) import|import (graphc[\w.]*))", re.M)
INSIDE = {"tour.md", "debugging.md"}  # they open the compiler, for those who change it
SHOWN = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
DOCUMENTS = [d for d in SHOWN if d.name not in INSIDE]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", [*DOCUMENTS, *EXAMPLES], ids=lambda p: p.name)
def test_documents_and_examples_need_the_public_face_alone(path: Path) -> None:
    found = {a or b for a, b in IMPORT.findall(path.read_text(encoding="utf-8"))}
    assert found <= ALLOWED, f"{path.name} imports {sorted(found - ALLOWED)}"


def test_the_pattern_finds_imports() -> None:
    text = "from graphc.ir.op import Op\nimport graphc\n>>> from graphc import nn\nimport graphc.x"
    found = [a or b for a, b in IMPORT.findall(text)]
    assert found == ["graphc.ir.op", "graphc", "graphc", "graphc.x"]
