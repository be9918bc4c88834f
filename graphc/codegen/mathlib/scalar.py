"""The abstract scalar that the functions of `mathlib` compute on, and its two implementations.

A function is written once, over `Scalar`: operators, and a few methods such as `fma` and `bits`.
`LlvmScalar` appends instructions to an LLVM function; `NumpyScalar` computes on arrays at once.
A scalar has a kind: f32, f64, i32, i64 or bool.  Plain numbers take the kind of their partner.

Invariant: no instruction carries fast-math flags, and contraction is always an explicit `fma`, so
both machines give the same bits (f32 exactly; f64 up to NumPy's emulated fma, which is off by one
rounding where the exact result all but meets a tie, or underflows).
Deliberately absent: branches, loops, and conversion of floats to integers (poison out of range).

>>> x = NumpyScalar(np.array([1.0, -2.0], np.float32))
>>> where(x < 0.0, -x, x.fma(x, 0.5)).value
array([1.5, 2. ], dtype=float32)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir

Operand: TypeAlias = "Scalar | float | int"

INTEGER_OF = MappingProxyType({"f32": "i32", "f64": "i64"})
REAL_OF = MappingProxyType({"i32": "f32", "i64": "f64"})


@dataclass(frozen=True)
class Format:
    """The layout of a float kind, as the bit tricks need it."""

    mantissa: int  # bits stored
    bias: int
    tiny: float  # the least normal number

    @property
    def shifter(self) -> float:
        """1.5 * 2^mantissa: adding it rounds to an integer, left in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa

    @property
    def shifter_bits(self) -> int:
        return (self.bias + self.mantissa << self.mantissa) + (1 << self.mantissa - 1)

    @property
    def one_bits(self) -> int:
        return self.bias << self.mantissa


FORMATS: Mapping[str, Format] = MappingProxyType(
    {"f32": Format(23, 127, 2.0**-126), "f64": Format(52, 1023, 2.0**-1022)}
)


class Scalar(ABC):
    """A number of one kind, real or symbolic; every operation gives another."""

    kind: str

    @abstractmethod
    def lift(self, number: float | int, kind: str) -> Scalar:
        """The constant `number`, on this machine."""

    @abstractmethod
    def apply(self, op: str, kind: str, *others: Scalar) -> Scalar:
        """Operation `op` on this scalar and `others`; the result has `kind`."""

    @abstractmethod
    def lookup(self, name: str, table: tuple[float, ...]) -> Scalar:
        """The f64 at this index, which must lie inside `table`; `name` tells tables apart."""

    @property
    def format(self) -> Format:
        """The layout of this float, or of the float as wide as this integer."""
        return FORMATS[REAL_OF.get(self.kind, self.kind)]

    def binary(self, op: str, other: Operand, kind: str | None = None) -> Scalar:
        return self.apply(op, kind or self.kind, self.partner(other))

    def partner(self, other: Operand) -> Scalar:
        return other if isinstance(other, Scalar) else self.lift(other, self.kind)

    def __add__(self, other: Operand) -> Scalar:
        return self.binary("add", other)

    def __radd__(self, other: Operand) -> Scalar:
        return self.partner(other) + self

    def __sub__(self, other: Operand) -> Scalar:
        return self.binary("sub", other)

    def __rsub__(self, other: Operand) -> Scalar:
        return self.partner(other) - self

    def __mul__(self, other: Operand) -> Scalar:
        return self.binary("mul", other)

    def __rmul__(self, other: Operand) -> Scalar:
        return self.partner(other) * self

    def __truediv__(self, other: Operand) -> Scalar:
        return self.binary("div", other)

    def __rtruediv__(self, other: Operand) -> Scalar:
        return self.partner(other) / self

    def __neg__(self) -> Scalar:
        return self.apply("neg", self.kind)

    def __abs__(self) -> Scalar:
        return self.apply("abs", self.kind)

    def __lt__(self, other: Operand) -> Scalar:
        return self.binary("lt", other, "bool")

    def __le__(self, other: Operand) -> Scalar:
        return self.binary("le", other, "bool")

    def __gt__(self, other: Operand) -> Scalar:
        return self.binary("gt", other, "bool")

    def __ge__(self, other: Operand) -> Scalar:
        return self.binary("ge", other, "bool")

    def equals(self, other: Operand) -> Scalar:
        """==, which stays Python's own on scalars; false for nan."""
        return self.binary("eq", other, "bool")

    def differs(self, other: Operand) -> Scalar:
        """!=; true for nan."""
        return self.binary("ne", other, "bool")

    def __and__(self, other: Operand) -> Scalar:
        return self.binary("and", other)

    def __or__(self, other: Operand) -> Scalar:
        return self.binary("or", other)

    def __xor__(self, other: Operand) -> Scalar:
        return self.binary("xor", other)

    def __lshift__(self, other: Operand) -> Scalar:
        return self.binary("shl", other)

    def __rshift__(self, other: Operand) -> Scalar:
        """Arithmetic: the sign is copied."""
        return self.binary("shr", other)

    def fma(self, factor: Operand, addend: Operand) -> Scalar:
        """self * factor + addend, rounded once."""
        return self.apply("fma", self.kind, self.partner(factor), self.partner(addend))

    def copysign(self, sign: Scalar) -> Scalar:
        return self.binary("copysign", sign)

    def sqrt(self) -> Scalar:
        return self.apply("sqrt", self.kind)

    def rint(self) -> Scalar:
        """The nearest integer, ties to even."""
        return self.apply("rint", self.kind)

    def floor(self) -> Scalar:
        return self.apply("floor", self.kind)

    def bits(self) -> Scalar:
        """The integer with the bits of this float."""
        return self.apply("bitcast", INTEGER_OF[self.kind])

    def real(self) -> Scalar:
        """The float with the bits of this integer."""
        return self.apply("bitcast", REAL_OF[self.kind])

    def convert(self, kind: str) -> Scalar:
        """f32 <-> f64, i32 <-> i64 (wrapping), i32 -> f32; never float to integer."""
        return self if kind == self.kind else self.apply("convert", kind)

    def clamp(self, low: float | int, high: float | int) -> Scalar:
        """min(max(self, low), high); nan stays."""
        raised = where(self < low, self.partner(low), self)
        return where(raised > high, self.partner(high), raised)


