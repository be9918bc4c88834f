"""Integers for floats: ONNX's QuantizeLinear and DequantizeLinear, and their round trip.

https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
"""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import (
    axis_of,
    converted,
    element_type,
    integer,
    require_equal,
    tensor,
)
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw
from graphc.functions.creation import zeros
from graphc.functions.shaping import reshape
from graphc.ir.types import f32, u8

__all__ = ["dequantize_linear", "fake_quantize", "quantize_linear"]


def quantize_linear(
    x: Any, scale: Any, zero_point: Any = None, axis: int = 1, dtype: Any = None
) -> Tensor:
    """round(x / scale) + zero_point, halves to even, saturated to an integer type.

    `scale` and `zero_point` are numbers (0-d), or vectors along `axis`.  The type: that of
    `zero_point` if it is a tensor, else `dtype`, else u8.  NaN becomes what 0 becomes.  No gradient
    flows, for the result holds integers: `fake_quantize` has a straight-through one.

    >>> import graphc as gc
    >>> quantize_linear(gc.zeros((2, 3)), 0.5, dtype=gc.int8).type
    i8[2,3]
    """
    what = "quantize_linear"
    t = tensor(what, x)
    if not t.dtype.is_float:
        raise DTypeError(f"{what}: x {t.type} holds no floats; use gc.astype", user_location())
    wanted = u8 if dtype is None else element_type(what, dtype)
    if isinstance(zero_point, bool | int | float) or zero_point is None:
        point = tensor(what, 0 if zero_point is None else zero_point, wanted)
    else:
        point = tensor(what, zero_point)
        wanted = point.dtype if dtype is None else wanted
        point = converted(point, wanted)
    if not wanted.is_integer or wanted.bits > 16:
        raise DTypeError(
            f"{what}: element type {wanted}: expected an integer of 8 or 16 bits", user_location()
        )
    t = t if t.dtype.bits > 16 else converted(t, f32)
    step = _along(what, "scale", converted(tensor(what, scale), t.dtype), t, axis)
    whole = pw.round(pw.divide(t, step))
    shift = converted(_along(what, "zero_point", point, t, axis), t.dtype)
    whole = pw.where(pw.equal(whole, whole), whole, 0.0)
    return converted(pw.add(whole, shift), wanted)  # casts saturate (semantics 4.1)


def dequantize_linear(x: Any, scale: Any, zero_point: Any = None, axis: int = 1) -> Tensor:
    """(x - zero_point) * scale, in the type of `scale`; arguments as for `quantize_linear`.

    The gradient by `scale` is exact; x and `zero_point` hold integers and get none.

    >>> import graphc as gc
    >>> dequantize_linear(gc.zeros((2, 3), gc.int8), gc.ones((3,))).type
    f32[2,3]
    """
    what = "dequantize_linear"
    t = tensor(what, x)
    if not t.dtype.is_integer:
        raise DTypeError(f"{what}: x {t.type} holds no integers", user_location())
    step = tensor(what, scale)
    step = step if step.dtype.is_float else converted(step, f32)
    wide = step.dtype if step.dtype.bits > 16 else f32
    step_along = _along(what, "scale", converted(step, wide), t, axis)
    point = zeros((), t.dtype) if zero_point is None else tensor(what, zero_point)
    shift = _along(what, "zero_point", converted(point, wide), t, axis)
    out = pw.multiply(pw.subtract(converted(t, wide), shift), step_along)
    return converted(out, step.dtype)


def fake_quantize(
    x: Any,
    scale: Any,
    zero_point: Any = 0,
    quant_min: int = 0,
    quant_max: int = 255,
    axis: int = 1,
) -> Tensor:
    """x as it would come back from integers in [quant_min, quant_max], in floats (PyTorch's
    `fake_quantize_per_tensor_affine` and, for vectors, `..._per_channel_affine`).

    The gradient is straight-through: 1 where round(x / scale) + zero_point is in range, else 0;
    `scale` and `zero_point` get none.

    >>> import graphc as gc
    >>> fake_quantize(gc.zeros((2, 3)), 0.1).type
    f32[2,3]
    """
    what = "fake_quantize"
    t = tensor(what, x)
    if not t.dtype.is_float:
        raise DTypeError(f"{what}: x {t.type} holds no floats; use gc.astype", user_location())
    low, high = (
        float(integer(what, n, v)) for n, v in (("quant_min", quant_min), ("quant_max", quant_max))
    )
    if low >= high:
        raise ShapeError(
            f"{what}: quant_min {quant_min} is not below quant_max {quant_max}", user_location()
        )
    step = _along(what, "scale", converted(tensor(what, scale), t.dtype), t, axis)
    shift = _along(what, "zero_point", converted(tensor(what, zero_point), t.dtype), t, axis)
    step, shift = pw.stop_gradient(step), pw.stop_gradient(shift)
    whole = pw.stop_gradient(pw.add(pw.round(pw.divide(t, step)), shift))
    kept = pw.logical_and(pw.greater_equal(whole, low), pw.less_equal(whole, high))
    back = pw.multiply(pw.subtract(pw.clip(whole, low, high), shift), step)
    through = pw.where(kept, pw.subtract(t, pw.stop_gradient(t)), 0.0)  # 0, with derivative 1
    return pw.add(back, through)


def _along(what: str, argument: str, v: Tensor, t: Tensor, axis: Any) -> Tensor:
    """A number, or a vector that lies along an axis of t."""
    if v.ndim == 0:
        return v
    if v.ndim != 1:
        raise ShapeError(
            f"{what}: {argument} {v.type}: expected a number or a vector", user_location()
        )
    along = axis_of(what, axis, t.ndim)
    require_equal(what, v.shape[0], t.shape[along], f"of {argument} and axis {along} of {t.type}")
    return reshape(v, tuple(v.shape[0] if a == along else 1 for a in range(t.ndim)))
