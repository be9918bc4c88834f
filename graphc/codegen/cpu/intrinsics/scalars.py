"""What kernel source may call: numba types and intrinsics.

Each intrinsic emits a few LLVM instructions, which costs numba far less than inlined Python would.
The Python twins of the same names are in `twins.py`; with them kernel source runs without numba.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.mathlib import functions

NUMBA: dict[str, Any] = {
    "bool": types.boolean,
    "i8": types.int8,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "u8": types.uint8,
    "u16": types.uint16,
    "u32": types.uint32,
    "u64": types.uint64,
    "f16": types.float32,
    "bf16": types.float32,
    "f32": types.float32,
    "f64": types.float64,
}
FLOAT = {"f32": ir.FloatType(), "f64": ir.DoubleType()}
I64 = ir.IntType(64)
UNTRACKED = 64  # a slot of which nothing is known: such a buffer may lie anywhere


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
    if name in FLOAT:
        return FLOAT[name]
    if name == "f16":
        return ir.HalfType()
    return ir.IntType({"bool": 8, "bf16": 16}.get(name) or int(name[1:]))


def _buffer(name: str) -> Any:
    @intrinsic(prefer_literal=True)
    def make(context: Any, args: Any, slot: Any) -> Any:
        made = BufferType(name, slot.literal_value)

        def build(ctx: Any, builder: Any, sig: Any, values: Any) -> Any:
            address = builder.load(builder.gep(values[0], [values[1]]))
            return builder.inttoptr(address, stored(name).as_pointer())

        return made(args, slot), build

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
    """Notes which buffer an instruction accesses."""
    if slot < UNTRACKED:
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
        return builder.icmp_unsigned("!=", loaded, ir.Constant(ir.IntType(8), 0))
    if name == "f16":
        return builder.fpext(loaded, ir.FloatType())
    if name == "bf16":
        wide = builder.shl(builder.zext(loaded, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(wide, ir.FloatType())
    return loaded


@lower_builtin(operator.setitem, BufferType, types.Integer, types.Any)
def set_element(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """A store, narrowed to the type in memory."""
    buffer = sig.args[0]
    name, value = buffer.element, args[2]
    if name == "bool":
        value = builder.zext(value, ir.IntType(8)) if value.type.width == 1 else value
    elif name == "f16":
        value = builder.fptrunc(value, ir.HalfType())
    elif name == "bf16":
        value = bf16_bits(builder, value)
    _tag(builder, builder.store(value, builder.gep(args[0], [args[1]])), buffer.slot)
    return context.get_dummy_value()


def bf16_bits(builder: Any, value: Any) -> Any:
    """The upper half of an f32, rounded to nearest even; NaN stays NaN."""
    i32 = ir.IntType(32)
    bits = builder.bitcast(value, i32)
    odd = builder.and_(builder.lshr(bits, ir.Constant(i32, 16)), ir.Constant(i32, 1))
    rounded = builder.add(bits, builder.add(odd, ir.Constant(i32, 0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", value, value)
    quiet = builder.or_(bits, ir.Constant(i32, 0x400000))
    chosen = builder.select(is_nan, quiet, rounded)
    return builder.trunc(builder.lshr(chosen, ir.Constant(i32, 16)), ir.IntType(16))


def _float_name(t: Any) -> str:
    return "f64" if t == types.float64 else "f32"


def _unary(emit: Any, result: Any = None) -> Any:
    """An intrinsic of one operand: `emit(builder, value, type)`."""

    @intrinsic
    def function(context: Any, x: Any) -> Any:
        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], x)

        return (result or x)(x), build

    return function


def _binary(emit: Any, result: Any = None) -> Any:
    """An intrinsic of two operands of one type."""

    @intrinsic
    def function(context: Any, x: Any, y: Any) -> Any:
        common = x if not isinstance(x, types.Literal) else y

        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1], common)

        return (result or common)(common, common), build

    return function


def _llvm(builder: Any, name: str, *args: Any) -> Any:
    """A call of an LLVM intrinsic overloaded on its first operand's type."""
    t = args[0].type
    suffix = {"float": "f32", "double": "f64"}.get(str(t)) or str(t)
    function_type = ir.FunctionType(t, [a.type for a in args])
    full = f"llvm.{name}.{suffix}"
    function = builder.module.globals.get(full) or ir.Function(builder.module, function_type, full)
    return builder.call(function, args)


