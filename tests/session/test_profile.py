"""Profiles: what is timed, what the table, the trace and the figures say; the machine's limits."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import DECLARED, GRAPH, RUNNING, Capture, graphc, written
from support.run import options

import graphc as gc
from graphc.codegen.cpu.gemm_library import host_shape
from graphc.errors import FeedError, GraphcError, SessionError
from graphc.profile import machine_limits as limits_module
from graphc.profile.machine_limits import Limits, limits, measure
from graphc.profile.report import Profile, ProfileRow, scaled, trace
from graphc.runtime.cpu import timer
from graphc.runtime.cpu.threads import HELPER_THREAD_NAME
from graphc.session import recorder as recorder_module
from graphc.session.hooks import Hooks
from graphc.session.recorder import Recorder

SETS = (1 << 14, 1 << 20, 1 << 26)
MACHINE = Limits(
    "a machine",
    1,
    SETS,
    {
        "read": (4e11, 2e11, 2e10),
        "copy": (2e11, 1e11, 1e10),
        "triad": (2e11, 1e11, 1e10),
        "update": (2e11, 1e11, 1e10),
    },
    {"f32": 1e11, "f64": 5e10},
)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles are held against limits that need no measuring."""
    gc.reset_default_graph()
    monkeypatch.setattr(recorder_module, "limits", lambda options: MACHINE)


@pytest.fixture
def session() -> Iterator[gc.Session]:
    with gc.Session(options=options()) as sess:
        yield sess


def network() -> tuple[Any, Any, Any, Any]:
    x, y = gc.placeholder(gc.float32, ["n", 32]), gc.placeholder(gc.int64, ["n"])
    net = gc.nn.Sequential(gc.nn.Linear(32, 16), gc.nn.ReLU(), gc.nn.Linear(16, 4))
    loss = gc.nn.functional.cross_entropy(net(x), y)
    return x, y, loss, gc.optim.SGD(0.1).minimize(loss)


def batch(x: Any, y: Any, n: int = 8) -> dict[Any, Any]:
    return {x: np.ones((n, 32), np.float32), y: np.zeros(n, np.int64)}


def every(rows: Any) -> Iterator[ProfileRow]:
    for row in rows:
        yield row
        yield from every(row.inner)


def complete(made: Any) -> list[Any]:
    """The events of a trace that last."""
    return [e for e in made["traceEvents"] if e["ph"] == "X"]


# ---- rows ----


def test_all_kernels_are_there_and_their_times_are_within_the_run(session: gc.Session) -> None:
    x, y, loss, train = network()
    p = session.profile([train, loss], batch(x, y), steps=7, warmup=2)
    assert p.runs == 7 and len(p.recorded) == 7 and session.stats.runs == 9
    program = next(iter(session._engines.values())).executable.program
    assert [(r.kind, r.name) for r in p.rows] == [(k.kind.value, k.name) for k in program.kernels]
    assert 0 < p.kernel_seconds <= p.run_seconds
    for run in p.recorded:
        assert run.start < run.events[:, 1].min() <= run.events[:, 2].max() < run.end
    assert all(r.launches == 1 and r.seconds > 0 and r.lines for r in p.rows)


def test_figures_of_a_row(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, ["n"])
    y = gc.exp(x)
    (row,) = session.profile(y, {x: np.ones(1 << 18, np.float32)}, steps=3).rows
    assert (row.kind, row.read, row.written, row.flops) == ("kernel", 1 << 20, 1 << 20, 8 << 18)
    assert row.lines[0].file == __file__ and "gc.exp(x)" in row.lines[0].text
    assert row.best_compute == pytest.approx((8 << 18) / 1e11)
    reading, copying = (MACHINE.bandwidth(s, 2 << 20) for s in ("read", "copy"))
    assert row.best_memory == pytest.approx((2 << 20) / copying, rel=1e-6)
    assert reading > copying and row.bound == "memory"
    assert row.memory_share == pytest.approx(row.best_memory / row.seconds)


def test_f64_has_a_peak_of_its_own(session: gc.Session) -> None:
    x = gc.placeholder(gc.float64, [1000])
    (row,) = session.profile(gc.sin(x), {x: np.ones(1000)}, steps=1).rows
    assert row.best_compute == pytest.approx(12_000 / 5e10)


