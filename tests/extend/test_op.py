"""`gc.op`: what is not a pointwise function of its operands is refused where it is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GradientError, GraphError
from graphc.ir.op import OPS

Scalar = Callable[..., Any]


def _named(name: str, body: Scalar) -> Scalar:
    """A function of one operand, under a name."""

    def function(x: Any) -> Any:
        return body(x)

    function.__name__ = name
    return function


NOT_POINTWISE: dict[str, tuple[Scalar, str]] = {
    "sum": (lambda x: gc.exp(x) / gc.sum(gc.exp(x)), "reduce_sum"),
    "mean": (lambda x: x - gc.mean(x), "reduce_sum"),
    "max": (lambda x: x - gc.max(x), "reduce_max"),
    "prod": (lambda x: x / gc.prod(x), "reduce_prod"),
    "logsumexp": (lambda x: x - gc.logsumexp(x), "reduce_max"),
    "std": (lambda x: x / gc.std(x), "reduce_sum"),
    "any": (lambda x: gc.where(gc.any(x > 0), x, 0.0), "reduce_any"),
    "all": (lambda x: gc.where(gc.all(x > 0), x, 0.0), "reduce_all"),
    "flip": (lambda x: x + gc.flip(x), "slice"),
    "transpose": (lambda x: x + gc.transpose(x), "transpose"),
    "T": (lambda x: x + x.T, "transpose"),
    "reshape": (lambda x: gc.reshape(x, (-1,)), "reshape"),
    "sort": (lambda x: gc.sort(x), "sort"),
    "cumsum": (lambda x: gc.cumsum(x), "reshape"),
    "softmax": (lambda x: gc.nn.functional.softmax(x, dim=0), "reduce_max"),
    "random": (lambda x: x + gc.random.uniform(()), "run_counter"),
    "constant": (lambda x: x + np.ones(3, np.float32), "constant"),
}


@pytest.mark.parametrize("name", NOT_POINTWISE)
def test_what_is_not_pointwise_is_refused(name: str) -> None:
    body, op_name = NOT_POINTWISE[name]

    with pytest.raises(
        GraphError, match=f"gc.op: wrong uses {op_name}, which is not pointwise; .*decorator"
    ) as raised:
        gc.op(_named("wrong", body))
    assert raised.value.location is not None and raised.value.location.file == __file__
    assert "wrong" not in OPS


RETURNED: dict[str, tuple[Scalar, str]] = {
    "None": (lambda x: None, "returned None; expected one tensor: end it with `return`"),
    "tuple": (lambda x: (x, x), "returned a tuple of 2; an op has one result"),
    "list": (lambda x: [x], "returned a list of 1; an op has one result"),
    "text": (lambda x: "x", "returned 'x'; expected one tensor"),
    "number": (lambda x: 2.0, "returned 2.0, which no operand changes"),
    "shape": (lambda x: x * x.ndim, "one thing for a matrix and another for a single element"),
    "chance": (lambda x: x * np.random.default_rng().random(), "one thing for a matrix"),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_gives_no_single_element_is_refused(name: str) -> None:
    body, message = RETURNED[name]

    with pytest.raises(GraphError, match=f"gc.op: wrong .*{message}"):
        gc.op(_named("wrong", body))


def test_a_tensor_that_is_no_operand_is_refused_by_name() -> None:
    w = gc.variable([1.0, 2.0], name="w")
    half = gc.variable(np.array(0.5), name="half")
    bodies: list[tuple[Scalar, str]] = [
        (lambda x: x * w, "w"),
        (lambda x: w, "w"),
        (lambda x: x + half, "half"),
        (lambda x: w * 2.0, "w"),
    ]
    for body, name in bodies:
        with pytest.raises(GraphError, match=f"gc.op: scaled uses the tensor '{name}' .*operand"):
            gc.op(_named("scaled", body))
    norm = gc.function(lambda x: x * w)
    with pytest.raises(GraphError, match=r"gc\.function: <lambda> uses the tensor 'w'"):
        norm(np.ones(2, np.float32))


def test_literals_of_every_kind_are_no_operands() -> None:
    outside = gc.asarray(3.0)

    @gc.op
    def mixed(x: Any) -> Any:
        return gc.where(x > np.float32(0), x * outside, np.float64(2.0)) + True

    with gc.Session() as sess:
        found = sess.run(mixed(gc.asarray(np.array([-1.0, 2.0]))))
    np.testing.assert_array_equal(found, [3.0, 7.0])


def test_a_call_is_python_s() -> None:
    @gc.op
    def affine(x: Any, scale: Any = 2.0, *, shift: Any = 0.5) -> Any:
        return x * scale + shift

    x = gc.placeholder(gc.float32, ["n"], name="x")
    calls = [affine(x), affine(x, 3.0), affine(x, shift=1.0), affine(scale=x, x=x), affine(1.0)]
    with gc.Session() as sess:
        found = sess.run(calls, {x: [1.0, 2.0]})
    wanted = [[2.5, 4.5], [3.5, 6.5], [3.0, 5.0], [1.5, 4.5], 2.5]
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    for wrong, message in (
        (lambda: affine(), "missing a required argument: 'x'"),
        (lambda: affine(x, x, x), "too many positional arguments"),
        (lambda: affine(x, bias=x), "got an unexpected keyword argument 'bias'"),
        (lambda: affine(x, x=x), "multiple values for argument 'x'"),
    ):
        with pytest.raises(GraphError, match=f"affine: {message}; expected affine.x, scale=2.0"):
            wrong()


def star(*x: Any) -> Any:
    return x[0]


def stars(**x: Any) -> Any:
    return x["a"]


def no_operand() -> Any:
    return 1.0


def mode(x: Any, how: str = "tanh") -> Any:
    return x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (star, r"star takes \*x; an op has a fixed number of operands"),
        (stars, r"stars takes \*\*x; an op has a fixed number"),
        (no_operand, "no_operand takes no operand; expected at least one"),
        (mode, "mode: the default of operand 'how' is 'tanh'; expected a number"),
        (lambda x: x, "expected a function made by `def`"),
        (3, "got 3; expected a function made by `def`"),
    ],
)
def test_a_signature_that_no_op_can_have(function: Any, message: str) -> None:
    with pytest.raises(GraphError, match=f"gc.op: .*{message}"):
        gc.op(function)


def test_a_gradient_of_another_arity() -> None:
    def product(x: Any, y: Any) -> Any:
        return x * y

    wanted = r"gradient is called as \(ct, out, x, y\), but takes \(ct, out, x\): too many"
    with pytest.raises(GraphError, match=f"gc.op: product: {wanted}"):
        gc.op(gradient=lambda ct, out, x: ct)(product)
    with pytest.raises(GraphError, match=r"gc\.op: gradient is 3; expected a function"):
        gc.op(gradient=3)(product)

    def copied(out: Any, x: Any, y: Any) -> None:
        for i in range(len(x)):
            out[i] = x[i]

    with pytest.raises(GraphError, match=f"gc.kernel: copied: {wanted}"):
        gc.kernel(gradient=lambda ct, out, x: ct)(copied)
    with pytest.raises(GraphError, match=r"gc.kernel: copied: result is called as \(x, y\), but"):
        gc.kernel(result=lambda x: x)(copied)


def test_a_gradient_that_gives_the_wrong_thing() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    for gives, message in (
        (lambda ct: (ct, ct), "vjp gives 2 cotangents for 1 operands"),
        (lambda ct: 1.0, "vjp gives operand 0 1.0; expected a tensor or None"),
        (lambda ct: gc.sum(ct), r"vjp gives operand 0 a cotangent f32\[\]; expected f32\[n\]"),
    ):

        @gc.op(gradient=lambda ct, out, x, gives=gives: gives(ct))
        def steep(x: Any) -> Any:
            return x * 5.0

        with pytest.raises(GradientError, match=f"steep: {message}"):
            gc.gradients(steep(x), [x])


def test_names_defined_further_down_are_found_by_the_first_call() -> None:
    @gc.op
    def scaled(x: Any) -> Any:
        return x * factor

    factor = 3.0
    with gc.Session() as sess:
        assert sess.run(scaled(2.0)) == 6.0


def test_an_op_does_not_take_the_place_of_a_built_in_one() -> None:
    """The class of `_exp` is `Exp`, like that of `exp`."""
    before = OPS["exp"]

    @gc.op
    def _exp(x: Any) -> Any:
        return x + 1.0

    assert OPS["exp"] is before and "_exp" in OPS
    with pytest.raises(GraphError, match="'exp' is a built-in op; choose another name"):
        gc.op(_named("exp", lambda x: x))
