"""The table of targets: one more line in it is a backend, which a graph runs on end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.docs import PYTHON, ROOT
from support.toy_backend import TOY, ToyDevice

import graphc as gc
from graphc.cli import main
from graphc.compiler import targets as table
from graphc.compiler.compile_placed import lower_placed, planned_machine
from graphc.config import Options
from graphc.errors import DeviceError, GraphcError
from graphc.explain.placed_value import explain_placed
from graphc.frontend.stage import stage
from graphc.ir.machine import KINDS
from graphc.passes.placement.place import place

F32 = np.float32


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[gc.DeviceSpec]:
    """The table with one more line, and the spec that declares the name of its device."""
    monkeypatch.setattr(table, "TARGETS", (*table.TARGETS, TOY))
    with gc.Graph().as_default():
        yield gc.DeviceSpec("toy:0", kind="toy", like="CPU")


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_graph_runs_on_a_new_target(toys: gc.DeviceSpec, tmp_path: Path) -> None:
    """Variables live there, updates stay there, a loop is written out, products go to the host."""
    x = gc.placeholder(gc.float32, [None, 3], name="x")
    w = gc.variable(np.arange(9, dtype=F32).reshape(3, 3), name="w")
    y = gc.nn.functional.softmax(gc.tanh(x) * gc.sum(w, axis=0), -1)
    product = x @ w
    steps = gc.scan(lambda c, row: (c + row, c), gc.zeros((3,), gc.float32), w)[0]
    step = w.assign_add(gc.ones((3, 3), gc.float32))
    data = np.random.default_rng(0).normal(size=(4, 3)).astype(F32)
    fetches = [y, product, steps, step]
    with gc.Session(cache_dir=tmp_path) as host:
        want = host.run(fetches, {x: data})
    with (
        pytest.warns(UserWarning, match="toys multiply no matrices"),
        gc.Session(device="toy:0", cache_dir=tmp_path) as sess,
    ):
        for n in range(2):
            got = sess.run(fetches, {x: data})
            for a, b in zip(got[:3], want[:3], strict=True):
                if n == 0:
                    close(a, b)
            close(sess.value(w), np.arange(9).reshape(3, 3) + n + 1)
        device = sess.devices.open("toy:0").device
        assert isinstance(device, ToyDevice) and device.launches > 4
        assert set(sess.devices.names().values()) == {"toy:0"}


def test_a_run_that_fails_there_changes_nothing(toys: gc.DeviceSpec, tmp_path: Path) -> None:
    i = gc.placeholder(gc.int64, [2], name="i")
    w = gc.variable(np.zeros(4, F32), name="w")
    fetches = [w[i], w.assign_add(1.0)]
    with gc.Session(device="toy:0", strict=True, cache_dir=tmp_path) as sess:
        with pytest.raises(GraphcError, match="index 7"):
            sess.run(fetches, {i: [1, 7]})
        close(sess.value(w), 0)
        sess.run(fetches, {i: [1, 3]})
        close(sess.value(w), 1)


def test_strict_placement_says_what_it_cannot(toys: gc.DeviceSpec) -> None:
    x = gc.placeholder(gc.float32, [2, 2])
    with gc.Session(device="toy:0", strict=True) as sess, pytest.raises(DeviceError) as e:
        sess.run(x @ x, {x: np.ones((2, 2), F32)})
    assert "toys multiply no matrices" in str(e.value)


def test_decisions_and_texts_are_the_targets(toys: gc.DeviceSpec) -> None:
    x = gc.placeholder(gc.float32, [5000, 3], name="x")
    y = gc.sum(gc.exp(x), axis=0)
    graph, options = stage([y]).graph, Options(device="toy:0")
    made = lower_placed(graph, options, planned_machine(graph, options))
    (part,) = made.parts
    assert part.target is TOY.target
    assert "partial_sum" in {v.op.name for v in part.graph.nodes()}  # its late pass
    assert "  schedule    plain Python" in explain_placed(
        graph, graph.outputs[0], options, planned_machine(graph, options)
    )


def test_the_command_line_knows_it(
    toys: gc.DeviceSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.py"
    model.write_text('import graphc as gc\ny = gc.exp(gc.placeholder(gc.float32, ["n"]))\n')
    shown = ["dump", str(model), "--fetch", "y", "--device", "toy:0", "--stage"]
    assert main([*shown, "toy"]) == 0
    out = capsys.readouterr().out
    assert (
        out.startswith("# segment 0 of 1, on toy:0\n# kernel 0 of 1")
        and "def exp(args, lo, hi):" in out
    )
    assert main([*shown, "ptx"]) == 0 and capsys.readouterr().out == ""  # none of it is CUDA's
    assert main([*shown, "llvm"]) == 2
    assert "--stage llvm is not for toy, which has placed, program, toy" in capsys.readouterr().err
    assert main(["devices"]) == 0
    assert re.search(r"^toy:0 +plain Python, always there$", capsys.readouterr().out, re.M)


def test_without_its_line_there_is_no_such_target(
    toys: gc.DeviceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "TARGETS", table.TARGETS[:-1])
    says = "no target compiles for devices of kind 'toy'; there are cpu, cuda"
    with pytest.raises(DeviceError, match=says):
        gc.Session(devices=[toys])
    graph = stage([gc.exp(gc.placeholder(gc.float32, [3]))]).graph
    with pytest.raises(DeviceError, match=says):
        place(graph, gc.Machine([toys]), table.targets())


def test_kinds_are_told_apart() -> None:
    kinds = [b.target.kind for b in table.TARGETS]
    assert len(set(kinds)) == len(kinds) == 3
    assert list(table.families()) == ["cuda", "toy"]  # the host needs none
    assert {*kinds} - {"toy"} == {*KINDS}  # whose devices need no declaration


def test_the_document_shows_this_backend() -> None:
    document = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    toy = (ROOT / "tests" / "support" / "toy_backend.py").read_text(encoding="utf-8")
    blocks = PYTHON.findall(document)
    assert len(blocks) >= 4
    for block in blocks:  # the formatter indents them as it likes
        assert "".join(block.split()) in "".join(toy.split()), block
