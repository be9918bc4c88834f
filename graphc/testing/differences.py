"""Checks of an op's gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GradientError
from graphc.frontend.declare import placeholder
from graphc.frontend.gradients import gradients
from graphc.frontend.scope import GraphScope
from graphc.frontend.tensor import Tensor, build
from graphc.ir.dim import numbers
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Op, Sample
from graphc.ir.types import f32, f64
from graphc.testing.faults import fault, judging
from graphc.testing.meaning import accepted
from graphc.testing.samples import in_f64, make_op, sample_inputs

MAX_ELEMENTS = 200  # of an operand; larger ones get no second differences


def check_gradient(op_cls: type[Op], sample: Sample) -> None:
    """Compares the gradient by every float operand with central differences, in f64 if the op
    accepts it."""
    wide = _in_floats(op_cls, sample)
    if wide is None:
        return
    with judging(op_cls, wide, "gradient"), GraphScope().as_default():
        inputs, out = _declared(op_cls, wide)
        if not out.dtype.is_float or (out.dtype != f64 and wide is not sample):
            return  # the op rounds, so differences would see steps
        parts = out.op.vjp(out, out, *out.args)
        if len(parts) != len(inputs):
            text = f"vjp gives {len(parts)} cotangents; expected {len(inputs)}, one an operand"
            raise fault(op_cls, wide, "gradient", text)
        if all(p is None for p, t in zip(parts, inputs, strict=True) if t.dtype.is_float):
            text = "vjp gives no cotangent; write one, or say `differentiable = False`"
            raise fault(op_cls, wide, "gradient", text)
        slopes = _Slopes(inputs, out, sample_inputs(op_cls, wide, seed=3))
        slopes.compare(op_cls, wide, "gradient", out.op.reference, 2e-6)


def check_second_gradient(op_cls: type[Op], sample: Sample) -> None:
    """The gradient of the gradient against central differences, of an op that takes f64."""
    wide = _in_floats(op_cls, sample)
    if wide is None:
        return
    with judging(op_cls, wide, "second gradient"), GraphScope().as_default():
        inputs, out = _declared(op_cls, wide)
        arrays = sample_inputs(op_cls, wide, seed=4)
        if out.dtype != f64 or arrays[0].size > MAX_ELEMENTS:
            return  # second differences would see rounding errors, or take long
        for first in _first_gradients(inputs, out):
            graph = Graph("d", tuple(inputs), (first,))
            slopes = _Slopes(inputs, first, arrays)
            slopes.compare(
                op_cls, wide, "second gradient", lambda *a, g=graph: interpret(g, *a)[0], 5e-6
            )


def _declared(op_cls: type[Op], sample: Sample) -> tuple[list[Tensor], Tensor]:
    inputs = [placeholder(t.dtype, t.shape) for t in sample.types]
    return inputs, build(make_op(op_cls, sample), tuple(inputs))


def _in_floats(op_cls: type[Op], sample: Sample) -> Sample | None:
    """The sample in f64 if the op takes it, else as it is; None if it has no gradient."""
    if not op_cls.differentiable or not any(t.dtype.is_float for t in sample.types):
        return None
    wide = in_f64(sample)
    return wide if accepted(op_cls, wide) is not None else sample


def _first_gradients(inputs: Sequence[Tensor], out: Tensor) -> list[Tensor]:
    """The gradients of an op's result; none if the ops of its `vjp` have no gradients."""
    floats = [t for t in inputs if t.dtype == f64]
    weights = np.random.default_rng(6).uniform(0.5, 1.5, numbers(out.shape, {}))
    first = [g for g in gradients(out, floats, weights, allow_unused=True) if g is not None]
    try:
        for g in first:
            gradients(g, floats, allow_unused=True)
    except GradientError:
        return []
    return first


@dataclass(frozen=True)
class _Slopes:
    """A tensor, its inputs, and arrays at which it is differentiated."""

    inputs: Sequence[Tensor]
    out: Tensor
    arrays: Sequence[Any]

    def compare(
        self,
        op_cls: type[Op],
        sample: Sample,
        check: str,
        value: Callable[..., Any],
        tolerance: float,
    ) -> None:
        """Raises `ConformanceError` where the gradient is not that of `value`, which computes the
        tensor from arrays."""
        step, wide = 1e-6, [_widened(a) for a in self.arrays]
        result = np.asarray(value(*wide))
        if self.out.dtype != f64:  # the gradient rounds more
            tolerance = 1e-3
        if result.dtype != np.float64:  # the value too
            step, tolerance = 1e-2, 3e-2
        drawn = np.random.default_rng(5).uniform(0.5, 1.5, result.shape)
        weights = np.asarray(drawn, self.out.dtype.numpy)
        floats = [i for i, t in enumerate(self.inputs) if t.dtype in (f32, f64)]
        xs = [self.inputs[i] for i in floats]
        found = gradients(self.out, xs, weights, allow_unused=True)
        for i, gradient in zip(floats, found, strict=True):
            expected = numeric_gradient(value, wide, weights, i, step)
            got = np.zeros_like(expected)
            if gradient is not None:
                (got,) = interpret(Graph("d", tuple(self.inputs), (gradient,)), *self.arrays)
            wrong = ~np.isclose(got, expected, rtol=tolerance, atol=tolerance)
            if np.any(wrong):
                at = tuple(map(int, np.argwhere(wrong)[0]))
                came = "no gradient" if gradient is None else f"{float(got[at]):.7g}"
                raise fault(
                    op_cls,
                    sample,
                    check,
                    f"by operand {i}, at {list(at)} ({int(wrong.sum())} of {wrong.size} wrong): "
                    f"finite differences give {expected[at]:.7g}, vjp gives {came}",
                )


def _widened(a: Any) -> Any:
    return a if a.dtype.kind in "iub" else a.astype(np.float64)


def numeric_gradient(
    function: Callable[..., Any],
    arrays: Sequence[Any],
    weights: Any,
    which: int,
    step: float = 1e-6,
) -> Any:
    """Central differences of sum(weights * function(*arrays)) by arrays[which], all in f64."""
    x = np.array(arrays[which], np.float64)
    out = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        moved_by = step * max(1.0, abs(float(x[place])))
        values = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[place] += sign * moved_by
            operands = [moved if i == which else a for i, a in enumerate(arrays)]
            values.append(np.sum(weights * np.asarray(function(*operands))))
        out[place] = (values[0] - values[1]) / (2 * moved_by)
    return out
