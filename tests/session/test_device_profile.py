"""Profiles of runs on devices.  Simulated times mean nothing; all else is as on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Capture, graphc, written
from support.run import options

pytest.importorskip("greenlet", reason="the simulator needs it: pip install 'graphc[sim]'")

import graphc as gc
from graphc.errors import SessionError
from graphc.ir.machine import PRESETS
from graphc.profile.machine_limits import Limits
from graphc.profile.report import Profile
from graphc.session import recorder as recorder_module

H100 = PRESETS["H100"]
SETS = (1 << 14, 1 << 20, 1 << 26)
HOST = Limits(
    "a host",
    1,
    SETS,
    dict.fromkeys(("read", "copy", "triad", "update"), (1e10,) * 3),
    {"f32": 1e11, "f64": 5e10},
)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host needs no measuring."""
    gc.reset_default_graph()
    monkeypatch.setattr(recorder_module, "limits", lambda options: HOST)


MODEL = """\
import graphc as gc

x = gc.placeholder(gc.float32, ["n", 6], name="x")
y = gc.nn.functional.softmax(x, -1)
"""


def opened(**given: Any) -> gc.Session:
    return gc.Session(options=options(**{"device": "cuda:sim", "strict": True, **given}))


def rows_of(p: Profile) -> dict[tuple[str, str], Any]:
    return {(r.kind, r.name): r for r in p.rows}


def test_rows_have_bytes_and_operations() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    with opened() as sess:
        p = sess.profile(gc.exp(x), {x: np.ones(512, np.float32)}, steps=3, warmup=1)
        assert sess.stats.runs == 4
    rows = rows_of(p)
    assert list(rows) == [("kernel", "exp"), ("copy", "from the host"), ("copy", "to the host")]
    row = rows["kernel", "exp"]
    assert (row.launches, row.read, row.written, row.flops) == (1, 2048, 2048, 8 * 512)
    assert row.best_memory == pytest.approx(4096 / H100.bandwidth)
    assert row.best_compute == pytest.approx(8 * 512 / H100.flops["f32"])
    assert row.lines[0].file == __file__ and row.seconds > 0
    assert [(r.launches, r.read) for r in p.rows[1:]] == [(1, 2048), (1, 2048)]
    assert 0 < p.kernel_seconds <= p.run_seconds and p.runs == 3
    assert p.title == "exp at n=512 on cuda:sim" and p.limits.cpu == "cuda:sim"
    assert "kernel exp" in str(p) and p.data()["kernels"][0]["flops"] == 4096


def test_a_trace_has_every_node() -> None:
    x = gc.placeholder(gc.float32, [8], name="x")
    with opened() as sess:
        p = sess.profile([gc.sum(gc.exp(x)), x * 2], {x: np.ones(8, np.float32)}, steps=2)
    events = [
        e for e in p.trace()["traceEvents"] if e["ph"] == "X" and e["cat"] in ("kernel", "copy")
    ]
    assert {e["name"] for e in events} >= {"from the host", "to the host"}
    for run in p.recorded:
        assert run.start < run.events[:, 1].min() <= run.events[:, 2].max() < run.end
        assert (run.events[1:, 1] >= run.events[:-1, 2]).all()  # one after another


def test_variables_change_as_in_runs() -> None:
    x = gc.placeholder(gc.float64, [3], name="x")
    w = gc.variable(np.zeros(3), name="w")
    update = w.assign(w + x)
    with opened() as sess:
        p = sess.profile(update, {x: [1, 2, 3]}, steps=2, warmup=1)
        sess.run(update, {x: [1, 2, 3]})
        assert sess.value(w).tolist() == [4, 8, 12]
    assert p.memory.variables == 24 and p.memory.fed == 24


def test_loops_have_rows_inside() -> None:
    start, steps = gc.placeholder(gc.float64, [2]), gc.placeholder(gc.float64, [4, 2])
    made = gc.scan(lambda c, x: (gc.tanh(c * x), gc.sum(c)), start, steps)
    with opened() as sess:
        p = sess.profile(list(made), {start: np.ones(2), steps: np.ones((4, 2))}, steps=2)
    (loop,) = [r for r in p.rows if r.inner]
    assert loop.launches == 1 and sum(r.launches for r in loop.inner) >= 4
    assert all(r.launches % 4 == 0 for r in loop.inner)
    assert loop.seconds >= sum(r.seconds for r in loop.inner) * 0.5
    assert loop.flops == sum(r.flops for r in loop.inner) > 0


def test_segments_of_the_host_are_there_too() -> None:
    x = gc.placeholder(gc.float32, [16], name="x")
    with gc.device("cpu:0"):
        a = gc.exp(x)
    with gc.device("cuda:sim"):
        b = gc.tanh(a)
    with gc.Session(options=options()) as sess:
        p = sess.profile(b, {x: np.ones(16, np.float32)}, steps=2)
    rows = rows_of(p)
    assert {("kernel", "exp"), ("kernel", "tanh")} <= set(rows)
    assert p.title.endswith("on cpu:0, cuda:sim")
    assert rows["kernel", "exp"].best_compute == pytest.approx(8 * 16 / 1e11)
    number = {label.name: n for n, label in enumerate(p.labels)}
    assert {number["exp"], number["tanh"]} <= set(p.recorded[0].events[:, 0].tolist())


def test_a_plan_that_is_made_anew_is_timed_on() -> None:
    """Another signature makes the arena grow."""
    x = gc.placeholder(gc.float32, ["n", 4], name="x")
    y = gc.sum(gc.exp(x), axis=0)
    with opened() as sess:
        runner = sess.make_callable(gc.sum(gc.cumsum(gc.exp(x), 0)), [x])
        first = sess.profile(y, {x: np.ones((2, 4), np.float32)}, steps=1)
        runner(np.ones((64, 4), np.float32))
        again = sess.profile(y, {x: np.ones((2, 4), np.float32)}, steps=1)
    assert [r.name for r in first.rows] == [r.name for r in again.rows]


def test_a_variable_that_has_moved_to_the_device_since() -> None:
    """The signature was compiled for the host when the variable lived there."""
    x = gc.placeholder(gc.float64, [2], name="x")
    w = gc.variable(np.ones(2), name="w")
    y = gc.tanh(w)
    with gc.device("cuda:sim"):
        update = w.assign(w + x)
    with gc.Session(options=options()) as sess:
        assert "on" not in sess.profile(y, steps=1).title
        sess.run(update, {x: [1, 1]})
        p = sess.profile(y, steps=1)
        np.testing.assert_allclose(sess.run(y), np.tanh([2, 2]))
    assert " on cpu:0" in p.title and ("kernel", "tanh") in rows_of(p)  # it is brought there


def test_no_steps_are_an_error() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    with opened() as sess, pytest.raises(SessionError, match="steps is 0"):
        sess.profile(gc.exp(x), {x: np.ones(2, np.float32)}, steps=0)


def test_the_command_line(tmp_path: Path, capsys: Capture) -> None:
    model = written(tmp_path / "model.py", MODEL)
    code, out, err = graphc(
        capsys,
        "profile",
        model,
        "--fetch",
        "y",
        "--feed",
        "random",
        "--size",
        "n=4",
        "--device",
        "cuda:sim",
        "--steps",
        1,
        "--warmup",
        0,
        "--json",
        tmp_path / "p.json",
    )
    assert code == 0, err
    assert "on cuda:sim" in out and "from the host" in out and (tmp_path / "p.json").exists()
