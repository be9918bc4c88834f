"""Pairs, element by element: arithmetic, comparisons, choices, elementary functions, integers."""

from __future__ import annotations

from functools import partial

from proof.torch_pairs import Call, Supply, Table, UnfitError, either, same

POINTWISE = Table()
pair = POINTWISE

UNARY: tuple[tuple[str, str, float | None, float | None], ...] = (
    ("abs", "abs", None, None),
    ("acos", "acos", -0.9, 0.9),
    ("acosh", "acosh", 1.1, None),
    ("asin", "asin", -0.9, 0.9),
    ("asinh", "asinh", None, None),
    ("atan", "atan", None, None),
    ("atanh", "atanh", -0.9, 0.9),
    ("ceil", "ceil", None, None),
    ("cos", "cos", None, None),
    ("cosh", "cosh", None, None),
    ("deg2rad", "deg2rad", None, None),
    ("erf", "erf", None, None),
    ("erfc", "erfc", None, None),
    ("exp", "exp", None, None),
    ("exp2", "exp2", None, None),
    ("expm1", "expm1", None, None),
    ("floor", "floor", None, None),
    ("log", "log", 0.1, None),
    ("log10", "log10", 0.1, None),
    ("log1p", "log1p", -0.7, None),
    ("log2", "log2", 0.1, None),
    ("negative", "negative", None, None),
    ("positive", "positive", None, None),
    ("rad2deg", "rad2deg", None, None),
    ("reciprocal", "reciprocal", 0.2, None),
    ("round", "round", None, None),
    ("rsqrt", "rsqrt", 0.2, None),
    ("sin", "sin", None, None),
    ("sinc", "sinc", None, None),
    ("sinh", "sinh", None, None),
    ("sqrt", "sqrt", 0.1, None),
    ("square", "square", None, None),
    ("tan", "tan", -1.2, 1.2),
    ("tanh", "tanh", None, None),
    ("trunc", "trunc", None, None),
    ("nan_to_num", "nan_to_num", None, None),
    ("isfinite", "isfinite", None, None),
    ("isinf", "isinf", None, None),
    ("isnan", "isnan", None, None),
    ("signbit", "signbit", None, None),
)


def unary(ours: str, theirs: str, low: float | None, high: float | None, s: Supply) -> Call:
    x = s.floats(low=low, high=high)
    return Call(f"gc.{ours}({x})", f"torch.{theirs}({x})")


for line in UNARY:
    pair.add(line[0], partial(unary, *line))

BINARY: tuple[tuple[str, str, float | None, float | None, str], ...] = (
    ("add", "add", None, None, ""),
    ("subtract", "subtract", None, None, ""),
    ("multiply", "multiply", None, None, ""),
    ("divide", "divide", 0.3, None, ""),
    ("maximum", "maximum", None, None, ""),
    ("minimum", "minimum", None, None, ""),
    ("fmax", "fmax", None, None, "6.2: equals share; torch.fmax gives all to the first"),
    ("fmin", "fmin", None, None, "6.2: equals share; torch.fmin gives all to the first"),
    ("atan2", "atan2", 0.2, None, ""),
    ("hypot", "hypot", 0.2, None, ""),
    ("logaddexp", "logaddexp", None, None, ""),
    ("copysign", "copysign", 0.2, None, "copysign at 0 has no derivative"),
    ("remainder", "remainder", 0.3, None, ""),
    ("floor_divide", "floor_divide", 0.3, None, ""),
    ("equal", "eq", None, None, ""),
    ("not_equal", "ne", None, None, ""),
    ("less", "lt", None, None, ""),
    ("less_equal", "le", None, None, ""),
    ("greater", "gt", None, None, ""),
    ("greater_equal", "ge", None, None, ""),
    ("isclose", "isclose", None, None, ""),
)

NO_DERIVATIVE = ("floor_divide",)  # 6.3; PyTorch refuses instead


def binary(ours: str, theirs: str, low: float | None, high: float | None, s: Supply) -> Call:
    x = s.floats()
    y = s.like(x, low, high)
    if s.flip(0.3) and low is None:
        x, y = y, x
    detach = ".detach()" if theirs in NO_DERIVATIVE else ""
    return Call(f"gc.{ours}({x}, {y})", f"torch.{theirs}({x}{detach}, {y}{detach})")