def _extreme(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        if isinstance(t, types.Float):
            return _llvm(builder, name, a, b)
        return further(builder, a, b, t, ">" if name == "maximum" else "<")

    return _binary(emit)


def further(builder: Any, a: Any, b: Any, t: Any, order: str) -> Any:
    """The greater (`>`) or lesser (`<`) of two integers."""
    compare = builder.icmp_signed if t.signed else builder.icmp_unsigned
    return builder.select(compare(order, a, b), a, b)


def _math1(name: str) -> Any:
    def emit(builder: Any, x: Any, t: Any) -> Any:
        return builder.call(functions.emit(builder.module, name, _float_name(t)), [x])

    return _unary(emit)


def _math2(name: str) -> Any:
    def emit(builder: Any, x: Any, y: Any, t: Any) -> Any:
        return builder.call(functions.emit(builder.module, name, _float_name(t)), [x, y])

    return _binary(emit)


def _absolute(builder: Any, x: Any, t: Any) -> Any:
    return _llvm(builder, "fabs", x) if isinstance(t, types.Float) else size(builder, x, t)


def size(builder: Any, x: Any, t: Any) -> Any:
    """The absolute value of an integer; of the least, itself."""
    if not t.signed:
        return x
    zero = ir.Constant(x.type, 0)
    return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)


def sign(builder: Any, x: Any, t: Any) -> Any:
    """-1, 0 or 1; NaN for NaN."""
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    if not isinstance(t, types.Float):
        positive = (builder.icmp_signed if t.signed else builder.icmp_unsigned)(">", x, zero)
        low = ir.Constant(x.type, -1)
        below = builder.icmp_signed("<", x, zero) if t.signed else ir.Constant(ir.IntType(1), 0)
        return builder.select(positive, one, builder.select(below, low, zero))
    up = builder.fcmp_ordered(">", x, zero)
    down = builder.fcmp_ordered("<", x, zero)
    nan = builder.fcmp_unordered("uno", x, x)
    whole = builder.select(up, one, builder.select(down, ir.Constant(x.type, -1), zero))
    return builder.select(nan, x, whole)


@intrinsic
def where(context: Any, c: Any, x: Any, y: Any) -> Any:
    """A select: both branches are evaluated."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return x(types.boolean, x, x), build


def _fold(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        return getattr(builder, name)(a, b, flags=["reassoc"])

    return _binary(emit)


def position(order: str) -> Any:
    """What emits: x beats y, it is beyond it, or the first NaN."""

    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        if not isinstance(t, types.Float):
            return (builder.icmp_signed if t.signed else builder.icmp_unsigned)(order, a, b)
        first = builder.and_(builder.fcmp_unordered("uno", a, a), builder.fcmp_ordered("ord", b, b))
        return builder.or_(builder.fcmp_ordered(order, a, b), first)

    return emit


BUILTINS: dict[str, Any] = {
    **{f"{name}_buffer": _buffer(name) for name in NUMBA},
    **{name: NUMBA[name] for name in NUMBA if name not in ("bool", "f16", "bf16")},
    "inf": np.inf,
    "nan": np.nan,
    "where": where,
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
    "absolute": _unary(_absolute),
    "sign": _unary(sign),
    "fold_add": _fold("fadd"),
    "fold_multiply": _fold("fmul"),
    "wrap_add": _binary(
        lambda b, x, y, t: b.add(x, y)
    ),  # numba's own i64 operators must not overflow
    "wrap_subtract": _binary(lambda b, x, y, t: b.sub(x, y)),
    "wrap_multiply": _binary(lambda b, x, y, t: b.mul(x, y)),
    "greater_or_nan": _binary(position(">"), types.boolean),
    "less_or_nan": _binary(position("<"), types.boolean),
    "logical_not": _unary(lambda b, x, t: b.not_(x)),
    **{
        n: _unary(lambda b, x, t, n=n: _llvm(b, n, x))
        for n in ("sqrt", "floor", "ceil", "rint", "trunc")
    },
    **{
        n: (_math1 if k == 1 else _math2)(n)
        for n, k in functions.FUNCTIONS.items()
        if n not in ("pow", "sqrt")
    },
}
