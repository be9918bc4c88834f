"""`gc.py_func`: Python functions in the middle of a run, what they raise and what they return."""

from __future__ import annotations

import _thread
import gc as garbage
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.oracle import stage
from support.run import options
from support.threads import in_threads

import graphc as gc
from graphc.codegen.cpu import emulate
from graphc.compiler.compile import lower
from graphc.errors import (
    DTypeError,
    GradientError,
    GraphcError,
    GraphError,
    ParseError,
    SessionError,
    ShapeError,
)
from graphc.ir.interpret import interpret
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.runtime.cpu.python_calls import Thunk
from graphc.session.hooks import Hooks
from graphc.session.recorder import Recorder

F32 = np.float32
ALL = (gc.bool_, gc.int8, gc.int32, gc.uint64, gc.float16, gc.bfloat16, gc.float32, gc.float64)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def cube(x: gc.Tensor) -> gc.Tensor:
    """x ** 3, by NumPy, with a gradient in graph code."""
    return gc.py_func(lambda a: a**3, [x], x.type, gradient=lambda ct, out, x: ct * 3.0 * x * x)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 4), (2, 0, 3)], ids=str)
def test_values_and_shapes(shape: tuple[int, ...]) -> None:
    x = gc.placeholder(gc.float32, [None] * len(shape), name="x")
    given = np.random.default_rng(0).normal(size=shape).astype(F32)
    with gc.Session() as sess:
        found = sess.run(cube(x * 2.0) + 1.0, {x: given})
    np.testing.assert_allclose(found, (2 * given) ** 3 + 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_element_types(dtype: gc.DType) -> None:
    x = gc.placeholder(dtype, [None])
    one = gc.py_func(lambda a: a[::-1], [x], x.type)
    first, second = gc.py_func(lambda a: (a[::-1], a[:, None]), x, [x.type, dtype[x.shape[0], 1]])
    given = np.array([0, 1, 1, 0, 1]).astype(dtype.numpy)
    with gc.Session() as sess:
        for found in sess.run([one, first], {x: given}):
            assert found.dtype == dtype.numpy
            np.testing.assert_array_equal(found, given[::-1])
        np.testing.assert_array_equal(sess.run(second, {x: given}), given[:, None])


def test_several_results_of_symbolic_sizes() -> None:
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    n, m = x.shape
    types = [gc.int64[n], gc.float64[()], gc.bool_[m, n], gc.float32[0], gc.float32[2 * n]]
    parts = gc.py_func(
        lambda a: (a.argmax(1), a.sum(dtype=np.float64), a.T > 0, a[0:0, 0], np.repeat(a[:, 0], 2)),
        [x],
        types,
    )
    with gc.Session() as sess:
        for shape in ((3, 2), (1, 7), (40, 3)):
            a = np.random.default_rng(1).normal(size=shape).astype(F32)
            found = sess.run(parts, {x: a})
            wanted = (
                a.argmax(1),
                a.sum(dtype=np.float64),
                a.T > 0,
                a[0:0, 0],
                np.repeat(a[:, 0], 2),
            )
            for f, w in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(f, w)
                assert f.dtype == np.asarray(w).dtype
        assert sess.stats.compilations + sess.stats.cache_hits <= 12  # one plan for all sizes


def test_no_inputs_and_python_numbers() -> None:
    """semantics 10.6"""
    calls = iter(range(100))
    number = gc.py_func(lambda: next(calls), [], gc.float32[()], stateful=True)
    row = gc.py_func(lambda: [1, 2.5], [], gc.float32[2])
    with gc.Session() as sess:
        assert [float(sess.run(number)) for _ in range(3)] == [0, 1, 2]
        np.testing.assert_array_equal(sess.run(row), np.array([1, 2.5], F32))


def test_first_and_second_gradients() -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    (dx,) = gc.gradients(gc.sum(cube(x)), [x])
    (ddx,) = gc.gradients(gc.sum(dx), [x])
    given = np.array([1.0, -2.0, 0.5], F32)
    with gc.Session() as sess:
        first, second = sess.run([dx, ddx], {x: given})
    np.testing.assert_allclose(first, 3 * given**2, rtol=1e-6)
    np.testing.assert_allclose(second, 6 * given, rtol=1e-6)


def test_a_gradient_that_is_a_py_func() -> None:
    def sine(x: Any) -> Any:
        return gc.py_func(np.sin, [x], x.type, gradient=lambda ct, out, x: ct * cosine(x))

    def cosine(x: Any) -> Any:
        return gc.py_func(np.cos, [x], x.type, gradient=lambda ct, out, x: -ct * sine(x))

    x = gc.placeholder(gc.float64, [None])
    (dx,) = gc.gradients(sine(x), [x])
    (ddx,) = gc.gradients(dx, [x])
    given = np.linspace(-2, 2, 5)
    with gc.Session() as sess:
        np.testing.assert_allclose(
            sess.run([dx, ddx], {x: given}), [np.cos(given), -np.sin(given)], rtol=1e-12
        )


def test_gradients_of_several_results() -> None:
    x = gc.placeholder(gc.float64, [None])
    y = gc.placeholder(gc.float64, [None])

    def both(ct: Any, out: Any, x: Any, y: Any) -> Any:
        return ct[0] * y + ct[1], ct[0] * x - ct[1]

    product, difference, signs = gc.py_func(
        lambda a, b: (a * b, a - b, a > b),
        [x, y],
        [x.type, x.type, gc.bool_[x.shape[0]]],
        gradient=both,
    )
    a, b = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    dx, dy = gc.gradients([product, difference], [x, y], [2.0, 5.0])
    (only,) = gc.gradients(product, [x])
    (second,) = gc.gradients(dx, [y])
    with gc.Session() as sess:
        np.testing.assert_allclose(
            sess.run([dx, dy, only, second], {x: a, y: b}), [2 * b + 5, 2 * a - 5, b, [2, 2]]
        )
        np.testing.assert_array_equal(sess.run(signs, {x: a, y: b}), a > b)


def test_missing_and_wrong_gradients() -> None:
    x = gc.placeholder(gc.float32, [3])
    with pytest.raises(GradientError, match=r"py_func.*has no derivative"):
        gc.gradients(gc.py_func(np.sin, [x], x.type), [x])
    for gradient, message in (
        (lambda ct, out, x: (ct, ct), "gave 2 cotangents for 1 inputs"),
        (lambda ct, out, x: gc.sum(ct), r"input 0 a cotangent f32\[\]; expected f32\[3\]"),
    ):
        y = gc.py_func(np.sin, [x], x.type, gradient=gradient)
        with pytest.raises(GradientError, match=message):
            gc.gradients(y, [x])


# ---- what goes wrong ----


def test_an_exception_ends_the_run_and_changes_nothing() -> None:
    """semantics 10.5"""
    x = gc.placeholder(gc.float32, [None], name="x")
    w = gc.variable(1.0, name="w")

    def picky(a: Any) -> Any:
        if a[0] < 0:
            raise ValueError("negative")
        return a

    y = gc.py_func(picky, [x], x.type)  # the line
    step = w.assign_add(gc.sum(y))
    with gc.Session() as sess:
        for _ in range(3):
            with pytest.raises(GraphError, match="picky raised ValueError: negative") as caught:
                sess.run([y, step, gc.exp(x)], {x: [-1]})
            assert isinstance(caught.value.__cause__, ValueError)
            assert caught.value.location is not None
            assert caught.value.location.text.endswith("# the line")
            assert sess.value(w) == 1
        assert sess.run(step, {x: [2]}) == 3


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (np.zeros(2, F32), ShapeError, r"float32\[2\]; expected f32\[3\]"),
        (np.zeros(3), DTypeError, r"float64\[3\]; expected f32\[3\]"),
        (np.zeros((3, 1), F32), ShapeError, r"float32\[3,1\]; expected f32\[3\]"),
        (np.array(["a"]), DTypeError, "expected"),
        (None, DTypeError, "None; expected"),
        ([1.0, [2.0]], DTypeError, "expected"),
        ("text", DTypeError, "'text'"),
        (1.0, ShapeError, "1.0; expected"),
        ((np.zeros(3, F32),), ShapeError, "expected"),
    ],
)
def test_wrong_results(made: Any, error: type[GraphcError], message: str) -> None:
    """semantics 10.6"""
    x = gc.placeholder(gc.float32, [None])
    y = gc.py_func(lambda a: made, [x], x.type, name="odd")
    with gc.Session() as sess, pytest.raises(error, match=f"py_func: odd returned.*{message}"):
        sess.run(y, {x: np.zeros(3, F32)})


