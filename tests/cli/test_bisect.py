"""`graphc bisect`: what it prints of a right model and of planted faults, which reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cli import DECLARED, Capture, graphc, written

from graphc.ir.ops.elementary import Exp
from graphc.ir.text.graph import parse_graph


def test_the_command(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    model = written(tmp_path / "model.py", DECLARED)
    code, out, _ = graphc(capsys, "bisect", model, "--fetch", "loss", "--size", "n=3")
    assert code == 0 and out.endswith(": every pass and every kernel keeps the meaning\n")
    monkeypatch.setattr(Exp, "spelling", "exp({0} + 1)")
    np.save(tmp_path / "x.npy", np.ones((2, 6), np.float32))
    given = ["--fetch", "loss", "--feed", f"x={tmp_path / 'x.npy'}"]
    code, out, err = graphc(capsys, "bisect", model, *given)
    assert (code, err) == (1, "") and out.startswith("// kernel ")
    again = written(tmp_path / "small.gir", out)
    assert parse_graph(out).nodes()
    code, out, _ = graphc(capsys, "bisect", again)
    assert code == 1 and out.startswith("// kernel 1 of 1 (exp)")
    monkeypatch.undo()
    assert graphc(capsys, "bisect", again)[0] == 0


def test_the_passes_of_a_files_sessions(tmp_path: Path, capsys: Capture) -> None:
    model = written(
        tmp_path / "own.py",
        """\
from dataclasses import replace
import graphc as gc
from graphc.extend import ops, rebuild

def base_two(graph):
    return rebuild(graph, lambda v: replace(v, op=ops.Exp2()) if isinstance(v.op, ops.Exp) else v)

x = gc.placeholder(gc.float32, ["n"], name="x")
total = gc.sum(gc.exp(x) * 2.0, axis=0)
with gc.Session(passes=[base_two]) as session:
    session.run(total, {x: [1.0]})
""",
    )
    code, out, _ = graphc(capsys, "bisect", model)
    assert code == 1 and out.startswith("// pass base_two: changes the meaning")
    assert graphc(capsys, "bisect", model, "--fetch", "total")[0] == 0


def test_wrong_usage(tmp_path: Path, capsys: Capture) -> None:
    graph = written(tmp_path / "f.gir", "graph @f(%x: f32[n]) {\n  return %x\n}\n")
    code, _, err = graphc(capsys, "bisect", graph, "--feed", "z=random")
    assert code == 2 and "--feed z: the inputs are x" in err
