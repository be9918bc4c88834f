"""Control flow: meaning, gradients, laziness, text, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from support_run import options

import graphc as gc
from graphc.compile import lower
from graphc.errors import DTypeError, GradientError, GraphError, ShapeError
from graphc.ir.control import Loop, Switch
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.program import Kind
from graphc.ir.program_parse import parse_program
from graphc.ir.program_text import print_program
from graphc.ir.text import parse_graph, print_graph
from graphc.passes.pipeline import optimise
from graphc.passes.sizes import unify_sizes
from graphc.stage import stage
from graphc.tensor import Tensor

RNG = np.random.default_rng(5)
DATA = {
    "x": RNG.normal(size=(4, 2, 3)), "w": RNG.normal(size=(3, 3)) * 0.5,
    "h": RNG.normal(size=(2, 3)), "b": RNG.normal(size=3), "p": np.array(1.3),
}


def inputs(**types: Any) -> dict[str, Tensor]:
    """Placeholders of f64 for DATA, the first axis of x symbolic."""
    shapes = {k: v.shape for k, v in DATA.items()} | {"x": (None, 2, 3)} | types
    return {k: gc.placeholder(gc.float64, s, name=k) for k, s in shapes.items()}


def run(tensors: Sequence[Tensor], feeds: dict[str, Any], **kwargs: Any) -> list[Any]:
    """What a session gives, after the oracle, before and after the passes, gave the same."""
    graph = stage(tensors).graph
    text = print_graph(graph)
    assert print_graph(parse_graph(text)) == text
    arrays = [np.asarray(feeds[v.name], v.type.dtype.numpy) for v in graph.inputs]
    wanted = interpret(graph, *arrays)
    better = optimise(unify_sizes(graph).graph, options())
    assert print_graph(parse_graph(print_graph(better))) == print_graph(better)
    program = print_program(lower(graph, options()).program)
    assert print_program(parse_program(program)) == program
    with gc.Session(options=options(**kwargs)) as sess:
        found = sess.run(list(tensors), {v.name: feeds[v.name] for v in graph.inputs})
    for a, b, c in zip(wanted, interpret(better, *arrays), found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(c, a, rtol=1e-9, atol=1e-12)
        assert c.dtype == a.dtype
    return found


def slope(value: Tensor, feeds: dict[str, Any], ways: dict[str, Any], step: float = 1e-6) -> Any:
    """The derivative of a number along `ways`, by central differences in the oracle."""
    graph = stage([value]).graph

    def at(t: float) -> Any:
        moved = [feeds[v.name] + t * ways.get(v.name, 0.0) for v in graph.inputs]
        return interpret(graph, *moved)[0]

    return (at(step) - at(-step)) / (2 * step)


def check_gradients(loss: Tensor, xs: Sequence[Tensor], feeds: dict[str, Any]) -> None:
    """First and second derivatives against differences."""
    ways = {x.name: RNG.normal(size=np.shape(feeds[x.name])) for x in xs}
    first = gc.gradients(loss, xs)
    found = sum((g * ways[x.name]).sum() for g, x in zip(run(first, feeds), xs, strict=True))
    np.testing.assert_allclose(found, slope(loss, feeds, ways), rtol=1e-5, atol=1e-6)
    weighed = [gc.sum(g * RNG.normal(size=np.shape(feeds[x.name])))
               for g, x in zip(first, xs, strict=True)]
    total = sum(weighed[1:], weighed[0])
    second = gc.gradients(total, xs, allow_unused=True)
    known = [(g, x) for g, x in zip(second, xs, strict=True) if g is not None]
    parts = run([g for g, _ in known], feeds)
    found = sum((g * ways[x.name]).sum() for g, (_, x) in zip(parts, known, strict=True))
    np.testing.assert_allclose(found, slope(total, feeds, ways), rtol=1e-5, atol=1e-5)


# ---- scan

STEPS: dict[str, Callable[..., Any]] = {
    "rnn": lambda t: lambda h, x: (gc.tanh(h @ t["w"] + x + t["b"]), h * h),
    "carry only": lambda t: lambda h, x: (h * x, ()),
    "rows only": lambda t: lambda h, x: (h, x * x * x),
    "swap": lambda t: lambda h, x: (x * t["b"], h),
    "constant row": lambda t: lambda h, x: (h + x, t["b"] * t["b"]),
    "reduction": lambda t: lambda h, x: (h * 0.5 + gc.sum(x * h), gc.max(x, axis=1)),
}


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
            lambda c, x: ((c[0] + x, c[1] * gc.sum(x)), c[1]), (t["h"], t["p"]), t["x"])
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
        check_gradients(last * last + gc.sum(rows * rows), [v, c],
                        {"v": RNG.normal(size=(3, 4)), "c": np.array(0.3)})


def test_nests_of_carries_and_slices() -> None:
    with gc.Graph().as_default():
        t = inputs()
        state, out = gc.scan(
            lambda s, x: ({"a": s["a"] + x["u"], "b": [s["b"][0] * 2.0]}, (s["a"], x["v"])),
            {"a": t["h"], "b": [t["p"]]}, {"u": t["x"], "v": t["x"] * 2.0})
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
            lambda s, v: (s + 1, gc.where(gc.equal(v % 2, 0), v // 2, 3 * v + 1)), (0, n))
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
        y = gc.cond(t["p"] > 0.0, lambda: gc.log(t["p"]) * gc.sum(t["b"] * t["b"]),
                    lambda: t["p"] * t["p"] * t["p"])
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


# ---- state, draws, failures

def test_every_step_draws_anew() -> None:
    """semantics 13.6"""
    with gc.Graph().as_default():
        _, rows = gc.scan(lambda c, _: (c, gc.random.uniform((3,))), 0.0, None, length=5)
        again, _ = gc.scan(lambda c, _: (c + gc.random.normal(()), ()), 0.0, None, length=3)
        with gc.Session(seed=3, options=options()) as sess:
            first, second = sess.run(rows), sess.run(rows)
            assert len(np.unique(first)) == 15
            assert not np.array_equal(first, second)
            assert np.isfinite(sess.run(again))


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
        with pytest.raises(DTypeError, match=r"branch 1 gives f32\[4\], branch 0 gives i64\[4\]"):
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
        total, _ = gc.scan(
            lambda c, e: (c + gc.py_func(picky, [e], e.type), ()), gc.zeros((2,)), x)
        write = w.assign_add(total)
        with gc.Session(options=options()) as sess:
            sess.run(write, {x: np.ones((3, 2))})
            with pytest.raises(GraphError, match="too large") as failed:
                sess.run(write, {x: np.array([[1, 1], [3, 3], [1, 1]])})
            assert isinstance(failed.value.__cause__, ValueError)
            np.testing.assert_array_equal(sess.value(w), [3, 3])
            np.testing.assert_array_equal(sess.run(write, {x: np.ones((1, 2))}), [4, 4])
