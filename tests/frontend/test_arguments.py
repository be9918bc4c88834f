"""Wrong arguments of functions: typed errors that name the function and the user's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, GraphcError, GraphError, ShapeError


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


X = (2, 3)
DAYS = np.zeros(3, "M8[D]")
F = gc.nn.functional


def small() -> gc.Tensor:
    """Three of i8."""
    return gc.zeros((3,), gc.int8)


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: gc.sum(gc.zeros(X), axis=2), ShapeError, r"sum: axis 2 is out of range .* rank 2"),
    (lambda: gc.sum(gc.zeros(X), axis="a"), ShapeError, "sum: axis must be an int, got 'a'"),
    (lambda: gc.sum(gc.zeros(X), axis=(0, -2)), ShapeError, "names an axis twice"),
    (lambda: gc.argmax(gc.zeros(X), axis=5), ShapeError, "argmax: axis 5"),
    (lambda: gc.add(gc.zeros(X), gc.zeros((4,))), ShapeError, "do not broadcast"),
    (lambda: gc.add(object(), gc.zeros(X)), DTypeError, "add: .* is no tensor"),
    (lambda: gc.add([[1], [1, 2]], gc.zeros(X)), DTypeError, "is no tensor"),
    (lambda: gc.exp(gc.zeros(X, gc.int32)), DTypeError, "exp: operand 0 has element type i32"),
    (lambda: gc.bitwise_and(gc.zeros(X), 1), DTypeError, "bitwise_and: operand 0 has"),
    (lambda: gc.logical_and(gc.zeros(X), True), DTypeError, "logical_and: operand 0 has"),
    (lambda: gc.astype(gc.zeros(X), "c8"), DTypeError, "astype: .*complex64"),
    (lambda: gc.full(X, 300, gc.int8), DTypeError, "full: 300 is no i8"),
    (lambda: gc.full(X, 1.5, gc.int8), DTypeError, "full: 1.5 is no i8"),
    (lambda: gc.zeros((-1, 2)), ShapeError, "zeros: shape holds the negative size -1"),
    (lambda: gc.zeros((1.5,)), ShapeError, "must be an int, got 1.5"),
    (lambda: gc.zeros(gc.zeros(X)), ShapeError, "must be known while the graph is built"),
    (lambda: gc.arange(0, 1, 0), ShapeError, "arange: step is 0"),
    (lambda: gc.arange("a"), ShapeError, "arange: stop must be an int"),
    (lambda: gc.linspace(0, 1, 3, gc.int32), DTypeError, "linspace: dtype i32"),
    (
        lambda: gc.linspace(DAYS[0], 1, 3),
        DTypeError,
        "linspace: start must be a number, got .*1970",
    ),
    (lambda: gc.linspace(0, DAYS, 3), DTypeError, "linspace: stop must be a number, got array"),
    (lambda: gc.random.integers(DAYS), ShapeError, "random.integers: low must be an int, got arr"),
    (lambda: gc.random.integers(0, 2.5), ShapeError, "random.integers: high must be an int, got 2"),
    (lambda: gc.eye(-1), ShapeError, "eye: n_rows holds the negative size"),
    (lambda: gc.one_hot(gc.zeros(X), 3), DTypeError, "one_hot: indices .* no integers"),
    (lambda: gc.tril(gc.zeros((3,))), ShapeError, "tril: .* is no matrix"),
    (lambda: gc.reshape(gc.zeros(X), (4, -1)), ShapeError, "do not divide"),
    (lambda: gc.reshape(gc.zeros(X), (7,)), ShapeError, "6 elements, shape .7. has 7"),
    (lambda: gc.reshape(gc.zeros(X), (-1, -1)), ShapeError, "more than one -1"),
    (lambda: gc.reshape(gc.zeros((0, 3)), (0, -1)), ShapeError, "could be anything"),
    (lambda: gc.permute_dims(gc.zeros(X), (0, 0)), ShapeError, "no permutation"),
    (lambda: gc.moveaxis(gc.zeros(X), (0, 1), 0), ShapeError, "as many distinct axes"),
    (lambda: gc.swapaxes(gc.zeros(X), 0, 2), ShapeError, "swapaxes: axis2 2"),
    (lambda: gc.expand_dims(gc.zeros(X), 4), ShapeError, "expand_dims: axis 4"),
    (lambda: gc.squeeze(gc.zeros(X), 0), ShapeError, "has size 2; expected 1"),
    (lambda: gc.broadcast_to(gc.zeros(X), (3, 2)), ShapeError, "does not broadcast"),
    (lambda: gc.matrix_transpose(gc.zeros((3,))), ShapeError, "is no matrix"),
    (lambda: gc.concat([]), GraphError, "concat: arrays is empty"),
    (lambda: gc.concat(gc.zeros(X)), GraphError, "sequence of tensors"),
    (lambda: gc.concat([gc.zeros(X), gc.zeros((2, 4))]), ShapeError, "concat: sizes differ"),
    (lambda: gc.concat([gc.zeros(X), gc.zeros((2,))]), ShapeError, "concat: ranks differ"),
    (lambda: gc.stack([gc.zeros(X), gc.zeros((2,))]), ShapeError, "concat: ranks differ"),
    (lambda: gc.split(gc.zeros(X), 2, 1), ShapeError, "does not split into 2 equal sections"),
    (lambda: gc.split(gc.zeros(X), 0), ShapeError, "does not split"),
    (lambda: gc.pad(gc.zeros(X), ((1, 2, 3),)), ShapeError, "pad: pad_width"),
    (lambda: gc.pad(gc.zeros(X), -1), ShapeError, "pad: pad_width holds the negative size"),
    (lambda: gc.pad(gc.zeros(X), 1, mode="wrap"), GraphError, "mode 'wrap' is not supported"),
    (lambda: gc.tile(gc.zeros(X), -1), ShapeError, "tile: repetitions holds the negative"),
    (lambda: gc.repeat(gc.zeros(X), 1.5), ShapeError, "repeat: repeats must be an int"),
    (lambda: gc.matmul(gc.zeros(X), gc.zeros(X)), ShapeError, "inner sizes differ: 3 .*and 2"),
    (lambda: gc.tensordot(gc.zeros(X), gc.zeros(X), 1), ShapeError, "tensordot: sizes differ"),
    (lambda: gc.tensordot(gc.zeros(X), gc.zeros(X), 3), ShapeError, "tensordot: axes 3"),
    (lambda: gc.einsum("ij,jk->ik", gc.zeros(X)), GraphError, "2 terms for 1 operands"),
    (lambda: gc.einsum("i1->i", gc.zeros(X)), GraphError, "no letter"),
    (lambda: gc.einsum("i->i", gc.zeros(X)), GraphError, "does not fit an operand of rank 2"),
    (lambda: gc.einsum("ij->k", gc.zeros(X)), GraphError, "not in any operand"),
    (lambda: gc.einsum("ii->i", gc.zeros(X)), ShapeError, "of label 'i': 2 and 3"),
    (lambda: gc.einsum("ij,ij->i", gc.zeros(X), gc.zeros((2, 4))), ShapeError, "of label 'j'"),
    (lambda: gc.take(gc.zeros(X), gc.zeros((2,)), 0), DTypeError, "take: indices .*no integers"),
    (lambda: gc.take_along_axis(gc.zeros(X), [0], 0), ShapeError, "another rank"),
    (lambda: gc.scatter_add(gc.zeros(X), [0], gc.zeros((2, 4))), ShapeError, "does not broadcast"),
    (lambda: gc.mean("abc"), DTypeError, "mean: 'abc' is no tensor"),
    (lambda: gc.logsumexp(gc.zeros(X, gc.int32)), DTypeError, "logsumexp: i32.* holds no floats"),
    (lambda: gc.group(3), GraphError, "group: 3 is no tensor"),
    (lambda: gc.asarray(300, "i8"), DTypeError, "asarray: .*300 is no i8"),
    (lambda: gc.asarray([1, -1], "u8"), DTypeError, "asarray: .*-1 is no u8"),
    (lambda: gc.asarray(np.array([2**40]), "i32"), DTypeError, f"asarray: .*{2**40} is no i32"),
    (lambda: gc.full((2,), [1, 300], "i8"), DTypeError, "full: .*300 is no i8"),
    (lambda: gc.variable([300], dtype="i8"), DTypeError, "variable: 300 is no i8"),
    (lambda: gc.arange(300, dtype="i8"), DTypeError, "arange: 299 is no i8"),
    (lambda: gc.arange(0, -200, -1, "i8"), DTypeError, "arange: -199 is no i8"),
    (lambda: gc.random.integers(0, 300, (2,), "i8"), DTypeError, "integers: 299 is no i8"),
    (lambda: gc.pad(small(), 1, constant_values=300), DTypeError, "pad: .*300 is no i8"),
    (lambda: gc.pad(small(), 1, constant_values=1.5), DTypeError, "pad: .*1.5 is no i8"),
    (lambda: F.pad(small(), (1, 1), value=300), DTypeError, "pad: .*300 is no i8"),
    (lambda: gc.scatter(small(), [0], [300], axis=0), DTypeError, "scatter: .*300 is no i8"),
    (
        lambda: gc.dynamic_update_slice(small(), [-129], (0,)),
        DTypeError,
        "dynamic_update_slice: .*-129 is no i8",
    ),
    (lambda: gc.zeros(X)[np.ma.array([0], mask=[True])], DTypeError, "index: .*masked elements"),
    (lambda: gc.zeros(X)[[np.ma.array([0], mask=[True])]], DTypeError, "index: .*masked elements"),
    (lambda: gc.zeros(X)[[[0], [0, 1]]], DTypeError, "index: .*inhomogeneous"),
    (lambda: gc.roll(gc.placeholder("f32", ["n"]), 2**70), ShapeError, "roll: shift is"),
    (lambda: int(gc.zeros(())), ArgumentError, "has no value before a run"),
    (lambda: float(gc.zeros(())), ArgumentError, "has no value before a run"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None, "the user's line is missing"
    assert caught.value.location.file == __file__


def test_integers_at_the_ends_of_a_type_fit() -> None:
    with gc.Session() as sess:
        got = sess.run(
            [
                gc.asarray([-128, 127], "i8"),
                gc.arange(126, -129, -127, "i8"),
                gc.asarray(2**64 - 1, "u64"),
                gc.pad(small(), (1, 0), constant_values=-128),
                gc.asarray(1.5, "i8"),
            ]
        )
    assert [a.tolist() for a in got] == [
        [-128, 127],
        [126, -1, -128],
        2**64 - 1,
        [-128, 0, 0, 0],
        1,
    ]
