"""Control flow in runs: draws, variables, failures, refusals, kernels, what a step may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.control import DATA, RNG, inputs, run
from support.run import options

import graphc as gc
from graphc.compiler.compile import lower
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.frontend.stage import stage
from graphc.frontend.tensor import Tensor
from graphc.ir.control import Loop, Switch
from graphc.ir.graph import Graph
from graphc.ir.program import Kind
from graphc.ir.text.graph import parse_graph

# ---- state, draws, failures


def test_every_step_draws_anew() -> None:
    """semantics 13.6"""
    with gc.Graph().as_default():
        _, rows = gc.scan(lambda c, _: (c, gc.random.uniform((3,))), 0.0, None, length=5)

        def add(total: Tensor, _: Any) -> Any:
            drawn = gc.random.normal(())
            return total + drawn, drawn

        again = gc.scan(add, 0.0, None, length=3)
        with gc.Session(seed=3, options=options()) as sess:
            first, second = sess.run(rows), sess.run(rows)
            assert len(np.unique(first)) == 15
            assert not np.array_equal(first, second)
            total, drawn = sess.run(again)
            assert len(np.unique(drawn)) == 3
            np.testing.assert_allclose(total, drawn.sum(), rtol=1e-6)
        with gc.Session(seed=3, options=options()) as sess:
            np.testing.assert_array_equal(sess.run(rows), first)


def test_variables_are_read_and_trained() -> None:
    with gc.Graph().as_default():
        w = gc.variable(np.array(0.2, np.float32), name="w")
        x = gc.placeholder(gc.float32, [None], name="x")
        last, _ = gc.scan(lambda c, e: (c * w + e, ()), 0.0, x)
        loss = (last - 3.0) * (last - 3.0)
        step = gc.optim.SGD(0.01).minimize(loss)
        with gc.Session(options=options()) as sess:
            losses = [sess.run([loss, step], {x: np.ones(4)})[0] for _ in range(60)]
        assert losses[-1] < 1e-3 < losses[0]


def test_a_failing_step_ends_the_run() -> None:
    with gc.Graph().as_default():
        table = gc.variable(np.arange(4, dtype=np.float32), name="table")
        ids = gc.placeholder(gc.int64, [None], name="ids")
        total, _ = gc.scan(lambda c, i: (c + gc.take(table, i), ()), 0.0, ids)
        write = table.assign_add(total)
        with gc.Session(options=options()) as sess:
            assert sess.run(total, {ids: [1, 2, 3]}) == 6.0
            with pytest.raises(GraphError, match="9 is out of range"):
                sess.run(write, {ids: [1, 9, 3]})
            np.testing.assert_array_equal(sess.value(table), np.arange(4))


def test_bad_arguments() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 3], name="x")
        y = gc.placeholder(gc.float32, [4], name="y")
        with pytest.raises(DTypeError, match=r"carry 0 is i64\[\], but a step makes it f32"):
            gc.scan(lambda c, r: (c + gc.sum(r), ()), 0, x)
        with pytest.raises(ShapeError, match=r"carry 0 is f32\[3\], but a step makes it f32\[2\]"):
            gc.scan(lambda c, r: (c[:2], ()), gc.zeros((3,)), x)
        with pytest.raises(GraphError, match="f gave"):
            gc.scan(lambda c, r: c, 0.0, x)
        with pytest.raises(GraphError, match="give xs or length"):
            gc.scan(lambda c, r: (c, ()), 0.0)
        with pytest.raises(ShapeError, match="differ along the first axis"):
            gc.scan(lambda c, r: (c, ()), 0.0, (gc.zeros((3,)), y))
        with pytest.raises(ShapeError, match="no first axis"):
            gc.map_fn(lambda r: r, gc.asarray(1.0))
        with pytest.raises(ShapeError, match="one truth value"):
            gc.cond(y > 0.0, lambda: y, lambda: y)
        with pytest.raises(
            DTypeError,
            match=r"cond: the true branch gives f32\[4\], the false branch gives i64\[4\]",
        ):
            gc.cond(gc.sum(y) > 0.0, lambda: y, lambda: gc.astype(y, gc.int64))
        with pytest.raises(GraphError, match="nest"):
            gc.cond(gc.sum(y) > 0.0, lambda: (y, y), lambda: y)
        with pytest.raises(GraphError, match="no function"):
            gc.cond(gc.sum(y) > 0.0, y, y)
        w = gc.variable(0.0, name="w")
        with pytest.raises(GraphError, match="assigned inside"):
            gc.scan(lambda c, r: (w.assign(c), ()), 0.0, x)
        with pytest.raises(GraphError, match="functions"):
            gc.switch(0, [])
        with pytest.raises(GraphError, match="compare identity"):
            gc.while_loop(lambda n: n != 3, lambda n: n + 1, (0,))


def test_an_inner_graph_with_wrong_types_is_refused() -> None:
    body = parse_graph("graph @f(%c: f32[]) {\n  return %c\n}")
    loop = Loop(body, 1, 0, 0)
    from graphc.ir.types import f32, f64, i64

    with pytest.raises(ShapeError, match="do not fit"):
        loop.infer(i64[()], f64[()])
    with pytest.raises(ShapeError, match="operands"):
        loop.infer(f32[()], f32[()])
    with pytest.raises(ShapeError, match="branch"):
        Switch((body,)).infer(i64[()], f64[()])
    assert isinstance(body, Graph)


# ---- kernels


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
def test_a_loop_of_maps_is_one_kernel(shape: tuple[int, ...]) -> None:
    """Also its gradient: each element goes its own way through the steps."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, [None, *shape], name="x")
        a = gc.placeholder(gc.float64, shape, name="a")
        last, rows = gc.scan(lambda c, e: (c * 0.5 + gc.tanh(e * a), c), a, x)
        wanted = [last, rows, *gc.gradients(gc.sum(last) + gc.sum(rows * rows), [x])]
        kinds = [k.kind for k in lower(stage(wanted).graph, options()).program.kernels]
        assert kinds.count(Kind.SCAN) == 2 and Kind.CONTROL not in kinds
        for steps in (0, 1, 6):
            run(wanted, {"x": RNG.normal(size=(steps, *shape)), "a": RNG.normal(size=shape)})


