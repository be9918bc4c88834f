"""Accesses of loops: proved to lie inside of their buffers, or checked in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.codegen.cpu.kernels import loops_of
from graphc.codegen.loops.accesses import certified
from graphc.codegen.loops.ir import For, Let
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.errors import GraphcError, GraphError
from graphc.frontend.stage import stage
from graphc.ir.op import Piece, View
from graphc.ir.ops.shape import Slice
from graphc.ir.program import Kind

F = gc.nn.functional
X = gc.placeholder(gc.float32, ["n", "m"], name="x")
IMAGE = gc.placeholder(gc.float32, ["n", 3, "h", "w"], name="image")

PROVED: dict[str, Callable[[], Any]] = {
    "map": lambda: gc.exp(X) + 1.0,
    "softmax": lambda: F.softmax(X),
    "transposed": lambda: gc.exp(X.T) * 2.0,
    "flipped": lambda: gc.flip(X, axis=(0, 1)) + X,
    "padded": lambda: gc.pad(X, ((1, 2), (3, 4))) + 1.0,
    "joined": lambda: gc.concat([X, X * 2.0, X[:1]], axis=0) + 1.0,
    "gathered": lambda: gc.take(X, [0, 2, 1], axis=1) + 1.0,
    "folded rows": lambda: gc.sum(gc.exp(X), axis=0),
    "scattered": lambda: gc.scatter_add(X, [0, 1], gc.ones((2, 1))),
    "running": lambda: gc.cumsum(X, axis=1),
    "pooled": lambda: F.max_pool2d(IMAGE, 2),
    "pooled with padding": lambda: F.avg_pool2d(IMAGE, 3, 2, 1),
    "gradient of pooling": lambda: gc.gradients(gc.sum(F.avg_pool2d(IMAGE, 3, 1, 1)), [IMAGE])[0],
    "layer norm": lambda: F.layer_norm(X, (X.shape[1],)),
}


def checks(body: Sequence[Any]) -> list[Let]:
    """The checks in certified loops: the accesses that no proof covers."""
    found = [s for s in body if isinstance(s, Let) and s.name.startswith("inside")]
    return found + [c for s in body if isinstance(s, For) for c in checks(s.body)]


@pytest.mark.parametrize("name", PROVED)
def test_what_common_kernels_touch_is_proved(name: str) -> None:
    program = lower(stage([PROVED[name]()]).graph, Options()).program
    for kernel in program.kernels:
        loops = loops_of(kernel)
        assert loops is None or not checks(loops.body)
        assert loops is None or certified(loops) is loops


class SaidToBeProved(View):
    """out[i] = x[i + 4]: said to be proved, which it is not."""

    proved = True

    def infer(self, *types: Any) -> Any:
        return types[0]

    def pieces(self, index: Any, *types: Any) -> Any:
        return (Piece(0, (index[0] + 4,)),)

    def reference(self, *arrays: Any) -> Any:
        return np.roll(arrays[0], -4)


def test_what_is_not_proved_is_checked_in_the_kernel() -> None:
    """Where an op lies, and no requirement tells, the run ends before foreign memory is read."""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["k"], name="x")
        w = gc.variable(np.zeros(3, np.float32), name="w")
        wrong = w.assign(gc.exp(SaidToBeProved()(x))[:3])
        with pytest.raises(GraphError, match=r"a kernel was stopped at element . of a buffer of 3"):
            sess.run(wrong, {x: np.ones(3)})
        assert sess.run(w).tolist() == [0, 0, 0]


def test_a_view_without_its_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slice, "requires", lambda self, *types: ())
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["k"], name="x")
        y = gc.exp(Slice((5,), (1,), (1,))(x)) + 1.0
        assert sess.run(y, {x: np.zeros(6)}).tolist() == [2.0]
        with pytest.raises(GraphError, match="a kernel was stopped at element 5 of a buffer of 3"):
            sess.run(y, {x: np.zeros(3)})


def test_the_build_that_checks_every_access() -> None:
    graph = stage([F.softmax(X) @ gc.ones((4, 3))]).graph
    checked = lower(graph, Options(check="bounds"))
    plain = lower(graph, Options())
    loops = [s.text for k, s in checked.sources.items() if k.kind is Kind.LOOPS]
    assert loops and all("check_index" in text for text in loops)
    assert not any("check_index" in s.text for s in plain.sources.values())
    values = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, ["n", 4], name="x")
        y = F.softmax(x) @ gc.ones((4, 3))
        with gc.Session() as one, gc.Session(options=Options(check="bounds")) as two:
            np.testing.assert_array_equal(one.run(y, {x: values}), two.run(y, {x: values}))


def test_a_check_that_does_not_exist() -> None:
    with pytest.raises(GraphcError, match=r"check .* is 'bound'; expected one of passes, bounds"):
        Options(check="bound")
