"""The abstract scalar that the functions of `mathlib` compute on.

A function is written once, over `AbstractScalar`: operators, and a few methods such as `fma` and
`bits`.
`LlvmScalar` appends instructions to an LLVM function; `NumpyScalar` computes on arrays at once.
A scalar has a kind: f32, f64, i32, i64 or bool.  Plain numbers take the kind of their partner.

Invariant: no instruction carries fast-math flags, and contraction is always an explicit `fma`, so
both machines give the same bits (f32 exactly; f64 up to NumPy's emulated fma, which is off by one
rounding where the exact result all but meets a tie, or underflows).
Deliberately absent: branches, loops, and conversion of floats to integers (poison out of range).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Operand: TypeAlias = "AbstractScalar | float | int"

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


class AbstractScalar(ABC):
    """A number of one kind, real or symbolic; every operation gives another."""

    kind: str

    @abstractmethod
    def lift(self, number: float | int, kind: str) -> AbstractScalar:
        """The constant `number`, on this machine."""

    @abstractmethod
    def apply(self, op: str, kind: str, *others: AbstractScalar) -> AbstractScalar:
        """Operation `op` on this scalar and `others`; the result has `kind`."""

    @abstractmethod
    def lookup(self, name: str, table: tuple[float, ...]) -> AbstractScalar:
        """The f64 at this index, which must lie inside `table`; `name` tells tables apart."""

    @property
    def format(self) -> Format:
        """The layout of this float, or of the float as wide as this integer."""
        return FORMATS[REAL_OF.get(self.kind, self.kind)]

    def binary(self, op: str, other: Operand, kind: str | None = None) -> AbstractScalar:
        return self.apply(op, kind or self.kind, self.partner(other))

    def partner(self, other: Operand) -> AbstractScalar:
        return other if isinstance(other, AbstractScalar) else self.lift(other, self.kind)

    def __add__(self, other: Operand) -> AbstractScalar:
        return self.binary("add", other)

    def __radd__(self, other: Operand) -> AbstractScalar:
        return self.partner(other) + self

    def __sub__(self, other: Operand) -> AbstractScalar:
        return self.binary("sub", other)

    def __rsub__(self, other: Operand) -> AbstractScalar:
        return self.partner(other) - self

    def __mul__(self, other: Operand) -> AbstractScalar:
        return self.binary("mul", other)

    def __rmul__(self, other: Operand) -> AbstractScalar:
        return self.partner(other) * self

    def __truediv__(self, other: Operand) -> AbstractScalar:
        return self.binary("div", other)

    def __rtruediv__(self, other: Operand) -> AbstractScalar:
        return self.partner(other) / self

    def __neg__(self) -> AbstractScalar:
        return self.apply("neg", self.kind)

    def __abs__(self) -> AbstractScalar:
        return self.apply("abs", self.kind)

    def __lt__(self, other: Operand) -> AbstractScalar:
        return self.binary("lt", other, "bool")

    def __le__(self, other: Operand) -> AbstractScalar:
        return self.binary("le", other, "bool")

    def __gt__(self, other: Operand) -> AbstractScalar:
        return self.binary("gt", other, "bool")

    def __ge__(self, other: Operand) -> AbstractScalar:
        return self.binary("ge", other, "bool")

    def equals(self, other: Operand) -> AbstractScalar:
        """==, which stays Python's own on scalars; false for nan."""
        return self.binary("eq", other, "bool")

    def differs(self, other: Operand) -> AbstractScalar:
        """!=; true for nan."""
        return self.binary("ne", other, "bool")

    def __and__(self, other: Operand) -> AbstractScalar:
        return self.binary("and", other)

    def __or__(self, other: Operand) -> AbstractScalar:
        return self.binary("or", other)

    def __xor__(self, other: Operand) -> AbstractScalar:
        return self.binary("xor", other)

    def __lshift__(self, other: Operand) -> AbstractScalar:
        return self.binary("shl", other)

    def __rshift__(self, other: Operand) -> AbstractScalar:
        """Arithmetic: the sign is copied."""
        return self.binary("shr", other)

    def fma(self, factor: Operand, addend: Operand) -> AbstractScalar:
        """self * factor + addend, rounded once."""
        return self.apply("fma", self.kind, self.partner(factor), self.partner(addend))

    def copysign(self, sign: AbstractScalar) -> AbstractScalar:
        return self.binary("copysign", sign)

    def sqrt(self) -> AbstractScalar:
        return self.apply("sqrt", self.kind)

    def rint(self) -> AbstractScalar:
        """The nearest integer, ties to even."""
        return self.apply("rint", self.kind)

    def floor(self) -> AbstractScalar:
        return self.apply("floor", self.kind)

    def bits(self) -> AbstractScalar:
        """The integer with the bits of this float."""
        return self.apply("bitcast", INTEGER_OF[self.kind])

    def real(self) -> AbstractScalar:
        """The float with the bits of this integer."""
        return self.apply("bitcast", REAL_OF[self.kind])

    def convert(self, kind: str) -> AbstractScalar:
        """f32 <-> f64, i32 <-> i64 (wrapping), i32 -> f32; never float to integer."""
        return self if kind == self.kind else self.apply("convert", kind)

    def clamp(self, low: float | int, high: float | int) -> AbstractScalar:
        """min(max(self, low), high); nan stays."""
        raised = where(self < low, self.partner(low), self)
        return where(raised > high, self.partner(high), raised)


def where(condition: AbstractScalar, yes: Operand, no: Operand) -> AbstractScalar:
    """`yes` if `condition` else `no`; one of them at least is a scalar."""
    if not isinstance(yes, AbstractScalar):
        assert isinstance(no, AbstractScalar)
        yes = no.partner(yes)
    return condition.apply("select", yes.kind, yes, yes.partner(no))
