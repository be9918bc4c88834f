"""An optimizer of a user's own: what it gives graphc is judged, and the error shows its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError, ShapeError


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


class Own(gc.optim.Optimizer):
    """SGD that gives back what it is told to."""

    def __init__(self, gives: Callable[[Any], Any], prepared: Any = (None, ())) -> None:
        super().__init__(0.5)
        self.gives, self.prepared = gives, prepared

    def prepare(self) -> Any:
        return self.prepared

    def update(self, var: Any, gradient: Any, shared: Any) -> Any:
        return self.gives(var.assign_sub(0.5 * gradient))


GIVEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "None": (lambda a: None, "gave None; expected a list of the assigns"),
    "one assign": (lambda a: a, r"gave one tensor; expected a list .* \[var.assign\(...\)\]"),
    "a value": (lambda a: [a * 1.0], "gave a list with <Tensor .*>, which assigns nothing"),
    "a number": (lambda a: [a, 3], "gave a list with 3, which assigns nothing"),
    "a dict": (lambda a: {"w": a}, "gave {'w': .*; expected a list"),
    "a generator": (lambda a: (x for x in [a]), "gave <generator .*; expected a list"),
}


@pytest.mark.parametrize("what", GIVEN)
def test_an_update_that_gives_no_assigns(what: str) -> None:
    gives, message = GIVEN[what]
    w = gc.variable([3.0, -2.0], name="w")
    with pytest.raises(GraphError, match=f"Own: update {message}") as raised:
        Own(gives).minimize(gc.sum(w * w))
    assert raised.value.location is not None
    assert raised.value.location.text.startswith("def update(self")


def test_a_right_update_in_a_list_or_a_tuple() -> None:
    w = gc.variable([3.0, -2.0], name="w")
    for gives in (lambda a: [a], lambda a: (a,)):
        step = Own(gives).minimize(gc.sum(w))
        with gc.Session() as sess:
            sess.run(step)
            np.testing.assert_array_equal(sess.value(w), [2.5, -2.5])


@pytest.mark.parametrize(
    ("prepared", "message"),
    [
        (None, "prepare gave None; expected a pair"),
        ((1, 2, 3), r"prepare gave \(1, 2, 3\); expected a pair"),
        ((None, None), "prepare gave None; expected a list of the assigns"),
    ],
)
def test_a_wrong_prepare(prepared: Any, message: str) -> None:
    w = gc.variable([3.0, -2.0], name="w")
    with pytest.raises(GraphError, match=f"Own: {message}"):
        Own(lambda a: [a], prepared).minimize(gc.sum(w * w))


def test_a_wrong_signature_is_found_in_the_class() -> None:
    with pytest.raises(GraphError, match=r"Short: update is called as \(self, var, gradient, shar"):

        class Short(gc.optim.Optimizer):
            def update(self, var: Any, gradient: Any) -> Any:  # type: ignore[override]
                return [var.assign(gradient)]


def test_what_a_class_forgot() -> None:
    class NoUpdate(gc.optim.Optimizer):
        pass

    class NoSuper(gc.optim.Optimizer):
        def __init__(self) -> None:
            self.rate_of_my_own = 0.1

        def update(self, var: Any, gradient: Any, shared: Any) -> Any:
            return [var.assign_sub(self.rate_of_my_own * gradient)]

    class NoRate(gc.optim.LRScheduler):
        pass

    w = gc.variable([3.0, -2.0], name="w")
    with pytest.raises(GraphError, match=r"NoRate: at is not defined: a method \(self, step\)"):
        gc.optim.SGD(NoRate()).minimize(gc.sum(w * w))
    with pytest.raises(GraphError, match="NoUpdate: update is not defined: a method"):
        NoUpdate(0.1).minimize(gc.sum(w * w))
    with pytest.raises(GraphError, match=r"NoSuper: __init__ does not call super\(\).__init__\(lr"):
        NoSuper().minimize(gc.sum(w * w))


def test_a_loss_is_one_number() -> None:
    w = gc.variable([3.0, -2.0], name="w")
    x = gc.placeholder(gc.float32, ["n", 2], name="x")
    for loss in (w * w, x * w, gc.sum(x * w, axis=1), gc.zeros((0,)) + gc.sum(w)):
        for minimizer in (gc.optim.SGD(0.1), gc.optim.Accumulate(gc.optim.Adam(0.1), 2)):
            name = type(minimizer).__name__
            with pytest.raises(
                ShapeError, match=rf"{name}: the loss is f32\[.*\]; expected one number: minim"
            ):
                minimizer.minimize(loss)
    for loss in (gc.sum(w), gc.sum(w, keepdims=True), gc.reshape(gc.sum(w), (1, 1))):
        gc.optim.SGD(0.1).minimize(loss)
