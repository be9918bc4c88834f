"""Every op against its own declaration: types, text, special values, f16 and bf16, derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.ops import (
    NO_SAMPLES,
    case_id,
    cases,
    in_f64,
    make_op,
    numeric_gradient,
    one_op_graph,
    sample_inputs,
    special_case,
    with_dtype,
)

import graphc as gc
from graphc.frontend.declare import placeholder
from graphc.frontend.tensor import Tensor, build
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.types import FLOATS, bf16, f16, f32, f64
from graphc.ir.verify import verify

CASES = cases()
SPECIAL = [c for c in CASES if c[1].special]
SMOOTH = [
    c
    for c in CASES
    if c[0].differentiable
    and any(t.dtype.is_float for t in c[1].types)
    and c[1].fields.get("dtype", f32).is_float
]
NARROW = [
    (c, with_dtype(s, f32, half))
    for c, s in CASES
    for half in (f16, bf16)
    if issubclass(c, Pointwise) and c.name != "cast" and any(t.dtype == f32 for t in s.types)
]
ids = {"ids": case_id}


def test_every_op_has_samples() -> None:
    without = {name for name, c in OPS.items() if not c.samples}
    assert without <= set(NO_SAMPLES), f"ops without samples: {sorted(without - set(NO_SAMPLES))}"


def test_every_op_has_a_docstring_of_its_own() -> None:
    missing = [n for n, c in OPS.items() if not (c.__doc__ or "").strip().endswith((".", ")"))]
    assert missing == []


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_the_type_is_that_of_the_reference(op_cls: type[Op], sample: Sample) -> None:
    graph = verify(one_op_graph(op_cls, sample), "test")
    (out,) = interpret(graph, *sample_inputs(op_cls, sample))  # raises if they differ
    declared = graph.outputs[0].type
    assert out.shape == declared.shape
    assert out.dtype == declared.dtype.numpy


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_text_round_trip(op_cls: type[Op], sample: Sample) -> None:
    graph = one_op_graph(op_cls, sample)
    text = print_graph(graph)
    parsed = parse_graph(text)
    assert print_graph(parsed) == text
    inputs = sample_inputs(op_cls, sample)
    for a, b in zip(interpret(graph, *inputs), interpret(parsed, *inputs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("op_cls", "sample"), SPECIAL, **ids)
def test_special_values(op_cls: type[Op], sample: Sample) -> None:
    graph, inputs = special_case(op_cls, sample)
    before = [np.array(a, copy=True) for a in inputs]
    (out,) = interpret(graph, *inputs)  # warnings are errors, types are checked
    assert out.dtype == graph.outputs[0].type.dtype.numpy
    for a, b in zip(inputs, before, strict=True):
        assert a.tobytes() == b.tobytes(), "the reference wrote to its operand"


@pytest.mark.parametrize(("op_cls", "sample"), NARROW, **ids)
def test_narrow_floats_compute_in_f32_and_round_once(op_cls: type[Op], sample: Sample) -> None:
    """semantics 9.1"""
    wide_sample = with_dtype(with_dtype(sample, f16, f32), bf16, f32)
    for graph_and_inputs in (
        (one_op_graph(op_cls, sample), sample_inputs(op_cls, sample)),
        special_case(op_cls, sample),
    ):
        graph, inputs = graph_and_inputs
        (out,) = interpret(graph, *inputs)
        op = make_op(op_cls, wide_sample)
        halves = [t.type.dtype in (f16, bf16) for t in graph.inputs]
        wide = [a.astype(np.float32) if h else a for a, h in zip(inputs, halves, strict=True)]
        with np.errstate(all="ignore"):
            expected = np.asarray(op.reference(*wide)).astype(out.dtype)
        np.testing.assert_array_equal(bits(out), bits(expected))


def bits(x: Any) -> Any:
    """Floats as their bits, all NaNs alike."""
    if x.dtype.kind in "iub":
        return x
    whole = np.array(x)
    whole[np.isnan(whole)] = np.nan
    return whole.view(np.uint16)


def tensors_for(sample: Sample) -> list[Tensor]:
    return [placeholder(t.dtype, t.shape) for t in sample.types]


def evaluated(inputs: list[Tensor], out: Any, arrays: list[Any]) -> Any:
    return interpret(Graph("d", tuple(inputs), (out,)), *arrays)[0]


def check_gradient(inputs: list[Tensor], out: Any, arrays: list[Any], tolerance: float) -> None:
    """The vjp of `out` by each float input against central differences."""
    rng = np.random.default_rng(5)
    weights = rng.uniform(0.5, 1.5, evaluated(inputs, out, arrays).shape)
    floats = [i for i, t in enumerate(inputs) if t.dtype == f64]
    found = gc.gradients(out, [inputs[i] for i in floats], weights, allow_unused=True)
    for i, gradient in zip(floats, found, strict=True):
        expected = numeric_gradient(lambda *a: evaluated(inputs, out, list(a)), arrays, weights, i)
        actual = (
            np.zeros_like(expected) if gradient is None else evaluated(inputs, gradient, arrays)
        )
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("op_cls", "sample"), SMOOTH, **ids)
def test_gradient_against_finite_differences(op_cls: type[Op], sample: Sample) -> None:
    sample = in_f64(sample)
    with gc.Graph().as_default():
        inputs, arrays = tensors_for(sample), sample_inputs(op_cls, sample, seed=3)
        out = build(make_op(op_cls, sample), tuple(inputs))
        if out.dtype != f64:
            pytest.skip("rounds: finite differences see steps")
        check_gradient(inputs, out, arrays, 2e-6)


@pytest.mark.parametrize(("op_cls", "sample"), SMOOTH, **ids)
def test_second_gradient_against_finite_differences(op_cls: type[Op], sample: Sample) -> None:
    sample = in_f64(sample)
    with gc.Graph().as_default():
        inputs, arrays = tensors_for(sample), sample_inputs(op_cls, sample, seed=4)
        out = build(make_op(op_cls, sample), tuple(inputs))
        if out.dtype != f64 or arrays[0].size > 200:
            pytest.skip("rounds, or too large for differences of differences")
        floats = [t for t in inputs if t.dtype == f64]
        weights = np.random.default_rng(6).uniform(0.5, 1.5, out.shape)
        for first in gc.gradients(out, floats, weights, allow_unused=True):
            if first is not None:
                check_gradient(inputs, first, arrays, 5e-6)


def test_float_ops_have_gradients_unless_they_say_so() -> None:
    """`differentiable` ops of floats give every float operand a cotangent or None on purpose."""
    silent = []
    for op_cls, sample in SMOOTH:
        with gc.Graph().as_default():
            inputs = tensors_for(in_f64(sample))
            out = build(make_op(op_cls, in_f64(sample)), tuple(inputs))
            parts = out.op.vjp(out, out, *out.args)
            floats = [p for p, t in zip(parts, inputs, strict=True) if t.dtype in FLOATS]
            if all(p is None for p in floats):
                silent.append(op_cls.name)
    assert silent == []
