"""The judge of ops: a right op passes, and each planted fault is found and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ConformanceError, GraphError, MiscompiledError
from graphc.ir.dim import Size
from graphc.ir.op import OPS, Op, Opaque, Piece, Pointwise, Reduction, View
from graphc.ir.types import f32, f64
from graphc.testing import check_graph, check_op, random_graph, sample
from graphc.testing.simulated_device import check_on_device


@pytest.fixture(autouse=True)
def own_ops() -> Iterator[None]:
    """The ops that a test declares are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


def softsign(**changes: Any) -> type[Op]:
    """A pointwise op, with some of its members changed."""

    def reference(self: Any, x: Any) -> Any:
        return x / (1 + np.abs(x))

    def vjp(self: Any, ct: Any, out: Any, x: Any) -> Any:
        below = 1.0 + gc.abs(x)
        return (ct / (below * below),)

    members = {
        "__module__": __name__,
        "arity": 1,
        "accepts": (f32,),
        "exact": False,
        "spelling": "({0} / (f32(1.0) + abs({0})))",
        "samples": (sample(f32[33]),),
        "reference": reference,
        "vjp": vjp,
    }
    return type("Softsign", (Pointwise,), members | changes)


def diagonal(**changes: Any) -> type[Op]:
    """A view, with some of its members changed."""

    def requires(self: Any, x: Any) -> Any:
        return ((x.shape[0], x.shape[1]),)

    def infer(self: Any, x: Any) -> Any:
        return x.with_shape(x.shape[:1])

    def pieces(self: Any, index: Any, x: Any) -> Any:
        return (Piece(0, (index[0], index[0])),)

    def reference(self: Any, x: Any) -> Any:
        return np.diagonal(x)

    def vjp(self: Any, ct: Any, out: Any, x: Any) -> Any:
        return (gc.where(gc.eye(x.shape[0]) > 0, ct[:, None], 0.0),)

    members = {
        "__module__": __name__,
        "samples": (sample(f32[3, 3]), sample(f64[4, 4])),
        "requires": requires,
        "infer": infer,
        "pieces": pieces,
        "reference": reference,
        "vjp": vjp,
    }
    return type("MainDiagonal", (View,), members | changes)


def doubled(source: str) -> type[Op]:
    """An op with a kernel by hand: twice its operand."""

    class Doubled(Opaque):
        """2 x."""

        count: Size
        differentiable = False
        samples = (sample(f32[5], count=5),)

        @property
        def sizes(self) -> tuple[Size, ...]:
            return (self.count,)

        def infer(self, *types: Any) -> Any:
            return types[0]

        def reference(self, *arrays: Any) -> Any:
            return arrays[0] * 2

        def source(self, out: Any, *types: Any) -> str:
            return source

    return Doubled


def test_right_ops_pass() -> None:
    class ReduceAbsmax(Reduction):
        """The largest |x| over `axes`; 0 for none."""

        axes: tuple[int, ...]
        combine = "maximum({0}, abs({1}))"
        differentiable = False
        samples = (sample(f32[3, 4], axes=(1,)), sample(f32[0, 4], axes=(0,)))

        def identity(self, dtype: Any) -> int:
            return 0

        def reference(self, *arrays: Any) -> Any:
            return np.max(np.abs(arrays[0]), axis=self.axes, initial=0)

    check_op(softsign())
    check_op(diagonal())
    check_op(ReduceAbsmax)
    check_op(doubled("    for i in range(n0):\n        out[i] = a0[i] * f32(2.0)\n"))


def test_functions_are_judged_too() -> None:
    @gc.op
    def shifted_square(x: Any, a: Any) -> Any:
        return x * x + a

    @gc.kernel(gradient=lambda ct, out, x: (3.0 * ct,))
    def tripled(out: Any, x: Any) -> None:
        for i in range(x.shape[0]):
            out[i] = 3 * x[i]

    check_op(shifted_square)
    check_op(tripled, [sample(f32[4]), sample(f64[3])])
    with pytest.raises(GraphError, match="Tripled has no samples; give some"):
        check_op(tripled)


def no_gradient(self: Any, ct: Any, out: Any, x: Any) -> Any:
    return (None,)


def doubled_gradient(self: Any, ct: Any, out: Any, x: Any) -> Any:
    return (2.0 * ct / gc.square(1.0 + gc.abs(x)),)


def wide_reference(self: Any, x: Any) -> Any:
    return (x / (1 + np.abs(x))).astype(np.float64)


def other_reference(self: Any, x: Any) -> Any:
    return x / (1 + np.abs(x) + x * x)


def writing_reference(self: Any, x: Any) -> Any:
    x /= 1 + np.abs(x)
    return x.copy()


def failing_reference(self: Any, x: Any) -> Any:
    return x[7] * x


def wrong_type(self: Any, x: Any) -> Any:
    return x


def wrong_pieces(self: Any, index: Any, x: Any) -> Any:
    return (Piece(0, (index[0], 0)),)


def fixed_reference(self: Any, x: Any) -> Any:
    return x[(0, 1, 2)[: len(x)], (0, 1, 2)[: len(x)]]


def static_type(self: Any, x: Any) -> Any:
    return x.with_shape((3,))


