"""An index out of range: the error names the function that the user called, and which call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError
from graphc.ir.text.graph import parse_graph
from graphc.session.bad_index import guilty, out_of_range

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


# ---- which op is guilty, by the oracle

TWO = """graph @f(%x: f32[4], %y: f32[4], %z: f32[7], %i: i64[1], %j: i64[1], %k: i64[1]) {
  %a = take %x, %i {axis=0} : f32[1]
  %b = take %y, %j {axis=0} : f32[1]
  %c = take %z, %k {axis=0} : f32[1]
  %d = add %a, %b           : f32[1]
  %e = add %d, %c           : f32[1]
  return %e
}"""


@pytest.mark.parametrize(
    ("indices", "size", "guilty_name"),
    [
        ((9, 0, 0), 4, "a"),
        ((0, 9, 0), 4, "b"),
        ((9, 9, 0), 4, "a"),
        ((0, 0, 9), 7, "c"),
        ((9, 9, 9), 7, "c"),  # the kernel has said which size it exceeds
        ((0, 0, 0), 4, None),
        ((0, -5, 0), 4, "b"),
    ],
)
def test_the_first_op_of_that_size_whose_index_is_bad(
    indices: tuple[int, ...], size: int, guilty_name: str | None
) -> None:
    graph = parse_graph(TWO)
    arrays = [np.zeros(n, np.float32) for n in (4, 4, 7)]
    arrays += [np.array([i]) for i in indices]
    found = guilty(graph, arrays, size)
    assert (found.name if found is not None else None) == guilty_name
    error = out_of_range(graph, arrays, 9, size)
    assert "index 9 is out of range for a size of" in error.message
    assert "no variable has changed" in error.message
    assert error.message.startswith("take: " if guilty_name else "index: ")


def test_a_users_function_is_not_called_again_to_find_out() -> None:
    calls: list[int] = []

    def chosen(a: Any) -> Any:
        calls.append(1)
        return a

    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, [4], name="x")
        i = gc.placeholder(gc.int64, [1], name="i")
        called = gc.py_func(chosen, [i], i.type)
        y = gc.take(x, called) + gc.take(x * 2.0, i)
        with pytest.raises(GraphError, match=r"in take\(multiply: f32\[4\], i: i64\[1\]\)"):
            sess.run(y, {x: np.ones(4), i: [9]})
        assert len(calls) == 1


def test_an_index_inside_of_a_loop() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, [4], name="x")
        ids = gc.placeholder(gc.int64, [None], name="ids")
        first = gc.take(x, ids[:1])
        total, _ = gc.scan(lambda c, i: (c + gc.take(x, i), ()), 0.0, ids)
        assert sess.run(total + first, {x: np.ones(4), ids: [1, 2]}).tolist() == [3.0]
        with pytest.raises(GraphError, match=r"^take: index 9 is out of range.*\n?") as caught:
            sess.run(total + first, {x: np.ones(4), ids: [1, 9]})
        assert "in take(x: f32[4], " in caught.value.message


def test_a_kernel_without_indices_that_was_stopped() -> None:
    graph = parse_graph("graph @f(%x: f32[4]) {\n  %y = exp %x : f32[4]\n  return %y\n}")
    error = out_of_range(graph, [np.zeros(4, np.float32)], 5, 4)
    assert "a kernel was stopped at element 5 of a buffer of 4" in error.message