def where(condition: Scalar, yes: Operand, no: Operand) -> Scalar:
    """`yes` if `condition` else `no`; one of them at least is a scalar."""
    if not isinstance(yes, Scalar):
        assert isinstance(no, Scalar)
        yes = no.partner(yes)
    return condition.apply("select", yes.kind, yes, yes.partner(no))


# ---- LLVM ---------------------------------------------------------------------------------------

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
class LlvmScalar(Scalar):
    """An LLVM value; operations append instructions at the builder's place."""

    builder: ir.IRBuilder
    value: ir.Value
    kind: str

    def lift(self, number: float | int, kind: str) -> LlvmScalar:
        if kind in FORMATS:
            number = float(number)
        return LlvmScalar(self.builder, ir.Constant(LLVM_TYPES[kind], number), kind)

    def apply(self, op: str, kind: str, *others: Scalar) -> LlvmScalar:
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


# ---- NumPy --------------------------------------------------------------------------------------


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and the exact error of that (Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def split(a: Any) -> tuple[Any, Any]:
    """A float64 as a sum of two of at most 26 bits each (Veltkamp)."""
    big = a * 134217729.0
    high = big - (big - a)
    return high, a - high


def fma_f64(a: Any, b: Any, c: Any) -> Any:
    """a * b + c through Dekker's exact product: one rounding in all but the rarest cases."""
    product = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    error = ((ah * bh - product) + ah * bl + al * bh) + al * bl
    total, rest = two_sum(product, c)
    exact = total + (rest + error)
    return np.where(np.isfinite(exact), exact, product + c)


def fma_f32(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, exact: the product fits float64, whose sum is rounded to odd before float32.

    Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008.
    """
    total, rest = two_sum(a.astype(np.float64) * b, c.astype(np.float64))
    bits = np.asarray(total).view(np.int64)
    inexact = (rest != 0) & (bits & 1 == 0) & np.isfinite(total)
    odd = bits + np.where(inexact, np.where((rest > 0) == (total > 0), 1, -1), 0)
    return odd.view(np.float64).astype(np.float32)


DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "f32": np.dtype(np.float32),
        "f64": np.dtype(np.float64),
        "i32": np.dtype(np.int32),
        "i64": np.dtype(np.int64),
        "bool": np.dtype(np.bool_),
    }
)
KINDS = MappingProxyType({dtype: kind for kind, dtype in DTYPES.items()})
NUMPY_OPERATIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "neg": np.negative,
        "abs": np.abs,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "shl": np.left_shift,
        "shr": np.right_shift,
        "sqrt": np.sqrt,
        "rint": np.rint,
        "floor": np.floor,
        "copysign": np.copysign,
        "select": np.where,
        "fma": lambda a, b, c: (fma_f32 if a.dtype == np.float32 else fma_f64)(a, b, c),
    }
)


@dataclass(frozen=True, eq=False)
class NumpyScalar(Scalar):
    """An array, standing for each of its elements; compute under np.errstate(all="ignore")."""

    value: Any

    @property
    def kind(self) -> str:  # type: ignore[override]
        return KINDS[self.value.dtype]

    def lift(self, number: float | int, kind: str) -> NumpyScalar:
        return NumpyScalar(np.asarray(number, DTYPES[kind]))

    def apply(self, op: str, kind: str, *others: Scalar) -> NumpyScalar:
        values = [self.value]
        for other in others:
            assert isinstance(other, NumpyScalar)
            values.append(other.value)
        if op == "convert":
            return NumpyScalar(np.asarray(values[0].astype(DTYPES[kind])))
        if op == "bitcast":
            return NumpyScalar(values[0].view(DTYPES[kind]))
        return NumpyScalar(np.asarray(NUMPY_OPERATIONS[op](*values), DTYPES[kind]))

    def lookup(self, name: str, table: tuple[float, ...]) -> NumpyScalar:
        return NumpyScalar(np.take(np.asarray(table), self.value))
