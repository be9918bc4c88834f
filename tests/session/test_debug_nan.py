"""`debug_nan`: the run that makes a NaN names the op, its line and operands; nothing changes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Capture, graphc, written
from support.run import options

import graphc as gc
from graphc.config import Options
from graphc.errors import DeviceError, GraphcError, NanError
from graphc.runtime.cpu.kernel_watch import KernelWatch

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


def line() -> int:
    """The number of the line that calls."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def failure(fetches: Any, feeds: dict[Any, Any] | None = None, **changes: Any) -> NanError:
    """The error of a run."""
    with (
        gc.Session(options=options(debug_nan=True, **changes)) as sess,
        pytest.raises(NanError) as caught,
    ):
        sess.run(fetches, feeds)
    return caught.value


def test_a_logarithm_in_a_fused_kernel() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    shifted = x - 1
    logs, at = gc.log(shifted), line()
    error = failure(gc.sum(gc.exp(logs * 2.0)), {x: [3, 0.5, 2, 0.25]})
    assert error.message.startswith(
        "log: made NaN at [1] (2 of 4 elements): %log = log of %subtract[1] = -0.5; "
        "no variable has changed"
    )
    assert error.location is not None and error.location.line == at
    assert isinstance(error, FloatingPointError)


@pytest.mark.parametrize(
    ("make", "given", "wanted"),
    [
        (lambda x: x / (x - x), [1, 0], "divide of %x[1] = 0.0, %subtract[1] = 0.0"),
        (lambda x: gc.exp(x * 1000) - gc.exp(x * 1000), [0, 1], "of %exp[1] = inf, %exp[1] = inf"),
        (lambda x: gc.sqrt(x), [4, -9], "sqrt of %x[1] = -9.0"),
        (lambda x: gc.mean(x), [], "%reduce_sum = 0.0"),
        (lambda x: gc.sum(1 / x), [0.0, -0.0, 1.0], "of %partial_sum: f32[16], from -inf to inf"),
    ],
)
def test_operands_are_shown(make: Any, given: list[float], wanted: str) -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    assert wanted in failure(make(x), {x: np.array(given, F32)}).message


@pytest.mark.parametrize("dtype", [gc.float16, gc.bfloat16, gc.float64])
def test_other_floats(dtype: Any) -> None:
    x = gc.placeholder(dtype, [2], name="x")
    assert "log of %x[1] = -1" in failure(gc.log(x), {x: [1, -1]}).message


def test_the_gradient_names_the_line_of_its_forward_op() -> None:
    w = gc.variable(gc.zeros((3,)), name="w")
    square = w * w
    norm, at = gc.sqrt(gc.sum(square)), line()
    (grad,) = gc.gradients(norm, [w])
    error = failure(grad)
    assert "= inf" in error.message and error.location is not None
    assert error.location.line in (at, at - 1)  # 0.5 / sqrt(0) is inf; times 2 * 0 it is NaN


def test_a_nan_that_where_drops_is_none() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    y = gc.where(x > 0, gc.log(x), 0.0)
    with gc.Session(options=options(debug_nan=True)) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: [-1, 1]}), [0, 0])


def test_a_nan_that_was_fed_is_told_apart() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    doubled = gc.exp(x)
    error = failure(gc.sum(doubled), {x: [1, math.nan, math.nan]})
    assert error.message.startswith(
        "exp: feed 'x' has NaN at [1] (2 of 3 elements), which %exp = exp is the first to pass on"
    )
    with gc.Session(options=options(debug_nan=True)) as sess:
        cleaned = gc.where(gc.isnan(x), 0.0, x)
        np.testing.assert_array_equal(sess.run(cleaned, {x: [1, math.nan]}), [1, 0])
    error = failure(gc.log(x), {x: [math.nan, -1.0]})
    assert "made NaN at [1] (1 of 2 elements): %log = log of %x[1] = -1.0" in error.message


