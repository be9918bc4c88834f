"""Documents that run: their Python blocks are executed, the texts they show are printed again.

    python tests/support/docs.py run FILE      executes the Python blocks of FILE, in order
    python tests/support/docs.py print FILE    prints FILE with every marked text made anew

A text is marked by the line above its fence.  `<!-- output -->`: what the Python block before it
prints; `<!-- output, continued -->`: what it prints after all blocks before it have run;
`<!-- dump: OPTIONS -->`, `<!-- explain: OPTIONS -->`: what `graphc dump` or `graphc explain` with
these options prints for that block.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import graphc as gc
from graphc.cli import main as graphc

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.+?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(
    r"^<!-- (?P<what>output(, continued)?|(?P<command>dump|explain): (?P<options>[^>]+?)) -->\n"
    r"(?P<fence>```\w+\n)(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def run(document: Path) -> None:
    """Executes the Python blocks as one module; lines of tracebacks are the document's."""
    text = document.read_text(encoding="utf-8")
    namespace = _module()
    for block in PYTHON.finditer(text):
        above = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(above + block[1], str(document), "exec", dont_inherit=True), namespace)


def _module() -> dict[str, Any]:
    """The names of a new module, known to Python as classes declared in it need."""
    sys.modules["document"] = module = types.ModuleType("document")
    return vars(module)


def printed(document: Path) -> str:
    """The document with every marked text made anew."""
    text = document.read_text(encoding="utf-8")

    def again(shown: re.Match[str]) -> str:
        blocks = [b[1] for b in PYTHON.finditer(SHOWN.sub("", text[: shown.start()]))]
        if not shown["what"].endswith("continued"):
            blocks = blocks[-1:]
        options = (shown["options"] or "").split()
        body = _told(blocks[-1], shown["command"], options) if options else _output(*blocks)
        return f"<!-- {shown['what']} -->\n{shown['fence']}{body.rstrip()}\n```"

    return SHOWN.sub(again, text)


def _output(*blocks: str) -> str:
    """What the last of some blocks prints, each of which goes on where the one before it ended."""
    namespace = _module()
    with gc.Graph().as_default():
        for code in blocks:
            caught = io.StringIO()
            lines = code.splitlines(keepends=True)
            linecache.cache["example.py"] = len(code), None, lines, "example.py"  # for its source
            with contextlib.redirect_stdout(caught):
                exec(compile(code, "example.py", "exec", dont_inherit=True), namespace)
    return caught.getvalue()


def _told(code: str, command: str, options: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "example.py"
        model.write_text(code, encoding="utf-8")
        caught = io.StringIO()
        with contextlib.redirect_stdout(caught):
            status = graphc([command, str(model), *options])
        if status:
            raise SystemExit(f"graphc {command} {' '.join(options)} ended with status {status}")
        return caught.getvalue().removeprefix(_output(code)).replace(f"{folder}/", "")


def in_new_process(what: str, document: Path) -> subprocess.CompletedProcess[str]:
    """`run` or `print` elsewhere: the ops that a document declares stay there."""
    return subprocess.run(
        [sys.executable, "-W", "error", __file__, what, str(document)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=240,
    )


if __name__ == "__main__":
    what, name = sys.argv[1:]
    if what == "run":
        run(Path(name))
    else:
        sys.stdout.write(printed(Path(name)))
