"""The row of errors in units in the last place: every function of floats, compiled as users get it.

A case is a function in an element type.  f32 and f64 are tried on four million operands, f16 and
bf16 on all that there are.  Exact is the function in the next wider float: f64 for f32, f16 and
bf16, an 80-bit `np.longdouble` for f64 (where there is none, f64 is left out), and for erf and erfc
`support.wide_erf`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from proof.row import Row, Tally, Verdict
from proof.ulp_table import MEASURED, Measured
from support.accuracy import half_turns, limits, specials, stratified, ulps
from support.run import options

import graphc as gc

WIDE_ENOUGH = np.finfo(np.longdouble).nmant >= 63
DTYPES = ("f32", *(["f64"] if WIDE_ENOUGH else []), "f16", "bf16")
CASES = [(name, dtype) for name in MEASURED for dtype in DTYPES]
BLOCK, BLOCKS = 1 << 16, 16  # operands of each kind at once, and how often


def dtype_of(name: str) -> Any:
    return {"f32": gc.float32, "f64": gc.float64, "f16": gc.float16, "bf16": gc.bfloat16}[name]


@cache
def session(name: str, dtype: str) -> tuple[Any, Any, Any]:
    """A session, the operands and the result of a function."""
    measured = MEASURED[name]
    with gc.Graph().as_default(), np.errstate(all="ignore"):
        operands = [gc.placeholder(dtype_of(dtype), ["n"]) for _ in range(measured.arity)]
        return gc.Session(options=options()), operands, measured.call(*operands)


def operands(measured: Measured, dtype: str, seed: int) -> Iterator[list[Any]]:
    """Operands, in blocks; specials come first."""
    real = dtype_of(dtype).numpy
    yield specials(measured.arity, real)
    if dtype in ("f16", "bf16"):
        every = np.arange(1 << 16, dtype=np.uint16).view(real)
        rng = np.random.default_rng(seed)
        for _ in range(1 if measured.arity == 1 else BLOCKS):
            yield [every, *(rng.permutation(every) for _ in range(measured.arity - 1))]
        return
    span = measured.spans[dtype == "f64"]
    for block in range(BLOCKS):
        at = [seed, block, measured.arity]
        turns = half_turns(BLOCK // 8, at)
        yield stratified(measured.arity, span, real, BLOCK, at, [turns])


def judge(case: int) -> Verdict:
    """A function in an element type, against exact values."""
    name, dtype = CASES[case % len(CASES)]
    measured, worst, where = MEASURED[name], 0.0, ""
    run, fed, out = session(name, dtype)
    for arrays in operands(measured, dtype, case):
        arrays = [np.where(np.isnan(a), np.nan, a).astype(a.dtype) for a in arrays]  # quiet ones
        got = run.run(out, dict(zip(fed, arrays, strict=True)))
        errors = errors_of(measured, dtype, arrays, got)
        at = int(np.argmax(errors))
        if errors[at] > worst:
            worst = float(errors[at])
            where = f"{', '.join(f'{a[at]!s}' for a in arrays)} -> {got[at]!s}"
    key, bar = f"{name} {dtype}", measured.bar(dtype)
    fault = f"{key}: {worst:.3f} ULP at {where}; stated: {bar}" if worst > bar else ""
    return Verdict(fault, figures={key: worst}, notes={key: where.split(" -> ")[0]})


def errors_of(measured: Measured, dtype: str, arrays: Sequence[Any], got: Any) -> Any:
    """The error of each result in ULP; a zero of the wrong sign counts as infinitely far."""
    wide = [a.astype(np.longdouble if dtype == "f64" else np.float64) for a in arrays]
    wanted = measured.exact(*wide)
    tiny = float(limits(got.dtype).smallest_normal)
    errors = ulps(got, wanted, measured.scale(tiny, *wide) if measured.scale else 0.0)
    if measured.signed:
        wrong = (np.signbit(got) != np.signbit(wanted)) & ~np.isnan(wanted)
        errors = np.where(wrong, np.inf, errors)
    return errors


def figure(tally: Tally) -> str:
    """`worst: erfc f64, 3.5 ULP`"""
    if not tally.figures:
        return ""
    name, most = max(tally.figures.items(), key=lambda item: item[1])
    return f"worst: {name}, {most:.2f} ULP"


def details(tally: Tally) -> str:
    """The table of all functions, in Markdown."""
    lines = [f"| function | {' | '.join(DTYPES)} |", f"|---|{'---|' * len(DTYPES)}"]
    for name in MEASURED:
        cells = [cell(tally, f"{name} {dtype}") for dtype in DTYPES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(tally: Tally, key: str) -> str:
    """`0.93 at 1.5`"""
    if key not in tally.figures:
        return ""
    note = tally.notes.get(key, "")
    return f"{tally.figures[key]:.2f} at {note}" if note else "exact"


ULP_ROW = Row(
    "ulp",
    "every function of floats is within its stated error, in every float type",
    len(CASES),
    "functions and types",
    judge,
    figure=figure,
    details=details,
)
