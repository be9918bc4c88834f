"""Costs of kernels against figures counted by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.run import options

import graphc as gc
from graphc.cli.model_file import staged
from graphc.compiler.compile import lower
from graphc.ir import dim
from graphc.ir.arena import layout
from graphc.ir.dim import parse, symbol
from graphc.ir.program import Kernel, Program, scatters_in_place
from graphc.passes.cost.cache_reuse import touches
from graphc.passes.cost.kernel import Cost, cost_of, least, loop_steps, program_cost

Figures = tuple[int, int, int]


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    gc.reset_default_graph()


def program_of(*fetches: Any) -> Program:
    return lower(staged(list(fetches)), options()).program


def figures(cost: Cost, **sizes: int) -> Figures:
    """Bytes read, bytes written, operations."""
    return (
        dim.evaluate(cost.read, sizes),
        dim.evaluate(cost.written, sizes),
        dim.evaluate(cost.flops, sizes),
    )


def costs(*fetches: Any, **sizes: int) -> list[Figures]:
    """Of each kernel of what is fetched."""
    program = program_of(*fetches)
    return [figures(cost_of(k, scatters_in_place(program, k)), **sizes) for k in program.kernels]


def matrix(*shape: Any, dtype: Any = gc.float32) -> Any:
    return gc.placeholder(dtype, list(shape))


def test_elementwise() -> None:
    x, y = matrix("n"), matrix("n")
    assert costs(gc.exp(x * y + 1.0), n=10) == [(80, 40, 10 * (1 + 1 + 8))]
    assert costs(x + x, n=10) == [(40, 40, 10)]  # one operand, read once
    assert costs(gc.sqrt(matrix("n", dtype=gc.float64)), n=10) == [(80, 80, 40)]


def test_formulas_are_of_the_sizes() -> None:
    x, y = matrix("n", "m"), matrix("m", "k")
    (product,) = program_of(x @ y).kernels
    n, m, k = map(symbol, "nmk")
    assert cost_of(product) == Cost(4 * n * m + 4 * m * k, 4 * n * k, 2 * n * m * k)


@pytest.mark.parametrize("ta, tb", [(False, False), (True, False), (False, True)])
def test_matmul(ta: bool, tb: bool) -> None:
    a, b = matrix(*((7, 5) if ta else (5, 7))), matrix(*((9, 7) if tb else (7, 9)))
    product = (gc.matrix_transpose(a) if ta else a) @ (gc.matrix_transpose(b) if tb else b)
    assert costs(product) == [(4 * (35 + 63), 4 * 45, 2 * 5 * 7 * 9)]


def test_batched_matmul_with_what_follows() -> None:
    assert costs(matrix(3, 5, 7) @ matrix(3, 7, 9)) == [(4 * 3 * (35 + 63), 4 * 135, 6 * 5 * 7 * 9)]
    ((read, written, flops),) = costs(gc.maximum(matrix(5, 7) @ matrix(7, 9) + matrix(9), 0.0))
    assert (read, written, flops) == (4 * (35 + 63 + 9), 4 * 45, 2 * 5 * 7 * 9 + 2 * 45)


def test_convolution() -> None:
    x, w = matrix("n", 3, 8, 8), matrix(4, 3, 3, 3)
    convolved = gc.nn.functional.conv2d(x, w, padding=1)
    n = 2
    outputs = n * 4 * 8 * 8
    assert costs(convolved, n=n) == [
        (4 * (n * 3 * 64 + 4 * 27), 4 * outputs, 2 * outputs * 3 * 3 * 3)
    ]
    grouped = gc.nn.functional.conv2d(matrix(2, 4, 6, 6), matrix(8, 2, 3, 3), stride=2, groups=2)
    outputs = 2 * 8 * 2 * 2
    assert costs(grouped) == [(4 * (2 * 4 * 36 + 8 * 2 * 9), 4 * outputs, 2 * outputs * 2 * 9)]


def test_softmax() -> None:
    rows, columns = 6, 10
    elements = rows * columns
    # maximum, subtraction, exp, sum; division
    flops = elements * (1 + 1 + 8 + 1 + 4)
    assert costs(gc.nn.functional.softmax(matrix("n", columns), dim=1), n=rows) == [
        (4 * elements, 4 * elements, flops)
    ]


def test_views_are_counted_as_far_as_they_are_read() -> None:
    x = matrix(10, 20)
    assert costs(x[:, 2:5] * 2.0) == [(4 * 30, 4 * 30, 30)]
    assert costs(x[::2] + 1.0) == [(4 * 100, 4 * 100, 100)]
    assert costs(x[:5] + x[5:]) == [(4 * 200, 4 * 100, 100)]
    assert costs(x[1:] * x[:-1]) == [(4 * 200, 4 * 180, 180)]
    assert costs(gc.concat([x, x])) == [(4 * 200, 4 * 400, 0)]
    assert costs(gc.broadcast_to(matrix(20), (10, 20)) + x) == [(4 * 220, 4 * 200, 200)]


def test_gather_and_scatter() -> None:
    table, index = matrix(1000, 16), matrix("k", dtype=gc.int64)
    assert costs(gc.take(table, index, axis=0), k=5) == [(8 * 5 + 4 * 80, 4 * 80, 0)]
    assert costs(gc.take(table, index, axis=0), k=5000) == [(8 * 5000 + 64000, 320000, 0)]
    variable = gc.variable(gc.zeros((1000, 16)))
    loss = gc.sum(gc.take(variable, index, axis=0))
    train = gc.optim.SGD(0.1).minimize(loss)
    program = program_of(train)
    scatter = next(k for k in program.kernels if k.kind.name == "SCATTER")
    assert scatters_in_place(program, scatter)
    assert figures(cost_of(scatter, True), k=5)[1] == 4 * 80  # rows touched, not the table
    assert figures(cost_of(scatter, False), k=5)[1] == 64000


def test_loop() -> None:
    x, w = matrix("n", 3), matrix(3)
    last, rows = gc.scan(lambda c, r: (c * w + r, gc.sum(c)), gc.zeros((3,)), x)
    program = program_of(last, rows)
    (loop,) = [k for k in program.kernels if k.programs]
    assert loop_steps(loop) == parse("n")
    body = program_cost(loop.programs[0])
    assert cost_of(loop) == body.times(symbol("n"))
    assert dim.evaluate(cost_of(loop).flops, {"n": 7}) % 7 == 0


def test_scan_of_maps_is_one_kernel() -> None:
    _, rows = gc.scan(lambda c, r: (c * 0.5 + r,) * 2, gc.zeros((3,)), matrix("n", 3))
    found = [k for k in program_of(rows).kernels if k.kind.name == "SCAN"]
    read, written, flops = figures(cost_of(found[0]), n=7)
    assert flops == 7 * 3 * 2 and written >= 4 * 21 and read >= 4 * 21


def test_switch_costs_its_dearest_branch() -> None:
    x = matrix("n")
    y = gc.cond(gc.sum(x) > 0.0, lambda: gc.exp(x), lambda: x * 2.0)
    (switch,) = [k for k in program_of(y).kernels if k.programs]
    assert figures(cost_of(switch), n=10)[2] == 80
    assert loop_steps(switch) == 1


def test_steps_that_only_a_run_tells() -> None:
    n = matrix(dtype=gc.float32)
    (total,) = gc.while_loop(lambda c: c < n, lambda c: (c * 2.0,), (gc.ones(()),))
    (loop,) = [k for k in program_of(total).kernels if k.programs]
    assert loop_steps(loop) is None
    assert cost_of(loop) == program_cost(loop.programs[0])


def test_least() -> None:
    n, m = symbol("n"), symbol("m")
    assert least(n, n + 1) == n and least(2 * n * m, n * m) == n * m and least(3, 2) == 2
    assert least(n, 5) == dim.minimum(n, 5)
    assert least(least(n, 5), n) == dim.minimum(n, 5)


def test_a_training_step() -> None:
    """Formulas that the sizes evaluate, of a network with most families of ops."""
    x, y = matrix("n", 1, 8, 8), matrix("n", dtype=gc.int64)
    net = gc.nn.Sequential(
        gc.nn.Conv2d(1, 4, 3),
        gc.nn.BatchNorm2d(4),
        gc.nn.ReLU(),
        gc.nn.MaxPool2d(2),
        gc.nn.Flatten(),
        gc.nn.Dropout(0.5),
        gc.nn.Linear(36, 10),
    )
    loss = gc.nn.functional.cross_entropy(net(x), y)
    program = program_of(gc.optim.Adam(0.01).minimize(loss), loss)
    total = figures(program_cost(program), n=3)
    assert all(f > 0 for f in total)
    moved = {k: sum(figures(cost_of(k), n=3)[:2]) for k in program.kernels}
    stored = {
        k: sum(dim.evaluate(v.type.nbytes, {"n": 3}) for v in (*k.reads, *k.writes))
        for k in program.kernels
    }
    assert all(moved[k] <= stored[k] for k in program.kernels)


# ---- how far apart the touches of a buffer are ----


def distances(program: Program, **sizes: int) -> dict[Kernel, list[int]]:
    found = touches(program, lambda size: dim.evaluate(size, sizes), layout(program, sizes))
    return {k: [t.distance for t in used] for k, used in found.items()}


def test_what_was_just_written_is_near() -> None:
    x, w = matrix(1000, 1000), matrix(1000, 8)
    product = x @ w
    program = program_of(gc.sum(product, axis=1) + gc.max(product, axis=1))
    first, last = program.kernels[0], program.kernels[-1]
    assert first.kind.name == "MATMUL"
    found = distances(program)
    whole = 4 * (1_000_000 + 8_000)
    assert max(found[first]) >= whole  # the rest of the run lies between
    assert min(found[last]) <= 4 * (8_000 + 8_000 + 1_000) < whole  # the product; not the result


def test_touches_add_up_to_the_cost() -> None:
    x = matrix("n", 64)
    program = program_of(gc.nn.functional.softmax(x @ matrix(64, 64), dim=1))
    found = touches(program, lambda size: dim.evaluate(size, {"n": 9}), layout(program, {"n": 9}))
    for k in program.kernels:
        read, written, _ = figures(cost_of(k), n=9)
        assert sum(t.read for t in found[k]) == read
        assert sum(t.written for t in found[k]) == written
        assert all(t.distance >= max(t.read, t.written) for t in found[k])


def test_inner_kernels_are_there() -> None:
    x = matrix("n", 3)
    last, rows = gc.scan(lambda c, r: (c + r * gc.sum(c), gc.sum(c)), gc.zeros((3,)), x)
    program = program_of(last, rows)
    inner = [k for outer in program.kernels for p in outer.programs for k in p.kernels]
    found = distances(program, n=5)
    assert inner and all(k in found for k in inner)
    assert math.isfinite(np.mean([d for used in found.values() for d in used]))
