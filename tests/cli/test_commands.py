"""The command line: every command on small models, exit codes, abuse."""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from support.cli import DECLARED, GRAPH, RUNNING, Capture, graphc, steady, written

from graphc.cli.model_file import distinct
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program_parser import parse_program
from graphc.passes.pipeline import PASSES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    return written(tmp_path / "model.py", DECLARED)


@pytest.fixture
def running(tmp_path: Path) -> Path:
    return written(tmp_path / "script.py", RUNNING)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return written(tmp_path / "f.gir", GRAPH)


def test_version(capsys: Capture) -> None:
    assert graphc(capsys, "--version") == (0, f"graphc {metadata.version('graphc')}\n", "")


# ---- run ----


def test_run_a_script(running: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "run", running, "--threads", 1, "--seed", 9, "--", "a", "--flag")
    assert code == 0
    assert out == "total 4.0 ['a', '--flag']\nthreads 1 seed 9\n"


def test_run_keeps_the_callers_argv_and_path(running: Path, capsys: Capture) -> None:
    before = sys.argv[:], sys.path[:], sys.modules["__main__"]
    graphc(capsys, "run", running)
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before


def test_a_script_imports_its_neighbours(tmp_path: Path, capsys: Capture) -> None:
    written(tmp_path / "neighbour_of_a_model.py", "ANSWER = 42\n")
    script = written(
        tmp_path / "s.py",
        "from neighbour_of_a_model import ANSWER\nprint(ANSWER, __name__)\nraise SystemExit(7)\n",
    )
    code, out, _ = graphc(capsys, "run", script)
    assert (code, out) == (7, "42 __main__\n")


def test_run_fetches_of_a_declaration(declared: Path, tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "y.npy", np.array([0, 1, 2, 0]))
    feeds = ["--feed", "x=random", "--feed", f"y={tmp_path / 'y.npy'}"]
    code, out, _ = graphc(
        capsys, "run", declared, "--fetch", "loss", "--fetch", "train", "--fetch", "logits", *feeds
    )
    assert code == 0, out
    assert (
        "loss: f32[] = 1.098612" in out and "train: done" in out and "logits: f32[n,3] = [[0" in out
    )
    assert out.count("[0., 0., 0.]") == 4  # the file fixed n


def test_run_saves(declared: Path, tmp_path: Path, capsys: Capture) -> None:
    options = ["--fetch", "logits", "--feed", "random", "--size", "n=5"]
    code, out, err = graphc(capsys, "run", declared, *options, "--out", tmp_path / "r.npz")
    assert (code, out) == (0, "") and "saved logits" in err
    with np.load(tmp_path / "r.npz") as saved:
        assert saved["logits"].shape == (5, 3)
    assert graphc(capsys, "run", declared, *options, "--out", tmp_path / "folder")[0] == 0
    assert np.load(tmp_path / "folder" / "logits.npy").shape == (5, 3)


def test_run_is_reproducible(tmp_path: Path, capsys: Capture) -> None:
    model = written(tmp_path / "m.py", "import graphc as gc\nr = gc.random.normal((3,))\n")
    results = [graphc(capsys, "run", model, "--fetch", "r", "--seed", s)[1] for s in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_run_profile(running: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "run", running, "--profile")
    assert code == 0 and "launches" in out
    assert re.search(r"\d+\.\d+ +\d+\.\d% +1  kernel \w+ +script\.py:6 ", out)


def test_profiled_results_are_the_same(declared: Path, capsys: Capture) -> None:
    options = ["--fetch", "loss", "--fetch", "train", "--feed", "random"]
    plain = graphc(capsys, "run", declared, *options)[1]
    profiled = graphc(capsys, "run", declared, *options, "--profile")[1]
    assert profiled.startswith(plain)


def test_run_dumps(running: Path, tmp_path: Path, capsys: Capture) -> None:
    assert graphc(capsys, "run", running, "--dump-ir", tmp_path / "ir", "--check", "passes")[0] == 0
    names = sorted(p.name for p in (tmp_path / "ir").iterdir())
    assert names == [
        "00.graph.gir",
        "00.kernels.py",
        "00.loops.txt",
        "00.optimized.gir",
        "00.program.gir",
    ]
    parse_program((tmp_path / "ir" / "00.program.gir").read_text())
    parse_graph((tmp_path / "ir" / "00.graph.gir").read_text())


def test_run_a_graph(graph: Path, tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float32).reshape(2, 4))
    np.save(tmp_path / "w.npy", np.ones(4, np.float32))
    code, out, _ = graphc(
        capsys,
        "run",
        graph,
        "--feed",
        f"x={tmp_path / 'x.npy'}",
        "--feed",
        f"w={tmp_path / 'w.npy'}",
    )
    assert code == 0
    assert out == "%s: f32[n] = [ 6., 22.]\n%next: f32[4] = [1.5, 1.5, 1.5, 1.5]\n"


