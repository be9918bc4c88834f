"""The proof itself: what fails in a case is a fault of that case, and of no other."""

from __future__ import annotations

import numpy as np
import pytest
from proof.__main__ import main
from proof.hostile_text import hostile_text, mutated, text_of
from proof.row import Row
from proof.sessions import ACTIONS, Target
from proof.table import ROWS, SUITES
from proof.workers import campaign
from support.judges import failing, good, hanging

import graphc as gc
from graphc.passes.rewrite.engine import holes, rule
from graphc.testing import rewrites
from graphc.testing.random_graphs import random_graph
from graphc.testing.rewrites import rewrite_fault


def test_cases_are_shared_out_and_summed_up() -> None:
    tally = campaign(Row("good", "", 9, "cases", good), first=10, count=9, jobs=2)
    assert (tally.cases, tally.failed, tally.seen) == (9, 0, {"even", "odd"})
    assert tally.figures == {"case": 18}


def test_a_fault_an_exception_and_a_crash_are_each_one_case() -> None:
    tally = campaign(Row("failing", "", 7, "cases", failing), first=0, count=7, jobs=2)
    assert (tally.cases, tally.failed) == (7, 3)
    assert sorted(tally.faults) == [
        "case 2: wrong",
        "case 3: KeyError: 'three'",
        "case 4: the process ended with status -11",
    ]


def test_a_case_that_hangs_is_a_fault() -> None:
    row = Row("hanging", "", 3, "cases", hanging)
    tally = campaign(row, first=0, count=3, jobs=1, stall_s=10)
    assert tally.cases == 3
    assert tally.faults == ["case 1: no verdict within 10 s"]


def test_what_a_row_did_not_cover_is_a_fault() -> None:
    row = Row("good", "", 1, "cases", good, lambda t: sorted({"even", "odd"} - t.seen))
    assert campaign(row, first=0, count=1, jobs=1).faults == ["odd"]


def test_rows_have_names_of_their_own() -> None:
    names = [r.name for r in (*ROWS, *SUITES)]
    assert len(set(names)) == len(names)


def test_an_unknown_row_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nothing"]) == 2
    assert "no row 'nothing'; there are passes, " in capsys.readouterr().out


def test_one_case_is_judged_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "passes", "--case", "3"]) == 0
    assert capsys.readouterr().out.startswith("holds")


def test_a_wrong_rewrite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the passes after it could hide it."""
    x, y = holes("x y")
    wrong = rule("planted", x + y, x - y)
    assert not any(rewrite_fault(random_graph(seed), seed) for seed in range(30))
    monkeypatch.setattr(rewrites, "RULES", (wrong, *rewrites.RULES))
    with np.errstate(all="ignore"):
        found = [rewrite_fault(random_graph(seed), seed) for seed in range(30)]
    assert any(f.startswith("rewrite planted of add: ") for f in found)


def test_mutated_texts_are_other_texts() -> None:
    text = text_of(1)
    changed = [mutated(text, np.random.default_rng(seed)) for seed in range(20)]
    assert len({text, *changed}) > 15
    assert not any(hostile_text(case).fault for case in range(20))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.__name__)
def test_a_session_under_fire(action: object) -> None:
    with gc.Graph().as_default():
        target = Target(1)
        with target.session:
            assert callable(action) and not action(target)
            assert not target.fault()
            target.total += 1
            assert target.fault()
