"""Control flow: meaning, gradients, laziness, text, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.control import DATA, RNG, STEPS, check_gradients, inputs, run
from support.run import options

import graphc as gc
from graphc.compiler.compile import lower
from graphc.errors import GradientError, GraphError
from graphc.frontend.stage import stage
from graphc.frontend.tensor import Tensor
from graphc.ir.control import Loop
from graphc.ir.program import Kind

# ---- scan


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_and_its_gradients(name: str, reverse: bool) -> None:
    with gc.Graph().as_default():
        t = inputs()
        h, rows = gc.scan(STEPS[name](t), t["h"], t["x"], reverse=reverse)
        loss = gc.sum(h * h)
        if isinstance(rows, Tensor):
            loss = loss + gc.sum(rows * rows * rows)
        graph = stage([loss]).graph
        used = [t[v.name] for v in graph.inputs]
        check_gradients(loss, used, DATA)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_any_number_of_steps(steps: int) -> None:
    """semantics 13.3"""
    with gc.Graph().as_default():
        t = inputs()
        h, rows = gc.scan(STEPS["rnn"](t), t["h"], t["x"])
        gradients = gc.gradients(gc.sum(h) + gc.sum(rows), [t["w"], t["h"], t["x"]])
        feeds = DATA | {"x": RNG.normal(size=(steps, 2, 3))}
        found = run([h, rows, *gradients], feeds)
        assert found[1].shape == (steps, 2, 3)
        if steps == 0:
            np.testing.assert_array_equal(found[0], DATA["h"])
            np.testing.assert_array_equal(found[2], np.zeros((3, 3)))


def test_one_session_serves_all_lengths() -> None:
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None], name="x")
        total, _ = gc.scan(lambda c, e: (c * 0.5 + e, ()), 0.0, x)
        with gc.Session(options=options()) as sess:
            sess.run(total, {x: np.ones(3, np.float32)})
            compiled = sess.stats.compilations
            for n in (0, 1, 10, 1000):
                want = 0.0
                for _ in range(n):
                    want = want * 0.5 + 1.0
                assert sess.run(total, {x: np.ones(n, np.float32)}) == np.float32(want)
            assert sess.stats.compilations == compiled


def test_a_small_tape_computes_steps_again() -> None:
    """semantics 13.7"""
    with gc.Graph().as_default():
        t = inputs(x=(4, 2, 3))
        results = []
        for tape in (None, 10):
            h, rows = gc.scan(STEPS["rnn"](t), t["h"], t["x"], tape_bytes=tape)
            loss = gc.sum(h * h) + gc.sum(rows)
            check_gradients(loss, [t["w"], t["h"]], DATA)
            gradients = gc.gradients(loss, [t["w"]])
            program = lower(stage([loss, *gradients]).graph, options()).program
            loops = [v.op for k in program.kernels for v in k.body if isinstance(v.op, Loop)]
            results.append((run(gradients, DATA), max(op.rows for op in loops)))
        np.testing.assert_allclose(results[0][0][0], results[1][0][0], rtol=1e-12)
        assert results[1][1] < results[0][1] or results[1][1] <= 2


def test_the_forward_loop_runs_once() -> None:
    """The loop that keeps the tape and the loop it came from are one."""
    with gc.Graph().as_default():
        t = inputs()
        h, _ = gc.scan(STEPS["rnn"](t), t["h"], t["x"])
        graph = stage([h, *gc.gradients(gc.sum(h), [t["w"]])]).graph
        assert sum(isinstance(v.op, Loop) for v in graph.nodes()) == 2


def test_weight_gradients_are_one_product() -> None:
    with gc.Graph().as_default():
        t = inputs()
        h, _ = gc.scan(STEPS["rnn"](t), t["h"], t["x"])
        made = lower(stage(gc.gradients(gc.sum(h), [t["w"]])).graph, options())
        outer = [k.kind for k in made.program.kernels]
        assert outer.count(Kind.MATMUL) == 1
        inner = [k.kind for c in made.program.kernels for p in c.programs for k in p.kernels]
        assert inner.count(Kind.MATMUL) == 2  # forward, and the cotangent of the carry


def test_what_does_not_change_is_computed_once() -> None:
    """semantics 13.4"""
    with gc.Graph().as_default():
        t = inputs()
        h, _ = gc.scan(lambda h, x: (h + gc.exp(t["b"]) * x, ()), t["h"], t["x"])
        graph = lower(stage([h]).graph, options()).optimised
        (loop,) = [v for v in graph.nodes() if isinstance(v.op, Loop)]
        assert "exp" not in {v.op.name for v in loop.op.body.nodes()}  # type: ignore[attr-defined]
        run([h], DATA)


def test_unused_rows_and_carries_go() -> None:
    with gc.Graph().as_default():
        t = inputs()
        (h, _), _ = gc.scan(
            lambda c, x: ((c[0] + x, c[1] * gc.sum(x)), c[1]), (t["h"], t["p"]), t["x"]
        )
        graph = lower(stage([h]).graph, options()).optimised
        (op,) = [v.op for v in graph.nodes() if isinstance(v.op, Loop)]
        assert (op.carries, op.rows) == (1, 0)
        run([h], DATA)


def test_nested_loops() -> None:
    def outer(c: Tensor, row: Tensor) -> Any:
        _, inner = gc.scan(lambda a, q: (a * c + q, a * q), gc.sum(row), row)
        return gc.tanh(c + gc.sum(inner) * 0.1), inner

    with gc.Graph().as_default():
        v = gc.placeholder(gc.float64, [None, 4], name="v")
        c = gc.placeholder(gc.float64, (), name="c")
        last, rows = gc.scan(outer, c, v)
        check_gradients(
            last * last + gc.sum(rows * rows),
            [v, c],
            {"v": RNG.normal(size=(3, 4)), "c": np.array(0.3)},
        )


def test_nests_of_carries_and_slices() -> None:
    with gc.Graph().as_default():
        t = inputs()
        state, out = gc.scan(
            lambda s, x: ({"a": s["a"] + x["u"], "b": [s["b"][0] * 2.0]}, (s["a"], x["v"])),
            {"a": t["h"], "b": [t["p"]]},
            {"u": t["x"], "v": t["x"] * 2.0},
        )
        found = run([state["a"], state["b"][0], out[0], out[1]], DATA)
        np.testing.assert_allclose(found[0], DATA["h"] + DATA["x"].sum(0))
        np.testing.assert_allclose(found[1], DATA["p"] * 16)


def test_map_fn_is_numpy() -> None:
    with gc.Graph().as_default():
        t = inputs()
        y = gc.map_fn(lambda x: gc.sum(x @ t["w"], axis=0), t["x"])
        (found,) = run([y], DATA)
        np.testing.assert_allclose(found, (DATA["x"] @ DATA["w"]).sum(1))


# ---- while


def test_while_loop_counts() -> None:
    with gc.Graph().as_default():
        n = gc.placeholder(gc.int64, (), name="n")
        steps, value = gc.while_loop(
            lambda s, v: gc.not_equal(v, 1),
            lambda s, v: (s + 1, gc.where(gc.equal(v % 2, 0), v // 2, 3 * v + 1)),
            (0, n),
        )
        with gc.Session(options=options()) as sess:
            assert [int(sess.run(steps, {n: k})) for k in (1, 6, 27)] == [0, 8, 111]
            assert sess.run(value, {n: 9}) == 1


def test_the_gradient_of_while_needs_a_limit() -> None:
    """semantics 13.5, 13.7"""
    with gc.Graph().as_default():
        p = gc.placeholder(gc.float64, (), name="p")
        (s,) = gc.while_loop(lambda s: s < 50.0, lambda s: (s * p + gc.sin(s),), (p,))
        with pytest.raises(GradientError, match="maximum_iterations"):
            gc.gradients(s, [p])
        (s,) = gc.while_loop(lambda s: s < 50.0, lambda s: s * p + gc.sin(s), (p,), 20)
        check_gradients(s, [p], {"p": np.array(1.7)})
        (few,) = gc.while_loop(lambda s: s < 50.0, lambda s: s * p + gc.sin(s), (p,), 2)
        check_gradients(few, [p], {"p": np.array(1.7)})


def test_newton_steps_in_a_loop() -> None:
    """A gradient taken inside of a loop, and the loop differentiated."""
    with gc.Graph().as_default():
        a = gc.placeholder(gc.float64, (), name="a")

        def step(x: Tensor) -> Tensor:
            f = x * x - a
            (d,) = gc.gradients(f, [x])
            return x - f / d

        (root,) = gc.while_loop(lambda x: gc.abs(x * x - a) > 1e-14, step, (a,), 50)
        found = run([root, *gc.gradients(root, [a])], {"a": np.array(2.0)})
        np.testing.assert_allclose(found, [2**0.5, 0.5 / 2**0.5], rtol=1e-12)


# ---- branches


def test_cond_is_lazy() -> None:
    """A loop without end in the branch that is not taken does no harm.  (semantics 13.2)"""
    with gc.Graph().as_default():
        go = gc.placeholder(bool, (), name="go")

        def forever() -> Tensor:
            (x,) = gc.while_loop(lambda x: x >= 0.0, lambda x: x + 1.0, (0.0,))
            return x

        y = gc.cond(go, forever, lambda: gc.asarray(7.0))
        with gc.Session(options=options()) as sess:
            assert sess.run(y, {go: False}) == 7.0


def test_work_of_one_branch_sinks_into_it() -> None:
    """semantics 13.2"""
    with gc.Graph().as_default():
        t = inputs()
        costly = gc.exp(t["x"]) @ t["w"]
        y = gc.cond(t["p"] > 0.0, lambda: gc.sum(costly), lambda: t["p"])
        program = lower(stage([y]).graph, options()).program
        assert not any(k.kind is Kind.MATMUL for k in program.kernels)
        shared = lower(stage([y, costly]).graph, options()).program
        assert any(k.kind is Kind.MATMUL for k in shared.kernels)
        for p in (1.0, -1.0):
            run([y], DATA | {"p": np.array(p)})
            run([y, costly], DATA | {"p": np.array(p)})


@pytest.mark.parametrize("p", [1.3, -0.7])
def test_gradients_of_cond(p: float) -> None:
    """semantics 13.7"""
    with gc.Graph().as_default():
        t = inputs()
        y = gc.cond(
            t["p"] > 0.0,
            lambda: gc.log(t["p"]) * gc.sum(t["b"] * t["b"]),
            lambda: t["p"] * t["p"] * t["p"],
        )
        check_gradients(y, [t["p"]], DATA | {"p": np.array(p)})
        assert np.isfinite(run(gc.gradients(y, [t["p"]]), DATA | {"p": np.array(-1.0)})[0])


def test_switch() -> None:
    with gc.Graph().as_default():
        i = gc.placeholder(gc.int32, (), name="i")
        t = inputs()
        y = gc.switch(i, [lambda: t["p"], lambda: t["p"] * 2.0, lambda: gc.sum(t["b"])])
        wanted = [DATA["p"], DATA["p"] * 2, DATA["b"].sum()]
        for k in (0, 1, 2, -1):
            np.testing.assert_allclose(run([y], DATA | {"i": k})[0], wanted[k])
        with gc.Session(options=options()) as sess, pytest.raises(GraphError, match="3 is out of"):
            sess.run(y, {**{t[k]: DATA[k] for k in ("p", "b")}, i: 3})


def test_a_loop_in_a_branch_in_a_loop() -> None:
    with gc.Graph().as_default():
        t = inputs()

        def step(h: Tensor, x: Tensor) -> Any:
            def many() -> Tensor:
                last, _ = gc.scan(lambda c, r: (c * 0.5 + r, ()), gc.zeros((3,), gc.float64), x)
                return h + last

            return gc.cond(gc.sum(x) > 0.0, many, lambda: h * 0.9), ()

        h, _ = gc.scan(step, t["h"], t["x"])
        check_gradients(gc.sum(h * h), [t["h"], t["x"]], DATA)


@pytest.mark.parametrize("kind", ["cond", "switch", "inner scan", "both"])
def test_a_carry_that_depends_on_a_weight_only_inside_of_control_flow(kind: str) -> None:
    """It starts as a constant; no float op of the step itself reads the weight."""
    with gc.Graph().as_default():
        t = inputs()
        w = t["b"]

        def step(h: Tensor, x: Tensor) -> Any:
            if kind == "inner scan":
                return gc.scan(lambda c, _: (c * 0.5 + w, ()), h, None, length=2)[0], ()
            chosen = gc.astype(gc.sum(x) > 0.0, gc.int64)
            if kind == "switch":
                return gc.switch(chosen, [lambda: h * w, lambda: h + w]), ()
            inside = (lambda: step_of(h, w)) if kind == "both" else (lambda: h * 0.5 + w)
            return gc.cond(chosen > 0, inside, lambda: h * 0.9), ()

        h, _ = gc.scan(step, gc.ones((3,), gc.float64), t["x"])
        check_gradients(gc.sum(h * h), [w], DATA)
        (found,) = run(gc.gradients(gc.sum(h), [w]), DATA)
        assert np.abs(found).min() > 0


def step_of(h: Tensor, w: Tensor) -> Tensor:
    """Two steps of a loop, inside of a branch."""
    last, _ = gc.scan(lambda c, _: (c * 0.5 + w, ()), h, None, length=2)
    return last