# ---- dump ----


@pytest.mark.parametrize(
    "stage, marks",
    [
        ("graph", ["graph @main(", "%matmul"]),
        ("optimized", ["graph @main(", "%d.w"]),
        ("program", ["program @main(", "@var(%w)", "commit kernel"]),
        ("loops", ["in [lo, hi):", "f32 out"]),
        ("kernels", ["def ", "(args, lo, hi):"]),
        ("llvm", ["define", "i64"]),
        ("asm", [".text"]),
    ],
)
def test_dump(declared: Path, stage: str, marks: list[str], capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "dump", declared, "--stage", stage)
    assert code == 0
    for mark in marks:
        assert mark in out


def test_dump_of_what_a_script_ran(running: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "dump", running, "--stage", "graph")
    assert code == 0 and "return %reduce_sum" in out
    assert graphc(capsys, "dump", running, "--stage", "graph", "--fetch", "x")[1].endswith(
        "return %x\n}\n"
    )


def test_dump_without_data(tmp_path: Path, capsys: Capture) -> None:
    model = written(
        tmp_path / "m.py",
        "import numpy as np, graphc as gc\n"
        "x = gc.placeholder(gc.float32, [64], name='x')\n"
        "z = x + np.arange(64, dtype=np.float32)\n",
    )
    assert "value=…" in graphc(capsys, "dump", model, "--stage", "graph")[1]
    full = graphc(capsys, "dump", model, "--stage", "graph", "--full")[1]
    assert print_graph(parse_graph(full)) == full


def test_names_do_not_reach_generated_code(tmp_path: Path, capsys: Capture) -> None:
    text = (
        "graph @f(%a.b/c-d: f32[4], %lambda: f32[4]) {\n"
        "  %import = add %a.b/c-d, %lambda : f32[4]\n"
        "  %__name__ = exp %import : f32[4]\n  return %__name__, %import\n}\n"
    )
    path = written(tmp_path / "names.gir", text)
    code, out, _ = graphc(capsys, "dump", path, "--stage", "kernels")
    assert code == 0
    compile(out, "kernels", "exec")
    assert graphc(capsys, "run", path, "--feed", "random")[0] == 0


# ---- opt ----


def test_opt(graph: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "opt", graph, "--passes", "simplify")
    assert code == 0 and "1.0f32" not in out and "%s" in out
    assert print_graph(parse_graph(out)) == out


def test_opt_to_a_program(graph: Path, capsys: Capture) -> None:
    code, out, err = graphc(
        capsys, "opt", graph, "--passes", "simplify,fuse,plan", "--timing", "--stats", "--check"
    )
    assert code == 0 and out.startswith("program @f(")
    assert " ms  plan" in err and "1 x  mul-one" in err
    parse_program(out)


def test_opt_print_after_change(graph: Path, capsys: Capture) -> None:
    out = graphc(
        capsys,
        "opt",
        graph,
        "--passes",
        "simplify,split-reductions,cleanup,fuse",
        "--print-after-change",
    )[1]
    assert re.findall(r"// after (\w+)", out) == ["simplify", "fuse"]


def test_opt_sets_fields_of_passes(tmp_path: Path, capsys: Capture) -> None:
    text = "graph @f(%x: f32[n,4]) {\n  %s = reduce_sum %x {axes=[0]} : f32[4]\n  return %s\n}\n"
    path = written(tmp_path / "rows.gir", text)
    split = "split-reductions{chunks=3}"
    code, out, err = graphc(
        capsys, "opt", path, "--passes", f"{split},fuse", "--print-after-change", "--timing"
    )
    assert code == 0 and "chunks=3" in out and f" ms  {split}\n" in err
    assert re.findall(r"// after (\S+)", out) == [split, "fuse"]


def test_opt_lists_passes(capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "opt", "--list-passes")
    assert code == 0
    heads = [line.partition(":")[0] for line in out.splitlines() if not line.startswith(" ")]
    assert heads == [p.name for p in PASSES]
    for p in PASSES:
        for o in p.options():
            assert re.search(rf"^    {o.name}={o.default} +{re.escape(o.says)}$", out, re.M)


def test_opt_reads_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "graphc", "opt", "-", "--passes", "simplify"],
        cwd=ROOT,
        input=GRAPH,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.startswith("graph @f(")


