"""Gradients of embeddings: only their rows are read and written, and a run stays a transaction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import GraphError
from graphc.ir.ops.gather import CheckIndex, ScatterAdd
from graphc.ir.program import Place, scatters_in_place
from graphc.session.hooks import Hooks

RNG = np.random.default_rng(5)
START = RNG.normal(size=(9, 3))
IDS = [[1, 4, 4], [0, -1, 1], [4, 4, 4], [8, 8, 2]]
OTHER = [[4], [1], [-9], [0]]


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def observed() -> tuple[list[Any], Hooks]:
    seen: list[Any] = []
    return seen, Hooks(observe=seen.append)


def rows(torch: Any, make: Any, sparse: bool, twice: bool) -> list[Any]:
    table = tensor(torch, START, grad=True)
    optimizer, found = make(torch, table), []
    for ids, other in zip(IDS, OTHER, strict=True):
        optimizer.zero_grad()
        at = torch.tensor(ids) % 9
        loss = (torch.nn.functional.embedding(at, table, sparse=sparse) ** 3).sum()
        if twice:
            loss = loss - (table[torch.tensor(other) % 9] ** 2).sum()
        loss.backward()
        optimizer.step()
        found.append(table.detach().numpy().copy())
    return [np.stack(found)]


def build(dtype: Any, twice: bool) -> tuple[Any, Any, Any, Any]:
    table = gc.variable(START.astype(dtype.numpy), name="table")
    ids, other = gc.placeholder(gc.int64, [None]), gc.placeholder(gc.int32, ["m"])
    loss = gc.sum(gc.take(table, ids, axis=0) ** 3)
    if twice:
        loss = loss - gc.sum(gc.take(table, other, axis=0) ** 2)
    return loss, table, ids, other


@pytest.mark.parametrize("dtype", [gc.float64, gc.float32], ids=str)
@pytest.mark.parametrize("twice", [False, True])
def test_sgd_touches_the_rows_alone(twice: bool, dtype: Any) -> None:
    """semantics 7.7"""
    (wanted,) = torch_case(
        f"sgd_{twice}",
        lambda torch: rows(torch, lambda torch, table: torch.optim.SGD([table], 0.1), False, twice),
    )
    loss, table, ids, other = build(dtype, twice)
    step = gc.optim.SGD(0.1).minimize(loss)
    seen, hooks = observed()
    with gc.Session(hooks=hooks) as sess:
        for i, o, expected in zip(IDS, OTHER, wanted, strict=True):
            sess.run(step, {ids: i, other: o} if twice else {ids: i})
            np.testing.assert_allclose(
                sess.value(table), expected, rtol=1e-12 if dtype is gc.float64 else 1e-5
            )
    (made,) = seen
    program, scatter = made.program, made.program.kernels[-1]
    assert isinstance(scatter.body[0].op, ScatterAdd) and scatter.commits
    assert scatters_in_place(program, scatter)
    assert sum(isinstance(v.op, ScatterAdd) for k in program.kernels for v in k.body) == 1
    assert not any(table.shape == w.type.shape for k in program.kernels[:-1] for w in k.writes)


def test_a_huge_table_takes_no_memory() -> None:
    table = gc.variable(gc.zeros((1_000_000, 4)), name="table")
    ids = gc.placeholder(gc.int64, [None])
    step = gc.optim.SGD(1.0).minimize(gc.sum(gc.take(table, ids, axis=0)))
    with gc.Session() as sess:
        sess.run(step, {ids: [7, 999_999, 7]})
        assert sess.stats.arena_allocated < 1000
        value = sess.value(table)
        assert value[7].tolist() == [-2] * 4 and value[-1].tolist() == [-1] * 4
        assert np.count_nonzero(value) == 8


@pytest.mark.parametrize("bad", [9, -10])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_wrong_index_changes_nothing(bad: int, threads: int) -> None:
    loss, table, ids, _ = build(gc.float32, False)
    bias = gc.variable(1.0, name="bias")
    step = gc.optim.SGD(0.1).minimize(loss + bias)
    with gc.Session(threads=threads) as sess:
        before = sess.value(table)
        with pytest.raises(GraphError, match=f"take: index {bad} is out of range for a size of 9"):
            sess.run(step, {ids: [0, 1, bad]})
        np.testing.assert_array_equal(sess.value(table), before)
        assert float(sess.value(bias)) == 1.0
        sess.run(step, {ids: [0, 1]})
        assert (sess.value(table)[:2] != before[:2]).all() and float(sess.value(bias)) != 1.0


def test_reads_of_the_table_see_its_old_values() -> None:
    loss, table, ids, _ = build(gc.float32, False)
    step = gc.optim.SGD(0.1).minimize(loss)
    with gc.Session() as sess:
        before = sess.value(table)
        total, whole, _ = sess.run([gc.sum(table, axis=1), table, step], {ids: [1, 2]})
        np.testing.assert_allclose(total, before.sum(1), rtol=1e-5)
        np.testing.assert_array_equal(whole, before)
        assert (sess.value(table)[1:3] != before[1:3]).all()


def test_fetching_the_new_value_gives_a_copy() -> None:
    loss, table, ids, _ = build(gc.float32, False)
    (new,) = gc.optim.SGD(0.1).minimize(loss).tensors
    seen, hooks = observed()
    with gc.Session(hooks=hooks) as sess:
        value = sess.run(new, {ids: [1, 1]})
        np.testing.assert_array_equal(value, sess.value(table))
        value[...] = 0
        assert sess.value(table).all()
    assert seen[0].program.buffers[seen[0].program.kernels[-1].writes[0]].place is Place.OUTPUT


def test_dense_where_rows_alone_would_be_wrong() -> None:
    (wanted,) = torch_case(
        "momentum",
        lambda torch: rows(
            torch,
            lambda torch, table: torch.optim.SGD([table], 0.1, 0.9, weight_decay=0.1),
            False,
            True,
        ),
    )
    loss, table, ids, other = build(gc.float64, True)
    step = gc.optim.SGD(0.1, 0.9, weight_decay=0.1).minimize(loss)
    with gc.Session() as sess:
        for i, o, expected in zip(IDS, OTHER, wanted, strict=True):
            sess.run(step, {ids: i, other: o})
            np.testing.assert_allclose(sess.value(table), expected, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3}])
def test_sparse_adam(options: dict[str, Any]) -> None:
    (wanted,) = torch_case(
        f"sparse_adam_{len(options)}",
        lambda torch: rows(
            torch, lambda torch, table: torch.optim.SparseAdam([table], **options), True, False
        ),
    )
    loss, table, ids, _ = build(gc.float64, False)
    step = gc.optim.SparseAdam(**options).minimize(loss)
    with gc.Session() as sess:
        for i, expected in zip(IDS, wanted, strict=True):
            sess.run(step, {ids: i})
            np.testing.assert_allclose(sess.value(table), expected, rtol=1e-12)
    with pytest.raises(GraphError, match="SparseAdam: the gradient of 'table' is dense"):
        gc.optim.SparseAdam().minimize(gc.sum(table * table))


def test_nothing_to_look_up() -> None:
    loss, table, ids, _ = build(gc.float32, False)
    step = gc.optim.SGD(0.1).minimize(loss)
    with gc.Session() as sess:
        before = sess.value(table)
        sess.run(step, {ids: np.zeros(0, np.int64)})
        np.testing.assert_array_equal(sess.value(table), before)


def test_a_scatter_of_the_variable_itself_is_not_in_place() -> None:
    w = gc.variable(START[:3].astype(np.float32), name="w")
    ids = gc.placeholder(gc.int64, [3])
    new = ScatterAdd(0)(w, CheckIndex(3)(ids), w)
    seen, hooks = observed()
    with gc.Session(hooks=hooks) as sess:
        before = sess.value(w)
        sess.run(gc.group(w.assign(new)), {ids: [2, 2, 0]})
        expected = before.copy()
        np.add.at(expected, [2, 2, 0], before)
        np.testing.assert_allclose(sess.value(w), expected, rtol=1e-6)
    assert not any(scatters_in_place(seen[0].program, k) for k in seen[0].program.kernels)


def test_a_scatter_over_what_dies_there_is_in_place() -> None:
    x, ids = gc.placeholder(gc.float32, ["n", "n"]), gc.placeholder(gc.int64, ["m"])
    out = gc.scatter_add(x @ x, ids, x[0], axis=0) @ x
    seen, hooks = observed()
    with gc.Session(hooks=hooks) as sess:
        value, at = START[:3].astype(np.float32), [0, 1, 1]
        expected = value @ value
        np.add.at(expected, at, value[:1])
        np.testing.assert_allclose(sess.run(out, {x: value, ids: at}), expected @ value, rtol=1e-5)
        with pytest.raises(GraphError, match="scatter_add: index 3"):
            sess.run(out, {x: value, ids: [3, 0]})
    assert any(scatters_in_place(seen[0].program, k) for k in seen[0].program.kernels)
