"""What `graphc.extend` and `graphc.testing` are given wrongly: a typed error that names the
function and the user's line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc import extend, testing
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError
from graphc.extend import (
    Rewriter,
    f32,
    full,
    holes,
    i32,
    interpret,
    make,
    ops,
    parse_graph,
    print_graph,
    print_program,
    rebuild,
    topological,
    users,
    verify,
)
from graphc.testing import check_graph, check_op, random_graph, sample

GRAPH = parse_graph("""graph @f(%x: f32[n,3], %y: f32[n]) {
  %s = reduce_sum %x {axes=[1]} : f32[n]
  %a = add %s, %y               : f32[n]
  return %a
}""")
ROWS, ROW = np.ones((2, 3), np.float32), np.ones(2, np.float32)
Attempt = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]
THREE: Any = 3
ATTEMPTS: list[Attempt] = [
    (parse_graph, (3,), {}, "parse_graph: cannot use the arguments"),
    (print_graph, (3,), {}, "print_graph: cannot use the arguments"),
    (print_program, (3,), {}, "print_program: cannot use the arguments"),
    (make, (3, ()), {}, "make: cannot use the arguments"),
    (make, (ops.Exp(), ()), {}, "exp: takes 1 operands, got 0"),
    (full, ("a", f32[3]), {}, "full: cannot use the arguments"),
    (holes, (3,), {}, "holes: cannot use the arguments"),
    (topological, (3,), {}, "topological: cannot use the arguments"),
    (users, (3,), {}, "users: cannot use the arguments"),
    (verify, (3, "mine"), {}, "verify: cannot use the arguments"),
    (rebuild, (GRAPH, None), {}, "rebuild: cannot use the arguments"),
    (rebuild, (GRAPH, lambda v: None), {}, "rebuild: cannot use the arguments"),
    (rebuild, (GRAPH, lambda v, w: v), {}, "missing 1 required positional argument: 'w'"),
    (Rewriter, ([3], []), {}, "Rewriter: rules holds 3; expected rules"),
    (interpret, (3,), {}, "interpret: graph is 3; expected a Graph"),
    (
        interpret,
        (GRAPH, ROWS),
        {},
        r"got 1 arrays; expected one for each input \(x: f32\[n,3\], y:",
    ),
    (random_graph, (-1,), {}, "random_graph: seed is -1; expected a whole number of at least 0"),
    (random_graph, (1.5,), {}, "random_graph: seed is 1.5"),
    (random_graph, (1,), {"ops": ops.Exp}, "random_graph: ops is .*; expected a list of ops"),
    (check_graph, (3,), {}, "check_graph: graph is 3; expected a Graph"),
    (check_graph, (GRAPH, -1), {}, "check_graph: seed is -1"),
    (check_op, (ops.Exp, 3), {}, "check_op: samples holds 3; expected a list of samples"),
    (check_op, (ops.Exp, [f32[3]]), {}, r"check_op: samples holds f32\[3\]; expected a list of"),
    (check_op, (ops.Exp, [sample(THREE)]), {}, "check_op: a sample has the operand 3"),
    (check_op, (ops.Exp, [sample(f32["n"])]), {}, r"has the operand f32\[n\]; expected a type of"),
    (check_op, (ops.Exp, [sample(f32[3], low=3, high=1)]), {}, "expected numbers low <= high"),
    (check_op, (ops.Exp, [sample(f32[3], prepare=THREE)]), {}, "prepare=3; expected"),
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda a: f"{a[0].__name__}{a[3][:30]}")
def test_wrong_arguments_are_typed_errors(attempt: Attempt) -> None:
    function, args, kwargs, said = attempt
    with pytest.raises(GraphError, match=said) as caught:
        function(*args, **kwargs)
    assert caught.value.location is not None and caught.value.location.file == __file__


def test_the_oracle_takes_arrays_of_the_inputs_types() -> None:
    np.testing.assert_array_equal(interpret(GRAPH, ROWS, ROW)[0], [4, 4])
    wrong: list[tuple[type[GraphcError], Any, Any, str]] = [
        (
            DTypeError,
            ROWS.astype(float),
            ROW,
            r"'x' \(f32\[n,3\]\) is float64\[2, 3\]; expected f32",
        ),
        (DTypeError, ROWS.tolist(), ROW, r"use array.astype\('float32'\)"),
        (ShapeError, ROW, ROW, "expected 2 axes"),
        (ShapeError, ROWS[:, :2], ROW, "expected 3 for axis 1"),
        (
            ShapeError,
            ROWS,
            ROW[:1],
            r"input 'y' \(f32\[n\]\) is float32\[1\]; expected 2 for axis 0",
        ),
    ]
    for kind, x, y, said in wrong:
        with pytest.raises(kind, match=said) as caught:
            interpret(GRAPH, x, y)
        assert caught.value.location is not None and caught.value.location.file == __file__


def test_an_author_reads_the_op_that_is_at_fault() -> None:
    """Functions of users hide the ops that they are made of; authors name these ops themselves."""
    with pytest.raises(DTypeError, match=r"^exp: operand 0 has element type i32"):
        make(ops.Exp(), (full(1, i32[3]),))
    fresh = full(1.0, f32[3])
    with pytest.raises(gc.errors.VerifyError, match="mine"):
        verify(dataclasses.replace(GRAPH, inputs=(*GRAPH.inputs, fresh)), "mine")


def test_one_sample_needs_no_list() -> None:
    check_op(ops.Exp, sample(f32[3]))  # type: ignore[arg-type]


@pytest.mark.parametrize("module", [extend, testing], ids=lambda m: m.__name__)
def test_every_function_for_authors_is_guarded(module: Any) -> None:
    functions = [f for f in map(module.__dict__.get, dir(module)) if type(f) is type(sample)]
    assert len(functions) >= 4
    assert [f.__name__ for f in functions if not hasattr(f, "guarded")] == []
