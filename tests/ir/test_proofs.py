"""Proofs about sizes, requirements, views and accesses claim nothing that is not so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import proofs
from support.proofs import ranges, written

from graphc.ir.bounds import never_negative

JUDGES = (
    proofs.proof_fault,
    proofs.requirement_fault,
    proofs.view_fault,
    proofs.access_fault,
)


@pytest.mark.parametrize("judge", JUDGES, ids=lambda j: j.__name__)
@pytest.mark.parametrize("chunk", range(3))
def test_nothing_is_claimed_that_is_not_so(judge: Callable[[int], str], chunk: int) -> None:
    found = [(seed, judge(seed)) for seed in range(10 * chunk, 10 * chunk + 10)]
    assert [(seed, fault) for seed, fault in found if fault] == []


def test_every_access_may_be_checked() -> None:
    faults = [proofs.access_fault(seed, everything=True) for seed in range(10)]
    assert not any(faults), faults


@pytest.mark.parametrize("text", proofs.PROVABLE)
def test_what_is_proved(text: str) -> None:
    assert never_negative(written(text), ranges())


def test_a_judge_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything is taken to be proved, each judge that relies on proofs objects."""
    always: Any = lambda *_: True  # noqa: E731
    monkeypatch.setattr(proofs.proofs, "never_negative", always)
    monkeypatch.setattr(proofs.certificates, "never_negative_where", always)
    monkeypatch.setattr("graphc.codegen.loops.accesses.never_negative", always)
    for judge in (proofs.proof_fault, proofs.view_fault, proofs.access_fault):
        assert any(judge(seed) for seed in range(12)), judge.__name__
