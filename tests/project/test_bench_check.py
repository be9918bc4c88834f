"""`make bench-check`: its arithmetic, without a clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks import check
from benchmarks.check import ATTEMPTS, WATCHED, Figures, judged, main, report, slower, written

EVEN = dict.fromkeys(WATCHED, 1.0)


def test_slower_by_more_than_the_limit_is_slower() -> None:
    baseline = {"a": 2.0, "b": 2.0, "c": 2.0}
    assert slower({"a": 2.29, "b": 2.31, "c": 0.1}, baseline) == ["b"]
    lines = report({"a": 2.29, "b": 2.31, "c": 0.1}, baseline)
    assert [line.endswith("SLOWER") for line in lines] == [False, True, False]
    assert "+15.5%" in lines[1] and "-95.0%" in lines[2]


def test_a_call_fails_only_if_every_attempt_is_slow() -> None:
    asked: list[list[str]] = []
    attempts = iter([{"a": 9.0, "b": 9.0, "c": 1.0}, {"a": 1.0, "b": 8.0}, {"b": 7.0}])

    def measure(names: Iterable[str]) -> Figures:
        asked.append(list(names))
        return next(attempts)

    found = judged({"a": 1.0, "b": 1.0, "c": 1.0}, measure)
    assert found == {"a": 1.0, "b": 7.0, "c": 1.0}
    assert asked == [["a", "b", "c"], ["a", "b"], ["b"]] and len(asked) == ATTEMPTS


def test_figures_are_in_times_of_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = {"calibration": [1.0, 2.0, 4.0], "noop": [3.0, 6.0, 40.0]}
    monkeypatch.setattr(check, "round_times", lambda calls: {name: rounds[name] for name in calls})
    assert check.measured(["noop"]) == {"noop": 3.0}


def test_the_status_says_whether_something_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baseline.json"
    arguments = ["--baseline", str(path)]
    figures = dict(EVEN)
    monkeypatch.setattr(check, "measured", lambda names: {name: figures[name] for name in names})
    monkeypatch.setattr(check, "judged", lambda baseline: judged(baseline, check.measured))
    assert main(arguments) == 2 and "--update" in capsys.readouterr().out
    assert main([*arguments, "--update"]) == 0
    assert json.loads(path.read_text())["figures"] == EVEN
    assert main(arguments) == 0
    figures["tiny"] = 1.2
    assert main(arguments) == 1 and "+20.0%  SLOWER" in capsys.readouterr().out


def test_another_machine_and_other_calls_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baseline.json"
    monkeypatch.setattr(check, "judged", lambda baseline: baseline)
    kept = json.loads(written(EVEN))
    kept["measured on"]["cpu"] = "Z80"
    path.write_text(json.dumps(kept))
    assert main(["--baseline", str(path)]) == 0 and "of Z80" in capsys.readouterr().out
    del kept["figures"]["tiny"]
    path.write_text(json.dumps(kept))
    assert main(["--baseline", str(path)]) == 2 and "write it anew" in capsys.readouterr().out


def test_the_calls_work() -> None:
    assert check.declare()() == 17
    assert check.compile_known()() == pytest.approx(
        1, abs=0.5
    )  # the mean of normal numbers' squares
    assert isinstance(check.calibration()(), float)
    assert WATCHED["noop"]()() == []
