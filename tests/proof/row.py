"""A row of the proof: many cases of one promise, each judged by itself.

A case is a number, from which its judge makes all that it needs; so a case can be judged again,
alone, in any process: `make proof ARGS="--only NAME --case 17"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

MAX_FAULTS = 5  # of a row, that are kept whole


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a case: its fault ("" for none), what the case covered, figures of which
    a row keeps the largest, with the note of that name, and counts that it adds up."""

    fault: str = ""
    seen: frozenset[str] = frozenset()
    figures: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """The verdicts of a row, summed up."""

    cases: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    figures: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, case: int, verdict: Verdict) -> None:
        """Counts one more case."""
        self.cases += 1
        self.seen |= verdict.seen
        for name, figure in verdict.figures.items():
            if figure >= self.figures.get(name, figure):
                self.figures[name] = figure
                self.notes[name] = verdict.notes.get(name, "")
        for name, count in verdict.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if verdict.fault:
            self.blame(f"case {case}: {verdict.fault}")

    def blame(self, fault: str) -> None:
        """Notes a fault; the first few are kept whole."""
        self.failed += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


Judge = Callable[[int], Verdict]


@dataclass(frozen=True)
class Row:
    """A promise, and how it is put to the proof.

    `judge` is a function of a module (worker processes find it by its name).  `missing` says
    what the cases of a whole run should have covered and did not.  `needs` names a package without
    which the row is left out.  `details` is Markdown that is published, too.
    """

    name: str
    promise: str
    cases: int
    unit: str
    judge: Judge
    missing: Callable[[Tally], Sequence[str]] = lambda tally: ()
    figure: Callable[[Tally], str] = lambda tally: ""
    details: Callable[[Tally], str] | None = None
    needs: str = ""
