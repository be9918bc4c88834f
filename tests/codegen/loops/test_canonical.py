"""The names in a kernel's text."""

from __future__ import annotations

import numpy as np

import graphc as gc
from graphc.codegen.loops.canonical import canonical, simplest, with_buffers


def test_equal_kernels_are_equal_text() -> None:
    text = "    b = a[i0]\n    for i0 in range(n):\n        b = b + exp(b)\n"
    other = text.replace("b", "row").replace("i0", "k3")
    assert canonical(text) == canonical(other) != text
    assert canonical("def kernel(b0):\n    x = b0[1]\n", ["b0"]) == (
        "def kernel(v0):\n    v1 = v0[1]\n"
    )


def test_a_local_is_neither_an_attribute_nor_a_part_of_a_number() -> None:
    text = "    e = 1e-05\n    x = cuda.threadIdx.x + e\n"
    assert canonical(text) == "    v0 = 1e-05\n    v1 = cuda.threadIdx.x + v0\n"


def test_a_value_may_be_called_e() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, [3], name="e")
        np.testing.assert_array_equal(
            sess.run(gc.exp(x) + 1e-30, {x: [0, 0, 0]}), np.ones(3, np.float32)
        )


def test_buffers_and_plain_names() -> None:
    assert with_buffers("@1[i0] = @0[i0]", ["x", "y"]) == "y[i0] = x[i0]"
    assert simplest(["exp_1", "row_2", "row_3"], {"exp"}) == {
        "exp_1": "exp_1",
        "row_2": "row",
        "row_3": "row_1",
    }
