"""Text that was written to take long: it is read in linear time, or refused."""

from __future__ import annotations

import pytest

from graphc.errors import ParseError, ShapeError
from graphc.ir import dim
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program_parser import parse_program

GRAPH = "graph @f(%x: f32[n]) {\n  LINE\n  return %x\n}\n"
MANY = 100_000  # blanks: what is not linear takes minutes or more
LINES = {
    "blanks after an operand": "%y = add %x" + " " * MANY + "!",
    "blanks after the op": "%y = add" + " " * MANY + "!",
    "blanks before =": "%y" + " " * MANY + "add",
    "blanks after =": "%y = " + " " * MANY + "!",
    "blanks after fields": "%y = add %x {a=1}" + " " * MANY + "!",
    "blanks before a type": "%y = add %x" + " " * MANY + ": f32[n] !",
    "colons": "%y = add %x" + ": (" * MANY + "!",
    "blocks": "%y = cond %x" + ": (" * MANY + ") !",
    "braces": "%y = add %x " + "{}" * MANY + "!",
    "closing braces": "%y = add %x {" + "} : f32[n" * MANY,
    "types": "%y = add %x : (" + "f32[n], " * MANY,
    "brackets": "%y = add %x : f32" + "[" * MANY,
    "quotes": "%y = add %x " + "\"'" * MANY,
    "slashes": "%y = add %x " + "/ " * MANY,
    "names": "%" * MANY,
    "a name": "%" + "a:" * MANY,
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_long_line_that_does_not_fit(line: str) -> None:
    with pytest.raises(ParseError, match="line 2: "):
        parse_graph(GRAPH.replace("LINE", line))


@pytest.mark.parametrize(
    "line",
    [
        "%y = add %x, %x : f32[n]",
        "%y   = add   %x,  %x    : f32[n]",
        "%y = add %x, 1.0f32: f32[n]",
        "%y = broadcast %x {axes=[1]} : f32[2,n]",
        "%y = broadcast %x {axes=[1]}: f32[2,n]",
        "%a:b = add %x, %x : f32[n]",
    ],
)
def test_lines_that_fit(line: str) -> None:
    name = line.split()[0]
    graph = parse_graph(GRAPH.replace("LINE", line).replace("return %x", f"return {name}"))
    assert parse_graph(print_graph(graph)).outputs[0].type == graph.outputs[0].type


PROGRAM = "program @f(%x: f32[n]) {\n  LINE\n  return %x\n}\n"
PROGRAM_LINES = {
    "blanks": "kernel %x" + " " * MANY + "!",
    "fields": "kernel %x {" + "} -> " * MANY + "!",
    "arrows": "kernel %x" + " -> " * MANY + "!",
    "open arrows": "kernel %x" + " -> {" * MANY,
    "single": "add " + "-> %x: " * MANY + "!",
    "again": "again " + "%a, " * MANY + "!",
    "writes": "kernel %x -> " + "%a: " * MANY + "{",
}


@pytest.mark.parametrize("line", PROGRAM_LINES.values(), ids=PROGRAM_LINES)
def test_a_long_line_of_a_program(line: str) -> None:
    with pytest.raises(ParseError, match=r"line [2-5]: "):
        parse_program(PROGRAM.replace("LINE", line))


SIZES = {
    "a power of a sum": "*".join(["(a+b+c+d+e+1)"] * 30),
    "a long product": "*".join(["n"] * 100_000),
    "a long sum": "+".join(f"a{i}" for i in range(20_000)),
    "deep brackets": "(" * 5000 + "n" + ")" * 5000,
    "nested quotients": "(" * 1000 + "n" + "//2+1)" * 1000,
    "a long number": "9" * 100_000,
    "nested minima": "min(n, " * 1000 + "n" + ")" * 1000,
    "squares of sums": "*".join(["(a+b*c+c*d//3+d%5+1)"] * 12),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_size_without_end(size: str) -> None:
    text = "graph @f(%x: f32[SIZE]) {\n  return %x\n}\n".replace("SIZE", size)
    with pytest.raises(ParseError, match="line 1: "):
        parse_graph(text)


def test_a_product_of_many_terms_is_refused_wherever_it_comes_from() -> None:
    total: dim.Size = 1
    for name in "abcdef":
        total = total + dim.symbol(name)
    power = total
    with pytest.raises(ShapeError, match="give a part of it a name"):
        for _ in range(30):
            power = power * total
    assert dim.evaluate(total * total * total, dict.fromkeys("abcdef", 1)) == 343


WRONG_FIELDS = {
    "an infinite size": (
        "slice %x {starts=[1e999], steps=[1]}",
        "starts' is .inf.; expected tuple",
    ),
    "text for a step": ('slice %x {starts=[0], steps=["a"]}', "steps' is .*; expected tuple"),
    "one axis for several": ("reduce_sum %x {axes=0}", "axes' is 0; expected tuple"),
    "a truth value for an axis": (
        "cumulative_sum %x {axis=true, reverse=false}",
        "axis' is true; expected int",
    ),
    "a number for a truth value": (
        "cumulative_sum %x {axis=0, reverse=1}",
        "reverse' is 1; expected bool",
    ),
    "a size for a graph": (
        "loop %x {body=3, carries=1, slices=0, length=1}",
        "body' is 3; expected Graph",
    ),
}


@pytest.mark.parametrize(("call", "why"), WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_field_of_another_type_is_refused(call: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_graph(GRAPH.replace("LINE", f"%y = {call} : f32[3]"))