for row in BINARY:
    pair.add(row[0], partial(binary, *row[:4]), kinks=row[4])


@pair()
def sign(s: Supply) -> Call:
    """2.1: torch.sign(nan) is 0."""
    x = s.floats()
    return Call(f"gc.sign({x})", f"torch.where(torch.isnan({x}), {x}, torch.sign({x}))")


@pair()
def heaviside(s: Supply) -> Call:
    """torch.heaviside has no derivative by its second operand."""
    x = s.floats()
    y = s.like(x)
    steps = f"({x} > 0).to({x}.dtype)"
    return Call(f"gc.heaviside({x}, {y})", f"torch.where({x} == 0, {y}, {steps})")


@pair()
def operators(s: Supply) -> Call:
    x = s.floats()
    y = s.like(x)
    return same(f"{x} {s.pick('+', '-', '*')} {y}")


@pair()
def numbers(s: Supply) -> Call:
    x, c = s.floats(), s.pick(2, 3, 0.5, -1.5, 1, 0.25)
    return same(str(s.pick(f"{x} + {c}", f"{c} - {x}", f"{x} * {c}", f"{x} / {c}", f"-{x}")))


@pair()
def number_divided(s: Supply) -> Call:
    return same(f"{s.pick(1, 2, -3.5)} / {s.floats(low=0.3)}")


@pair()
def powers(s: Supply) -> Call:
    return same(f"{s.floats()} ** {s.pick(1, 2, 3, 4)}")


@pair()
def positive_powers(s: Supply) -> Call:
    return same(f"{s.floats(low=0.2)} ** {s.pick(0.5, -0.5, -1, -2, 1.5, 2.5, 0)}")


@pair(bends="at y = 0 PyTorch cuts the derivative of x**y by x, and so loses the mixed one, 1 / x")
def pow_of(s: Supply) -> Call:
    x = s.floats(low=0.2, high=3.0)
    return either(f"lib.pow({x}, {s.like(x)})")


@pair()
def number_to_the(s: Supply) -> Call:
    return same(f"{s.pick(2, 0.5, 1.5)} ** {s.floats()}")


@pair()
def cbrt(s: Supply) -> Call:
    x = s.floats(low=0.2)
    return Call(f"gc.cbrt(-{x})", f"-({x} ** (1 / 3))")


@pair()
def clip(s: Supply) -> Call:
    """6.2: PyTorch's clamp gives 1 at a bound."""
    x = s.floats()
    bounds = (f"torch.tensor({v}, dtype={x}.dtype)" for v in (-0.5, 1.0))
    low, high = bounds
    return Call(f"gc.clip({x}, -0.5, 1.0)", f"torch.minimum(torch.maximum({x}, {low}), {high})")


@pair()
def clip_by_tensors(s: Supply) -> Call:
    x = s.floats()
    low, high = s.like(x, high=0.0), s.like(x, low=0.5)
    return Call(f"gc.clip({x}, {low}, {high})", f"torch.minimum(torch.maximum({x}, {low}), {high})")


@pair()
def where(s: Supply) -> Call:
    x = s.floats()
    return either(f"lib.where({s.bools(x.shape)}, {x}, {s.like(x)})")


@pair()
def where_self(s: Supply) -> Call:
    x = s.floats()
    return either(f"lib.where({x} > 0.25, lib.sin({x}), {x} * {x})")


@pair()
def where_row(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3))
    row = s.floats(x.shape[-1:])
    return either(f"lib.where({row} > 0, {x}, {s.pick(0, 1, -2.5)})")


@pair()
def select(s: Supply) -> Call:
    x = s.floats()
    y = s.floats(x.shape)
    return Call(
        f"gc.select([{x} > 1, {x} < -0.5], [{y}, {x} * 2.0], 0.5)",
        f"torch.where({x} > 1, {y}, torch.where({x} < -0.5, {x} * 2.0, 0.5))",
    )


@pair()
def logical(s: Supply) -> Call:
    a = s.bools()
    name = s.pick("and", "or", "xor")
    return either(f"lib.logical_{name}({a}, {s.bools(a.shape)})")


@pair()
def truth_operators(s: Supply) -> Call:
    a = s.bools()
    b = s.bools(a.shape)
    return same(str(s.pick(f"{a} & {b}", f"{a} | ~{b}", f"{a} ^ {b}", f"~{a}")))


