"""Planted mistakes in proofs of bounds: trying all small sizes and positions finds each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fuzz.planting import Mutant, m, plant
from support import proofs

SEEDS = 1200

IN_BOUNDS = (
    m("ir.bounds:_Proof._is_natural", "low >= 0", "low >= -2"),
    m("ir.bounds:_Proof._is_natural", 'None if name.endswith(".") else 0', "0"),
    m(
        "ir.bounds:_Proof._without_symbol",
        "((low, factor), (high, -factor))",
        "((high, factor), (low, -factor))",
    ),
    m("ir.bounds:_Proof._without_function", '(atom.function == "min") == grows', "not grows"),
    m("ir.bounds:_Proof._quotient", "a - b + 1 if grows", "a if grows"),
    m("ir.bounds:_Proof._quotient", "rest * b + b - 1", "rest * b + 2 * b"),
    m("ir.bounds:_Proof.holds", "size >= 0", "size >= -1"),
    m("ir.bounds:_Proof.holds", "return positive and all(", "return all("),
    m("ir.bounds:greatest", "ranges[name][1]", "ranges[name][0]"),
    m("ir.bounds:greatest", " and never_negative(dim.coefficient(size, name))", ""),
    m("ir.bounds:least", "low if never_negative(factor) else high", "high"),
    m("ir.bounds:never_negative", "joined(size)", "joined(size) + 1"),
)
IN_REQUIREMENTS = (
    m("ir.requirement:Requirement.holds", "if self.unless_empty == 0:", "if False:"),
    m("ir.requirement:Requirement.holds", "found is False and not sure", "False"),
    m("ir.requirement:Requirement._decided", "else remainder == 0", "else True"),
    m(
        "ir.requirement:Requirement._decided",
        "never_negative(-1 - gap) else",
        "never_negative(-gap) else",
    ),
    m(
        "ir.requirement:Requirement._decided",
        "never_negative(gap - 1) or",
        "never_negative(gap) or",
    ),
    m("ir.requirement:Requirement._decided", "constant % common or", "not constant % common or"),
    m("ir.requirement:Requirement._decided", "return gap == 0", "return gap >= 0"),
    m(
        "ir.requirement:Requirement.resolved",
        "(self.left, self.right, self.unless_empty)",
        "(self.right, self.left, self.unless_empty)",
    ),
)
IN_VIEWS = (
    m("ir.inside:_facts", "(e - low,", "(e - low - 1,"),
    m("ir.inside:_facts", "high - 1 - e)", "high - 3 - e)"),
    m("ir.inside:_complement", "[e - high]", "[e - high - 2]"),
    m("ir.inside:_piece", "size - 1 - at)", "size - at)"),
    m("ir.inside:_piece", "(at, size - 1 - at)", "(size - 1 - at,)"),
    m("ir.inside:stays_inside", "_complement(piece, beyond, ranges_of(extents))", "_facts(piece)"),
    m("ir.inside:Reach._tried", "_values(self.gap, at) < 0", "_values(self.gap, at) < -1"),
    m("ir.inside:ranges_of", "size - 1", "size - 2"),
    m("ir.inside:Reach.holds", "size == 0", "size != 0"),
)
IN_ACCESSES = (
    m("codegen.loops.accesses:Known.inside", "never_negative(offset, ranges) and", ""),
    m("codegen.loops.accesses:Known.inside", "count - 1 - offset", "count - offset"),
    m("codegen.loops.accesses:Known.under", "low, high - 1", "low, high - 2"),
    m("codegen.loops.accesses:Known.under", "low, high - 1", "low + 1, high - 1"),
    m("codegen.loops.accesses:Known.beyond", "or not never_negative(e - low, self.ranges)", ""),
    m(
        "codegen.loops.accesses:Known.beyond",
        "high - (e - symbol(name))",
        "high + 1 - (e - symbol(name))",
    ),
    m(
        "codegen.loops.accesses:Known._bounded",
        "(low - rest, high - rest)",
        "(high - rest, low - rest)",
    ),
    m(
        "codegen.loops.accesses:_Certifying._statement",
        "greatest(end, known.ranges) - 1",
        "greatest(end, known.ranges) - 2",
    ),
    m("codegen.loops.accesses:_Certifying._statement", "anywhere=False", "anywhere=True"),
    m(
        "codegen.loops.accesses:_Certifying._expression",
        "known.beyond(bounds)",
        "known.under(bounds)",
    ),
    m("codegen.loops.accesses:_Certifying._expression", "(bounds, True))", "(bounds, False))"),
    m("codegen.loops.accesses:_Certifying._expression", "(bounds, False))", "(bounds, True))"),
    m("codegen.loops.accesses:_Certifying._expression", "if new is offset or path:", "if True:"),
    m("codegen.loops.accesses:_Certifying._offset", "if hold else", "if not hold else"),
    m("codegen.loops.accesses:_Certifying._offset", "reversed(path)", "path[:0]"),
    m(
        "codegen.loops.accesses:_Certifying.statements",
        "result += [*self.before, new]",
        "result += [new]",
    ),
)
FAMILIES: tuple[tuple[tuple[Mutant, ...], Callable[[int], str]], ...] = (
    (IN_BOUNDS, proofs.proof_fault),
    (IN_REQUIREMENTS, proofs.requirement_fault),
    (IN_VIEWS, proofs.view_fault),
    (IN_ACCESSES, proofs.access_fault),
)


def shown(x: object) -> str:
    return str(x) if isinstance(x, Mutant) else "tried"


def killer(judge: Callable[[int], str]) -> int | None:
    """The first seed that finds a fault; an exception is one too."""
    for seed in range(SEEDS):
        try:
            if judge(seed):
                return seed
        except Exception:
            return seed
    return None


@pytest.mark.parametrize(
    ("mutant", "judge"), [(x, judge) for family, judge in FAMILIES for x in family], ids=shown
)
def test_a_wrong_proof_is_found(
    mutant: Mutant, judge: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, mutant)
    assert killer(judge) is not None


@pytest.mark.parametrize("judge", [judge for _, judge in FAMILIES], ids=lambda j: j.__name__)
def test_the_judges_find_nothing_without_a_mutant(judge: Callable[[int], str]) -> None:
    assert killer(judge) is None
