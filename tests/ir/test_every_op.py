"""Every op against its own declaration: types, text, sizes, special values, f16 and bf16,
derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Opaque, Pointwise, Sample
from graphc.ir.types import bf16, f16, f32
from graphc.testing.differences import check_gradient, check_second_gradient
from graphc.testing.machine_code import check_indices
from graphc.testing.meaning import check_sizes, check_special_values, check_text, check_type
from graphc.testing.samples import (
    built_in,
    case_id,
    cases,
    make_op,
    one_op_graph,
    sample_inputs,
    special_case,
    with_dtype,
)

CASES = cases()
NARROW = [
    (c, with_dtype(s, f32, half))
    for c, s in CASES
    for half in (f16, bf16)
    if issubclass(c, Pointwise) and c.name != "cast" and any(t.dtype == f32 for t in s.types)
]
RESIZABLE = [c for c in CASES if c[0].name != "adaptive"]  # whose window has to fit its sizes
WRITTEN = [c for c in CASES if issubclass(c[0], Opaque)]
ids = {"ids": case_id}
NO_SAMPLES = {
    "constant": "its value is data, tested with the text round trip",
    "full": "a literal, tested wherever a number is an operand",
    "size_of": "needs a symbolic size, tested in test_functions (mean of a symbolic axis)",
    "placeholder": "an input of a graph",
    "variable": "an input of a graph",
    "run_counter": "an input of a graph",
    "assign": "a write, tested in test_optim",
    "item": "one of several results, tested with what has them, in test_control",
    "loop": "holds a graph, tested in test_control",
    "switch": "holds graphs, tested in test_control",
    "py_func": "holds a Python function, tested in test_py_func",
    "py_func_packed": "holds a Python function, tested in test_py_func",
    "with_gradient": "holds a Python function, tested in test_autodiff",
    "with_update": "a write, tested in test_effects",
    "before_update": "a read of a variable, tested in test_effects",
}


def test_every_op_has_samples() -> None:
    without = {name for name, c in OPS.items() if built_in(c) and not c.samples}
    assert without <= set(NO_SAMPLES), f"ops without samples: {sorted(without - set(NO_SAMPLES))}"


def test_every_op_has_a_docstring_of_its_own() -> None:
    missing = [
        n
        for n, c in OPS.items()
        if built_in(c) and not (c.__doc__ or "").strip().endswith((".", ")"))
    ]
    assert missing == []


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_the_type_is_that_of_the_reference(op_cls: type[Op], sample: Sample) -> None:
    check_type(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_text_round_trip(op_cls: type[Op], sample: Sample) -> None:
    check_text(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_special_values(op_cls: type[Op], sample: Sample) -> None:
    check_special_values(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), RESIZABLE, **ids)
def test_symbolic_and_other_sizes(op_cls: type[Op], sample: Sample) -> None:
    check_sizes(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_gradient_against_finite_differences(op_cls: type[Op], sample: Sample) -> None:
    check_gradient(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), CASES, **ids)
def test_second_gradient_against_finite_differences(op_cls: type[Op], sample: Sample) -> None:
    check_second_gradient(op_cls, sample)


@pytest.mark.parametrize(("op_cls", "sample"), WRITTEN, **ids)
def test_kernels_stay_inside_their_buffers(op_cls: type[Op], sample: Sample) -> None:
    check_indices(op_cls, sample)


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
