"""The row of gradients: of every differentiable op, and of every public function.

A case is an op with all its configurations, or a public function with all its sample calls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from proof.calls import Call, attempted
from proof.layer_calls import FUNCTIONAL, NO_GRADIENT_FUNCTIONAL
from proof.nn_calls import FFT, LINALG, NO_GRADIENT_FFT, NO_GRADIENT_LINALG
from proof.op_configurations import configurations, op_fault
from proof.public_calls import GC, NO_GRADIENT
from proof.row import Row, Tally, Verdict
from proof.slopes import compiled_fault, derived, gradient_fault, weighed

import graphc as gc
from graphc.errors import GradientError
from graphc.ir.op import OPS
from graphc.nn import functional
from graphc.testing.samples import built_in

Calls = Mapping[str, Sequence[Call]]
PLACES: Mapping[str, tuple[ModuleType, Calls, Mapping[str, str]]] = {
    "gc": (gc, GC, NO_GRADIENT),
    "gc.linalg": (gc.linalg, LINALG, NO_GRADIENT_LINALG),
    "gc.fft": (gc.fft, FFT, NO_GRADIENT_FFT),
    "gc.nn.functional": (functional, FUNCTIONAL, NO_GRADIENT_FUNCTIONAL),
}
FUNCTIONS = [(place, name) for place, (_, calls, _) in PLACES.items() for name in calls]
OP_NAMES = [
    name for name, c in sorted(OPS.items()) if built_in(c) and c.differentiable and c.samples
]
CASES: list[tuple[str, str]] = [*(("op", name) for name in OP_NAMES), *FUNCTIONS]


def judge(case: int) -> Verdict:
    """An op or a function; a soaking run draws other operands."""
    place, name = CASES[case % len(CASES)]
    seed = case // len(CASES)
    if place == "op":
        tried = list(configurations(OPS[name], seed))
        fault = op_fault(OPS[name], tried)
        return Verdict(fault and f"op {name}: {fault}", labels(place, name, len(tried)))
    module, calls, _ = PLACES[place]
    count = 0
    for call in calls[name]:
        varied = call if seed == 0 else shifted(call, seed)
        for symbolic in (False, True):
            fault = call_fault(getattr(module, name), varied, symbolic)
            if fault is None:
                continue
            count += 1
            if fault:
                shapes = [a.shape for a in varied.arrays()]
                kind = "symbolic" if symbolic else "known"
                return Verdict(f"{place}.{name}, operands {shapes}, {kind} sizes: {fault}")
    return Verdict("", labels(place, name, count))


def labels(place: str, name: str, count: int) -> frozenset[str]:
    """One label for each configuration, to be counted."""
    return frozenset(f"{place}.{name}#{i}" for i in range(count))


def shifted(call: Call, seed: int) -> Call:
    """The call with its arrays a little elsewhere; whole numbers stay."""
    rng = np.random.default_rng(seed)

    def moved(x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype == np.float64:
            return np.where(x == np.rint(x), x, x * rng.uniform(0.9, 1.1, x.shape))
        return type(x)(map(moved, x)) if isinstance(x, list | tuple) else x

    return dataclasses.replace(call, args=moved(call.args))


def call_fault(function: Callable[..., Any], call: Call, symbolic: bool) -> str | None:
    """What is wrong with the gradients of a call; None if it refuses symbolic sizes."""
    arrays = call.arrays()
    with gc.Graph().as_default():
        made = attempted(function, call, symbolic)
        if made is None:
            return None
        operands, outs = made
        try:
            fault = ""
            if not symbolic:
                fault = gradient_fault(weighed(operands, outs, arrays, call.order), arrays)
            return fault or compiled_fault(derived(operands, outs, call.order), [arrays])
        except GradientError as error:
            return error.message


def uncovered() -> Iterator[str]:
    """Public functions without a sample call and without a reason to have none; and ops."""
    for place, (module, calls, excluded) in PLACES.items():
        without = {n for names in excluded.values() for n in names.split()}
        public = {n for n in module.__all__ if is_function(getattr(module, n))}
        yield from (f"{place}.{n} has no sample call" for n in public - set(calls) - without)
        yield from (f"{place}.{n} does not exist" for n in (set(calls) | without) - public)
        yield from (f"{place}.{n} has a sample call and a reason" for n in set(calls) & without)
        yield from (f"{place}.{n} has no call" for n, found in calls.items() if not found)


def is_function(x: Any) -> bool:
    return callable(x) and not isinstance(x, type)


def missing(tally: Tally) -> list[str]:
    """What the row has not judged, and ops with too few configurations."""
    few = [
        f"op {name}: {count} configurations, expected 10"
        for name in OP_NAMES
        if (count := sum(label.startswith(f"op.{name}#") for label in tally.seen)) < 10
    ]
    return [*uncovered(), *few]


GRADIENT_ROW = Row(
    "gradients",
    "first and second derivatives of every op and public function are those of differences in f64, "
    "interpreted and compiled, with known and symbolic sizes",
    len(CASES),
    "ops and functions",
    judge,
    missing,
    figure=lambda tally: f"{len(tally.seen):,} configurations",
)
