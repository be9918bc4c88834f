"""The checked build of hand-written kernels: what lies outside and what is not written is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.config import Options
from graphc.errors import ConformanceError, GraphError
from graphc.ir.types import f32
from graphc.testing import check_op, sample

ROWS, COLUMNS = 3, 4


def fault(kernel: Any, shape: tuple[int, ...] = (ROWS, COLUMNS), threads: int = 1) -> str:
    """What a run says of a kernel on an operand that is fed, and the line that it shows."""
    x = gc.placeholder(f32, [None] * len(shape), name="x")
    made = kernel(x)
    options = Options(check="bounds", threads=threads)
    with gc.Session(options=options) as session, pytest.raises(GraphError) as caught:
        session.run(made, {x: np.ones(shape, np.float32)})
    assert caught.value.location is not None
    return f"{caught.value.message} | {caught.value.location.text}"


def value(kernel: Any, *arrays: Any) -> Any:
    """The result of the checked build."""
    made = kernel(*map(gc.asarray, arrays))
    with gc.Session(options=Options(check="bounds", threads=2)) as session:
        return session.run(made)


def test_a_read_past_an_axis_is_named_with_its_line() -> None:
    @gc.kernel
    def shifted(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j + 1]

    said = fault(shifted)  # x[0, 4] lies inside of the buffer: it is x[1, 0]
    assert "shifted: reads x[i, j + 1]: index 4 is out of range for axis 1 of size 4" in said
    assert said.endswith("| out[i, j] = x[i, j + 1]")


def test_a_write_past_an_axis_is_named_and_not_made() -> None:
    @gc.kernel
    def beyond(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0] + 1):
            out[i] = 1.0

    assert "beyond: writes out[i]: index 2 is out of range for axis 0 of size 2" in fault(
        beyond, (2,)
    )
    assert "index 0 is out of range for axis 0 of size 0" in fault(beyond, (0,))


def test_a_computed_index_below_0_is_out_of_range_a_literal_is_not() -> None:
    @gc.kernel
    def before(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = x[i - 1]

    @gc.kernel
    def last(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = x[-1]

    @gc.kernel
    def fourth_last(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = x[-4]

    said = fault(before, (3,))
    assert (
        "reads x[i - 1]: index -1 is out of range for axis 0 of size 3; only an index that is a"
        in said
    )
    np.testing.assert_array_equal(value(last, np.float32([1, 2, 3])), [3, 3, 3])
    said = fault(fourth_last, (3,))
    assert "reads x[-4]: index -4 is out of range for axis 0 of size 3, in fourth_last(" in said


def test_an_element_that_is_not_written_is_found() -> None:
    @gc.kernel
    def triangle(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            for j in range(i, x.shape[1]):
                out[i, j] = x[i, j]

    @gc.kernel
    def until(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            if i == 1:
                return
            for j in range(x.shape[1]):
                out[i, j] = x[i, j]

    for kernel in (triangle, until):
        assert "element [1, 0] of the result is not written" in fault(kernel)


def test_reading_what_is_not_written_yet_is_found() -> None:
    @gc.kernel
    def summed(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] += x[i, j]

    said = fault(summed)
    assert "summed: reads out[i, j] before element [0, 0] is written" in said


def test_a_call_of_a_parallel_kernel_keeps_to_its_rows() -> None:
    @gc.kernel(parallel=True)
    def turned(rows, out, x):  # type: ignore[no-untyped-def]
        for i in rows:
            for j in range(x.shape[1]):
                out[x.shape[0] - 1 - i, j] = x[i, j]

    @gc.kernel(parallel=True)
    def skipping(rows, out, x):  # type: ignore[no-untyped-def]
        for i in rows:
            for j in range(1, x.shape[1]):
                out[i, j] = x[i, j]

    for threads in (1, 2):
        said = fault(turned, threads=threads)
        assert "writes out[x.shape[0] - 1 - i, j]: row " in said
        assert "belongs to another call" in said
    assert "0] of the result is not written" in fault(skipping)


def test_a_fault_ends_a_loop_that_would_not_end() -> None:
    @gc.kernel
    def searching(out, x):  # type: ignore[no-untyped-def]
        i = 0
        while x[i] != 7.0:
            i += 1
        out[0] = i

    assert "searching: reads x[i]: index 2 is out of range for axis 0 of size 2" in fault(
        searching, (2,)
    )


def test_right_kernels_give_what_they_gave() -> None:
    @gc.kernel
    def running(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i, 0], best = x[i, 0], x[i, 0]
            for j in range(1, x.shape[1]):
                best = max(best, x[i, j]) if x[i, j] > 0 else best
                out[i, j] = best + out[i, j - 1]

    @gc.kernel(parallel=True)
    def copied(rows, out, x):  # type: ignore[no-untyped-def]
        for i in rows:
            for j in range(x.shape[1]):
                out[i, j] = x[i, j]

    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for dtype in (gc.float32, gc.float16, gc.bfloat16, gc.int8, gc.uint8, gc.int64, gc.bool_):
        given = gc.astype(gc.asarray(x), dtype)
        with gc.Session(options=Options(check="bounds")) as checked, gc.Session() as plain:
            for kernel in (running, copied) if dtype is not gc.bool_ else (copied,):
                made = kernel(given)
                np.testing.assert_array_equal(checked.run(made), plain.run(made))
    assert value(copied, np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_no_variable_changes_and_the_session_goes_on() -> None:
    @gc.kernel
    def picked(out, x, at):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = x[at[i]]

    v = gc.variable([1.0, 2.0], name="v")
    at = gc.placeholder(gc.int64, [2], name="at")
    step = v.assign(picked(v, at))
    with gc.Session(options=Options(check="bounds")) as session:
        with pytest.raises(GraphError, match=r"reads x.at.i.*index 5 .* no variable has changed"):
            session.run(step, {at: [0, 5]})
        np.testing.assert_array_equal(session.value(v), [1, 2])
        session.run(step, {at: [1, 0]})
        np.testing.assert_array_equal(session.value(v), [2, 1])


def test_a_kernel_in_a_loop_of_the_graph_is_judged() -> None:
    @gc.kernel
    def gone(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0] - 1):
            out[i] = x[i] + 1

    x = gc.placeholder(f32, ["n"], name="x")
    made = gc.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, gone(y)), (0, x))[1]
    said = pytest.raises(GraphError, match=r"gone: element .2. of the result is not written")
    with gc.Session(options=Options(check="bounds")) as session, said:
        session.run(made, {x: np.ones(3, np.float32)})


def test_only_elements_of_the_result_can_be_assigned() -> None:
    @gc.kernel
    def swapped(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            x[i], out[i] = 1.0, 2.0

    @gc.kernel
    def counting(out, x):  # type: ignore[no-untyped-def]
        for out[0] in range(x.shape[0]):
            pass

    with pytest.raises(GraphError, match=r"only elements of out can be written, not x\[i\]"):
        swapped(gc.zeros((3,)))
    with pytest.raises(GraphError, match=r"a loop counts by a name, not out\[0\]"):
        counting(gc.zeros((3,)))


def test_check_op_says_what_a_kernel_leaves_or_reads() -> None:
    @gc.kernel
    def most(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0] - 1):
            out[i] = x[i]

    @gc.kernel(reference=lambda x: x)
    def next_one(out, x):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = x[i] + 0 * x[(i + 2) // 1 - 1]

    with pytest.raises(ConformanceError, match=r"element \[3\] of the result is not written"):
        check_op(most, [sample(f32[4])])
    with pytest.raises(ConformanceError, match=r"reads x\[.*index 4 is out of range for axis 0"):
        check_op(next_one, [sample(f32[4])])
