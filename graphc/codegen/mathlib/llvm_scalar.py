"""`mathlib` as LLVM IR: the scalar that appends instructions, and the functions it writes.

A kernel calls the scalar function that `emit` puts into its module; it is inlined, and the loop
round it becomes vector code, without a vector maths library.

>>> module = ir.Module()
>>> emit(module, "exp", "f32").name
'gc_exp_f32'
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from llvmlite import ir

from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.scalar import FORMATS, AbstractScalar

LLVM_TYPES = MappingProxyType(
    {
        "f32": ir.FloatType(),
        "f64": ir.DoubleType(),
        "i32": ir.IntType(32),
        "i64": ir.IntType(64),
        "bool": ir.IntType(1),
    }
)
PREDICATES = MappingProxyType({"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="})
INTRINSICS = MappingProxyType(
    {
        "abs": "fabs",
        "sqrt": "sqrt",
        "rint": "rint",
        "floor": "floor",
        "copysign": "copysign",
        "fma": "fma",
    }
)
FLOAT_INSTRUCTIONS = MappingProxyType(
    {
        "add": "fadd",
        "sub": "fsub",
        "mul": "fmul",
        "div": "fdiv",
        "neg": "fneg",
        "select": "select",
        "bitcast": "bitcast",
    }
)
INTEGER_INSTRUCTIONS = MappingProxyType(
    {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "neg": "neg",
        "and": "and_",
        "or": "or_",
        "xor": "xor",
        "shl": "shl",
        "shr": "ashr",
        "select": "select",
        "bitcast": "bitcast",
    }
)
CONVERSIONS = MappingProxyType(
    {
        ("f32", "f64"): "fpext",
        ("f64", "f32"): "fptrunc",
        ("i32", "i64"): "sext",
        ("i64", "i32"): "trunc",
        ("i32", "f32"): "sitofp",
    }
)


@dataclass(frozen=True, eq=False)
class LlvmScalar(AbstractScalar):
    """An LLVM value; operations append instructions at the builder's place."""

    builder: ir.IRBuilder
    value: ir.Value
    kind: str

    def lift(self, number: float | int, kind: str) -> LlvmScalar:
        if kind in FORMATS:
            number = float(number)
        return LlvmScalar(self.builder, ir.Constant(LLVM_TYPES[kind], number), kind)

    def apply(self, op: str, kind: str, *others: AbstractScalar) -> LlvmScalar:
        values = [self.value]
        for other in others:
            assert isinstance(other, LlvmScalar)
            values.append(other.value)
        return LlvmScalar(self.builder, self.instruction(op, kind, values), kind)

    def instruction(self, op: str, kind: str, values: list[ir.Value]) -> ir.Value:
        builder, is_float = self.builder, self.kind in FORMATS
        if op in PREDICATES:
            compare = builder.fcmp_ordered if is_float else builder.icmp_signed
            return compare(PREDICATES[op], *values)
        if op == "ne":
            return (builder.fcmp_unordered if is_float else builder.icmp_signed)("!=", *values)
        if op in INTRINSICS:
            return builder.call(self.intrinsic(INTRINSICS[op], len(values)), values)
        if op == "convert":
            return getattr(builder, CONVERSIONS[self.kind, kind])(values[0], LLVM_TYPES[kind])
        if op == "bitcast":
            return builder.bitcast(values[0], LLVM_TYPES[kind])
        names = FLOAT_INSTRUCTIONS if is_float else INTEGER_INSTRUCTIONS
        return getattr(builder, names[op])(*values)

    def intrinsic(self, name: str, arity: int) -> ir.Function:
        type_ = LLVM_TYPES[self.kind]
        signature = ir.FunctionType(type_, [type_] * arity)
        return self.builder.module.declare_intrinsic(f"llvm.{name}", [type_], signature)

    def lookup(self, name: str, table: tuple[float, ...]) -> LlvmScalar:
        module, type_ = self.builder.module, ir.ArrayType(LLVM_TYPES["f64"], len(table))
        name = f"gc_table_{name}"
        if name not in module.globals:
            constant = ir.GlobalVariable(module, type_, name)
            constant.linkage, constant.global_constant = "internal", True
            constant.initializer = ir.Constant(type_, list(table))
        zero = ir.Constant(LLVM_TYPES["i64"], 0)
        indices = [zero, self.convert("i64").value]  # type: ignore[attr-defined]
        address = self.builder.gep(module.globals[name], indices, inbounds=True)
        return LlvmScalar(self.builder, self.builder.load(address), "f64")


def emit(module: ir.Module, name: str, dtype: str) -> ir.Function:
    """The function gc_<name>_<dtype> of `module`, written there on the first call.

    It takes FUNCTIONS[name].arity scalars of `dtype` ("f32" or "f64") and returns one.
    """
    symbol = f"gc_{name}_{dtype}"
    if symbol in module.globals:
        return module.globals[symbol]
    row, kind = FUNCTIONS[name], LLVM_TYPES[dtype]
    assert row.definition is not None, f"{name} is one instruction"
    function = ir.Function(module, ir.FunctionType(kind, [kind] * row.arity), symbol)
    function.linkage = "internal"
    for attribute in ("alwaysinline", "nounwind"):
        function.attributes.add(attribute)
    builder = ir.IRBuilder(function.append_basic_block())
    result = row.definition(*[LlvmScalar(builder, arg, dtype) for arg in function.args])
    assert isinstance(result, LlvmScalar) and result.kind == dtype
    builder.ret(result.value)
    return function
