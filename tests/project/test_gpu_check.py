"""`make gpu-check` where there is no GPU: it says so; in the simulator it checks what is right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.gpu import has_driver

from benchmarks import gpu_check
from benchmarks.gpu import kernels, peers
from benchmarks.gpu.cases import CASES, Input
from benchmarks.gpu.report import Report
from graphc.ir.types import f32

FEW = [case for case in CASES if case.name in ("add", "row of biases")]


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--out", str(tmp_path / "r.json")]) == 1
    assert "gpu-check: cuda:0: no NVIDIA driver" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_in_the_simulator_every_family_is_right(tmp_path: Path) -> None:
    pytest.importorskip("greenlet", reason="the simulator needs it: pip install 'graphc[sim]'")
    out = tmp_path / "report.json"
    gpu_check.main(["--device", "cuda:sim", "--small", "--out", str(out)])
    report = json.loads(out.read_text())
    assert report["summary"]["checks"] == len(CASES) + 1
    failed = {c["family"] for c in report["checks"] if not c["ok"]}
    assert not failed
    assert report["facts"]["device"] == "cuda:sim" and "numpy" in report["facts"]["packages"]


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cases: list[Any], *more: str) -> Any:
    """A run of some cases on the CPU: the exit status and the report."""
    monkeypatch.setattr(gpu_check, "CASES", cases)
    out = tmp_path / "report.json"
    status = gpu_check.main(
        ["--device", "cpu:0", "--small", "--only", "families", "--out", str(out), *more]
    )
    return status, json.loads(out.read_text())


def test_one_failure_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(x: Any, y: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    status, report = run(monkeypatch, tmp_path, [replace(FEW[0], make=broken), FEW[1]])
    first, second = report["checks"]
    assert status == 1 and second["ok"] and not first["ok"]
    assert first["error"] == "ZeroDivisionError: on purpose" and "broken" in first["trace"]


def test_wrong_results_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "oracle", lambda case, data: [data[0] * 2])
    status, report = run(monkeypatch, tmp_path, FEW[:1])
    (check,) = report["checks"]
    assert status == 1 and check["worst"] > 0.1 and check["error"].startswith("the error is ")


def test_all_right_is_0_and_no_time_is_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, FEW)[0] == 0
    status, report = run(monkeypatch, tmp_path, FEW, "--seconds", "0")
    assert status == 1
    assert {c["error"] for c in report["checks"]} == {"TimeoutError: not run: 0 s are over"}


@pytest.mark.parametrize(
    "figures, ok",
    [
        ({"share": 0.91, "bar": 0.9}, True),
        ({"share": 0.89, "bar": 0.9}, False),
        ({"us": 9.0, "bar": 10.0}, True),
        ({"us": 11.0, "bar": 10.0}, False),
        ({"us": 5.0, "share": 0.5, "bar": 1.0}, False),
        ({"us": 1e9}, True),
    ],
)
def test_bars(figures: dict[str, float], ok: bool) -> None:
    assert Report(60).attempt("family", "name", lambda: figures)["ok"] is ok


def test_a_case_is_timed() -> None:
    figures = kernels.timed(FEW[0], 1 << 12, f32, "cpu:0", copy=1e9)
    assert figures["bytes"] == 3 * 4 << 12 and figures["bar"] == 0.9
    assert figures["gbs"] == pytest.approx(figures["bytes"] / figures["ms"] / 1e6)


def test_inputs_are_drawn_alike_and_in_range() -> None:
    rng = kernels.np.random.default_rng(0)
    assert set(Input((1000,), below=3).array(f32.numpy, rng)) == {0, 1, 2}
    assert Input((1000,), positive=True).array(f32.numpy, rng).min() >= 0.5
    assert Input((3, 1_000_003)).array(f32.numpy, rng).dtype == f32.numpy


def test_peers_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peers.measure("no_such_library", [("step",)], 1) == []
    monkeypatch.setattr(peers, "installed", lambda peer: True)
    (found,) = peers.measure("no_such_library", [("step",)], 60)
    assert "KeyError" in found["error"]
