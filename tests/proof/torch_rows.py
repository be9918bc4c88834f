"""Rows that judge graphc against PyTorch: random programs, and each function by itself."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from proof.row import Row, Tally, Verdict
from proof.torch_compare import Comparison, compared
from proof.torch_pairs import Pair
from proof.torch_program import Program, alone, build
from proof.torch_shrink import listing, shrunk
from proof.torch_table import PAIRS

OTHER_SIZES = (0, 1, 2, 3, 7, 12, 17)  # of n, beside the one that a program is built for
CONFIGURATIONS = tuple(  # of a function by itself
    (floating, style, sizes)
    for floating in ("float64", "float32")
    for style, sizes in (
        ("uniform", ()),
        ("uniform", (11, 1, 0)),
        ("uniform", ()),
        ("ties", ()),
        ("ties", (11, 3)),
        ("far", ()),
    )
)


def torch_program(case: int) -> Verdict:
    """A random program; every sixteenth as machine code, others through the oracle."""
    sides: Any = importlib.import_module("proof.torch_sides")
    floating = "float32" if case % 4 == 3 else "float64"
    sizes = (11, OTHER_SIZES[case // 2 % len(OTHER_SIZES)]) if case % 2 else ()
    pairs = [p for p in PAIRS if not (sizes and p.known)]
    program = build(case, pairs, sides.TorchEngine(), floating, sizes)
    mode = "session" if case % 16 < 2 else sides.MODES[case // 2 % 2]
    verdict = judged(program, mode, 2)
    seen = frozenset(s.pair.name for s in program.steps)
    return replace(verdict, seen=seen | {mode})


def torch_function(case: int) -> Verdict:
    """A function by itself: inputs between bounds, on ties and kinks, far out; symbolic sizes."""
    sides: Any = importlib.import_module("proof.torch_sides")
    pair = PAIRS[case % len(PAIRS)]
    which = case // len(PAIRS)
    floating, style, sizes = CONFIGURATIONS[which % len(CONFIGURATIONS)]
    sizes = () if pair.known else sizes
    program = alone(case, pair, sides.TorchEngine(), floating, style, sizes)
    if program is None:
        return Verdict(counts={"no such program": 1})
    mode = "session" if which % 12 == 4 else sides.MODES[which % 2]
    verdict = judged(program, mode, 2, kinks=style != "uniform")
    return replace(verdict, seen=frozenset({pair.name}))


def judged(program: Program, mode: str, noises: int, kinks: bool = False) -> Verdict:
    """The verdict on a program, which is shrunk if it has a fault."""
    counts: Counter[str] = Counter()
    fault = program_fault(program, mode, noises, kinks, counts)
    if not fault:
        return Verdict(counts=counts)
    small = shrunk(program, lambda p: program_fault(p, mode, noises, kinks, Counter()), step_values)
    told = program_fault(small, mode, noises, kinks, Counter())
    n = small.sizes[0] if small.sizes else 11
    return Verdict(
        f"{mode}: {told or fault}\n{listing(small, n, step_values(small))}", counts=counts
    )


def program_fault(
    program: Program, mode: str, noises: int, kinks: bool, counts: Counter[str]
) -> str:
    """How graphc's results of a program differ from PyTorch's; "" if they do not."""
    sides: Any = importlib.import_module("proof.torch_sides")
    try:
        ours = sides.Ours(program, mode)
    except Exception as error:
        return f"refused: {type(error).__name__}: {error}"
    try:
        for n in program.sizes or (11,):
            fault = run_fault(program, ours, n, noises, kinks, counts)
            if fault:
                return f"n = {n}: {fault}"
    finally:
        ours.close()
    return ""


def run_fault(
    program: Program, ours: Any, n: int, noises: int, kinks: bool, counts: Counter[str]
) -> str:
    """The same for one value of n."""
    sides: Any = importlib.import_module("proof.torch_sides")
    try:
        wanted = sides.by_torch(program, n)
        moved = [sides.by_torch(program, n, 1 + k, not kinks) for k in range(noises)]
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        counts["PyTorch refuses"] += 1
        counts[f"PyTorch refuses: {str(error)[:60]}"] += 1
        return ""
    try:
        got = ours.run(n, wanted)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for part in ("values", "first", "second"):
        if kinks and any(left_out(part, s.pair) for s in program.steps):
            continue
        found = compared(
            getattr(wanted, part), getattr(got, part), [getattr(m, part) for m in moved]
        )
        note(part, found, counts, len(getattr(wanted, part)))
        if found.fault:
            return found.fault
    return ""


def left_out(part: str, pair: Pair) -> bool:
    """Whether results of a pair are not compared on kinks."""
    return bool(part != "values" and pair.kinks) or bool(part == "second" and pair.bends)


def note(part: str, found: Comparison, counts: Counter[str], arrays: int) -> None:
    """Counts what was judged."""
    name = {"values": "values", "first": "gradients", "second": "second gradients"}[part]
    counts[name] += arrays
    counts["elements"] += found.judged
    counts["unsure elements"] += found.unsure
    counts["elements nan in PyTorch alone"] += found.ours_alone


def step_values(program: Program) -> Mapping[str, Any]:
    """The arrays of all steps, where the first n is."""
    sides: Any = importlib.import_module("proof.torch_sides")
    engine = sides.TorchEngine()
    known = engine.bind(program.arrays(program.sizes[0] if program.sizes else 11))
    for step in program.steps:
        known[step.name] = engine.call(step.call, known)
    return {s.name: engine.array(known[s.name]) for s in program.steps}


def all_pairs(tally: Tally) -> Sequence[str]:
    """The functions that no case had."""
    return [f"not covered: {p.name}" for p in PAIRS if p.name not in tally.seen]


def figure(tally: Tally) -> str:
    """`3,000 values, 2,000 gradients ...`"""
    names = ("values", "gradients", "second gradients", "elements", "unsure elements")
    more = ("elements nan in PyTorch alone", "PyTorch refuses")
    return ", ".join(f"{tally.counts.get(k, 0):,} {k}" for k in (*names, *more))


TORCH_ROWS = (
    Row(
        "torch",
        "random programs give PyTorch's values, gradients and second gradients",
        1_500,
        "programs",
        torch_program,
        all_pairs,
        figure,
        needs="torch",
    ),
    Row(
        "torch-ops",
        f"each of {len(PAIRS)} functions gives PyTorch's, on kinks, ties and far out, too",
        len(PAIRS) * len(CONFIGURATIONS),
        "programs",
        torch_function,
        all_pairs,
        figure,
        needs="torch",
    ),
)
