"""`gc.kernel`: hand-written loops as ops, against the function run by Python and against NumPy."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.oracle import stage
from support.run import options

import graphc as gc
from graphc.compiler.compile import lower
from graphc.errors import CodegenError, FeedError, GradientError, GraphError, ShapeError
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.testing.compiled import small_chunks
from graphc.testing.differences import numeric_gradient
from graphc.testing.pure_python import PurePython

F32 = np.float32
DECAY = 0.5
TABLE = [1.0, 2.0]
ALL = (gc.int8, gc.int32, gc.uint8, gc.int64, gc.float16, gc.bfloat16, gc.float32, gc.float64)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    before = dict(OPS)
    OPS["decaying"] = DECAYING
    with gc.Graph().as_default() as graph:
        yield graph
    OPS.clear()
    OPS.update(before)


def scan_back(ct: Any, out: Any, x: Any) -> Any:
    """The cotangent of a decaying sum is one that runs backwards."""
    return (gc.flip(decaying(gc.flip(ct, axis=1)), axis=1),)


@gc.kernel(gradient=scan_back)
def decaying(out, x):  # type: ignore[no-untyped-def]
    """Sums along rows that forget: out[i, j] = DECAY * out[i, j - 1] + x[i, j]."""
    n, m = x.shape
    for i in range(n):
        total = 0
        for j in range(m):
            total = DECAY * total + x[i, j]
            out[i, j] = total


DECAYING = OPS.pop("decaying")  # other tests ask all of graphc's own ops for samples


def decayed(x: Any) -> Any:
    out = np.zeros_like(x)
    for j in range(x.shape[1]):
        out[:, j] = x[:, j] + (DECAY * out[:, j - 1] if j else 0)
    return out


def all_ways(outputs: list[Any], *arrays: Any, tolerance: float = 1e-6) -> list[Any]:
    """The results: compiled, by the oracle, and as plain Python with checked indices."""
    graph = stage(outputs)
    feeds = dict(zip(graph.inputs, arrays, strict=True))
    with gc.Session(threads=2) as sess:
        found = sess.run(outputs, feeds)  # type: ignore[arg-type]
    for f, a, b in zip(
        found, interpret(graph, *arrays), PurePython(graph).run(arrays), strict=True
    ):
        for other in (a, b):
            np.testing.assert_allclose(
                np.asarray(f, np.float64),
                np.asarray(other, np.float64),
                rtol=tolerance,
                atol=tolerance,
            )
            assert f.dtype == other.dtype
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 4), (3, 0), (7, 33)], ids=str)
def test_values_and_symbolic_sizes(shape: tuple[int, ...]) -> None:
    x = gc.placeholder(gc.float32, [None, None], name="x")
    given = np.random.default_rng(0).normal(size=shape).astype(F32)
    (found,) = all_ways([decaying(x * 2.0) + 1.0], given)
    np.testing.assert_allclose(found, decayed(given * 2) + 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_element_types(dtype: gc.DType) -> None:
    """semantics 10.8"""

    @gc.kernel
    def mixed(out, x):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            out[i] = x[i] * 3 + i % 2 if x[i] > 1 else x[-1]

    x = gc.placeholder(dtype, [None])
    given = np.arange(5).astype(dtype.numpy)
    (found,) = all_ways([mixed(x)], given)
    np.testing.assert_array_equal(found.astype(float), [4, 4, 6, 10, 12])


def test_gradients_of_first_and_second_order() -> None:
    @gc.kernel(
        gradient=lambda ct, out, x, w: (2.0 * ct * w * x, gc.sum(ct * x * x, axis=0)),
        requires=lambda x, w: [(x.shape[1], w.shape[0])],
    )
    def weighed(out, x, w):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = w[j] * x[i, j] ** 2

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    x, w = (gc.placeholder(gc.float64, a.shape) for a in arrays)
    y = gc.sum(decaying(weighed(x, w)) ** 2.0)

    def value(out: Any) -> Callable[..., Any]:
        return lambda *given: interpret(stage([out, x, w]), *given)[0]

    firsts = gc.gradients(y, [x, w])
    for i, first in enumerate(firsts):
        np.testing.assert_allclose(
            value(first)(*arrays), numeric_gradient(value(y), arrays, 1.0, i), rtol=1e-6, atol=1e-7
        )
    for i, second in enumerate(gc.gradients(gc.sum(firsts[0] * firsts[0]), [x, w])):
        np.testing.assert_allclose(
            value(second)(*arrays),
            numeric_gradient(value(gc.sum(firsts[0] * firsts[0])), arrays, 1.0, i),
            rtol=1e-5,
            atol=1e-6,
        )
    all_ways([y, *firsts], *arrays)


def test_a_result_of_its_own_type() -> None:
    @gc.kernel(
        result=lambda x: gc.int64[x.shape[1], 2],
        reference=lambda x: np.stack([x.argmin(0), x.argmax(0)], 1),
    )
    def extremes(out, x):  # type: ignore[no-untyped-def]
        for j in range(x.shape[1]):
            low = high = 0
            for i in range(1, x.shape[0]):
                if x[i, j] < x[low, j]:
                    low = i
                if x[i, j] > x[high, j]:
                    high = i
            out[j, 0], out[j, 1] = low, high

    x = gc.placeholder(gc.float64, ["n", "m"])
    assert extremes(x).type == gc.int64["m", 2]
    given = np.random.default_rng(0).normal(size=(9, 5))
    (found,) = all_ways([extremes(x)], given)
    np.testing.assert_array_equal(found, np.stack([given.argmin(0), given.argmax(0)], 1))


def test_0_d_arrays_while_and_booleans() -> None:
    @gc.kernel(result=lambda x: gc.int32[()])
    def halvings(out, x):  # type: ignore[no-untyped-def]
        steps = 0
        rest = x[()]
        while rest > 1 and not (steps >= 100 or rest == 5):
            rest = rest / 2
            steps += 1
            if steps == 50:
                break
        out[()] = steps

    @gc.kernel(result=lambda x, y: gc.bool_[x.shape])
    def near(out, x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            out[i] = 0.1 <= abs(x[i] - y[i]) < 2 or x[i] == y[i]

    x, z = gc.placeholder(gc.float32, []), gc.placeholder(gc.float32, [None])
    with gc.Session() as sess:
        assert sess.run(halvings(x), {x: 1000.0}) == 10
    given = np.array([0.0, 1.0, 5.0], F32)
    (found,) = all_ways([near(z, z * 2.0)], given)
    np.testing.assert_array_equal(found, [True, True, False])


def test_functions_and_numbers_from_outside() -> None:
    bias = np.float64(0.25)

    @gc.kernel
    def several(out, x):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y = exp(-x[i]) + math.sqrt(abs(x[i])) + np.tanh(x[i] * math.pi)
            out[i] = np.where(x[i] > 0, y, 0.5) + bias * max(0, x[i]) + np.float32(2)

    x = gc.placeholder(gc.float64, [None])
    given = np.linspace(-2, 2, 9)
    (found,) = all_ways([several(x)], given, tolerance=1e-12)
    y = np.exp(-given) + np.sqrt(np.abs(given)) + np.tanh(given * np.pi)
    np.testing.assert_allclose(
        found, np.where(given > 0, y, 0.5) + 0.25 * np.maximum(given, 0) + 2, rtol=1e-12
    )


def test_f32_stays_f32() -> None:
    @gc.kernel
    def narrow(out, x):  # type: ignore[no-untyped-def]
        total = 0
        for i in range(len(x)):
            total += 2 * x[i] + i / len(x) - 0.1
            out[i] = total

    x = gc.placeholder(gc.float32, [None])
    (source,) = lower(stage([narrow(x)]), options()).sources.values()
    assert "f32(2.0) * a0[v_i]" in source.text and "f32(0.1)" in source.text
    assert "v_total = f32(0.0)" in source.text and "f64" not in source.text
    all_ways([narrow(x)], np.random.default_rng(0).normal(size=40).astype(F32), tolerance=1e-5)


def test_parallel_rows_do_not_depend_on_threads() -> None:
    @gc.kernel(parallel=True, gradient=lambda ct, out, x: ct * 2.0)
    def rows_of(rows, out, x):  # type: ignore[no-untyped-def]
        for i in rows:
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] * 2 + (rows.stop > rows.start)

    x = gc.placeholder(gc.float32, [None, 8])
    given = np.random.default_rng(0).normal(size=(20_000, 8)).astype(F32)
    for threads in (1, 2):
        with small_chunks(), gc.Session(threads=threads) as sess:
            np.testing.assert_array_equal(sess.run(rows_of(x), {x: given}), given * F32(2) + 1)
            assert sess.run(rows_of(x), {x: given[:0]}).shape == (0, 8)
    all_ways([rows_of(x), gc.gradients(gc.sum(rows_of(x)), [x])[0]], given[:5])


def test_assigned_to_a_variable_that_it_reads() -> None:
    @gc.kernel
    def reverse(out, x):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            out[i] = x[len(x) - 1 - i]

    w = gc.variable(np.arange(5, dtype=F32))
    step = w.assign(reverse(w))
    with gc.Session() as sess:
        sess.run(step)
        np.testing.assert_array_equal(sess.value(w), np.arange(5)[::-1])


def test_text_and_sharing() -> None:
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    graph = stage([decaying(x) + decaying(x)])
    text = print_graph(graph)
    assert "decaying %x" in text and print_graph(parse_graph(text)) == text
    assert len(lower(graph, options()).program.kernels) == 2


def test_a_new_kernel_of_an_old_name() -> None:
    x = gc.placeholder(gc.float32, [None])
    with gc.Session() as sess:
        for k in (1.0, 2.0):

            @gc.kernel
            def again(out, x):  # type: ignore[no-untyped-def]
                for i in range(len(x)):
                    out[i] = x[i] + k  # noqa: B023

            assert sess.run(again(x), {x: [0]}) == k


# ---- what goes wrong: at the user's line ----


def refused(function: Callable[..., Any], shape: tuple[int, ...] = (2, 3)) -> GraphError:
    x = gc.placeholder(gc.float32, shape)
    with pytest.raises(GraphError) as caught:
        gc.kernel(function)(x)
    assert caught.value.location is not None
    assert "# here" in caught.value.location.text, str(caught.value)
    return caught.value


def test_refused() -> None:
    def rank(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = x[0]  # here

    def piece(out, x):  # type: ignore[no-untyped-def]
        for i in range(2):
            out[i, 0] = x[i, :]  # here

    def whole(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = np.exp(x)  # here

    def table(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = TABLE[0]  # here

    def unknown(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = nothing  # type: ignore[name-defined]  # noqa: F821  # here

    def calls(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = decayed(x[0, 0])  # here

    def writes(out, x):  # type: ignore[no-untyped-def]
        x[0, 0] = 1  # here

    def returns(out, x):  # type: ignore[no-untyped-def]
        return x[0, 0]  # here

    def listed(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = [x[0, 0]]  # here

    def caught(out, x):  # type: ignore[no-untyped-def]
        try:  # here
            out[0, 0] = x[0, 0]
        finally:
            out[0, 0] = 0

    def product(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = x[0, 0] @ x[0, 0]  # here

    def method(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = x.sum()  # here

    def axis(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = x.shape[2]  # here

    def named(out, x):  # type: ignore[no-untyped-def]
        out[0, 0] = np.sum(x[0, 0], axis=0)  # here

    wanted = {
        rank: "takes 2 indices, got 1",
        piece: "no slices",
        whole: "x is an array",
        table: "TABLE is no array",
        unknown: "nothing is not defined",
        calls: "a kernel can call",
        writes: "only elements of out can be written",
        returns: "returns nothing",
        listed: "no List",
        caught: "no Try",
        product: "no `@`",
        method: "x.sum",
        axis: "expected one of 2 axes",
        named: "only plain arguments",
    }
    for function, message in wanted.items():
        assert message in str(refused(function)), function


def test_numba_errors_are_at_the_users_line() -> None:
    @gc.kernel
    def odd(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            y = x.shape
            out[i] = y + 1.0  # the line

    x = gc.placeholder(gc.float32, [None])
    with gc.Session() as sess, pytest.raises(CodegenError, match="odd: numba rejects") as caught:
        sess.run(odd(x), {x: [1.0]})
    assert caught.value.location is not None and "# the line" in caught.value.location.text

    @gc.kernel
    def root(out, x):  # type: ignore[no-untyped-def]
        out[0] = np.sqrt(x.shape[0])

    with gc.Session() as sess, pytest.raises(CodegenError, match="root: "):
        sess.run(root(x), {x: [1.0]})


def test_sizes_that_must_be_equal() -> None:
    @gc.kernel(requires=lambda x, y: [(x.shape[0], y.shape[0])])
    def added(out, x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            out[i] = x[i] + y[i]

    three = gc.placeholder(gc.float32, [3])
    with pytest.raises(ShapeError, match="added: sizes differ: 3 and 4"):
        added(three, gc.zeros((4,)))
    x, y = gc.placeholder(gc.float32, [None]), gc.placeholder(gc.float32, [None])
    with gc.Session() as sess:
        assert sess.run(added(x, y), {x: [1], y: [2]}) == 3
        with pytest.raises(FeedError):
            sess.run(added(x, y), {x: [1], y: [2, 3]})


def test_wrong_declarations() -> None:
    x = gc.placeholder(gc.float32, [2])

    def fine(out, x):  # type: ignore[no-untyped-def]
        out[0] = x[0]

    def nameless(*arrays):  # type: ignore[no-untyped-def]
        pass

    def exp(out, x):  # type: ignore[no-untyped-def]
        pass

    def one(out):  # type: ignore[no-untyped-def]
        out[()] = 1

    for call, message in (
        (lambda: gc.kernel(3), "function is 3"),
        (lambda: gc.kernel(fine, result=1), "result is 1"),
        (lambda: gc.kernel(nameless), "must take"),
        (lambda: gc.kernel(exp), "built-in op"),
        (lambda: gc.kernel(one), "needs `result`"),
        (lambda: gc.kernel(math.sin), "cannot read the source"),
        (lambda: gc.kernel(fine)(x, x), "fine: too many positional arguments; expected fine.x"),
        (lambda: gc.kernel(fine, result=lambda x: 3)(x), "`result` gave 3"),
    ):
        with pytest.raises(GraphError, match=message):
            call()
    with gc.Session() as sess:
        assert sess.run(gc.kernel(one, result=lambda: gc.float32[()])()) == 1
    with pytest.raises(GradientError, match=r"fine.*no derivative"):
        gc.gradients(gc.kernel(fine)(x), [x])


def test_a_warm_process_compiles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent("""
        import sys
        import graphc as gc
        @gc.kernel
        def twice(out, x):
            for i in range(len(x)):
                out[i] = x[i] * 2.0
        x = gc.placeholder(gc.float32, [None], name="x")
        with gc.Session(cache_dir=sys.argv[1]) as sess:
            print(sess.run(twice(x), {x: [1, 2]}).tolist(), sess.stats.compilations)
    """)
    )
    shown = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(path), str(tmp_path / "cache")],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert shown == ["[2.0, 4.0] 1\n", "[2.0, 4.0] 0\n"]
