"""The programs that are judged against PyTorch: what holds of them without it, and, where it is
installed, that a few are judged."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proof.torch_compare import compared
from proof.torch_pairs import Call
from proof.torch_program import Program, alone, build
from proof.torch_rows import torch_function, torch_program
from proof.torch_shrink import shrunk
from proof.torch_table import DIFFERENCES, PAIRS
from support.oracle import run

import graphc as gc
from graphc.errors import GraphcError

SEMANTICS = Path(__file__).parents[2] / "docs" / "semantics.md"
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


class OracleEngine:
    """graphc's oracle in PyTorch's place, so that programs can be built without it."""

    refusals: tuple[type[Exception], ...] = (GraphcError, ValueError)

    def bind(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: gc.asarray(array) for name, array in arrays.items()}

    def call(self, call: Call, known: Mapping[str, Any]) -> Any:
        return eval(call.graphc, {"gc": gc, "F": gc.nn.functional, **known})

    def array(self, value: Any) -> Any:
        return np.asarray(run(value))


def made(seed: int, calls: int = 8) -> Program:
    with gc.Graph().as_default():
        return build(seed, PAIRS, OracleEngine(), "float64", calls=calls)


def test_names_are_names_of_one_pair() -> None:
    assert [name for name, n in Counter(p.name for p in PAIRS).items() if n > 1] == []
    assert len(PAIRS) > 300


def test_differences_are_those_of_the_semantics() -> None:
    text = SEMANTICS.read_text(encoding="utf-8")
    assert [section for section, _ in DIFFERENCES if f"\n{section} " not in text] == []


def test_each_pair_makes_a_call_of_graphc() -> None:
    """In either float: a pair may be of one alone."""
    without = []
    for pair in PAIRS:
        with gc.Graph().as_default():
            found = [
                alone(1, pair, OracleEngine(), floating, "uniform")
                for floating in ("float64", "float32")
            ]
        if not any(found):
            without.append(pair.name)
    assert without == []


def test_a_seed_makes_one_program() -> None:
    first, second = made(5), made(5)
    assert [s.call for s in first.steps] == [s.call for s in second.steps]
    for name, array in first.arrays(11).items():
        np.testing.assert_array_equal(array, second.arrays(11)[name])
    assert [s.call for s in made(6).steps] != [s.call for s in first.steps]


def test_a_program_is_shrunk_to_its_fault() -> None:
    program = made(7, calls=12)
    guilty = program.steps[len(program.steps) // 2].name

    def fault(p: Program) -> str:
        return guilty if any(s.name == guilty for s in p.steps) else ""

    def values(p: Program) -> Mapping[str, Any]:
        engine = OracleEngine()
        with gc.Graph().as_default():
            known = engine.bind(p.arrays(11))
            for step in p.steps:
                known[step.name] = engine.call(step.call, known)
            return {s.name: engine.array(known[s.name]) for s in p.steps}

    assert [s.name for s in shrunk(program, fault, values).steps] == [guilty]


# ---- comparisons


def one(a: Any, b: Any, *moved: Any) -> Any:
    return compared(
        {"y": np.asarray(a)}, {"y": np.asarray(b)}, [{"y": np.asarray(m)} for m in moved]
    )


def test_equal_to_rounding() -> None:
    assert one([1.0, np.nan, np.inf], [1.0 + 1e-12, np.nan, np.inf]).fault == ""


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-6]),
        ([1.0, 2.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([1, 2], [1, 3]),
        ([1.0, 2.0], [[1.0, 2.0]]),
        ([1, 2], [1.0, 2.0]),
        ([True], [False]),
    ],
)
def test_what_differs_is_a_fault(a: Any, b: Any) -> None:
    assert one(a, b).fault.startswith("y")


def test_what_moves_is_given_room_and_what_jumps_is_unsure() -> None:
    assert one([1.0, 2.0], [1.0, 2.0 + 1e-6], [1.0, 2.0 + 1e-7]).fault == ""
    jumping = one([1.0, 2.0], [1.0, 0.0], [1.0, 3.0])
    assert (jumping.fault, jumping.judged, jumping.unsure) == ("", 1, 1)
    assert one([3, 4], [3, 5], [3, 5]).unsure == 1


def test_a_number_where_pytorch_has_nan_is_counted() -> None:
    found = one([np.nan, 1.0], [0.0, 1.0])
    assert (found.fault, found.ours_alone, found.judged) == ("", 1, 1)


# ---- with PyTorch


@needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [4, 5, 7])
def test_random_programs(case: int) -> None:
    with np.errstate(all="ignore"):
        assert torch_program(case).fault == ""


@needs_torch
@pytest.mark.filterwarnings("ignore")
def test_some_functions() -> None:
    with np.errstate(all="ignore"):
        for case in range(0, len(PAIRS), 9):
            assert torch_function(case).fault == ""