def test_of_several_that_were_fed_the_one_that_arrived_is_named() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    y = gc.placeholder(gc.float32, ["n"], name="y")
    fed = {x: [math.nan, 1], y: [1, math.nan]}
    assert "feed 'y' has NaN at [1]" in failure([gc.isnan(x), gc.sum(y)], fed).message
    cleaned = gc.where(gc.isnan(x), 0.0, x)
    assert "feed 'y' has NaN at [1]" in failure(cleaned + y, fed).message
    assert "feed 'x' has NaN at [0]" in failure(gc.where(y == y, x, 0.0) * 2, fed).message
    # the logarithm's NaN stays in a register: what is stored is that of y
    dropped = gc.where(x > 0, gc.log(x), 0.0)
    error = failure(dropped + gc.exp(y), {x: [-1, 1], y: [math.nan, 1]})
    assert error.message.startswith("exp: feed 'y' has NaN at [0]")
    error = failure(dropped + gc.log(y), {x: [-1, -1], y: [2, -3]})
    assert "made NaN at [1] (1 of 2 elements): %log = log of %y[1] = -3.0" in error.message


def test_in_a_loop_the_first_value_or_the_slice_that_arrived_is_named() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    a = gc.placeholder(gc.float32, [2], name="a")
    b = gc.placeholder(gc.float32, [2], name="b")
    scale = gc.asarray(np.array([1, 2], F32))

    def swapped(carry: Any, row: Any) -> Any:
        one, other = carry
        clean = gc.where(gc.isnan(row), 0.0, row)
        return (other, one), gc.sum(gc.where(gc.isnan(one), 0.0, one) * clean + other * scale)

    for given, name in (([1, 2], "b"), ([math.nan, 2], "b"), ([1, 2], "a")):
        whole = {a: [math.nan, 1], b: [1, 2]} if name == "a" else {a: [0, 1], b: [1, math.nan]}
        error = failure(gc.scan(swapped, (a, b), x)[1], {x: given, **whole})
        assert f"feed {name!r} has NaN at" in error.message, error.message
        assert f"in step {'ba'.index(name)} of the loop" in error.message


def test_a_variable_or_a_constant_that_has_one() -> None:
    w = gc.variable(np.array([0, math.nan], F32), name="w")
    with gc.Session(options=options()) as plain:
        assert np.isnan(plain.run(w * 2)[1])
    with gc.Session(options=options(debug_nan=True)) as sess:
        sess.load(w, [1, 2])
        np.testing.assert_array_equal(sess.run(w * 2), [2, 4])
        sess.load(w, [1, math.nan])
        with pytest.raises(NanError, match=r"variable 'w' has NaN at \[1\]"):
            sess.run(w * 2)
    table = np.linspace(0, 1, 40, dtype=F32)
    table[7] = math.nan
    x = gc.placeholder(gc.float32, [40], name="x")
    assert "constant" in failure(x + gc.asarray(table), {x: np.ones(40)}).message


@pytest.mark.parametrize("in_place", [True, False])
def test_variables_do_not_change(in_place: bool) -> None:
    """Also when the kernel that writes a variable is the one that makes the NaN."""
    x = gc.placeholder(gc.float32, [3], name="x")
    w, count = gc.variable(gc.ones((3,)), name="w"), gc.variable(gc.zeros(()), name="count")
    new = gc.sqrt(w - x) if in_place else gc.flip(gc.sqrt(gc.flip(w, axis=0) - x), axis=0)
    step = gc.group(w.assign(new), count.assign(count + 1))
    with gc.Session(options=options(debug_nan=True)) as sess:
        sess.run(step, {x: [0, 0.25, 0.5]})
        before = sess.values_of([w, count])
        for _ in range(2):
            with pytest.raises(NanError, match=r"sqrt: made NaN at \[[02]\]"):
                sess.run(step, {x: [0, 0, 5]})
            for a, b in zip(before, sess.values_of([w, count]), strict=True):
                np.testing.assert_array_equal(a, b)
        sess.run(step, {x: [0, 0, 0]})
        assert sess.value(count) == 2