def test_wrong_numbers_of_results() -> None:
    x = gc.placeholder(gc.float32, [2])
    for made in (np.zeros((2, 2), F32), (np.zeros(2, F32),), None):
        parts = gc.py_func(lambda a, made=made: made, [x], [x.type, x.type])
        with gc.Session() as sess, pytest.raises(GraphError, match="expected 2 results"):
            sess.run(parts, {x: [0, 0]})
    second = gc.py_func(lambda a: (a, a[:1]), [x], [x.type, x.type])[1]
    with gc.Session() as sess, pytest.raises(ShapeError, match="as result 1"):
        sess.run(second, {x: [0, 0]})


def test_wrong_arguments() -> None:
    x = gc.placeholder(gc.float32, ["n"])
    other = gc.placeholder(gc.float32, ["m"])
    for call, error, message in (
        (lambda: gc.py_func(3, [x], x.type), GraphError, "function is 3"),
        (lambda: gc.py_func(np.sin, [x], "f32"), GraphError, "expected a tensor type"),
        (lambda: gc.py_func(np.sin, [x], []), GraphError, "output_types is empty"),
        (lambda: gc.py_func(np.sin, [x], other.type), ShapeError, "'m' that no input has"),
        (lambda: gc.py_func(np.sin, [x], gc.float32[-1]), ShapeError, "no size"),
        (lambda: gc.py_func(np.sin, [x], gc.float32[None]), ShapeError, "no size"),
        (lambda: gc.py_func(np.sin, ["a"], x.type), DTypeError, "no tensor"),
        (lambda: gc.py_func(np.sin, [x], x.type, gradient=1), GraphError, "gradient is 1"),
        (lambda: gc.py_func(np.sin, [x], x.type, name=1), GraphError, "name is 1"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_the_session_of_a_run_is_closed_to_the_function() -> None:
    x = gc.placeholder(gc.float32, [None])
    w = gc.variable(1.0)
    sess, other = gc.Session(), gc.Session()
    for use in (
        lambda a: sess.run(w),
        lambda a: sess.value(w),
        lambda a: sess.load(w, 2.0),
        lambda a: sess.run(x * 5.0, {x: a}),
        lambda a: sess.close(),
    ):
        with pytest.raises(GraphError, match="cannot use the session") as caught:
            sess.run(gc.py_func(use, [x], x.type), {x: [1.0]})
        assert isinstance(caught.value.__cause__, SessionError)
    nested = gc.py_func(lambda a: other.run(x * 5.0, {x: a}), [x], x.type)
    assert sess.run(nested + 1.0, {x: [1.0]}) == 6


# ---- state, sharing, memory ----


def test_equal_calls_of_a_pure_function_are_one() -> None:
    """semantics 10.5"""
    x = gc.placeholder(gc.float32, [None])
    for stateful, wanted in ((False, 1), (True, 2)):
        calls: list[int] = []

        def count(a: Any, calls: list[int] = calls) -> Any:
            calls.append(1)
            return a

        ys = [gc.py_func(count, [x], x.type, stateful=stateful) for _ in range(2)]
        used = gc.py_func(count, [x], x.type, stateful=stateful)  # nobody asks for it
        with gc.Session() as sess:
            sess.run([ys[0] + ys[1], ys[0] * 2.0], {x: [1.0]})
        assert len(calls) == wanted and used is not None


def test_functions_of_one_name_stay_apart() -> None:
    x = gc.placeholder(gc.float32, [None])
    with gc.Session() as sess:
        for k in range(3):
            y = gc.py_func(lambda a, k=k: a + F32(k), [x], x.type)
            assert sess.run(y, {x: [1.0]}) == 1 + k


def test_arrays_belong_to_the_function() -> None:
    kept: list[Any] = []

    def keep(a: Any) -> Any:
        kept.append(a)
        a += 1
        return a

    x = gc.placeholder(gc.float32, [None])
    y = gc.py_func(keep, [x * 1.0 + 0.5], x.type)
    with gc.Session() as sess:
        fed = np.zeros(50_000, F32)
        found = [sess.run(y, {x: fed + k}) for k in range(3)]
    del sess
    garbage.collect()
    assert not fed.any()
    for k, (a, b) in enumerate(zip(found, kept, strict=True)):
        assert (a == k + 1.5).all() and (b == k + 1.5).all()


def test_assigned_from_a_function_of_the_variable() -> None:
    w = gc.variable([1.0, 2.0], name="w")
    step = w.assign(gc.py_func(lambda a: a[::-1] * 2, [w], w.type))
    with gc.Session() as sess:
        for _ in range(2):
            sess.run(step)
        np.testing.assert_array_equal(sess.value(w), [4, 8])


def test_an_initial_value_and_the_oracle() -> None:
    w = gc.variable(gc.py_func(lambda: np.arange(3, dtype=F32), [], gc.float32[3]))
    x = gc.placeholder(gc.float32, [3], name="x")
    parts = gc.py_func(lambda a: (a + 1, a.sum()), [x], [x.type, gc.float32[()]])
    graph = stage(list(parts))
    given = np.array([1, 2, 3], F32)
    found = interpret(graph, given)
    np.testing.assert_array_equal(found[0], given + 1)
    assert found[1] == 6
    with gc.Session(options=options(check="passes")) as sess:
        np.testing.assert_array_equal(sess.run(parts[0] + w, {x: given}), given + 1 + [0, 1, 2])


def test_text_prints_and_does_not_parse() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    graph = stage([gc.py_func(np.sin, [x], x.type), *gc.py_func(np.modf, [x], [x.type] * 2)])
    text = print_graph(graph)
    assert "py_func %x {function='sin'}" in text and "function='modf'" in text
    with pytest.raises(ParseError, match="text never runs code"):
        parse_graph(text)
    with pytest.raises(ParseError, match="text never runs code"):
        parse_program(print_program(lower(graph, options()).program))


def test_as_plain_python() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    made = lower(stage([gc.py_func(np.sin, [x], x.type)]), options())
    (source,) = made.sources.values()
    thunk = Thunk(made.program.kernels[0].body[0], {})
    a, out, status = np.array([1, 2], F32), np.zeros(2, F32), np.zeros(4, np.int64)
    words = [a.ctypes.data, out.ctypes.data, status.ctypes.data, thunk.address]
    emulate.run_in_python(source.text, words, 0, 1)
    np.testing.assert_array_equal(out, np.sin(a))
    assert status[0] == 0
    assert str(thunk.address) not in source.text


# ---- threads and signals ----


@pytest.mark.parametrize("threads", [1, 2])
def test_many_sessions_in_many_threads(threads: int) -> None:
    x = gc.placeholder(gc.float32, [None, 64])
    y = gc.sum(cube(x) * gc.exp(x), axis=0)
    shared = gc.Session(threads=threads)

    def work(seed: int) -> None:
        own = gc.Session(x.graph, threads=threads)
        for k in range(15):
            size = 1 + 900 * (k % 4), 64
            given = np.random.default_rng([seed, k]).normal(size=size).astype(F32)
            terms = given.astype(np.float64) ** 3 * np.exp(given.astype(np.float64))
            wanted, most = terms.sum(0), abs(terms).sum(0)
            for sess in (own, shared):
                found = sess.run(y, {x: given})
                assert (abs(found - wanted) <= 2e-6 * most).all()

    in_threads([lambda s=s: work(s) for s in range(6)])


def test_exceptions_in_many_threads() -> None:
    x = gc.placeholder(gc.float32, [None])

    def half(a: Any) -> Any:
        if a[0] % 2:
            raise ArithmeticError(str(int(a[0])))
        return a

    y = gc.py_func(half, [x], x.type)
    shared = gc.Session()

    def work(start: int) -> None:
        for k in range(start, start + 40):
            if k % 2:
                with pytest.raises(GraphError, match=f"ArithmeticError: {k};"):
                    shared.run(y, {x: [k]})
            else:
                assert shared.run(y, {x: [k]}) == k

    in_threads([lambda s=s: work(100 * s) for s in range(5)])


TURNS = 6000  # of a function that Ctrl-C has to end: a minute of them


@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (20_000, 2), (300_000, 2)])
def test_ctrl_c_inside(rows: int, threads: int) -> None:
    """On this thread, on a helper's, and beside it.

    semantics 10.7
    """
    x = gc.placeholder(gc.float32, [None, 16])
    w = gc.variable(0.0)
    entered, left = threading.Event(), threading.Event()
    turns, after = 0, 0

    def long(a: Any) -> Any:
        nonlocal turns
        entered.set()
        try:
            while turns < TURNS:
                turns += 1
                time.sleep(0.01)
        finally:
            left.set()
        return a

    def count(a: Any) -> Any:
        nonlocal after
        after += 1
        return a

    y = gc.py_func(count, [gc.py_func(long, [x * 2.0], x.type)], x.type)
    given = np.zeros((rows, 16), F32)

    def interrupt() -> None:
        entered.wait(30)
        time.sleep(0.1)
        _thread.interrupt_main()

    with gc.Session(threads=threads) as sess:
        sess.run(x * 2.0, {x: given})
        watch = threading.Thread(target=interrupt)
        watch.start()
        with pytest.raises(KeyboardInterrupt):
            sess.run([y, w.assign_add(1.0)], {x: given})
        watch.join()
        assert left.is_set(), "the function goes on in another thread"
        assert turns < TURNS and after == 0, "the run went on to its end"
        assert sess.value(w) == 0
        np.testing.assert_array_equal(sess.run(cube(x), {x: given[:1] + 2}), given[:1] + 8)