# ---- explain, ops ----


def test_explain(declared: Path, capsys: Capture) -> None:
    code, out, _ = graphc(
        capsys, "explain", declared, "logits", "--fetch", "train", "--size", "n=16"
    )
    assert code == 0
    assert "model.py:6: logits = x @ w" in out and re.search(
        r"moves +\d+ bytes in, \d+ bytes out", out
    )
    assert "matrix product: its result goes through memory" in out


def test_explain_inputs_literals_and_unknown_names(
    declared: Path, graph: Path, capsys: Capture
) -> None:
    assert "an input" in graphc(capsys, "explain", declared, "w")[1]
    assert "index lambda" in graphc(capsys, "explain", graph, "%b")[1]
    assert "became      %p" in graphc(capsys, "explain", graph, "%q")[1]
    code, _, err = graphc(capsys, "explain", declared, "nope")
    assert code == 1 and "no value" in err


def test_explain_gradient(declared: Path, graph: Path, capsys: Capture) -> None:
    out = graphc(capsys, "explain", declared, "loss", "--gradient", "w")[1]
    assert out.startswith("gradient flows") and out.rstrip().endswith("%w")
    assert "does not depend" in graphc(capsys, "explain", graph, "%next", "--gradient", "%x")[1]


def test_explain_what_a_script_ran(running: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "explain", running, "total")
    assert code == 0 and "reduce_sum" in out.split("explain")[-1]


def test_ops(capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "ops")
    assert code == 0
    for text in (
        "Reduction:",
        "reduce_sum {axes}",
        "Pointwise:",
        "Contraction:",
        "matmul {ta, tb}",
    ):
        assert text in out
    out = graphc(capsys, "ops", "softplus")[1]
    assert "Pointwise" in out and "gradient yes" in out and "accepts" in out


# ---- the document ----


@pytest.mark.parametrize(("name", "commands"), [("cli.md", 16), ("debugging.md", 7)])
def test_the_document_shows_what_is_printed(
    name: str,
    commands: int,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Every `$ graphc` line of a document, run again on the files that the document shows."""
    document = ROOT / "docs" / name
    text = document.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    linecache.clearcache()  # documents have files of one name
    for file, body in re.findall(r"`(\S+\.(?:py|gir))`:\n\n```\w*\n(.*?)```", text, re.DOTALL):
        written(tmp_path / file, body)

    def again(shown: re.Match[str]) -> str:
        _, out, err = graphc(capsys, *shown[1].split())
        err = re.sub(r"\r?graphc: compiled .*\n", "", err)  # of a slow compilation
        if shown[1].startswith("profile") and steady(out) == steady(shown[2]):
            return shown[0]
        return f"```console\n$ graphc {shown[1]}\n{out}{err}```"

    printed, count = re.subn(
        r"```console\n\$ graphc ([^\n]*)\n(.*?)```", again, text, flags=re.DOTALL
    )
    assert count == commands
    if request.config.getoption("--update-golden"):
        document.write_text(printed, encoding="utf-8")
    assert printed == document.read_text(encoding="utf-8"), (
        f"docs/{name} is out of date: make golden"
    )


def test_no_result_is_lost_to_its_name(
    declared: Path, graph: Path, tmp_path: Path, capsys: Capture
) -> None:
    feeds = ["--feed", "random", "--size", "n=2"]
    twice = ["--fetch", "logits", "--fetch", "loss", "--fetch", "logits"]
    code, out, _ = graphc(capsys, "run", declared, *twice, *feeds)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if ":" in line] == [
        "logits.0",
        "loss",
        "logits.1",
    ]
    assert graphc(capsys, "run", declared, *twice, *feeds, "--out", tmp_path / "o")[0] == 0
    assert sorted(p.stem for p in (tmp_path / "o").iterdir()) == ["logits.0", "logits.1", "loss"]
    text = GRAPH.replace("return %s,", "return %s, %s, %s,")
    twins = written(tmp_path / "twins.gir", text)
    code, out, _ = graphc(capsys, "run", twins, *feeds)
    assert code == 0 and out.count("%s.") == 3 and out.count("f32[n]") == 3


@pytest.mark.parametrize(
    "names", [["a"], ["a", "a"], ["a", "a", "a.0"], ["a.1", "a", "a"], ["a.0", "a.0", "a", "a"]]
)
def test_distinct_names(names: list[str]) -> None:
    made = distinct(names)
    assert len(set(made)) == len(names)
    assert all(
        m == n or (m.startswith(f"{n}.") and names.count(n) > 1) for m, n in zip(made, names)
    )
