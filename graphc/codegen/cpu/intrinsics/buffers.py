"""Buffers of kernel source: typed addresses, loads and stores of elements, alias metadata.

A load converts an element to the type that kernels compute in, a store converts it back: a bool is
a byte in memory; f16 and bf16 become f32.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from graphc.codegen.cpu.intrinsics.common_scalars import NUMBA
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.ir.types import BY_NAME

I8, I16, I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
HALF, SINGLE, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
UNTRACKED_SLOT = 64  # buffers with this slot or a higher one have no alias metadata


class BufferType(types.Type):
    """A typed address; `slot` tells its accesses apart from those of other buffers."""

    def __init__(self, name: str, slot: int) -> None:
        self.element, self.slot = name, slot
        super().__init__(f"buffer_{name}_{slot}")


@register_default(BufferType)
class BufferModel(models.PrimitiveModel):
    """A pointer to elements as they are stored."""

    def __init__(self, manager: Any, fe_type: BufferType) -> None:
        super().__init__(manager, fe_type, stored(fe_type.element).as_pointer())


def stored(name: str) -> Any:
    """The LLVM type of an element in memory."""
    return {"f16": HALF, "f32": SINGLE, "f64": DOUBLE}.get(name) or ir.IntType(BY_NAME[name].bits)


def _bf16_bits(builder: Any, value: Any) -> Any:
    """The upper half of an f32, rounded to nearest even; NaN stays NaN."""
    bits = builder.bitcast(value, I32)
    odd = builder.and_(builder.lshr(bits, ir.Constant(I32, 16)), ir.Constant(I32, 1))
    rounded = builder.add(bits, builder.add(odd, ir.Constant(I32, 0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", value, value)
    quiet = builder.or_(bits, ir.Constant(I32, 0x400000))
    chosen = builder.select(is_nan, quiet, rounded)
    return builder.trunc(builder.lshr(chosen, ir.Constant(I32, 16)), I16)


def _bf16_value(builder: Any, bits: Any) -> Any:
    """The f32 of the upper half of its bits."""
    wide = builder.shl(builder.zext(bits, I32), ir.Constant(I32, 16))
    return builder.bitcast(wide, SINGLE)


NARROW_CONVERSIONS = {  # narrow floats: an f32 as it is stored, rounded to nearest even, and back
    "f16": (lambda b, x: b.fptrunc(x, HALF), lambda b, bits: b.fpext(bits, SINGLE)),
    "bf16": (_bf16_bits, _bf16_value),
}


def _buffer(name: str) -> Any:
    @intrinsic(prefer_literal=True)
    def make(context: Any, args: Any, slot: Any) -> Any:
        buffer_type = BufferType(name, slot.literal_value)

        def build(ctx: Any, builder: Any, sig: Any, values: Any) -> Any:
            address = builder.load(builder.gep(values[0], [values[1]]))
            return builder.inttoptr(address, stored(name).as_pointer())

        return buffer_type(args, slot), build

    return make


@infer_global(operator.getitem)
class GetElement(AbstractTemplate):
    """`buffer[i]`."""

    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], BufferType) and isinstance(args[1], types.Integer):
            return signature(NUMBA[args[0].element], args[0], types.int64)
        return None


@infer_global(operator.setitem)
class SetElement(AbstractTemplate):
    """`buffer[i] = x`."""

    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], BufferType) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, NUMBA[args[0].element])
        return None


def _tag(builder: Any, instruction: Any, slot: int) -> None:
    """Notes the buffer that an instruction accesses, for `tell_apart`."""
    if slot < UNTRACKED_SLOT:
        module = builder.module
        if not hasattr(module, "graphc_accesses"):
            module.graphc_accesses = []
        module.graphc_accesses.append((instruction, slot))


def tell_apart(module: Any) -> None:
    """Tells LLVM that buffers of different slots do not overlap."""
    accesses = getattr(module, "graphc_accesses", ())
    domain = module.add_metadata([ir.MetaDataString(module, "graphc")])
    scopes = {
        slot: module.add_metadata([ir.MetaDataString(module, f"slot{slot}"), domain])
        for slot in sorted({slot for _, slot in accesses})
    }
    for slot, scope in scopes.items():
        own = module.add_metadata([scope])
        others = module.add_metadata([s for n, s in scopes.items() if n != slot])
        for instruction, number in accesses:
            if number == slot:
                instruction.set_metadata("alias.scope", own)
                instruction.set_metadata("noalias", others)


@lower_builtin(operator.getitem, BufferType, types.Integer)
def get_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """A load, widened to the type that kernels compute in."""
    buffer = sig.args[0]
    loaded = builder.load(builder.gep(args[0], [args[1]]))
    _tag(builder, loaded, buffer.slot)
    name = buffer.element
    if name == "bool":
        return builder.icmp_unsigned("!=", loaded, ir.Constant(I8, 0))
    if name in NARROW_CONVERSIONS:
        _, widen = NARROW_CONVERSIONS[name]
        return widen(builder, loaded)
    return loaded


@lower_builtin(operator.setitem, BufferType, types.Integer, types.Any)
def set_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """A store, narrowed to the type in memory."""
    buffer = sig.args[0]
    name, value = buffer.element, args[2]
    if name == "bool":
        value = builder.zext(value, I8) if value.type.width == 1 else value
    elif name in NARROW_CONVERSIONS:
        narrow, _ = NARROW_CONVERSIONS[name]
        value = narrow(builder, value)
    _tag(builder, builder.store(value, builder.gep(args[0], [args[1]])), buffer.slot)
    return context.get_dummy_value()


BUFFERS: dict[str, Any] = {f"{name}_buffer": _buffer(name) for name in NUMBA}
