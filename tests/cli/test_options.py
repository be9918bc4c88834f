"""Options of the command line: each reaches the sessions of a file; what is fed and saved."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.cli import DECLARED, GRAPH, Capture, graphc, written

from graphc.cli import main
from graphc.cli.model_file import UsageError
from graphc.cli.run import make_feeds, parse_sizes
from graphc.config import Options
from graphc.errors import GraphcError
from graphc.ir.graph import placeholder
from graphc.ir.text.graph import parse_graph
from graphc.ir.types import f32

SHOWN = """
from graphc.config import Options
o = Options()
print("threads", o.threads)
print("seed", o.seed)
print("memory_limit", o.memory_limit)
print("check", o.check)
print("cache_dir", o.cache_dir)
print("method", o.method and o.method.name)
print("autotune", o.autotune)
print("device", o.device)
print("devices", [d.name for d in o.devices])
print("strict", o.strict)
"""
OPTIONS = (
    ("--threads", "3", "threads 3"),
    ("--seed", "17", "seed 17"),
    ("--memory-limit", "1.5 KiB", "memory_limit 1536"),
    ("--check", "bounds", "check bounds"),
    ("--check", "passes", "check passes"),
    ("--cache", "/nowhere/here", "cache_dir /nowhere/here"),
    ("--method", "loops", "method LOOPS"),
    ("--method", "blas", "method BLAS"),
    ("--autotune", "2.5", "autotune 2.5"),
    ("--device", "cuda:sim", "device cuda:sim"),
    ("--devices", "cpu:0,cuda:sim", "devices ['cpu:0', 'cuda:sim']"),
    ("--strict", "", "strict True"),
)
INVALID = (
    ("--threads", "0", "0 is less than 1"),
    ("--threads", "-1", "-1 is less than 1"),
    ("--threads", "two", "invalid positive value: 'two'"),
    ("--memory-limit", "much", "memory_limit is 'much'"),
    ("--seed", "1.5", "invalid int value: '1.5'"),
    ("--check", "all", "invalid choice: 'all'"),
    ("--method", "magic", "invalid choice: 'magic'"),
    ("--device", "tpu:0", "tpu:0"),
)


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    return written(tmp_path / "shows.py", SHOWN)


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    return written(tmp_path / "model.py", DECLARED)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return written(tmp_path / "f.gir", GRAPH)


@pytest.mark.parametrize(("flag", "value", "line"), OPTIONS)
def test_an_option_reaches_the_sessions_of_a_file(
    flag: str, value: str, line: str, shown: Path, capsys: Capture
) -> None:
    shown.write_text(shown.read_text() + "raise SystemExit(0)\n")
    plain = graphc(capsys, "run", shown)[1].splitlines()
    given = graphc(capsys, "run", shown, flag, *([value] if value else []))[1].splitlines()
    assert line in given and line not in plain
    assert len(given) == len(plain) == 10
    assert sum(a != b for a, b in zip(given, plain, strict=True)) == 1
    assert Options().memory_limit is None and Options().method is None  # nothing stays behind


@pytest.mark.parametrize(("flag", "value", "why"), INVALID)
def test_an_option_that_cannot_be(
    flag: str, value: str, why: str, shown: Path, capsys: Capture
) -> None:
    code, out, err = graphc(capsys, "run", shown, flag, value)
    assert (code, out) == (2, "") and f"argument {flag}: " in err and why in err


# ---- sizes and feeds


@pytest.mark.parametrize("text", ["n", "n=", "=3", "n=-1", "n=1.5", "2n=3", "n n=3", "n=x", "n==3"])
def test_a_size_that_cannot_be_read(text: str, declared: Path, capsys: Capture) -> None:
    run = ["run", declared, "--fetch", "logits", "--feed", "random", f"--size={text}"]
    code, _, err = graphc(capsys, *run)
    assert code == 2 and f"--size {text}: expected NAME=N" in err
    assert parse_sizes(["n=3", "m=0"]) == {"n": 3, "m": 0}


@pytest.mark.parametrize("text", ["x", "=random", "=x.npy", "", "x="])
def test_a_feed_that_cannot_be_read(text: str, declared: Path, capsys: Capture) -> None:
    code, _, err = graphc(capsys, "run", declared, "--fetch", "logits", f"--feed={text}")
    assert code == 2
    known = f"--feed {text}: expected NAME=FILE.npy, NAME=random or random"
    assert known in err or "cannot read" in err
    assert text == "x=" or known in err


def test_files_that_cannot_be_fed(
    declared: Path, graph: Path, tmp_path: Path, capsys: Capture
) -> None:
    np.savez(tmp_path / "several.npz", a=np.ones(2), b=np.ones(3))
    written(tmp_path / "text.npy", "no array")
    written(tmp_path / "empty.npy", "")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    for name, why in (
        ("several.npz", "holds several arrays; feed one .npy file"),
        ("text.npy", "cannot read"),
        ("empty.npy", "cannot read"),
        ("objects.npy", "cannot read"),
        ("gone.npy", "cannot read"),
    ):
        path = tmp_path / name
        code, _, err = graphc(capsys, "run", declared, "--fetch", "logits", "--feed", f"x={path}")
        assert code == 2 and why in err and str(path) in err, name
        code, _, err = graphc(capsys, "run", graph, "--feed", f"x={path}")
        assert code == 2 and why in err


def test_random_feeds_follow_the_seed_and_the_sizes() -> None:
    x, y = placeholder(f32[2, 3], "x"), placeholder(f32[4], "y")
    drawn = [make_feeds([x, y], {}, True, {}, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0][x], drawn[1][x])
    assert not np.array_equal(drawn[0][x], drawn[2][x])
    assert not np.array_equal(drawn[0][y], drawn[2][y])
    assert drawn[0][y].shape == (4,)
    (sized,) = parse_graph("graph @f(%x: f32[n,2*m]) {\n  return %x\n}").inputs
    assert make_feeds([sized], {}, True, {"n": 5}, 0)[sized].shape == (5, 16)
    assert make_feeds([sized], {}, False, {}, 0) == {}
    assert make_feeds([sized], {sized: "random"}, False, {}, 0)[sized].shape == (8, 16)


# ---- results


def test_results_of_one_name_are_kept_apart(tmp_path: Path, capsys: Capture) -> None:
    model = written(tmp_path / "m.py", "import graphc as gc\na = gc.ones((2,))\nb = gc.zeros((3,))")
    command = ["run", model, "--fetch", "a", "--fetch", "b,a", "--out"]
    assert graphc(capsys, *command, tmp_path / "all.npz")[0] == 0
    with np.load(tmp_path / "all.npz") as saved:
        shapes = {name: saved[name].shape for name in saved.files}
    assert shapes == {"a.0": (2,), "b": (3,), "a.1": (2,)}
    out = graphc(capsys, "run", model, "--fetch", "a,a,a")[1]
    assert [line.split(":")[0] for line in out.splitlines()] == ["a.0", "a.1", "a.2"]


def test_names_that_are_one_in_a_folder_are_kept_apart(tmp_path: Path, capsys: Capture) -> None:
    text = 'import graphc as gc\na = gc.variable(gc.ones((2,)), name="a/b")\n'
    text += 'b = gc.variable(gc.zeros((3,)), name="a:b")\n'
    model = written(tmp_path / "m.py", text)
    folder = tmp_path / "out"
    assert graphc(capsys, "run", model, "--fetch", "a/b,a:b", "--out", folder)[0] == 0
    found = {p.name: np.load(p).shape for p in folder.iterdir()}
    assert sorted(found.values()) == [(2,), (3,)] and len(found) == 2


def test_results_that_cannot_be_saved(declared: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ["run", declared, "--fetch", "logits", "--feed", "random", "--out"]
    blocked = written(tmp_path / "a_file", "")
    for path in (tmp_path / "no folder" / "r.npz", blocked / "folder"):
        code, _, err = graphc(capsys, *command, path)
        assert code == 2 and f"cannot write {path}" in err and "saved" not in err
    assert blocked.read_text() == ""


def test_a_cache_is_pruned_by_age(tmp_path: Path, capsys: Capture) -> None:
    for name, days in (("gc_new.o", 0.0), ("gc_old.o", 3.0), ("left.tmp", 3.0), ("key", 9.0)):
        path = written(tmp_path / name, "x")
        at = path.stat().st_mtime - days * 86400
        os.utime(path, (at, at))
    cache = ["cache", "--dir", tmp_path]
    assert f"{tmp_path}: 3 objects, 3 bytes" in graphc(capsys, *cache)[1]
    listed = [line.split()[3] for line in graphc(capsys, *cache, "--list")[1].splitlines()[:-1]]
    assert listed[0] == "gc_new" and sorted(listed[1:]) == ["gc_old", "left"]
    code, _, err = graphc(capsys, *cache, "--prune-days", "-1")
    assert code == 2 and "--prune-days: expected a number of days" in err
    assert "deleted 2 of 3 objects" in graphc(capsys, *cache, "--prune-days", "2")[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gc_new.o", "key"]
    assert "deleted 1 of 1 objects" in graphc(capsys, *cache, "--clear")[1]
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


# ---- what a file declares, and ends that are no errors


def test_names_with_an_underscore_are_the_files_own(tmp_path: Path, capsys: Capture) -> None:
    text = "import graphc as gc\nx = gc.placeholder(gc.float32, [3])\n"
    text += "_hidden = gc.exp(x[:2])\nseen = gc.exp(x)\n"
    model = written(tmp_path / "m.py", text)
    code, out, _ = graphc(capsys, "dump", model, "--stage", "graph")
    assert code == 0 and "f32[3]" in out and "f32[2]" not in out
    code, _, err = graphc(capsys, "run", model, "--fetch", "gone")
    assert code == 1 and "no tensor is called 'gone'; there are placeholder, seen, x" in err
    run = ["run", model, "--fetch", "_hidden", "--feed", "random"]
    assert "f32[2]" in graphc(capsys, *run)[1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "graphc: interrupted"),
        (UsageError("so not"), 2, "graphc ops: so not"),
        (GraphcError("wrong"), 1, "graphc ops: wrong"),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    def act(args: object) -> int:
        raise error

    monkeypatch.setattr("graphc.cli.ops.act", act)
    assert main(["ops"]) == code
    assert capsys.readouterr().err.strip() == said


def test_a_cache_that_cannot_be_read(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "gc_a.o").mkdir()  # no file: it cannot be deleted as one
    code, _, err = graphc(capsys, "cache", "--dir", tmp_path, "--clear")
    assert code == 2 and f"cache {tmp_path}: " in err
