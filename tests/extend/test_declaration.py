"""A class of op is judged where it is declared: one error at the class names all that is wrong."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError
from graphc.extend import (
    FLOATS,
    Gather,
    Generator,
    Op,
    Opaque,
    Piece,
    Pointwise,
    Reduction,
    Size,
    View,
    f32,
    f64,
    make,
    sample,
)
from graphc.ir.op import OPS


def softsign(**changes: Any) -> type[Op]:
    """A right pointwise op, with some of its members changed or (None) left out."""

    def reference(self: Any, x: Any) -> Any:
        return x / (1 + np.abs(x))

    def vjp(self: Any, ct: Any, out: Any, x: Any) -> Any:
        below = 1.0 + gc.abs(x)
        return (ct / (below * below),)

    members: dict[str, Any] = {
        "__module__": __name__,
        "arity": 1,
        "accepts": (f32,),
        "exact": False,
        "spelling": "({0} / (f32(1.0) + abs({0})))",
        "samples": (sample(f32[33]),),
        "reference": reference,
        "vjp": vjp,
    }
    members |= changes
    return type("Softsign", (Pointwise,), {k: v for k, v in members.items() if v is not None})


def diagonal(**changes: Any) -> type[Op]:
    """A right view, likewise."""
    members: dict[str, Any] = {
        "__module__": __name__,
        "samples": (sample(f32[3, 3]),),
        "infer": lambda self, x: x.with_shape(x.shape[:1]),
        "pieces": lambda self, index, x: (Piece(0, (index[0], index[0])),),
        "reference": lambda self, x: np.diagonal(x),
        "vjp": lambda self, ct, out, x: (gc.where(gc.eye(3) > 0, ct[:, None], 0.0),),
    }
    members |= changes
    return type("MainDiagonal", (View,), {k: v for k, v in members.items() if v is not None})


def absmax(**changes: Any) -> type[Op]:
    """A right reduction, likewise."""
    members: dict[str, Any] = {
        "__module__": __name__,
        "combine": "maximum({0}, abs({1}))",
        "differentiable": False,
        "samples": (sample(f32[3, 4], axes=(1,)),),
        "identity": lambda self, dtype: 0,
        "reference": lambda self, x: np.max(np.abs(x), axis=self.axes, initial=0),
    }
    members |= changes
    return type("Absmax", (Reduction,), {k: v for k, v in members.items() if v is not None})


def doubled(source: str) -> type[Op]:
    """A kernel by hand."""

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


def test_right_classes_pass() -> None:
    assert softsign().operands == 1
    assert diagonal().operands == 1
    assert absmax().operands == 1
    assert doubled("    for i in range(n0):\n        out[i] = a0[i] * f32(2.0)\n").operands == 1
    softsign(samples=None)
    softsign(spelling="where({0} > 0, ({0} / (f32(1.0) + {0})), ({0} / (f32(1.0) - {0})))")
    softsign(spelling=None, scalar=lambda self, x: x / (1.0 + abs(x)), accepts=FLOATS)


def takes_two(self: Any, x: Any, y: Any) -> Any:
    return x


def gives_two(self: Any, ct: Any, out: Any, x: Any) -> Any:
    return (ct, ct)


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no reference": (
        softsign,
        {"reference": None},
        "reference is not declared, and a Pointwise ne",
    ),
    "no text": (softsign, {"spelling": None}, "neither spelling nor scalar is declared"),
    "no pieces": (diagonal, {"pieces": None}, "pieces is not declared, and a View needs it"),
    "no type rule": (diagonal, {"infer": None}, "infer is not declared"),
    "no identity": (absmax, {"identity": None}, "identity is not declared"),
    "no fold": (absmax, {"combine": None}, "combine is not declared"),
    "several": (
        diagonal,
        {"infer": None, "reference": None, "power": 2},
        "infer is not declared.*; reference is not declared.*; power has no annotation",
    ),
    "no annotation": (softsign, {"slope": 2.0}, "slope has no annotation: `slope: float` makes it"),
    "a misspelled member": (softsign, {"sample": (sample(f32[3]),)}, "sample has no annotation"),
    "a constructor": (
        softsign,
        {"__init__": takes_two},
        "__init__ is declared; annotate the field",
    ),
    "another arity": (
        softsign,
        {"arity": 2},
        r"reference takes \(self, x\), but is called as \(self, x0, x1\): too many .*; vjp takes",
    ),
    "a reference of two": (softsign, {"reference": takes_two}, r"reference takes \(self, x, y\)"),
    "samples of two": (
        softsign,
        {"samples": (sample(f32[3], f32[3]),)},
        r"samples\[0\] has 2 operands; the op takes 1",
    ),
    "a sample that is none": (
        softsign,
        {"samples": (f32[3],)},
        r"samples\[0\] is f32\[3\]; expect",
    ),
    "an unknown function": (
        softsign,
        {"spelling": "tahn({0})"},
        "spelling: kernels have no 'tahn'; do you mean .*tanh",
    ),
    "no expression": (softsign, {"spelling": "({0} / "}, "spelling: .* is no expression"),
    "an operand too many": (softsign, {"spelling": "({0} + {1})"}, r"operands are \{0\} to \{0\}"),
    "a call that does not fit": (softsign, {"spelling": "maximum({0})"}, "spelling: .*TypeError"),
    "a bare literal": (
        softsign,
        {"spelling": "({0} / (1.0 + abs({0})))"},
        r"the literal 1.0 is an f64 in kernels; say f32\(1.0\)",
    ),
    "a wide literal": (
        softsign,
        {"spelling": "({0} / (f64(1.0) + abs({0})))"},
        r"gives float64; expected f32: type its literals",
    ),
    "one text for two types": (
        softsign,
        {"accepts": (f32, f64), "samples": None, "spelling": "({0} * f64(0.1))"},
        r"on f32\[7\]: spelling: .*gives float64; expected f32",
    ),
    "another type": (softsign, {"spelling": "({0} > 0)"}, "gives bool; expected f32"),
    "an unknown fold": (absmax, {"combine": "maxx({0}, {1})"}, "combine: kernels have no 'maxx'"),
    "a type rule that fails": (
        diagonal,
        {"infer": lambda self, x: x.with_shape((x.shape[2],))},
        r"on f32\[3,3\]: IndexError: tuple index out of range",
    ),
    "a type rule that gives a shape": (
        diagonal,
        {"infer": lambda self, x: x.shape},
        r"infer gives \(3, 3\); expected a tensor type",
    ),
    "two cotangents": (softsign, {"vjp": gives_two}, "vjp gives 2 cotangents for 1 operands"),
    "a bare cotangent": (
        softsign,
        {"vjp": lambda self, ct, out, x: ct},
        "vjp gives <Tensor .*>; expected a tuple of 1, one cotangent an operand",
    ),
    "a cotangent of another type": (
        diagonal,
        {"vjp": lambda self, ct, out, x: (ct,)},
        r"vjp gives operand 0 a cotangent f32\[3\]; expected f32\[3,3\]",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_in_the_class(name: str) -> None:
    made, changes, message = FAULTS[name]
    with pytest.raises(
        GraphError, match=f"class (Softsign|MainDiagonal|Absmax): .*{message}"
    ) as raised:
        made(**changes)
    assert raised.value.location is not None and raised.value.location.file == __file__
    assert not {"softsign", "main_diagonal", "absmax"} & OPS.keys()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("    for i in range(n0)\n        out[i] = a0[i]\n", "source: its line 1 is no Python"),
        (
            "    for i in range(n1):\n        out[i] = a0[i]\n",
            "source: kernels have no 'n1'",
        ),
        (
            "    for i in range(n0):\n        out[i] = expp(a1[i])\n",
            "source: kernels have no 'expp",
        ),
        ("    for i in range(n0):\n        out[i] = exp(a1[i])\n", "source: kernels have no 'a1'"),
    ],
)
def test_a_wrong_kernel_is_found_in_the_class(source: str, message: str) -> None:
    with pytest.raises(GraphError, match=f"class Doubled: .*{message}"):
        doubled(source)


def test_a_field_that_cannot_be_hashed() -> None:
    with pytest.raises(GraphError, match=r"class Scaled: .*unhashable type: 'list'"):

        class Scaled(Pointwise):
            factors: list[float]
            arity, accepts, spelling = 1, (f32,), "({0} + {0})"
            samples = (sample(f32[3], factors=[1.0]),)

            def reference(self, *arrays: Any) -> Any:
                return arrays[0] * 2


def test_the_name_of_a_built_in_op() -> None:
    with pytest.raises(
        GraphError, match="class Exp: 'exp', its name in text, is that of a built-i"
    ):

        class Exp(Pointwise):
            arity, spelling = 1, "exp({0})"

            def reference(self, *arrays: Any) -> Any:
                return np.exp(arrays[0])

    again = [softsign(), softsign()]  # a user's class may be declared anew
    assert OPS["softsign"] is again[1]


def test_what_is_no_family() -> None:
    with pytest.raises(
        GraphError, match="class Rows: infer is not declared, and a Gather needs it"
    ):

        class Rows(Gather):
            pass


def test_constants_and_helpers_are_no_fields() -> None:
    class Sixth(Pointwise):
        """x / 6."""

        arity, accepts = 1, (f32,)
        divisor: ClassVar[float] = 6.0
        _inverse = 1 / 6

        @property
        def spelling(self) -> str:  # type: ignore[override]
            return f"({{0}} / f32({self.divisor}))"

        def reference(self, *arrays: Any) -> Any:
            return arrays[0] / np.float32(self.divisor)

    with gc.Session() as sess:
        assert sess.run(Sixth()(gc.asarray([12.0]))) == [2.0]


def test_a_class_may_name_itself_in_its_gradient() -> None:
    class Mirror(Pointwise):
        """-x."""

        arity, accepts, spelling = 1, (f32,), "(-{0})"
        samples = (sample(f32[3]),)

        def reference(self, *arrays: Any) -> Any:
            return -arrays[0]

        def vjp(self, ct: Any, out: Any, *args: Any) -> Any:
            return (Mirror()(ct),)

    x = gc.placeholder(gc.float32, ["n"], name="x")
    (dx,) = gc.gradients(Mirror()(x), [x])
    with gc.Session() as sess:
        np.testing.assert_array_equal(sess.run(dx, {x: [1.0, 2.0]}), [-1.0, -1.0])


def test_an_op_without_operands() -> None:
    class Ramp(Generator):
        """0, 1, ..."""

        n: Size
        samples = (sample(n=5),)
        differentiable = False

        def infer(self, *types: Any) -> Any:
            return f32[self.n]

        def element(self, index: Any, out: Any, *args: Any) -> Any:
            return index[0] * 1

        def reference(self, *arrays: Any) -> Any:
            return np.arange(self.n, dtype=np.float32)

    with pytest.raises(GraphError, match=r"ramp: takes no operand; graphc.extend.make"):
        Ramp(5)()
    assert make(Ramp(5), ()).type == f32[5]


def test_another_number_of_operands() -> None:
    x = gc.placeholder(gc.float32, ["n", "n"], name="x")
    for op, wrong in (
        (softsign(), (x, x)),
        (diagonal(), (x, x)),
        (absmax(), (x, x)),
        (gc.extend.ops.Exp, (x, x)),
        (softsign(), (1.0,)),
        (softsign(), ()),
        (softsign(), (np.ones(3),)),
    ):
        fields = ((1,),) if op.__name__ == "Absmax" else ()
        with pytest.raises(GraphError, match="takes 1 operands, at least one of them a tensor; go"):
            op(*fields)(*wrong)
