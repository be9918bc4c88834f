"""What is said of tensors that fit into no 64 bits, and of memory that is not there."""

from __future__ import annotations

import pytest

from graphc.errors import GraphError, OutOfMemoryError, ShapeError
from graphc.ir.graph import Graph
from graphc.ir.text.graph import parse_graph
from graphc.session.too_large import explained, explaining


def graph() -> Graph:
    return parse_graph(
        "graph @f(%x: f32[n]) {\n  %b = broadcast %x {axes=[0]} : f32[n,m]\n  return %b\n}"
    )


LARGEST = 2**61 - 1  # elements of f32 that 63 bits can count the bytes of


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"n": 1, "m": LARGEST}, ""),
        ({"n": 1, "m": LARGEST + 1}, f"would be f32[1,{LARGEST + 1}], {2**63} bytes"),
        ({"n": 2**31, "m": 2**31}, f"{2**64} bytes"),
        ({"n": 3, "m": 4}, ""),
        ({}, ""),
    ],
)
def test_the_tensor_that_is_too_large_is_named(sizes: dict[str, int], said: str) -> None:
    met = OverflowError("int too large")
    found = explained(met, graph(), sizes)
    if not said:
        assert found is met
        return
    assert isinstance(found, ShapeError) and said in found.message
    assert found.message.startswith("broadcast: 'b' would be")
    assert f"one tensor may have {2**63 - 1}" in found.message


def test_memory_that_is_not_there() -> None:
    for given, shown in ((MemoryError("5 GiB"), "5 GiB"), (MemoryError(), "none is left")):
        found = explained(given, graph(), {"n": 3, "m": 4})
        assert isinstance(found, OutOfMemoryError)
        assert f"not enough memory: {shown}; no variable has changed" in found.message


@pytest.mark.parametrize("error", [ValueError("other"), OverflowError("other"), GraphError("g")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    assert explained(error, graph(), {"n": 3, "m": 4}) is error
    with pytest.raises(type(error)) as caught, explaining(graph(), lambda: {"n": 3, "m": 4}):
        raise error
    assert caught.value is error and caught.value.__cause__ is None


def test_a_better_error_keeps_its_cause() -> None:
    met = MemoryError("all of it")
    with pytest.raises(OutOfMemoryError) as caught, explaining(graph(), dict):
        raise met
    assert caught.value.__cause__ is met
