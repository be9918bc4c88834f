"""What may be fed, how it is converted, and what is said about the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import FeedError, GraphcError

F32 = np.float32
BASE = np.arange(12, dtype=F32).reshape(3, 4)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def misaligned(a: Any) -> Any:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    out = raw.view(a.dtype).reshape(a.shape)
    out[...] = a
    assert not out.flags.aligned
    return out


def read_only(a: Any) -> Any:
    a = a.copy()
    a.setflags(write=False)
    return a


class Thing:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return BASE


FORMS: dict[str, Any] = {
    "list": BASE.tolist(),
    "ints": BASE.astype(int).tolist(),
    "tuple of arrays": tuple(BASE),
    "f64": BASE.astype(np.float64),
    "f16": BASE.astype(np.float16),
    "i64": BASE.astype(np.int64),
    "u8": BASE.astype(np.uint8),
    "fortran order": np.asfortranarray(BASE),
    "strided": np.repeat(np.repeat(BASE, 2, 0), 3, 1)[::2, ::3],
    "negative strides": BASE[::-1, ::-1].copy()[::-1, ::-1],
    "broadcast": np.broadcast_to(BASE, (1, 3, 4))[0],
    "byte-swapped": BASE.astype(">f4"),
    "byte-swapped f64": BASE.astype(">f8"),
    "read-only": read_only(BASE),
    "misaligned": misaligned(BASE),
    "misaligned f64": misaligned(BASE.astype(np.float64)),
    "subclass": BASE.view(type("Sub", (np.ndarray,), {})),
    "array-like": Thing(),
    "memoryview": memoryview(BASE),
    "field of records": np.array([(r, 1) for r in BASE.ravel()], dtype=[("v", "f4"), ("w", "i1")])[
        "v"
    ].reshape(3, 4),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_arrays(form: str) -> None:
    x = gc.placeholder(gc.float32, [None, 4], name="x")
    w = gc.variable(np.eye(4, dtype=F32))
    fetches = [x * 2.0, gc.sum(x, axis=1), x @ w, x, gc.transpose(x)]
    given = FORMS[form]
    with gc.Session() as sess:
        for _ in range(2):
            doubled, sums, product, same, turned = sess.run(fetches, {x: given})
            np.testing.assert_array_equal(doubled, BASE * 2)
            np.testing.assert_array_equal(sums, BASE.sum(1))
            np.testing.assert_array_equal(product, BASE)
            np.testing.assert_array_equal(same, BASE)
            np.testing.assert_array_equal(turned, BASE.T)
            assert same.flags.writeable and same.flags.c_contiguous and same.dtype.isnative
    np.testing.assert_array_equal(np.asarray(given), BASE)


@pytest.mark.parametrize(
    "given", [2.0, 2, True + 1, np.float64(2), np.int8(2), np.array(2, ">i4"), F32(2)]
)
def test_scalars(given: Any) -> None:
    x = gc.placeholder(gc.float32, name="x")
    with gc.Session() as sess:
        out = sess.run(x * 3, {x: given})
        assert out == 6 and out.shape == () and isinstance(out, np.ndarray)


def test_same_kind_casts() -> None:
    kinds: list[tuple[Any, Any]] = [
        (gc.int32, np.array([1, -2], np.int64)),
        (gc.uint8, [1, 2]),
        (gc.int64, np.array([1, 2], np.uint8)),
        (gc.bool_, [True, False]),
        (gc.float16, np.array([1, 2], np.float64)),
        (gc.float32, [True, False]),
        (gc.bfloat16, [1.0, 2.0]),
        (gc.float64, np.array([1, 2], np.float16)),
        (gc.int8, []),
    ]
    for dtype, given in kinds:
        x = gc.placeholder(dtype, [None])
        with gc.Session() as sess:
            out = sess.run(gc.concat([x, x]), {x: given})
            assert out.dtype == dtype.numpy
            np.testing.assert_array_equal(out.astype(float), np.tile(np.asarray(given, float), 2))


REFUSED: list[tuple[Any, Any, str]] = [
    (gc.int32, [1.5, 2.0, 3.0], r"'x' is i32\[3\], got elements of type float64"),
    (gc.int32, np.ones(3), "astype"),
    (gc.bool_, [0, 1, 1], "int64"),
    (gc.uint8, np.array([1, 2, 3]), "int64"),
    (gc.uint8, [1, 2, 300], "'x' is u8"),
    (gc.int8, [1, 2, -129], "'x' is i8"),
    (gc.float32, ["a", "b", "c"], "'x'"),
    (gc.float32, [1j, 2, 3], "complex128"),
    (gc.float32, [object()] * 3, "object"),
    (gc.float32, [None] * 3, "object"),
    (gc.float32, None, "object"),
    (gc.float32, {1: 2}, "object"),
    (gc.float32, [[1], [2, 3], 4], "'x'"),
    (gc.float32, np.array(["2020-01-01"] * 3, "M8[D]"), "datetime64"),
    (gc.int64, [2**70, 0, 0], "object"),
]


@pytest.mark.parametrize(("dtype", "given", "message"), REFUSED)
def test_refused_elements(dtype: Any, given: Any, message: str) -> None:
    x = gc.placeholder(dtype, [3], name="x")
    with gc.Session() as sess:
        for _ in range(2):
            with pytest.raises(FeedError, match=message):
                sess.run(x, {x: given})
        sess.run(x, {x: np.zeros(3, dtype.numpy)})
        with pytest.raises(FeedError, match=message):
            sess.run(x, {x: given})


def test_shapes_that_do_not_fit() -> None:
    x = gc.placeholder(gc.float32, ["batch", 784], name="image")
    wrong = [
        ((784,), r"'image' is f32\[batch,784\], got shape \[784\]"),
        ((2, 784, 1), r"got shape \[2, 784, 1\]"),
        ((2, 783), "axis 1 of 'image' must be 784, got 783"),
        ((), r"got shape \[\]"),
    ]
    with gc.Session() as sess:
        for shape, message in wrong:
            with pytest.raises(FeedError, match=message):
                sess.run(x + 1.0, {x: np.zeros(shape)})
        assert sess.run(x + 1.0, {x: np.zeros((2, 784))}).shape == (2, 784)


def test_equal_names_are_equal_sizes() -> None:
    x = gc.placeholder(gc.float32, ["n", "m"], name="x")
    y = gc.placeholder(gc.float32, ["m"], name="y")
    wanted = "axis 0 of 'y' is 4, but m is 3 by axis 1 of 'x'"
    with gc.Session() as sess, pytest.raises(FeedError, match=wanted):
        sess.run(x + y, {x: np.zeros((2, 3)), y: np.zeros(4)})


def test_symbols_that_must_agree() -> None:
    x, y = (gc.placeholder(gc.float32, [None], name=n) for n in "xy")
    with gc.Session() as sess:
        with pytest.raises(FeedError, match=r"axis 0 of 'y' is 4, but .* is 3 by axis 0 of 'x'"):
            sess.run(x + y, {x: np.zeros(3), y: np.zeros(4)})
        with pytest.raises(FeedError, match=r"axis 0 of 'x' is 4, but .* is 3 by axis 0 of 'y'"):
            sess.run(x + y, {y: np.zeros(3), x: np.zeros(4)})
        assert sess.run(
            gc.reshape(gc.concat([x, y]), (2, -1)), {x: np.zeros(3), y: np.zeros(5)}
        ).shape == (2, 4)


def test_sizes_that_must_divide_or_agree_otherwise() -> None:
    x, y = (gc.placeholder(gc.float32, [None], name=n) for n in "xy")
    z = gc.concat([x, x]) + y
    with gc.Session() as sess:
        assert sess.run(z, {x: np.zeros(3), y: np.zeros(6)}).shape == (6,)
        with pytest.raises(FeedError, match=r"is 7, but .* is 6"):
            sess.run(z, {x: np.zeros(3), y: np.zeros(7)})


def test_missing_and_superfluous_feeds() -> None:
    x, y = (gc.placeholder(gc.float32, [None], name=n) for n in "xy")
    z = x * 2.0
    with gc.Session() as sess:
        with pytest.raises(FeedError, match=r"placeholder 'x' \(f32\[n\]\) is needed but not fed"):
            sess.run(z)
        with pytest.raises(FeedError, match="placeholder 'x'"):
            sess.run(z, {y: np.zeros(2)})
        with pytest.raises(FeedError, match="nothing fetched depends on it"):
            sess.run(x, {x: np.zeros(2), z: np.zeros(2)})
        with pytest.raises(FeedError, match="fed twice"):
            sess.run(z, {x: np.zeros(2), "x": np.zeros(2)})
        with pytest.raises(FeedError, match="no tensor is called 'w'; named ones: x, y"):
            sess.run(z, {"w": np.zeros(2)})
        with pytest.raises(FeedError, match="is no tensor"):
            sess.run(z, {3: np.zeros(2)})
        with pytest.raises(FeedError, match="is fed a tensor"):
            sess.run(z, {x: y})
        for wrong in ([(x, 1)], [x], 3, "x", np.zeros(2)):
            with pytest.raises(FeedError, match="feed_dict: expected a dict"):
                sess.run(z, wrong)
        sess.run(z, {x: np.zeros(2), y: np.zeros(5)})  # a placeholder that is not needed may be fed
        with pytest.raises(FeedError, match="'y'"):
            sess.run(z, {x: np.zeros(2), y: np.zeros((5, 5))})


def test_errors_carry_the_line_of_the_run() -> None:
    x = gc.placeholder(gc.float32, [3], name="x")
    with gc.Session() as sess, pytest.raises(FeedError) as caught:
        sess.run(x, {x: np.zeros(4)})  # here
    assert caught.value.location is not None and caught.value.location.file == __file__
    assert caught.value.location.text.endswith("# here")


def test_fed_arrays_are_used_in_place_and_never_written() -> None:
    x = gc.placeholder(gc.float32, [None, 4], name="x")
    v = gc.variable(np.zeros((3, 4), F32), name="v")
    given = read_only(BASE)
    with gc.Session() as sess:
        for step in (
            x * 2.0 + v,
            v.assign(x),
            v.assign(v + x),
            gc.nn.functional.softmax(x),
            gc.sum(x),
        ):
            sess.run(step, {x: given})
        np.testing.assert_array_equal(given, BASE)
        *_, runner = sess._runners.values()
        plan = next(iter(runner.plans.values()))
        assert plan.bound.view[plan.feeds[0][1]] == id(given), "the array itself is used"
        sess.run(v.assign(x), {x: given})
        assert not np.shares_memory(sess.values[v], given)


# ---- nothing that was fed gets lost ----

NARROW = [
    (np.int64, gc.int8, 127, 128),
    (np.int64, gc.int8, -128, -129),
    (np.int64, gc.int32, 2**31 - 1, 2**40),
    (np.int32, gc.int16, -(2**15), 2**15),
    (np.uint8, gc.int8, 127, 200),
    (np.uint64, gc.int64, 2**63 - 1, 2**63),
    (np.uint32, gc.uint8, 255, 256),
]


@pytest.mark.parametrize(("given", "taken", "fits", "beyond"), NARROW)
def test_integers_keep_their_values(given: Any, taken: gc.DType, fits: int, beyond: int) -> None:
    x = gc.placeholder(taken, [None], name="x")
    v = gc.variable(np.zeros(2, taken.numpy), name="v")
    with gc.Session() as sess:
        assert sess.run(x, {x: np.array([0, fits], given)}).tolist() == [0, fits]
        sess.load(v, np.array([fits, 1], given))
        assert sess.value(v).tolist() == [fits, 1]
        wrong = np.array([0, beyond], given)
        for refused in (wrong, wrong[::-1], wrong.tolist()):
            with pytest.raises(FeedError, match="that do not fit; convert them"):
                sess.run(x, {x: refused})
        with pytest.raises(FeedError, match="load: 'v'"):
            sess.load(v, wrong)
        assert sess.run(x, {x: np.zeros(0, given)}).shape == (0,)


def test_masks_are_not_dropped() -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    v = gc.variable(np.zeros(2, F32), name="v")
    masked = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    for use in (lambda: x + masked, lambda: gc.asarray(masked), lambda: gc.variable(masked)):
        with pytest.raises(GraphcError, match="masked elements"):
            use()
    with gc.Session() as sess:
        for given in (masked, [np.ma.masked, 2.0], [1.0, masked[0]], (masked[0], 1.0)):
            with pytest.raises(FeedError, match=r"masked elements.*\.filled"):
                sess.run(x * 2.0, {x: given})
            with pytest.raises(FeedError, match="masked elements"):
                sess.load(v, given)
        assert sess.run(x, {x: masked.filled(7)}).tolist() == [7, 2]
        assert sess.run(x, {x: np.ma.masked_array([1.0, 2.0])}).tolist() == [1, 2]


@pytest.mark.parametrize(("fed", "said"), [(3, "not 2*n+5 for any n"), (6, "not 2*n+5"), (0, "")])
def test_no_size_is_negative(fed: int, said: str) -> None:
    n = gc.placeholder(gc.float32, ["n"], name="n")
    y = gc.pad(gc.concat([n, n]), [(2, 3)])
    with gc.Session() as sess:
        with pytest.raises(FeedError) as caught:
            sess.run(y * 2.0, {y: np.ones(fed, F32)})
        assert said in str(caught.value)
        assert sess.run(gc.sum(y * 2.0), {y: np.ones(9, F32)}) == 18
        assert sess.run(gc.sum(y * 2.0), {y: np.ones(5, F32)}) == 10
