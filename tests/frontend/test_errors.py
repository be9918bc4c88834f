"""Messages of common mistakes: op, argument, expected, got, the user's line, the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import (
    DTypeError,
    FeedError,
    FetchError,
    GradientError,
    GraphcError,
    GraphError,
    SessionError,
    ShapeError,
)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def images() -> gc.Tensor:
    return gc.placeholder(gc.float32, ["batch", 784], name="images")


def run(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds)  # guilty


def stranger() -> gc.Tensor:
    with gc.Graph().as_default():
        return gc.placeholder(gc.float32, [3], name="elsewhere")


def cut_gradient() -> Any:
    x = gc.placeholder(gc.float32, [3], name="x")
    y = gc.sum(gc.floor(x))
    return gc.gradients(y, [x])  # guilty


def unrelated_gradient() -> Any:
    x, y = (gc.placeholder(gc.float32, [3], name=n) for n in "xy")
    return gc.gradients(gc.sum(x * x), [y])  # guilty


def twice() -> Any:
    v = gc.variable(np.zeros(2, np.float32), name="v")
    first, second = v.assign_add(1.0), v.assign_sub(1.0)  # guilty
    return run([first, second])


def finalized() -> Any:
    x = images()
    x.graph.finalize()
    return x + 1.0  # guilty


def minimise_nothing() -> Any:
    x = gc.placeholder(gc.float32, [3], name="x")
    return gc.optim.SGD(0.1).minimize(gc.sum(x))  # guilty


def out_of_range() -> Any:
    i = gc.placeholder(gc.int64, [None], name="i")
    rows = gc.take(gc.ones((5, 2)), i, axis=0)  # guilty
    return run(rows, {i: [0, 5]})


def loss() -> Any:
    logits, labels = gc.placeholder(gc.float32, [None, 10]), gc.placeholder(gc.float32, [None])
    return gc.nn.functional.cross_entropy(logits, labels)  # guilty


def truth() -> Any:
    x = images()
    return 1 if gc.sum(x) > 0.0 else 2  # guilty


def iterate() -> Any:
    return [row for row in images()]  # guilty


MISTAKES: dict[str, tuple[Callable[[], Any], type[GraphcError], list[str]]] = {
    "inner sizes": (
        lambda: images() @ gc.zeros((100, 10)),
        ShapeError,
        ["matmul", "784", "axis 1 of f32[batch,784]", "100", "axis 0 of f32[100,10]"],
    ),
    "broadcast": (
        lambda: images() + gc.zeros((10,)),
        ShapeError,
        ["add", "[batch, 784]", "[10]", "do not broadcast", "784 and 10"],
    ),
    "integers where floats belong": (
        lambda: gc.exp(gc.placeholder(gc.int64, [3])),
        DTypeError,
        ["exp", "operand 0", "i64", "f32", "astype"],
    ),
    "u64 with i64": (
        lambda: gc.zeros((2,), gc.uint64) + gc.zeros((2,), gc.int64),
        DTypeError,
        ["add", "u64", "i64", "cast"],
    ),
    "literal too large": (
        lambda: gc.zeros((2,), gc.int8) + 300,
        DTypeError,
        ["add", "300", "i8", "astype"],
    ),
    "no tensor": (lambda: gc.sum("abc"), DTypeError, ["sum", "'abc'", "no tensor"]),
    "operator with an object": (
        lambda: images() * object(),
        DTypeError,
        ["multiply", "object"],
    ),
    "unknown type": (
        lambda: gc.placeholder("float31", [3]),
        DTypeError,
        ["float31", "f32", "f64"],
    ),
    "bad size": (lambda: gc.placeholder(gc.float32, [-3]), GraphError, ["-3", "None"]),
    "axis": (lambda: gc.sum(images(), axis=2), ShapeError, ["sum", "axis 2", "rank 2"]),
    "reshape": (
        lambda: gc.reshape(gc.zeros((2, 3)), (4, 2)),
        ShapeError,
        ["reshape", "6", "8"],
    ),
    "too many indices": (
        lambda: images()[0, 0, 0],
        ShapeError,
        ["index", "3 indices", "f32[batch,784]"],
    ),
    "index": (lambda: images()[:, 784], ShapeError, ["index", "784", "axis 1"]),
    "two graphs": (
        lambda: gc.placeholder(gc.float32, [3]) + stranger(),
        GraphError,
        ["add", "two different graphs"],
    ),
    "symbolic variable": (
        lambda: gc.variable(images()),
        ShapeError,
        ["variable", "f32[batch,784]", "symbolic"],
    ),
    "assign": (
        lambda: gc.variable(gc.zeros((2,))).assign(gc.zeros((3,))),
        ShapeError,
        ["f32[3]", "[2]"],
    ),
    "assign another type": (
        lambda: gc.variable(gc.zeros((2,))).assign(gc.zeros((2,), gc.float64)),
        DTypeError,
        ["assign", "f32[2]", "f64[2]", "astype"],
    ),
    "learning rate": (
        lambda: gc.optim.SGD(-1.0),
        GraphError,
        ["SGD", "lr", "-1.0", "at least 0"],
    ),
    "reduction": (
        lambda: gc.nn.functional.mse_loss(images(), images(), reduction="avg"),
        GraphError,
        ["mse_loss", "'avg'", "mean"],
    ),
    "cut gradient": (cut_gradient, GradientError, ["%x", "floor", "no derivative"]),
    "unrelated gradient": (unrelated_gradient, GradientError, ["%y", "depend"]),
    "assigned twice": (twice, GraphError, ["'v'", "assigned twice", "chain"]),
    "finalized": (finalized, GraphError, ["add", "finalized"]),
    "nothing to train": (minimise_nothing, GraphError, ["SGD", "variable"]),
    "label type": (loss, DTypeError, ["cross_entropy", "f32"]),
    "truth": (truth, GraphError, ["no truth value", "gc.where"]),
    "iteration": (iterate, GraphError, ["not iterable", "gc.unstack"]),
    "index out of range": (
        out_of_range,
        GraphError,
        ["take", "index 5", "size of 5", "no variable has changed"],
    ),
    "missing feed": (
        lambda: run(images() + 1.0),
        FeedError,
        ["'images'", "f32[batch,784]", "needed but not fed"],
    ),
    "fed rank": (
        lambda: run("images", {images(): np.zeros(784)}),
        FeedError,
        ["'images'", "f32[batch,784]", "[784]"],
    ),
    "fed size": (
        lambda: run("images", {images(): np.zeros((2, 28))}),
        FeedError,
        ["axis 1", "784", "28"],
    ),
    "fed type": (
        lambda: run("images", {images(): np.zeros((2, 784), complex)}),
        FeedError,
        ["'images'", "complex128", "astype"],
    ),
    "unknown fetch": (lambda: run("image"), FetchError, ["'image'", "named ones"]),
    "fetch of another graph": (lambda: run(stranger()), FetchError, ["elsewhere", "another graph"]),
    "fetch of no tensor": (lambda: run(3.5), FetchError, ["3.5", "expected a tensor"]),
    "threads": (
        lambda: gc.Session(threads=0),
        SessionError,
        ["threads", "0", "at least 1"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_messages(name: str) -> None:
    call, kind, words = MISTAKES[name]
    with pytest.raises(kind) as caught:
        call()
    error, shown = caught.value, str(caught.value)
    assert type(error) is kind
    missing = [w for w in words if w not in error.message]
    assert not missing, f"{missing} not in: {error.message}"
    assert error.location is not None and error.location.file == __file__, shown
    inside = error.location.line - call.__code__.co_firstlineno
    assert "# guilty" in error.location.text or 0 <= inside <= 3, shown
    assert shown == f"{error.message}\n  at {error.location}\n    {error.location.text}"


def test_no_message_is_long() -> None:
    """One sentence and a line: what a terminal shows at a glance."""
    for call, _, _ in MISTAKES.values():
        with gc.Graph().as_default(), pytest.raises(GraphcError) as caught:
            call()
        assert len(caught.value.message) < 330, caught.value.message


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda x: gc.allclose(x, gc.ones((4,))), "allclose: shapes [3] and [4] do not broadcast"),
        (lambda x: gc.stack([x, gc.ones((4,))]), "stack: sizes differ"),
        (lambda x: gc.average(x, weights=gc.ones((4,))), "average: f32[4] does not broadcast to"),
        (lambda x: x + gc.ones((4,)), "add: shapes [3] and [4] do not broadcast"),
        (  # what the user's own function met keeps its name
            lambda x: gc.cond(x[0] > 0.0, lambda: x + gc.ones((4,)), lambda: x),
            "add: shapes [3] and [4] do not broadcast",
        ),
    ],
)
def test_an_error_names_what_was_called_and_no_inner_op(call: Any, said: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(said)) as caught:
        call(gc.placeholder(gc.float32, (3,)))
    assert caught.value.message.startswith(said)


def test_arrays_join_the_graph_of_the_tensor_they_meet() -> None:
    with gc.Graph().as_default() as theirs:
        x = gc.placeholder(gc.float32, [2, 3], name="x")
    row, column, whole = np.ones(3, np.float32), np.ones((2, 1)), np.ones((3, 2), np.int8)
    made = [row + x, x * column, gc.maximum(row, x), x @ whole, gc.where(x > 0, row, x), row - x]
    assert {y.graph for y in made} == {theirs}
    with gc.Session(graph=theirs) as sess:
        found = sess.run(made[0], {x: np.zeros((2, 3))})
    np.testing.assert_array_equal(found, np.ones((2, 3)))


def test_what_is_computed_from_constants_joins_any_graph() -> None:
    F = gc.nn.functional
    with gc.Graph().as_default() as theirs:
        x = gc.placeholder(gc.float32, [3], name="x")
        m = gc.placeholder(gc.float32, [3, 3], name="m")
        at = gc.placeholder(gc.int64, [], name="at")
    ones, eye, ids = np.ones(3, np.float32), np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    made = {
        "slice": (gc.dynamic_slice(np.arange(5.0, dtype=np.float32), [at], [2]), [1, 2]),
        "update": (gc.dynamic_update_slice(x, ones[:2], [1]), [1, 1, 1]),
        "polyval": (gc.polyval(ones, x), [3, 7, 13]),
        "fmax": (gc.fmax(x, 2 * ones), [2, 2, 3]),
        "one_hot": (F.one_hot(at, 3), [0, 1, 0]),
        "linear": (F.linear(x, eye, gc.exp(gc.zeros((3,)))), [2, 3, 4]),
        "nll": (F.nll_loss(m, ids, weight=ones), -1),
        "cosine": (F.cosine_similarity(x, 2 * x + 0 * gc.asarray(ones), dim=0), 1),
        "while": (gc.while_loop(lambda k, c: k < 3, lambda k, c: (k + 1, c + ones), (0, x))[1],
                  [4, 5, 6]),
    }  # fmt: skip
    with gc.Session(graph=theirs) as sess:
        found = sess.run([y for y, _ in made.values()], {x: [1, 2, 3], m: eye, at: 1})
    for (name, (y, wanted)), value in zip(made.items(), found, strict=True):
        assert y.graph is theirs, name
        np.testing.assert_allclose(value, wanted, rtol=1e-6, err_msg=name)


def test_a_draw_a_name_and_a_call_of_python_stay_in_their_graph() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [3], name="x")
    draw = gc.random.uniform((3,))
    called = gc.py_func(np.exp, [np.ones(3, np.float32)], gc.float32[3])
    weight = gc.variable(np.ones(3, np.float32))
    for other in (draw + 1.0, called * 2.0, weight * 2.0):
        with pytest.raises(GraphError, match="belong to two different graphs"):
            x + other


def test_tensors_of_two_graphs_do_not_meet() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [3], name="x")
    y = gc.placeholder(gc.float32, [2, 3], name="y")
    with pytest.raises(GraphError, match="belong to two different graphs; declare both in one"):
        x + y