def test_results_and_variables_are_those_of_runs() -> None:
    x, y, loss, train = network()
    kept = []
    for profiled in (False, True):
        with gc.Session(options=options(seed=3)) as sess:
            if profiled:
                sess.profile([train, loss], batch(x, y), steps=2, warmup=1)
            else:
                for _ in range(3):
                    sess.run([train, loss], batch(x, y))
            kept.append(sess.run(loss, batch(x, y)))
    assert kept[0] == kept[1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads(threads: int) -> None:
    x = gc.placeholder(gc.float32, ["n", 512])
    y = gc.sum(gc.exp(x) * 0.5, axis=1)
    with gc.Session(options=options(threads=threads)) as sess:
        data = np.ones((512, 512), np.float32)
        plain = sess.run(y, {x: data})
        p = sess.profile(y, {x: data}, steps=5)
        np.testing.assert_array_equal(sess.run(y, {x: data}), plain)
    assert p.threads == threads
    assert {int(e[3]) for run in p.recorded for e in run.events} <= set(range(threads))
    calls = {len(run.events) for run in p.recorded}
    assert len(calls) == 1 and calls.pop() > 1  # chunks: the same in every run
    assert all(r.launches == 1 for r in p.rows) and p.kernel_seconds <= p.run_seconds


def test_kernels_inside_a_loop(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, ["n", 3])
    last, rows = gc.scan(lambda c, r: (c + r * gc.sum(c), gc.sum(c)), gc.zeros((3,)), x)
    p = session.profile([last, rows], {x: np.ones((11, 3), np.float32)}, steps=3)
    (loop,) = [r for r in p.rows if r.kind == "control"]
    kernels = [r for r in loop.inner if r.kind != "copy"]
    assert kernels and all(r.launches == 11 for r in kernels)
    assert sum(r.seconds for r in loop.inner) <= loop.seconds
    assert loop.flops == sum(r.flops for r in loop.inner) > 0
    assert loop.moved == sum(r.moved for r in loop.inner)
    assert re.search(r"\n.* 11    kernel ", str(p))


def test_loops_in_loops(session: gc.Session) -> None:
    def outer(total: Any) -> Any:
        (inner,) = gc.while_loop(
            lambda i: gc.sum(i) < 5.0, lambda i: (i + 1.0,), (gc.zeros((2,)) + total * 0.0,)
        )
        return (total + gc.sum(inner),)

    (total,) = gc.while_loop(lambda t: t < 20.0, outer, (gc.zeros(()),))
    p = session.profile(total, steps=2)
    deep = [r for row in p.rows for inner in row.inner for r in inner.inner]
    assert deep and session.run(total) == 24.0
    assert max(r.launches for r in deep) == 4 * 3


def test_only_the_branch_that_ran_counts(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, [])
    v = gc.variable(gc.ones((50,)))
    y = gc.cond(x > 0.0, lambda: gc.exp(v), lambda: gc.sum(v) + gc.sin(v))
    (branch,) = [r for r in session.profile(y, {x: 1.0}, steps=2).rows if r.inner]
    assert sorted(r.launches for r in branch.inner)[-1] == 1
    assert branch.flops == 400 and sum(r.launches for r in branch.inner) == 1


def test_copies_to_variables(session: gc.Session) -> None:
    a, b = gc.variable(gc.zeros((8,))), gc.variable(gc.ones((8,)))
    p = session.profile(gc.group(a.assign(b), b.assign(a)), steps=2)
    assert [(r.kind, r.read) for r in p.rows] == [("copy", 32)] * 4
    np.testing.assert_array_equal(session.value(a), np.ones(8) if (2 + 3) % 2 else np.zeros(8))


def test_nothing_to_run(session: gc.Session) -> None:
    p = session.profile([], steps=2)
    assert p.rows == () and "nothing: 2 runs" in str(p)
    assert complete(p.trace())


def test_memory(session: gc.Session) -> None:
    x, y, loss, train = network()
    p = session.profile([train, loss], batch(x, y), steps=1)
    assert p.memory.arena == session.stats.arena_planned
    assert p.memory.variables == 4 * (32 * 16 + 16 + 16 * 4 + 4)
    assert p.memory.fed == 8 * 32 * 4 + 8 * 8 and p.memory.results == 4
    assert p.memory.peak > 1 << 20


def test_the_fastest_run_of_each_kernel(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, ["n"])
    p = session.profile(gc.exp(x), {x: np.ones(1 << 14, np.float32)}, steps=9, fastest=True)
    (row,) = p.rows
    assert row.seconds == pytest.approx(
        min(int(r.events[:, 2].max() - r.events[:, 1].min()) for r in p.recorded) / 1e9
    )
    assert "the fastest of 9 runs" in str(p)
    assert p.run_seconds == pytest.approx(min(r.end - r.start for r in p.recorded) / 1e9)
    assert row.seconds <= p.kernel_seconds <= p.run_seconds


# ---- errors ----


def test_errors(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, [3], name="here")
    y = gc.exp(x)
    for steps, warmup in ((0, 0), (-1, 3), (1, -1)):
        with pytest.raises(SessionError, match="expected at least 1 and 0"):
            session.profile(y, {x: [1, 2, 3]}, steps=steps, warmup=warmup)
    with pytest.raises(FeedError, match="needed but not fed"):
        session.profile(y)
    with pytest.raises(FeedError, match="must be 3, got 2"):
        session.profile(y, {x: [1, 2]})
    p = session.profile(y, {x: [1, 2, 3]}, steps=1)
    with pytest.raises(GraphcError, match=r"cannot sort by 'name'; choose time, bytes, flops"):
        p.table("name")


def test_a_run_that_fails_is_not_in_the_profile() -> None:
    recorder = Recorder()
    x, i = gc.placeholder(gc.float32, [3]), gc.placeholder(gc.int64, [1])
    with gc.Session(options=options(), hooks=Hooks(watch=recorder.watch)) as sess:
        taken = gc.take(x, i, axis=0)
        sess.run(taken, {x: [1, 2, 3], i: [2]})
        with pytest.raises(GraphcError, match="out of range"):
            sess.run(taken, {x: [1, 2, 3], i: [3]})
        sess.run(taken, {x: [1, 2, 3], i: [0]})
    (p,) = recorder.profiles()
    assert p.runs == 2


# ---- text, trace, figures ----


def profile_of_a_step(session: gc.Session) -> Profile:
    x, y, loss, train = network()
    return session.profile([train, loss], batch(x, y), steps=4)


def test_table(session: gc.Session) -> None:
    p = profile_of_a_step(session)
    lines = str(p).splitlines()
    assert lines[0].endswith("at n=8: 4 runs, 1 thread")
    assert len(lines) == 2 + len(p.rows) + 3
    times = [float(line.split()[0]) for line in lines[2 : 2 + len(p.rows)]]
    assert times == sorted(times, reverse=True)
    shares = [float(line.split()[1].rstrip("%")) for line in lines[2 : 2 + len(p.rows)]]
    assert 99 < sum(shares) < 101
    assert all("test_profile.py:" in line for line in lines[2 : 2 + len(p.rows)])
    assert [line.split()[0] for line in lines[-3:]] == ["run", "memory", "limits"]
    top = p.table("flops", 2).splitlines()
    assert len(top) == 2 + 2 + 1 + 3 and f"and {len(p.rows) - 2} more" in top[4]
    assert [r.flops for r in p.sorted("flops")] == sorted((r.flops for r in p.rows), reverse=True)
    assert [r.moved for r in p.sorted("bytes")] == sorted((r.moved for r in p.rows), reverse=True)


def test_grouped(session: gc.Session) -> None:
    """Layers that one line declares are one row; sums stay."""
    x = gc.placeholder(gc.float32, [8, 16])
    y = x
    for _ in range(5):
        y = gc.tanh(y @ gc.variable(gc.ones((16, 16))))
    p = session.profile(y, {x: np.ones((8, 16), np.float32)}, steps=2)
    rows = p.grouped().rows
    assert max(r.launches for r in rows) >= 4 and len(rows) < len(p.rows)
    for figure in ("launches", "seconds", "flops", "read"):
        whole = sum(getattr(r, figure) for r in p.rows)
        assert sum(getattr(r, figure) for r in rows) == pytest.approx(whole)


def test_trace(session: gc.Session, tmp_path: Path) -> None:
    p = profile_of_a_step(session)
    p.save_trace(tmp_path / "t.json")
    made = json.loads((tmp_path / "t.json").read_text())
    assert made == json.loads(json.dumps(p.trace()))
    events = complete(made)
    starts = [e["ts"] for e in events]
    assert starts == sorted(starts) and starts[0] == 0 and all(e["dur"] >= 0 for e in events)
    named = {e["name"] for e in events if e["cat"] == "compilation"}
    assert {"simplify", "fuse and plan", "write source", "load", "compile"} <= named
    runs = [e for e in events if e["cat"] == "run"]
    assert [e["name"] for e in runs] == ["run 0", "run 1", "run 2", "run 3"]
    for run in runs:
        inside = [
            e
            for e in events
            if e["cat"] not in ("run", "compilation")
            and run["ts"] <= e["ts"] < run["ts"] + run["dur"]
        ]
        assert [(e["cat"], e["name"]) for e in inside] == [(r.kind, r.name) for r in p.rows]
        assert sum(e["dur"] for e in inside) <= run["dur"]
        for e, row in zip(inside, p.rows, strict=True):
            assert e["args"] == {"line": str(row.lines[0]), "bytes": row.moved, "flops": row.flops}
    lanes = {e["tid"]: e["args"]["name"] for e in made["traceEvents"] if e["ph"] == "M"}
    assert lanes == {0: "compilation", 1: "thread 0 (leads)"}


def test_a_loop_encloses_its_kernels_in_a_trace(session: gc.Session) -> None:
    x = gc.placeholder(gc.float32, ["n", 3])
    last, rows = gc.scan(lambda c, r: (c + r * gc.sum(c), gc.sum(c)), gc.zeros((3,)), x)
    p = session.profile([last, rows], {x: np.ones((4, 3), np.float32)}, steps=1)
    events = complete(p.trace())
    (loop,) = [e for e in events if e["cat"] == "control"]
    inner = [
        e
        for e in events
        if loop["ts"] <= e["ts"]
        and e is not loop
        and e["ts"] + e["dur"] <= loop["ts"] + loop["dur"]
    ]
    (row,) = [r for r in p.rows if r.inner]
    assert len(inner) == sum(r.launches for r in row.inner)


def test_a_full_log_drops_events_but_no_time(
    session: gc.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphc.runtime.cpu.timer.MAX_LOGGED_EVENTS", 10)
    x = gc.placeholder(gc.float32, ["n", 3])
    last, rows = gc.scan(lambda c, r: (c + r * gc.sum(c), gc.sum(c)), gc.zeros((3,)), x)
    p = session.profile([last, rows], {x: np.ones((50, 3), np.float32)}, steps=1)
    (run,) = p.recorded
    assert len(run.events) == 10 and run.dropped > 0
    assert max(r.launches for r in every(p.rows)) == 50
    assert [e["args"]["events_left_out"] for e in complete(p.trace()) if e["cat"] == "run"] == [
        run.dropped
    ]


def test_no_profiles_make_an_empty_trace() -> None:
    assert complete(trace([])) == []


def test_data(session: gc.Session) -> None:
    p = profile_of_a_step(session)
    data = json.loads(json.dumps(p.data()))
    assert data["runs"] == 4 and data["threads"] == 1 and data["memory"]["arena"] > 0
    assert [k["name"] for k in data["kernels"]] == [r.name for r in p.rows]
    assert {"name", "seconds"} == set(data["compilation"][0])
    assert data["limits"]["peaks"] == MACHINE.peaks


def test_scaled() -> None:
    shown = [scaled(n) for n in (0, 7, 999, 999.6, 1000, 12_345, 999_600, 5e15)]
    assert shown == ["0", "7", "999", "1.00k", "1.00k", "12.3k", "1.00M", "5000T"]


# ---- limits ----


def test_limits_between_what_was_measured() -> None:
    assert MACHINE.bandwidth("read", 1 << 10) == pytest.approx(4e11)
    assert MACHINE.bandwidth("read", 1 << 30) == pytest.approx(2e10)
    assert 2e10 < MACHINE.bandwidth("read", 1 << 23) < 2e11
    assert MACHINE.seconds(1e9, 0, 1 << 20) == pytest.approx(1e9 / 2e11)
    assert MACHINE.seconds(1e9, 0, 1 << 20) + MACHINE.seconds(0, 1e9, 1 << 20) == pytest.approx(
        2e9 / 1e11
    )  # a copy
    assert MACHINE.seconds(1e9, 1e9, 1 << 20) == pytest.approx(2e9 / 1e11)  # an update


@pytest.mark.parametrize("threads", [1, 2])
def test_measured_limits(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "WORKING_SETS", (1 << 14, 1 << 18))
    monkeypatch.setattr(limits_module, "MAX_TRIES", 2)
    found = measure(threads)
    assert found.threads == threads and found.cpu
    for rates in found.rates.values():
        assert len(rates) == 2 and 1e8 < rates[1] <= rates[0] < 1e14
    assert 1e8 < found.peaks["f64"] < 1e13 and 1e8 < found.peaks["f32"] < 1e13
    assert "update GB/s" in str(found) and "GF/s f64" in str(found)


def test_streams_do_what_their_names_say() -> None:
    """Otherwise the compiler might have left their work out."""
    for name, wanted in (
        ("read", 64.0),
        ("copy", 2.0),
        ("triad", 2.0 + 3.0 * 5.0),
        ("update", 2.0 * 3.0 + 2.0),
    ):
        words, (a, b, *rest) = limits_module._arguments(limits_module.ARRAYS_OF_STREAM[name], 1024)
        a.fill(7.0)
        b.fill(2.0)
        if name == "triad":
            rest[0].fill(5.0)
        call = limits_module._function(f"gc_{name}")
        call(limits_module.address(words), 1024, 1)
        result = rest[-1] if name == "read" else a
        lanes = host_shape("f32").lanes
        assert set(result[:lanes].tolist()) == {2.0 * 1024 / lanes if name == "read" else wanted}


def test_limits_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def once(threads: int) -> Limits:
        made.append(threads)
        worse = {s: tuple(r / len(made) for r in rates) for s, rates in MACHINE.rates.items()}
        return Limits("a machine", threads, SETS, worse, {"f32": len(made) * 1e9, "f64": 1e9})

    monkeypatch.setattr(limits_module, "measure", once)
    chosen = options(cache_dir=tmp_path)
    first = limits(chosen)
    assert limits(chosen) == first and made == [1]
    again = limits(chosen, again=True)
    assert again.rates == first.rates and again.peaks["f32"] == 2e9  # the better of both
    assert limits(chosen) == again
    assert limits(options(cache_dir=tmp_path, threads=2)).threads == 2 and made == [1, 1, 2]
    (path, *_) = tmp_path.glob("limits-*.json")
    path.write_text("{}")
    with pytest.warns(UserWarning, match="measuring again"):
        limits(chosen), limits(options(cache_dir=tmp_path, threads=2))


# ---- the command ----


def figures(path: Path) -> Any:
    return json.loads(path.read_text())


def test_command_on_fetches(tmp_path: Path, capsys: Capture) -> None:
    model = written(tmp_path / "model.py", DECLARED)
    code, out, err = graphc(
        capsys,
        "profile",
        model,
        "--fetch",
        "train",
        "--fetch",
        "loss",
        "--feed",
        "random",
        "--size",
        "n=16",
        "--steps",
        5,
        "--warmup",
        1,
        "--threads",
        1,
        "--seed",
        4,
        "--trace",
        tmp_path / "t.json",
        "--json",
        tmp_path / "p.json",
    )
    assert code == 0, err
    assert out.startswith("train, loss at n=16: 5 runs, 1 thread\n")
    assert re.search(r" 1  matmul matmul +model\.py:6 ", out)
    (found,) = figures(tmp_path / "p.json")
    assert found["runs"] == 5 and out.count("model.py:") == len(found["kernels"])
    made = figures(tmp_path / "t.json")
    assert len([e for e in complete(made) if e["cat"] == "run"]) == 5


def test_command_on_a_script(tmp_path: Path, capsys: Capture) -> None:
    script = written(tmp_path / "script.py", RUNNING + "    sess.run(x + 1, {x: np.zeros(3)})\n")
    code, out, _ = graphc(capsys, "profile", script, "--json", tmp_path / "p.json", "--", "a")
    assert code == 0 and out.startswith("total 4.0 ['a']\n")
    assert [p["runs"] for p in figures(tmp_path / "p.json")] == [1, 1]
    fetched = ["--fetch", "total", "--feed", "random", "--group"]
    code, out, _ = graphc(capsys, "profile", script, *fetched)
    assert code == 0 and "total at" in out and out.count(": 20 runs") == 1 and "add" not in out


def test_steps_of_a_script(tmp_path: Path, capsys: Capture) -> None:
    script = written(
        tmp_path / "s.py",
        (
            "import graphc as gc\nv = gc.variable(gc.zeros((3,)))\n"
            "step = v.assign_add(v + 1.0)\n"
            "with gc.Session() as s:\n    for _ in range(10):\n        s.run(step)\nprint('end')\n"
        ),
    )
    for options_, runs in (([], 10), (["--steps", 4], 4), (["--warmup", 3], 7)):
        code, out, _ = graphc(capsys, "profile", script, *options_)
        assert code == 0 and f": {runs} runs" in out
        assert out.startswith("end\n") == (runs != 4)  # enough: the script ends there


def test_small_signatures_are_summed_up(tmp_path: Path, capsys: Capture) -> None:
    script = written(
        tmp_path / "s.py",
        (
            "import graphc as gc, numpy as np\nx = gc.placeholder(gc.float32, ['n'])\n"
            "y = gc.sum(gc.sin(x))\nwith gc.Session() as s:\n    for n in (1 << 23, 2, 3):\n"
            "        s.run(y, {x: np.ones(n, np.float32)})\n"
        ),
    )
    code, out, _ = graphc(capsys, "profile", script)
    assert code == 0 and "n=8388608: 1 run," in out
    assert re.search(r"\n2 other signatures: 0\.\d% of the time of all\n", out)


def test_command_on_text(tmp_path: Path, capsys: Capture) -> None:
    graph = written(tmp_path / "f.gir", GRAPH)
    code, out, _ = graphc(capsys, "profile", graph, "--feed", "random", "--steps", 2)
    assert code == 0 and "at n=8: 2 runs" in out


def test_command_prints_limits(tmp_path: Path, capsys: Capture, monkeypatch: Any) -> None:
    monkeypatch.setattr("graphc.cli.profile.limits", lambda options, again: MACHINE)
    code, out, _ = graphc(capsys, "profile", "--limits", "--cache", tmp_path, "--threads", 1)
    assert (code, out) == (0, f"{MACHINE}\n")


def test_command_refuses(tmp_path: Path, capsys: Capture) -> None:
    model = written(tmp_path / "model.py", DECLARED)
    usual = [model, "--fetch", "logits", "--feed", "random"]
    cases: tuple[tuple[list[Any], int, str], ...] = (
        ([], 2, "which model?"),
        (["none.py"], 2, "no such file"),
        ([model], 2, "ran no session"),
        ([*usual, "--sort", "name"], 2, "invalid choice"),
        ([*usual, "--top", 0], 2, "less than 1"),
        ([*usual, "--steps", 0], 2, "less than 1"),
        ([*usual, "--steps", "x"], 2, "invalid"),
        ([*usual, "--warmup", -1], 2, "at least 0"),
        ([*usual, "--trace", tmp_path / "no" / "t.json"], 2, "cannot write"),
        ([*usual, "--json", tmp_path], 2, "cannot write"),
        ([model, "--fetch", "logits"], 1, "needed but not fed"),
        ([model, "--fetch", "nothing"], 1, "no tensor is called"),
    )
    for args, wanted, why in cases:
        code, out, err = graphc(capsys, "profile", *args)
        assert code == wanted and why in err, (args, code, out, err)


@pytest.mark.parametrize("name", ["linear_regression.py", "own_kernel.py", "own_cell.py"])
def test_command_on_examples(name: str, tmp_path: Path, capsys: Capture) -> None:
    example = Path(__file__).parents[2] / "examples" / name
    code, out, err = graphc(
        capsys, "profile", example, "--top", 3, "--json", tmp_path / "p.json", "--steps", 20
    )
    assert code == 0, err
    assert "GB/s" in out and f"{name}:" in out[out.index("GB/s") :]
    for found in figures(tmp_path / "p.json"):
        assert 0 < found["kernel_seconds"] <= found["run_seconds"]


def test_threads_are_numbered_in_their_own_pool() -> None:
    """Whatever pools other sessions have made."""
    x = gc.placeholder(gc.float32, ["n", 512])
    y = gc.sum(gc.exp(x) * 0.5, axis=1)
    data = np.ones((2048, 512), np.float32)
    for threads in (3, 2, 4, 2, 1):
        with gc.Session(options=options(threads=threads)) as sess:
            p = sess.profile(y, {x: data}, steps=5)
        found = {int(e[3]) for run in p.recorded for e in run.events}
        assert found <= set(range(threads)) and (found or not p.recorded)
    names = [f"{HELPER_THREAD_NAME}{n}" for n in (1, 2)]
    at_work = threading.Event()
    pool = [threading.Thread(target=at_work.wait, name=name) for name in (*names, names[0])]
    for t in pool:
        t.start()
    idents = np.array([t.ident for t in pool] + [threading.get_ident()])
    lanes = timer._lanes(idents).tolist()
    at_work.set()
    assert lanes == [1, 2, 1, 0]
