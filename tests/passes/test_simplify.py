"""Simplification by functions: each keeps the meaning, where it applies and where it must not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.errors import VerifyError
from graphc.ir.graph import Graph, Value, full, make, placeholder
from graphc.ir.interpret import interpret
from graphc.ir.op import Reduction
from graphc.ir.ops.pointwise import Divide, Multiply
from graphc.ir.ops.shape import Reshape
from graphc.ir.text.graph import parse_graph
from graphc.ir.types import DType, bf16, f16, f32, f64
from graphc.passes.base import Context
from graphc.passes.graph.simplify import Simplify, merge_sums
from graphc.passes.rewrite.engine import Rewriter
from graphc.passes.rewrite.reshapes import JoinedWindows
from graphc.testing.closeness import same_bits
from graphc.testing.samples import special_values

RNG = np.random.default_rng(11)


def simplified(graph: Graph, **options: int) -> Graph:
    return Simplify(**options).run(graph, Context())  # type: ignore[arg-type]


# ---- folds over axes that a reshape has joined

WINDOWS = {  # shape, the shape it is joined to, the axes of a fold, whether the fold moves
    "two windows": ((2, 3, 4, 2, 8), (2, 3, 8, 8), (2,), True),
    "joined and another": ((2, 3, 4, 2, 8), (2, 3, 8, 8), (2, 3), True),
    "kept joined axis": ((2, 3, 4, 2, 8), (2, 3, 8, 8), (1, 3), False),
    "only the first": ((2, 3, 4, 2, 8), (2, 3, 8, 8), (0,), False),
    "two joined": ((5, 4, 2, 3, 2), (5, 8, 6), (1, 2), True),
    "one of two joined": ((5, 4, 2, 3, 2), (5, 8, 6), (1,), False),
    "the other of two joined": ((5, 4, 2, 3, 2), (5, 8, 6), (0, 2), False),
    "a long side": ((2, 3, 9), (2, 27), (1,), False),
    "a side of one": ((2, 3, 1), (2, 3), (1,), False),
    "all in one": ((2, 3, 2), (12,), (0,), False),
}


@pytest.mark.parametrize("op", ["reduce_max", "reduce_sum", "reduce_argmax"])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_fold_moves_before_a_reshape_only_with_all_of_its_axes(name: str, op: str) -> None:
    shape, merged, axes, moves = WINDOWS[name]
    out = [s for a, s in enumerate(merged) if a not in axes]
    before, after, left = ("[" + ",".join(map(str, s)) + "]" for s in (shape, merged, out))
    element = "i64" if op == "reduce_argmax" else "f32"
    if op == "reduce_argmax" and len(axes) > 1:
        axes, left = (
            axes[:1],
            "[" + ",".join(str(s) for a, s in enumerate(merged) if a != axes[0]) + "]",
        )
    graph = parse_graph(f"""graph @f(%x: f32{before}) {{
  %e = exp %x                          : f32{before}
  %m = reshape %e                      : f32{after}
  %r = {op} %m {{axes={list(axes)}}}   : {element}{left}
  return %r
}}""")
    (folded,) = graph.outputs
    rule = JoinedWindows(8).reduce_before_merge
    assert (rule(folded) is not None) == (moves and op != "reduce_argmax")
    found = simplified(graph)
    data = RNG.uniform(-2, 2, shape).astype(np.float32)
    (want,), (got,) = interpret(graph, data), interpret(found, data)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    reshapes = [v for v in found.nodes() if isinstance(v.op, Reshape)]
    if moves and op != "reduce_argmax":
        assert not any(isinstance(r.args[0].op, Reshape) for r in reshapes)
        assert next(v for v in found.nodes() if isinstance(v.op, Reduction)).args[0].type.shape == (
            shape
        )


# ---- division by a literal

EXPONENTS: dict[DType, range] = {  # of the powers of two that the type has
    f16: range(-24, 16),
    bf16: range(-133, 128),
    f32: range(-149, 128),
    f64: range(-1074, 1024),
}
SOME = {
    t: [*e[:12], *e[len(e) // 2 - 20 : len(e) // 2 + 20], *e[-12:]] for t, e in EXPONENTS.items()
}


def divided(dtype: DType, by: float) -> Graph:
    x = placeholder(dtype[64], "x")
    return Graph("divided", (x,), (make(Divide(), (x, full(by, x.type))),))


@pytest.mark.parametrize("dtype", EXPONENTS, ids=str)
def test_division_by_any_power_of_two_keeps_its_bits(dtype: DType) -> None:
    special = special_values(dtype)[:32]
    data = np.concatenate([special, np.resize(RNG.normal(size=32), 64 - len(special))])
    data = data.astype(dtype.numpy)
    for exponent in sorted({*SOME[dtype], *(e for e in EXPONENTS[dtype] if abs(e) < 20)}):
        for sign in (1.0, -1.0):
            graph = divided(dtype, sign * math.ldexp(1.0, exponent))
            with np.errstate(all="ignore"):
                (want,), (got,) = interpret(graph, data), interpret(simplified(graph), data)
            assert same_bits(want, got), (exponent, sign)


def test_division_by_a_near_power_of_two_is_a_product_and_by_others_is_none() -> None:
    for by, multiplies in ((8.0, True), (-0.25, True), (1.5, False), (2.0**-130, False)):
        (out,) = simplified(divided(f32, by)).outputs
        assert isinstance(out.op, Multiply if multiplies else Divide), by


# ---- literals


@pytest.mark.parametrize(
    "line",
    [
        "%y = add 200u8, 100u8 : u8[3]",
        "%y = multiply 9223372036854775807i64, 2i64 : i64[3]",
        "%y = subtract -2147483648i32, 1i32 : i32[3]",
        "%y = add 1.0f16, 0.0004f16 : f16[3]",
        "%y = multiply 3e38f32, 10.0f32 : f32[3]",
        "%y = divide 1.0f64, 3.0f64 : f64[3]",
        "%y = minimum nanf32, 1.0f32 : f32[3]",
        "%y = negative 0.0f32 : f32[3]",
        "%y = where true, 1i8, 2i8 : i8[3]",
    ],
)
def test_a_folded_literal_is_what_a_run_would_give(line: str) -> None:
    graph = parse_graph(f"graph @f(%x: f32[1]) {{\n  {line}\n  return %y\n}}")
    with np.errstate(all="ignore"):
        found = simplified(graph)
        assert found.outputs[0].op.name == "full"
        one = np.zeros(1, np.float32)
        (want,), (got,) = interpret(graph, one), interpret(found, one)
    assert same_bits(want, got)


def test_only_a_sum_of_zeros_is_a_literal() -> None:
    def total(value: float, size: object) -> Value:
        wide = full(value, f32[size, 2])
        return make(parse_graph(SUM).outputs[0].op, (wide,))

    folded = merge_sums(total(0.0, 3))
    assert folded is not None and folded.op.name == "full"
    assert merge_sums(total(1.0, 3)) is None


SUM = "graph @s(%x: f32[3,2]) {\n  %y = reduce_sum %x {axes=[0]} : f32[2]\n  return %y\n}"


def test_rewriting_without_end_is_an_error_that_names_the_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deeper(self: Rewriter, graph: Graph) -> Graph:
        self.last = ("no-end", None)  # type: ignore[assignment]
        raise RecursionError

    monkeypatch.setattr(Rewriter, "run", deeper)
    with pytest.raises(VerifyError, match="does not end; the last rule was `no-end`"):
        simplified(parse_graph(SUM))
