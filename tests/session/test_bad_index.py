"""An index out of range: the error names the function that the user called, and which call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError

F = gc.nn.functional
ROWS = np.ones((4, 3), np.float32)


def fault(make: Callable[[Any, Any], Any]) -> str:
    """The error of a run in which the index is 9."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [4, 3], name="x")
        i = gc.placeholder(gc.int64, [1], name="i")
        y = make(x, i)
        with gc.Session() as sess, pytest.raises(GraphError) as caught:
            sess.run(y, {x: ROWS, i: [9]})
    assert caught.value.location is not None and caught.value.location.file == __file__
    return caught.value.message


@pytest.mark.parametrize(
    "name, make",
    [
        ("take", lambda x, i: gc.take(x, i, axis=0)),
        ("index", lambda x, i: gc.sum(x)[None] + x[i, 0]),
        ("switch", lambda x, i: gc.switch(i[0], [lambda: x, lambda: x + 1.0]) + 0.0 * gc.sum(x)),
        ("one_hot", lambda x, i: gc.one_hot(i, 3) + gc.sum(x)),
        ("gather_nd", lambda x, i: gc.gather_nd(x, gc.reshape(i, (1, 1)))),
        ("dynamic_slice", lambda x, i: gc.dynamic_slice(x, [i[0], 0], [1, 1])),
        ("scatter", lambda x, i: gc.scatter(x, i, gc.ones((1, 3)))),
        ("segment_sum", lambda x, i: gc.segment_sum(gc.ones((1,)), i, 3) + gc.sum(x)),
        ("bincount", lambda x, i: gc.bincount(i, minlength=3) + gc.sum(x)),
        ("embedding", lambda x, i: F.embedding(i, x)),
        ("cross_entropy", lambda x, i: F.cross_entropy(x[:1], i)),
        (
            "take",
            lambda x, i: gc.cond(gc.sum(x) > 0.0, lambda: gc.take(x, i, axis=0), lambda: x[:1]),
        ),
        ("Embedding", lambda x, i: gc.nn.Embedding(4, 3)(i) + gc.sum(x)),
    ],
)
def test_the_error_names_what_the_user_called(name: str, make: Callable[[Any, Any], Any]) -> None:
    assert fault(make).startswith(f"{name}: index 9 is out of range for a size of ")


def test_the_error_tells_which_of_two_calls_on_a_line() -> None:
    said = fault(lambda x, i: gc.take(x, i * 0, axis=0) + gc.take(x, i, axis=0))
    assert "in take(x: f32[4,3], i: i64[1])" in said
    said = fault(lambda x, i: gc.take(x, i, axis=0) + gc.take(x, i * 0, axis=0))
    assert "in take(x: f32[4,3], i: i64[1])" in said
