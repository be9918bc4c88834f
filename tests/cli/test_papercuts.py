"""The command line's small courtesies: what a typing error is answered with, what a log gets."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.cli import DECLARED, GRAPH, Capture, graphc, written

from graphc.cli import main
from graphc.cli.cache import content_of
from graphc.codegen import workers
from graphc.config import Options
from graphc.profile.machine_limits import Limits

OWN = """\
from dataclasses import dataclass
from graphc.extend import GraphPass, ops, option, rebuild


@dataclass(frozen=True)
class Squares(GraphPass):
    "Leaves the graph as it is."

    name = "squares"
    most: int = option(2, "squares", at_least=0)

    def run(self, graph, context):
        print("squares ran,", self.most)
        return graph


def watched(graph):
    print("watched ran")
    return graph


number = 3
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    return written(tmp_path / "model.py", DECLARED)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return written(tmp_path / "f.gir", GRAPH)


def test_a_size_that_is_not_there(declared: Path, graph: Path, capsys: Capture) -> None:
    for args in (
        ["run", declared, "--fetch", "logits", "--feed", "random"],
        ["run", graph, "--feed", "random"],
        ["explain", declared, "logits", "--fetch", "logits"],
    ):
        code, _, err = graphc(capsys, *args, "--size", "m=3")
        assert code == 2 and "--size m=3: no such size; the sizes are n" in err
        assert graphc(capsys, *args, "--size", "n=3")[0] == 0