def test_a_step_of_a_scan_of_maps() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    _, logs = gc.scan(lambda c, r: (c - r, gc.log(c)), gc.ones(()), x)
    message = failure(gc.sum(logs), {x: [0.5, 0.75, 1, 1]}).message
    assert "log of %c0 = -0.25, in step 2 of the loop" in message


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_of_a_loop(reverse: bool) -> None:
    x = gc.placeholder(gc.float32, ["n", 3], name="x")
    _, logs = gc.scan(lambda c, r: (c - r, gc.sum(gc.log(c))), gc.ones((3,)), x, reverse=reverse)
    message = failure(gc.sum(logs), {x: np.full((4, 3), 0.75)}).message
    step = 1 if reverse else 2
    assert "log of %c0[0] = -0.5" in message and f"in step {step} of the loop at" in message


def test_loops_in_loops_and_a_while() -> None:
    x = gc.placeholder(gc.float32, [3], name="x")

    def inner(outer: Any) -> Any:
        return gc.while_loop(
            lambda i, c: i < 2, lambda i, c: (i + 1, gc.cumsum(gc.sqrt(c - outer), axis=0)), (0, x)
        )[1]

    _, rows = gc.scan(lambda c, r: (c + r, inner(c)), gc.zeros(()), gc.full((3,), 5.0))
    message = failure(gc.sum(rows), {x: [9, 10, 11]}).message
    assert "sqrt of %subtract[0] = -3.0" in message  # 9 - 5 has the root 2, which is less than 5
    assert message.count("in step 1 of the loop at") == 2


def test_a_branch() -> None:
    x = gc.placeholder(gc.float32, [3], name="x")
    y = gc.cond(gc.sum(x) > 0, lambda: gc.cumsum(x, axis=0), lambda: gc.cumsum(gc.log(x), axis=0))
    with gc.Session(options=options(debug_nan=True)) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: [-1, 2, 3]}), [-1, 1, 4])
        with pytest.raises(NanError, match=r"log of %\w+\[0\] = -1.0, in a branch at"):
            sess.run(y, {x: [-1, 0.5, 0.25]})
        np.testing.assert_array_equal(sess.run(y, {x: [-1, 2, 3]}), [-1, 1, 4])


def test_the_gradient_of_a_loop() -> None:
    x = gc.placeholder(gc.float32, ["n", 3], name="x")
    last, _ = gc.scan(lambda c, r: (gc.sqrt(gc.sum(c * r)) * r, gc.sum(c)), gc.ones((3,)), x)
    (grad,) = gc.gradients(gc.sum(last), [x])
    given = np.ones((3, 3), F32)
    with gc.Session(options=options(debug_nan=True)) as sess:
        assert np.isfinite(sess.run(grad, {x: given})).all()
    given[1] = 0
    error = failure(grad, {x: given})
    assert "of the loop at" in error.message and "made NaN" in error.message
    assert error.location is not None and error.location.file == __file__


def test_python_is_called_once() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    calls = []

    def spoil(a: Any) -> Any:
        calls.append(a)
        return a * np.array([1, math.nan], F32)

    error = failure(gc.py_func(spoil, [x], x.type) + 1, {x: [1, 2]})
    assert "py_func: made NaN at [1] (1 of 2 elements)" in error.message
    assert "%x: f32[2], from 1.0 to 2.0" in error.message and len(calls) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_many_chunks(threads: int) -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    given = np.ones(300_000, F32)
    given[299_999] = -1
    y = gc.sqrt(gc.exp(x) * x)
    assert "at [299999] (1 of 300000" in failure(y, {x: given}, threads=threads).message
    with gc.Session(options=options(debug_nan=True, threads=threads)) as sess:
        plain = gc.Session(options=options(threads=threads))
        np.testing.assert_array_equal(sess.run(y, {x: given[:-1]}), plain.run(y, {x: given[:-1]}))


