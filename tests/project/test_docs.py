"""What README.md and docs/ show is what graphc does.  `make golden` prints their texts anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.docs import PYTHON, ROOT, SHOWN, in_new_process, printed

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
HISTORIES = ("CHANGELOG.md", "decisions.md")  # they name what there was
QUOTED = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)  # code in a line; blocks are passed over
PATH = re.compile(r"[\w.-]+/[\w./*-]*(\.py|/)")
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)(#[^)]*)?\)")


@pytest.mark.parametrize(("name", "blocks"), [("extending.md", 8), ("memory.md", 3), ("gpu.md", 3)])
def test_blocks_run(name: str, blocks: int) -> None:
    document = ROOT / "docs" / name
    assert len(PYTHON.findall(document.read_text())) >= blocks
    done = in_new_process("run", document)
    assert done.returncode == 0, done.stderr


TEXTS = {  # the documents that show texts, and how many
    "README.md": 3,
    "docs/architecture.md": 6,
    "docs/debugging.md": 7,
    "docs/extending.md": 4,
    "docs/gpu.md": 1,
    "docs/ir-graph.md": 2,
    "docs/ir-loops.md": 1,
    "docs/ir-program.md": 2,
    "docs/memory.md": 1,
    "docs/tour.md": 13,
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_shown_text_is_checked(document: Path) -> None:
    name = document.relative_to(ROOT).as_posix()
    shown = SHOWN.findall(document.read_text(encoding="utf-8"))
    assert len(shown) == TEXTS.get(name, 0)


@pytest.mark.parametrize("name", TEXTS)
def test_shown_texts_are_what_is_printed(name: str, request: pytest.FixtureRequest) -> None:
    document = ROOT / name
    done = in_new_process("print", document)
    assert done.returncode == 0, done.stderr
    if request.config.getoption("--update-golden"):
        document.write_text(done.stdout, encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    assert done.stdout.splitlines() == text.splitlines(), f"{name} is out of date: make golden"
    assert all(len(m["text"].splitlines()) >= 1 and m["text"].strip() for m in SHOWN.finditer(text))


def test_a_document_that_lies_is_found(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text("```python\nprint(1 + 1)\n```\n\n<!-- output -->\n```text\n3\n```\n")
    assert printed(document) == document.read_text().replace("3", "2")
    document.write_text("```python\n\nassert 1 == 2\n```\n")
    done = in_new_process("run", document)
    assert done.returncode == 1 and "line 3" in done.stderr


def test_readme_example_is_short() -> None:
    (example,) = PYTHON.findall((ROOT / "README.md").read_text())
    assert example.count("\n") <= 22


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target, _ in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def missing_paths(document: Path) -> list[str]:
    """The files and folders in backticks that are nowhere: below the root, graphc/ or tests/.  A
    word in capitals, as in `codegen/KIND/`, stands for any name."""
    quoted = (m[1] for m in QUOTED.finditer(document.read_text(encoding="utf-8")) if m[1])
    paths = [q.partition(":")[0] for q in quoted]
    files = [re.sub(r"\b[A-Z]+\b", "*", p) for p in paths if PATH.fullmatch(p)]
    return [
        f for f in files if not any(any(ROOT.glob(g)) for g in (f, f"graphc/{f}", f"tests/{f}"))
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_paths_in_backticks_exist(document: Path) -> None:
    if document.name not in HISTORIES:
        assert missing_paths(document) == []


def test_a_path_that_is_nowhere_is_found(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text(
        "`ir/op.py:Op`, `graphc/ir/`, `tests/ir/*.py`, `a / b`\n```\n`no/x.py`\n```\n"
    )
    assert missing_paths(document) == []
    document.write_text(
        "```text\na\n```\n`ir/operator.py`, `passes/turn.py:turn`, `graphc/stage/`\n"
    )
    assert missing_paths(document) == ["ir/operator.py", "passes/turn.py", "graphc/stage/"]


def test_readme_names_every_layer_that_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for part in (ROOT / "graphc").iterdir():
        if part.is_dir() and (part / "__init__.py").exists():
            assert f"{part.name}/" in text, f"README's layers lack graphc/{part.name}/"


def test_glossary_is_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [w.lower() for w in re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE)]
    assert len(words) >= 70 and words == sorted(set(words))


def test_architecture_names_every_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package in (ROOT / "graphc").rglob("__init__.py"):
        folder = package.parent.relative_to(ROOT / "graphc").as_posix()
        assert folder == "." or f"\n| `{folder}/` |" in text, f"no row for {folder}/"
