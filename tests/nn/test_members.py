"""What would cost a module its members in silence is an error that names the attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc import nn
from graphc.errors import DTypeError, GraphError


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


class Counting(nn.Module):
    """Members of every kind, and one assignment in `forward`."""

    def __init__(self, change: Callable[[Any, Any], None]) -> None:
        self.change = change
        self.weight = nn.Parameter(gc.ones((3,)))
        self.register_buffer("seen", gc.zeros((3,)))
        self.plain = gc.variable(gc.zeros((3,)), trainable=False)
        self.inner = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        self.change(self, x)
        return self.inner(x * self.weight)


def add_in_place(m: Any, x: Any) -> None:
    m.seen += gc.mean(x, axis=0)


ASSIGNED: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "a buffer": (
        lambda m, x: setattr(m, "seen", 0.9 * m.seen + 0.1 * gc.mean(x, axis=0)),
        r"Counting.seen is a buffer .* a tensor, which runs would not keep; attach the new value .*"
        r"gc.with_update\(result, self.seen",
    ),
    "a buffer in place": (add_in_place, r"Counting.seen is a buffer .*gc.with_update"),
    "a variable": (lambda m, x: setattr(m, "plain", m.plain + 1.0), "Counting.plain is a buffer"),
    "a parameter": (
        lambda m, x: setattr(m, "weight", m.weight * 0.99),
        "Counting.weight is a parameter .*; optimizers change parameters",
    ),
    "a parameter by an array": (
        lambda m, x: setattr(m, "weight", np.zeros(3)),
        r"Counting.weight is a parameter and is set to array\(\[0., 0., 0.\]\)",
    ),
    "a parameter of a module within": (
        lambda m, x: setattr(m.inner, "weight", gc.transpose(m.inner.weight)),
        "Linear.weight is a parameter",
    ),
    "a module": (lambda m, x: setattr(m, "inner", gc.tanh), "Counting.inner is a module and is se"),
}


@pytest.mark.parametrize("what", ASSIGNED)
def test_a_member_is_not_overwritten_in_forward(what: str) -> None:
    change, message = ASSIGNED[what]
    x = gc.placeholder(gc.float32, ["n", 3], name="x")
    with pytest.raises(GraphError, match=message) as raised:
        Counting(change)(x)
    assert raised.value.location is not None and raised.value.location.file == __file__


def test_members_make_way_for_their_kind_and_for_none() -> None:
    m = Counting(lambda m, x: None)
    m.weight = nn.Parameter(gc.zeros((3,)))
    m.inner = nn.Sequential(nn.Linear(3, 3))
    m.seen = None
    assert [n for n, _ in m.named_parameters()] == ["weight", "inner.0.weight", "inner.0.bias"]
    assert [n for n, _ in m.named_buffers()] == ["plain"]
    del m.weight
    m.weight = gc.ones((3,))
    assert "weight" not in dict(m.named_parameters())


class Holding(nn.Module):
    """A module with one more attribute."""

    def __init__(self, held: Any) -> None:
        self.first = nn.Linear(2, 2)
        self.held = held

    def forward(self, x: Any) -> Any:
        return self.first(x)


def layers() -> Any:
    return [nn.Linear(2, 2)]


HELD: dict[str, tuple[Callable[[], Any], str]] = {
    "list": (layers, "held is a list that holds a module.*; use gc.nn.ModuleList"),
    "tuple": (lambda: tuple(layers()), "held is a tuple that holds a module"),
    "dict": (lambda: {"a": nn.Linear(2, 2)}, "held is a dict that .*; use gc.nn.ModuleDict"),
    "nest": (lambda: {"a": [(1, layers())]}, "held is a dict that holds a module"),
    "parameters": (
        lambda: [nn.Parameter(gc.ones((2,)))],
        "held is a list that holds a parameter, which Holding would not train, save or load; use "
        "gc.nn.ParameterList",
    ),
}


@pytest.mark.parametrize("what", HELD)
def test_a_list_of_members_is_not_overlooked(what: str) -> None:
    made, message = HELD[what]
    x = gc.placeholder(gc.float32, ["n", 2], name="x")
    for use in (
        lambda m: m(x),
        lambda m: list(m.parameters()),
        lambda m: nn.Sequential(m),
        lambda m: m.train(),
    ):
        with pytest.raises(GraphError, match=f"Holding.{message}"):
            use(Holding(made()))


def test_a_list_that_is_filled_later_is_not_overlooked() -> None:
    m = Holding([])
    m.held.append(nn.Linear(2, 2))
    with gc.Session() as sess, pytest.raises(GraphError, match=r"Holding\.held is a list"):
        m.state_dict(sess)


def test_a_list_of_members_that_are_registered_is_fine() -> None:
    m = Holding([1, "a", None, gc.ones((2,))])
    m.held = [m.first, m.first.weight, {"all": (m,)}]
    assert [n for n, _ in m.named_parameters()] == ["first.weight", "first.bias"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            (2, 3),
            r"data is \(2, 3\) \(i64\[2\]\), which .* it is Parameter\(gc.zeros\(\(2, 3\)\)\)",
        ),
        ([4], r"data is \[4\] \(i64\[1\]\), which cannot be trained"),
        (3, r"data is 3 \(i64\[\]\), which .*; expected floats, or requires_grad=False"),
        (np.arange(3), "expected floats, or requires_grad=False"),
        (True, r"data is True \(bool\[\]\)"),
        (np.zeros((2, 2), np.uint8), "which cannot be trained"),
    ],
)
def test_a_parameter_is_of_floats(data: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=f"Parameter: .*{message}"):
        nn.Parameter(data)


def test_parameters_that_are_fine() -> None:
    kept = [
        nn.Parameter((2, 3), dtype=gc.float32),
        nn.Parameter([1.0, 2]),
        nn.Parameter(3, requires_grad=False),
        nn.Parameter(gc.zeros((2, 3))),
        nn.Buffer(3),
    ]
    assert [str(p.type) for p in kept] == ["f32[2]", "f32[2]", "i64[]", "f32[2,3]", "i64[]"]
