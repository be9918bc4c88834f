"""The command line on what it must refuse: wrong usage, faulty models, malformed text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.cli import DECLARED, GRAPH, RUNNING, Capture, graphc, written

from graphc.cli import main
from graphc.errors import ParseError
from graphc.ir.text.program_parser import parse_program


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    return written(tmp_path / "model.py", DECLARED)


@pytest.fixture
def running(tmp_path: Path) -> Path:
    return written(tmp_path / "script.py", RUNNING)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return written(tmp_path / "f.gir", GRAPH)


# ---- errors ----


def test_usage_errors(declared: Path, running: Path, graph: Path, capsys: Capture) -> None:
    cases = (
        ([], "command"),
        (["nope"], "choice"),
        (["run"], "required"),
        (["run", "nope.py"], "no such file"),
        (["run", declared], "ran no session"),
        (["run", declared, "--threads", "0"], "less than 1"),
        (["run", declared, "--device", "tpu"], "no device"),
        (["run", declared, "--fetch", "loss", "--feed", "x"], "expected NAME="),
        (["run", declared, "--fetch", "loss", "--feed", "x=none.npy"], "cannot read"),
        (["run", declared, "--fetch", "loss", "--feed", f"x={running}"], "cannot read"),
        (["run", declared, "--fetch", "loss", "--feed", "random", "--size", "n=-1"], "NAME=N"),
        (["dump", declared, "--stage", "ptx"], "is for devices"),
        (["dump", declared, "--stage", "pdf"], "choice"),
        (["opt", "nope.gir"], "cannot read"),
        (["opt", graph, "--passes", "magic"], "no pass"),
        (["opt", graph, "--passes", "order{size=1}"], "no field 'size'; its fields"),
        (["opt", graph, "--passes", "order{small_size=x}"], "expected a whole number of at least"),
        (["opt", graph, "--passes", "order{small_size=1"], "cannot read"),
        (["opt", graph, "--passes", "fuse,simplify"], "last"),
        (["opt", graph, "--passes", "plan"], "last"),
        (["ops", "nope"], "no op"),
        (["run", graph, "--feed", "q=random"], "inputs are"),
        (["run", graph, "--fetch", "s"], "whole"),
        (["cache", "--prune-days", "-1"], "days"),
    )
    for args, why in cases:
        code, out, err = graphc(capsys, *args)
        assert code == 2 and why in err, (args, code, out, err)


def test_errors_of_the_model(tmp_path: Path, declared: Path, capsys: Capture) -> None:
    code, _, err = graphc(capsys, "run", declared, "--fetch", "loss")
    assert code == 1 and "placeholder '" in err and "' (" in err and "is needed but not fed" in err
    code, _, err = graphc(capsys, "run", declared, "--fetch", "lost")
    assert code == 1 and "no tensor is called 'lost'" in err and "logits" in err
    bad = written(tmp_path / "bad.py", "import graphc as gc\na = gc.zeros((2, 3))\nb = a @ a\n")
    code, _, err = graphc(capsys, "run", bad)
    assert code == 1 and "inner sizes differ" in err and "bad.py:3" in err and "b = a @ a" in err
    main(["--traceback", "run", str(bad)])
    assert "Traceback" in capsys.readouterr().err


def test_other_exceptions_show_the_files_own_frames(tmp_path: Path, capsys: Capture) -> None:
    bad = written(tmp_path / "bad.py", "def f():\n    return 1 / 0\n\nf()\n")
    assert main(["run", str(bad)]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and "bad.py" in err and "graphc/cli" not in err
    assert main(["run", str(written(tmp_path / "syntax.py", "def f(:\n"))]) == 1
    assert "SyntaxError" in capsys.readouterr().err
    assert main(["run", str(written(tmp_path / "stop.py", "raise KeyboardInterrupt\n"))]) == 130


# ---- malformed text ----


def mutations(text: str, count: int) -> list[str]:
    """Copies of a text, each with a few characters changed, lines dropped, doubled or swapped."""
    rng = random.Random(7)
    made = []
    for _ in range(count):
        chars = list(text)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(chars))
            match rng.randrange(4):
                case 0:
                    chars[at] = rng.choice("%{}[]():,=@0n. -\"'…\n")
                case 1:
                    del chars[at : at + rng.randint(1, 9)]
                case 2:
                    chars[at:at] = list(
                        rng.choice(["//", "%x", "[", "f32", "9" * 30, "-1", "n//0", "**"])
                    )
                case _:
                    lines = "".join(chars).split("\n")
                    rng.shuffle(lines)
                    chars = list("\n".join(lines))
        made.append("".join(chars))
    return made


def test_malformed_graphs(tmp_path: Path, capsys: Capture) -> None:
    handmade = [
        "",
        "\n\n",
        "// nothing",
        "graph",
        "graph @f() {",
        "graph @f() {\n}\n",
        "\x00\x01",
        "graph @f(%x: f32[n) {\nreturn %x\n}",
        GRAPH.replace("f32[4]", "f99[4]"),
        GRAPH.replace("[n,4]", "[n,-4]"),
        GRAPH.replace("reduce_sum", "reduce_foo"),
        GRAPH.replace("axes=[1]", "axes=[7]"),
        GRAPH.replace("axes=[1]", "axis=[1]"),
        GRAPH.replace("axes=[1]", "axes=1"),
        GRAPH.replace("axes=[1]", "axes=['a']"),
        GRAPH.replace("1.0f32", "1.0f33"),
        GRAPH.replace("%q, ", ""),
        GRAPH.replace("f32[n]", "f32[" + "(" * 300 + "n" + ")" * 300 + "]"),
        GRAPH.replace("%w <- %next", "%x <- %s"),
        GRAPH.replace("[n,4]", "[__import__('os'),4]"),
        GRAPH.replace("[n,4]", "[n.real,4]"),
        GRAPH.replace("[n,4]", "[lambda,4]"),
        GRAPH.replace("%q    =", "%p    ="),
        GRAPH.replace("return %s", "return"),
        GRAPH.replace("%b    = ", "%b ~ "),
    ]
    rejected = 0
    for text in [*handmade, *mutations(GRAPH, 150)]:
        path = tmp_path / "bad.gir"
        path.write_bytes(text.encode())
        code, _, err = graphc(capsys, "opt", path, "--passes", "simplify,fuse,plan")
        assert code in (0, 1), (text, err)
        assert code == 0 or err.startswith("graphc opt: ")
        rejected += code
    assert rejected > 100


def test_malformed_programs(graph: Path, capsys: Capture) -> None:
    text = graphc(capsys, "opt", graph, "--passes", "simplify,fuse,plan")[1]
    rejected = 0
    for mutant in mutations(text, 200):
        try:
            parse_program(mutant)
        except ParseError:
            rejected += 1
    assert rejected > 100


def test_binary_files(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "b.gir"
    path.write_bytes(b"\xff\xfe\x00graph")
    code, _, err = graphc(capsys, "opt", path)
    assert code == 2 and "cannot read" in err