def test_other_errors_are_what_they_were() -> None:
    x = gc.placeholder(gc.float32, [3], name="x")
    i = gc.placeholder(gc.int64, [], name="i")

    def fail(a: Any) -> Any:
        raise ArithmeticError("no")

    with gc.Session(options=options(debug_nan=True)) as sess:
        with pytest.raises(GraphcError, match="index 7 is out of range"):
            sess.run(gc.take(x, i), {x: [1, 2, 3], i: 7})
        with pytest.raises(GraphcError, match="ArithmeticError: no"):
            sess.run(gc.py_func(fail, [x], x.type) + 1, {x: [1, 2, 3]})
        profile = sess.profile(gc.exp(x) @ gc.exp(x), {x: [1, 2, 3]}, steps=2, warmup=0)
        assert len(profile.rows) >= 1


def test_a_kernel_that_is_wrong_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine code stores a NaN where the interpreter makes none."""
    x = gc.placeholder(gc.float32, [2], name="x")
    y = gc.exp(x) + 1
    began = KernelWatch.__init__

    def spoiled(self: Any, bound: Any, look: Any) -> None:
        def spoil(launched: Any) -> None:
            for a in launched.results.values():
                a[1] = math.nan
            look(launched)

        began(self, bound, spoil)

    monkeypatch.setattr(KernelWatch, "__init__", spoiled)
    message = failure(y, {x: [1, 2]}).message
    assert "stored NaN at [1]" in message and "graphc bisect" in message


def test_without_it_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a plan is watched")

    monkeypatch.setattr(KernelWatch, "__init__", refuse)
    x = gc.placeholder(gc.float32, [2], name="x")
    with gc.Session(options=options()) as sess:
        assert np.isnan(sess.run(gc.log(x), {x: [1, -1]})[1])


def test_devices_are_refused() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    with (
        gc.Session(device="cuda:sim", options=options(debug_nan=True)) as sess,
        pytest.raises(DeviceError, match="debug_nan looks at kernels of the CPU"),
    ):
        sess.run(gc.log(x), {x: [1, 2]})


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Options().debug_nan
    monkeypatch.setenv("GRAPHC_DEBUG_NAN", "1")
    assert Options().debug_nan and not Options(debug_nan=False).debug_nan
    monkeypatch.setenv("GRAPHC_DEBUG_NAN", "yes")
    with pytest.raises(GraphcError, match="GRAPHC_DEBUG_NAN is 'yes'; expected 0 or 1"):
        Options()


def test_the_command_line(tmp_path: Path, capsys: Capture) -> None:
    model = written(
        tmp_path / "model.py",
        'import graphc as gc\n\nx = gc.placeholder(gc.float32, ["n"], name="x")\n'
        "y = gc.sum(gc.log(x - 4) * 2)\n",
    )
    fetched = ["run", model, "--fetch", "y", "--feed", "random"]
    assert graphc(capsys, *fetched)[:2] == (0, "y: f32[] = nan\n")
    code, out, err = graphc(capsys, *fetched, "--debug-nan")
    assert (code, out) == (1, "")
    assert err.startswith("graphc run: log: made NaN at [0] (8 of 8 elements)")
    assert "model.py:4\n    y = gc.sum(gc.log(x - 4) * 2)" in err
    graph = written(
        tmp_path / "f.gir",
        "graph @f(%x: f32[n]) {\n  %y = log %x : f32[n]\n  return %y\n}\n",
    )
    np.save(tmp_path / "x.npy", np.array([1, -1], F32))
    code, _, err = graphc(capsys, "run", graph, "--feed", f"x={tmp_path / 'x.npy'}", "--debug-nan")
    assert code == 1 and "log: made NaN at [1] (1 of 2 elements): %y = log of %x[1] = -1.0" in err
