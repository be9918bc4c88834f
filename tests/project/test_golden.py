"""Golden texts: what passes make of graphs (`golden/*.gir`), how kernels read (`golden/*.py.txt`).

A `.gir` file holds the command, the graph, `// ----`, and what the command prints.
`pytest --update-golden` rewrites the expected parts; read the diff before committing it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.golden import GOLDEN, differing

import graphc as gc
from graphc.cli import main
from graphc.codegen.cpu.kernels import source_of
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.frontend.stage import stage
from graphc.ir.text.graph import parse_graph, print_graph

MARK = "// ----\n"
COMMAND = "// graphc opt "
GRAPHS = sorted(GOLDEN.glob("*.gir"))


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_passes_print_what_is_expected(
    path: Path, pytestconfig: pytest.Config, tmp_path: Path, capsys: Any
) -> None:
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("\n")
    given, _, wanted = rest.partition(MARK)
    assert head.startswith(COMMAND), f"{path.name} begins with `{COMMAND}...`"
    file = tmp_path / "in.gir"
    file.write_text(given, encoding="utf-8")
    assert main(["opt", str(file), *shlex.split(head.removeprefix(COMMAND))]) == 0
    got = capsys.readouterr().out
    if pytestconfig.getoption("--update-golden"):
        path.write_text(f"{head}\n{given}{MARK}{got}", encoding="utf-8")
        return
    assert got == wanted, differing(wanted, got, path.name)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_graphs_are_written_as_they_print(path: Path) -> None:
    """The input, too, is canonical text below its comments."""
    given = path.read_text(encoding="utf-8").partition("\n")[2].partition(MARK)[0]
    plain = "".join(line for line in given.splitlines(True) if not line.startswith("//"))
    assert print_graph(parse_graph(plain)) == plain


def test_there_are_enough_of_them() -> None:
    assert len(GRAPHS) >= 12
    assert {p.name for p in GOLDEN.glob("*.py.txt")} == {f"{name}.py.txt" for name in KERNELS}


# ---- kernels ----


def softmax() -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", 10], name="x")
    return [gc.nn.functional.softmax(x, -1)]


def bias_relu() -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", 64], name="x")
    b = gc.placeholder(gc.float32, [64], name="b")
    return [gc.maximum(x + b, 0.0)]


def layer_norm() -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", 256], name="x")
    gain = gc.placeholder(gc.float32, [256], name="gain")
    bias = gc.placeholder(gc.float32, [256], name="bias")
    ct = gc.placeholder(gc.float32, ["n", 256], name="ct")
    y = gc.nn.functional.layer_norm(x, (256,), gain, bias)
    return [y, *gc.gradients(y, [x, gain, bias], ct)]


KERNELS: dict[str, Callable[[], list[Any]]] = {
    "softmax": softmax,
    "bias_relu": bias_relu,
    "layer_norm": layer_norm,
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_read_as_expected(name: str, pytestconfig: pytest.Config) -> None:
    with gc.Graph().as_default():
        made = lower(stage(KERNELS[name]()).graph, Options(threads=1))
    got = "\n".join(source_of(k, readable=True).text for k in made.program.kernels)
    path = GOLDEN / f"{name}.py.txt"
    if pytestconfig.getoption("--update-golden"):
        path.write_text(got, encoding="utf-8")
        return
    wanted = path.read_text(encoding="utf-8")
    assert got == wanted, differing(wanted, got, path.name)


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_text_does_not_depend_on_the_run(name: str) -> None:
    texts = set()
    for _ in range(2):
        with gc.Graph().as_default():
            made = lower(stage(KERNELS[name]()).graph, Options(threads=1))
        texts.add("\n".join(s.text for s in made.sources.values()))
    assert len(texts) == 1