def test_a_warm_process_compiles_nothing(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        import numpy as np
        import graphc as gc
        x = gc.placeholder(gc.float32, [None], name="x")
        shift = int(sys.argv[2])
        y = gc.py_func(lambda a: a + np.float32(shift), [x], x.type)
        z, n = gc.py_func(lambda a: (a, a.size), [x], [x.type, gc.int64[()]])
        with gc.Session(cache_dir=sys.argv[1]) as sess:
            a, b, n = sess.run([y, z, n], {x: [1, 2, 3]})
            print(sess.stats.compilations, a.tolist(), b.tolist(), int(n))
        assert (shift == 1) or "numba" not in sys.modules
    """)
    shown = []
    for shift in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), shift],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout.split(" ", 1))
    assert int(shown[0][0]) > 0 and int(shown[1][0]) == 0
    assert [s[1] for s in shown] == [
        f"[{a}] [1.0, 2.0, 3.0] 3\n" for a in ("2.0, 3.0, 4.0", "3.0, 4.0, 5.0")
    ]


def test_timed_kernels() -> None:
    """With a profile, which puts timers around the kernels."""
    recorder = Recorder()
    x = gc.placeholder(gc.float32, [None])
    y = gc.py_func(lambda a: a + a.shape[0] if a.size else 1 / 0, [x * 2.0], x.type) * 3.0
    with gc.Session(options=options(), hooks=Hooks(watch=recorder.watch)) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: [1, 2]}), [12, 18])
        with pytest.raises(GraphError, match="ZeroDivisionError"):
            sess.run(y, {x: []})
        (profile,) = recorder.profiles()
        assert [r.kind for r in profile.rows] == ["kernel", "opaque", "kernel"]


def test_nothing_is_called_again_to_find_a_culprit() -> None:
    """semantics 10.5"""
    calls: list[int] = []

    def index(a: Any) -> Any:
        calls.append(1)
        return a + 5

    i = gc.placeholder(gc.int64, [None])
    j = gc.py_func(index, [i], i.type, stateful=True)
    rows = gc.take(gc.ones((4, 2)), j, axis=0) + gc.take(gc.zeros((4, 2)), i, axis=0)
    with gc.Session() as sess, pytest.raises(GraphError, match="index 6 is out of range"):
        sess.run(rows, {i: [1]})
    assert len(calls) == 1