def test_results_go_to_a_file_or_a_folder(declared: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ["run", declared, "--fetch", "logits", "--feed", "random", "--out"]
    code, _, err = graphc(capsys, *command, tmp_path / "res.csv")
    assert code == 2 and "expected FILE.npz, or a folder" in err
    assert not (tmp_path / "res.csv").exists()
    folder = tmp_path / "results.d"
    folder.mkdir()
    assert graphc(capsys, *command, folder)[0] == 0 and (folder / "logits.npy").exists()


def test_several_fetches_in_one_option(declared: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "run", declared, "--fetch", "w, logits", "--feed", "random")
    assert code == 0 and "w: f32[6,3]" in out and "logits: f32[n,3]" in out


def test_what_is_not_fed_is_told_how(declared: Path, graph: Path, capsys: Capture) -> None:
    code, _, err = graphc(capsys, "run", declared, "--fetch", "logits")
    assert code == 1 and "placeholder 'x' (f32[n,6]) is needed but not fed; use --feed x=" in err
    code, _, err = graphc(capsys, "run", graph, "--feed", "x=random")
    assert code == 1 and "input 'w' (f32[4]) is needed but not fed; use --feed w=FILE.npy" in err


def test_an_error_of_options_is_one_line(capsys: Capture) -> None:
    for args in ([], ["run"], ["run", "m.py", "--threads", "0"], ["nope"], ["run", "m.py", "--x"]):
        assert main(args) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "--help` lists the options" in err


@pytest.mark.parametrize("live", [True, False])
def test_progress_is_overwritten_on_a_terminal_alone(
    live: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(workers, "SHOW_AFTER_SECONDS", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: live)
    jobs: deque[tuple[str, workers.Words]] = deque([("a", ("1",)), ("b", ("2",))])
    compiler = workers.Compiler("", lambda word: word.encode(), 9)
    workers._compile_here(jobs, {}, 2, compiler, Options(progress=True))
    err = capsys.readouterr().err
    assert err.count("\r") == 2 * live and err.count("\n") == 1
    assert "graphc: compiled 2 of 2 kernels in" in err


def test_the_cache_says_what_its_entries_are(
    declared: Path, tmp_path: Path, capsys: Capture
) -> None:
    cache = tmp_path / "kernels"
    run = ["run", declared, "--fetch", "loss", "--feed", "random", "--cache", cache]
    # in a process of its own: this one may have the kernels in memory
    subprocess.run([sys.executable, "-m", "graphc", *run], check=True, capture_output=True)
    (cache / "left.tmp").write_bytes(b"half")
    (cache / "gc_0.o").write_bytes(b"rubbish")
    code, out, _ = graphc(capsys, "cache", "--dir", cache, "--list")
    assert code == 0 and re.search(r"gc_\w+  CPU, f32 i64: .*exp", out), out
    assert "  left of a write that did not end" in out and "  damaged" in out
    assert content_of(cache / "gone.o").startswith("cannot be read")


def test_equal_limits_are_printed_once() -> None:
    rates = {"read": (4e9, 4e9, 4e9, 2e9, 1e9)}
    sizes = (1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
    lines = str(Limits("cpu", 99, sizes, rates, {"f32": 1e9})).splitlines()
    assert [line.split()[:-1] for line in lines[2:-1]] == [
        ["to", "256", "KiB"],
        ["1", "MiB"],
        ["4", "MiB"],
    ]


def test_opt_runs_a_pass_of_the_users(tmp_path: Path, graph: Path, capsys: Capture) -> None:
    own = written(tmp_path / "own.py", OWN)
    passes = f"simplify,{own}:Squares{{most=4}},{own}:watched,fuse"
    code, out, err = graphc(capsys, "opt", graph, "--passes", passes, "--check")
    assert code == 0, err
    assert out.startswith("squares ran, 4\nwatched ran\n") and "kernel" in out
    for name, why in (
        ("Square", "expected a GraphPass, or a function from a graph to a graph"),
        ("number", "the file's classes are Squares"),
        ("Squares{least=1}", "no field 'least'; its fields"),
    ):
        code, _, err = graphc(capsys, "opt", graph, "--passes", f"{own}:{name}")
        assert code == 2 and why in err
    code, _, err = graphc(capsys, "opt", graph, "--passes", "gone.py:Squares")
    assert code == 2 and "cannot read gone.py" in err


ALMOST = (
    OWN
    + """

class NoRun(GraphPass):
    name = "no-run"


class NoName(GraphPass):
    def run(self, graph, context):
        return graph


class Short(GraphPass):
    name = "short"

    def run(self, graph):
        return graph


class Undecorated(GraphPass):
    name = "undecorated"
    most: int = option(2, "squares")

    def run(self, graph, context):
        return graph


class Simplify(GraphPass):
    name = "simplify"

    def run(self, graph, context):
        return graph


@dataclass(frozen=True)
class Bare(GraphPass):
    name = "bare"
    most: int

    def run(self, graph, context):
        return graph


def with_context(graph, context):
    return graph
"""
)
REFUSED = {
    "NoRun": "pass NoRun: there is no method run(self, graph, context)",
    "GraphPass": "pass GraphPass: there is no method run",
    "NoName": "pass NoName has no name; declare `name = ...` in the class",
    "Short": "pass short: run is called as (self, graph, context), but takes (self, graph)",
    "Undecorated": "most would be no field: write @dataclass(frozen=True) above the class",
    "Simplify": "has the name of graphc's own pass 'simplify'; choose another",
    "Bare": "most has no default; declare it by graphc.extend.option",
    "with_context": "pass with_context is called as (graph), but takes (graph, context)",
    "watched{most=3}": "pass watched: no field 'most'; it has none",
}


@pytest.mark.parametrize("name", REFUSED)
def test_opt_refuses_what_is_almost_a_pass(
    name: str, tmp_path: Path, graph: Path, capsys: Capture
) -> None:
    file = written(tmp_path / "almost.py", ALMOST)
    code, _, err = graphc(capsys, "opt", graph, "--passes", f"{file}:{name}")
    assert code == 2 and REFUSED[name] in err and err.count("\n") == 1


def test_opt_reads_a_pass_from_a_file_with_spaces(
    tmp_path: Path, graph: Path, capsys: Capture
) -> None:
    file = written(tmp_path / "my päss.py", OWN)
    code, out, _ = graphc(capsys, "opt", graph, "--passes", f"simplify, {file}:Squares{{most=3}}")
    assert code == 0 and "squares ran, 3" in out
    code, _, err = graphc(capsys, "opt", graph, "--passes", str(file))
    assert code == 2 and "one of your own is FILE.py:NAME" in err


WRONG_OPTIONS = {
    "--autotune=-1": "-1 is no number of seconds",
    "--autotune=nan": "nan is no number of seconds",
    "--autotune=soon": "invalid seconds value: 'soon'",
    "--devices=,": "',' names no device; `graphc devices` lists them",
}


@pytest.mark.parametrize("option", WRONG_OPTIONS)
def test_options_that_mean_nothing(option: str, declared: Path, capsys: Capture) -> None:
    code, _, err = graphc(capsys, "run", declared, "--fetch", "logits", option)
    assert code == 2 and WRONG_OPTIONS[option] in err


def test_a_folder_is_no_model(tmp_path: Path, capsys: Capture) -> None:
    code, _, err = graphc(capsys, "run", tmp_path)
    assert code == 2 and "is a folder; expected a Python file" in err


def test_a_seed_may_be_negative(declared: Path, capsys: Capture) -> None:
    seeded = [
        graphc(capsys, "run", declared, "--fetch", "x", "--feed", "random", "--seed", seed)
        for seed in ("-5", "-5", "5")
    ]
    assert [code for code, _, _ in seeded] == [0, 0, 0]
    assert seeded[0][1] == seeded[1][1] != seeded[2][1]


def output_to(place: str, model: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """How `graphc dump` ends whose output goes to a place, and what it says of it."""
    command = f"{sys.executable} -m graphc dump {shlex.quote(str(model))} --stage graph"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} {place}"],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_an_output_that_takes_nothing(declared: Path, unbuffered: str) -> None:
    env = {"PYTHONUNBUFFERED": unbuffered}
    assert output_to("| (exec <&-; sleep 0)", declared, env) == (0, "")
    assert output_to(">&-", declared, env) == (0, "")
    full = "graphc dump: cannot write the output: No space left on device\n"
    assert output_to("> /dev/full", declared, env) == (1, full)


def test_a_name_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    model = written(
        tmp_path / "m.py",
        "import graphc as gc\nx = gc.placeholder(gc.float32, [2], name='größe')\ny = gc.exp(x)\n",
    )
    code, err = output_to("| grep -q 'gr.xf6.xdfe'", model, {"PYTHONIOENCODING": "ascii"})
    assert (code, err) == (0, "")