@pair()
def truths_to_floats(s: Supply) -> Call:
    x = s.bools()
    return Call(f"gc.astype({x}, '{s.floating}')", f"{x}.to(torch.{s.floating})")


@pair()
def mask_times(s: Supply) -> Call:
    x = s.floats()
    y = s.floats(x.shape)
    floating = s.floating
    return Call(
        f"gc.astype({x} > {y}, '{floating}') * {x}", f"({x} > {y}).to(torch.{floating}) * {x}"
    )


@pair()
def floats_to_integers(s: Supply) -> Call:
    x = s.floats(low=-9.0, high=9.0)
    return Call(f"gc.astype({x}, 'int64')", f"{x}.to(torch.int64)")


@pair()
def integers_to_floats(s: Supply) -> Call:
    x = s.ints(-9, 9)
    return Call(f"gc.astype({x}, '{s.floating}')", f"{x}.to(torch.{s.floating})")


@pair()
def through_float32(s: Supply) -> Call:
    if s.floating != "float32":
        raise UnfitError
    x = s.floats()
    return Call(
        f"gc.astype(gc.sin(gc.astype({x}, 'float64')), 'float32')",
        f"torch.sin({x}.to(torch.float64)).to(torch.float32)",
    )


@pair()
def stop_gradient(s: Supply) -> Call:
    x = s.floats()
    return Call(f"{x} * gc.stop_gradient({x})", f"{x} * {x}.detach()")


@pair()
def polyval(s: Supply) -> Call:
    x, p = s.floats(), s.floats((3,))
    return Call(f"gc.polyval({p}, {x})", f"(({p}[0] * {x}) + {p}[1]) * {x} + {p}[2]")


# ---- integers


@pair()
def integer_arithmetic(s: Supply) -> Call:
    kind = str(s.pick("int64", "int32", "int8", "uint8"))
    x = s.ints(0 if kind == "uint8" else -90, 90, dtype=kind)
    return same(f"{x} {s.pick('+', '-', '*')} {s.ints(0, 90, x.shape, dtype=kind)}")


@pair()
def integer_division(s: Supply) -> Call:
    kind = str(s.pick("int64", "int32"))
    x = s.ints(-90, 90, dtype=kind)
    y = s.ints(1, 7, x.shape, dtype=kind)
    sign = s.pick("", "-")
    return same(f"{x} {s.pick('//', '%')} ({sign}{y})")


@pair()
def true_division(s: Supply) -> Call:
    x = s.ints(-90, 90)
    y = s.ints(1, 7, x.shape)
    return Call(f"{x} / {y}", f"{x}.to(torch.float64) / {y}")  # 1.4: f64 of i64


@pair()
def integer_powers(s: Supply) -> Call:
    x = s.ints(-9, 9)
    return same(f"{x} ** {s.ints(0, 5, x.shape)}")


@pair()
def integer_bits(s: Supply) -> Call:
    x = s.ints(-90, 90)
    y = s.ints(-90, 90, x.shape)
    name = s.pick("and", "or", "xor")
    return either(f"lib.bitwise_{name}({x}, {y})")


@pair()
def integer_shifts(s: Supply) -> Call:
    x = s.ints(-90, 90)
    return same(f"{x} {s.pick('<<', '>>')} {s.ints(0, 20, x.shape)}")


@pair()
def integer_choice(s: Supply) -> Call:
    x = s.ints(-90, 90)
    y = s.ints(-90, 90, x.shape)
    text = s.pick(f"where({x} > {y}, {x}, {y})", f"maximum({x}, {y})", f"minimum({x}, {y})")
    return either(f"lib.{text}")


@pair()
def integer_comparison(s: Supply) -> Call:
    x = s.ints(-3, 3)
    y = s.ints(-3, 3, x.shape)
    return same(f"{x} {s.pick('<', '<=', '>', '>=')} {y}")


@pair()
def integer_unary(s: Supply) -> Call:
    x = s.ints(-90, 90)
    return either(str(s.pick(f"lib.abs({x})", f"-{x}", f"lib.sign({x})", f"~{x}")))


@pair()
def narrowing(s: Supply) -> Call:
    x = s.ints(-500, 500)
    kind = s.pick("int8", "uint8", "int16", "int32")
    return Call(f"gc.astype({x}, '{kind}')", f"{x}.to(torch.{kind})")