FAULTS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "a gradient that is missing": (softsign, {"vjp": no_gradient}, "gradient", "no cotangent"),
    "a wrong gradient": (
        softsign,
        {"vjp": doubled_gradient},
        "gradient",
        r"by operand 0, at \[0\] \(33 of 33 wrong\): finite differences give .*, vjp gives",
    ),
    "a wrong element type": (
        softsign,
        {"reference": wide_reference},
        "type",
        r"infer gives f32\[33\], reference gives float64\[33\]",
    ),
    "a wrong reference": (
        softsign,
        {"reference": other_reference, "differentiable": False},
        "compiled",
        "wanted .*, got",
    ),
    "a reference that writes": (softsign, {"reference": writing_reference}, "type", "wrote to its"),
    "a reference that fails": (softsign, {"reference": failing_reference}, "sizes", "IndexError"),
    "a wrong spelling": (
        softsign,
        {"spelling": "({0} / (f32(2.0) + abs({0})))"},
        "compiled",
        r"\d+ of 33 wrong\): wanted .*, got",
    ),
    "a wrong type rule": (
        diagonal,
        {"infer": wrong_type, "differentiable": False},
        "type",
        r"infer gives f32\[3,3\], reference gives float32\[3\]",
    ),
    "a wrong view": (diagonal, {"pieces": wrong_pieces}, "compiled", "wanted"),
    "a reference for some sizes": (
        diagonal,
        {"reference": fixed_reference, "samples": (sample(f32[3, 3]),)},
        "sizes",
        r"infer gives f32\[7\], reference gives float32\[3\]",
    ),
    "a type rule for one size": (
        diagonal,
        {"infer": static_type, "samples": (sample(f32[3, 3]),)},
        "sizes",
        r"infer gives f32\[3\], reference gives float32\[7\]",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    made, changes, check, message = FAULTS[name]
    op_cls = made(**changes)
    with pytest.raises(ConformanceError, match=message) as raised:
        check_op(op_cls)
    assert (raised.value.op, raised.value.check) == (op_cls.__name__, check)
    assert raised.value.message.startswith(f"check_op: {op_cls.__name__}, on f")


@pytest.mark.parametrize(
    ("count", "element", "message"),
    [
        ("n0 + 1", "f32(2.0) * a0[i]", r"reads a0\[i\]: index 5 is out of range for 5 elements"),
        ("n0 - 1", "f32(2.0) * a0[i]", r"element \[4\] of the result is not written"),
        ("n0", "f32(2.0) + a0[i]", "wanted .*, got"),
    ],
    ids=["beyond its buffers", "not all elements", "another result"],
)
def test_a_wrong_kernel_is_found_before_it_runs_natively(
    count: str, element: str, message: str
) -> None:
    source = f"    for i in range({count}):\n        out[i] = {element}\n"
    with pytest.raises(ConformanceError, match=message) as raised:
        check_op(doubled(source))
    assert raised.value.op == "Doubled" and raised.value.check in ("indices", "kernel in Python")


def through_f32(self: Any, x: Any) -> Any:
    return np.tanh(x.astype(np.float32)).astype(x.dtype)


def test_every_element_type_is_tried() -> None:
    """The samples are of f32; in f64 the reference is not what the kernel computes."""
    members = {"spelling": "tanh({0})", "reference": through_f32, "differentiable": False}
    check_op(softsign(**members))
    with pytest.raises(ConformanceError, match="the kernel or the reference is wrong") as raised:
        check_op(softsign(**members, accepts=(f32, f64)))
    assert (raised.value.sample, raised.value.check) == ("f64[33]", "compiled")


@pytest.mark.parametrize(
    ("op_cls", "wrong"),
    [
        (softsign, {"reference": other_reference}),
        (diagonal, {"pieces": wrong_pieces, "samples": (sample(f32[3, 3]),)}),
    ],
)
def test_a_simulated_gpu_is_tried(op_cls: Any, wrong: Any) -> None:
    right = op_cls()
    check_on_device(right, right.samples)
    made = op_cls(**wrong, differentiable=False)
    with pytest.raises(ConformanceError, match="cuda:sim: result 0 at") as raised:
        check_on_device(made, made.samples)
    assert raised.value.check == "cuda:sim"


def test_a_fault_shows_the_line_of_the_op() -> None:
    @gc.op(gradient=lambda ct, out, x: (ct,))
    def steep(x: Any) -> Any:
        return x * 5.0

    with pytest.raises(ConformanceError, match="vjp gives") as raised:
        check_op(steep)
    assert raised.value.location is not None
    assert raised.value.location.file == __file__ and "gc.op" in raised.value.location.text


def test_what_is_no_op() -> None:
    for wrong in (np.exp, gc.exp, 3, Op, Pointwise):
        with pytest.raises(GraphError, match="is no op; expected a subclass"):
            check_op(wrong)


def test_random_graphs_have_the_ops_of_a_user() -> None:
    ops = [softsign(), diagonal()]
    seen = {v.op.name for seed in range(12) for v in random_graph(seed, ops=ops).nodes()}
    assert {"softsign", "main_diagonal"} <= seen
    assert "softsign" not in {v.op.name for v in random_graph(1).nodes()}
    with pytest.raises(GraphError, match="MainDiagonal has no sample"):
        random_graph(0, ops=[diagonal(samples=())])


def test_a_wrong_op_is_found_in_random_graphs() -> None:
    wrong = diagonal(pieces=wrong_pieces)
    with pytest.raises(MiscompiledError, match="main_diagonal"):
        for seed in range(40):
            check_graph(random_graph(seed, ops=[wrong]), seed)