def test_threads_share_the_elements_of_a_loop_of_maps() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 700, 31], name="x")
        last, rows = gc.scan(lambda c, e: (gc.tanh(c + e), c * e), gc.zeros((700, 31)), x)
        feeds = {x: RNG.normal(size=(9, 700, 31)).astype(np.float32)}
        found = []
        for threads in (1, 2):
            with gc.Session(threads=threads, options=options()) as sess:
                found.append(sess.run([last, rows], feeds))
        for one, two in zip(*found, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_custom_gradient_that_holds_on_to_tensors() -> None:
    """What the backward function took from around it, inside the loop and outside."""
    with gc.Graph().as_default():
        t = inputs()

        def step(h: Tensor, x: Tensor) -> Any:
            root = gc.exp(x * t["b"])

            @gc.custom_gradient(lambda ct, out, a: ct * root * t["p"])
            def f(a: Tensor) -> Tensor:
                return a * 2.0

            return f(h + x), ()

        h, _ = gc.scan(step, t["h"], t["x"])
        (found,) = run(gc.gradients(gc.sum(h), [t["h"]]), DATA)
        wanted = np.prod(np.exp(DATA["x"] * DATA["b"]) * DATA["p"], axis=0)
        np.testing.assert_allclose(found, wanted)
        y = gc.cond(t["p"] > 0.0, lambda: gc.sum(step(t["h"], t["h"])[0]), lambda: t["p"])
        (found,) = run(gc.gradients(y, [t["h"]]), DATA)
        np.testing.assert_allclose(found, 2 * np.exp(DATA["h"] * DATA["b"]) * DATA["p"])


def test_factorisations_sorts_and_python_in_a_loop() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, [None, 3, 3], name="x")

        def twice(a: Tensor) -> Tensor:
            return gc.py_func(lambda v: v * 2, [a], a.type, gradient=lambda ct, out, a: ct * 2.0)

        def step(c: Tensor, e: Tensor) -> Any:
            return c, (gc.linalg.inv(e), gc.sort(e, axis=1), twice(e))

        _, rows = gc.scan(step, 0.0, x)
        data = RNG.normal(size=(4, 3, 3)) + 3 * np.eye(3)
        d = gc.gradients(gc.sum(rows[0]) + gc.sum(rows[2]), [x])
        with gc.Session(options=options()) as sess:
            found = sess.run([*rows, *d], {x: data})
        inverse = np.linalg.inv(data)
        back = 2 - np.einsum("tki,tjl->tij", inverse, inverse)
        wanted = [inverse, np.sort(data, 2), data * 2, back]
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)


def test_python_that_fails_in_a_step_ends_the_run() -> None:
    def picky(a: Any) -> Any:
        if a[0] > 2:
            raise ValueError("too large")
        return a

    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, 2], name="x")
        w = gc.variable(np.zeros(2, np.float32), name="w")
        total, _ = gc.scan(lambda c, e: (c + gc.py_func(picky, [e], e.type), ()), gc.zeros((2,)), x)
        write = w.assign_add(total)
        with gc.Session(options=options()) as sess:
            sess.run(write, {x: np.ones((3, 2))})
            with pytest.raises(GraphError, match="too large") as failed:
                sess.run(write, {x: np.array([[1, 1], [3, 3], [1, 1]])})
            assert isinstance(failed.value.__cause__, ValueError)
            np.testing.assert_array_equal(sess.value(w), [3, 3])
            np.testing.assert_array_equal(sess.run(write, {x: np.ones((1, 2))}), [4, 4])
