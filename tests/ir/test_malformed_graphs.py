"""Malformed graphs as text, line by line: each is refused, with its line and the reason."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import ParseError
from graphc.ir.graph import Graph, make
from graphc.ir.ops.shape import Constant, Data
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.types import DType, bf16, bool_, f16, f32, f64, i64, u8

SIZES = ": use integers, names, + - * // % min max"
TYPES = "; use one of bool, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64"
UPDATE = ": expected `%variable <- %value`, once for each variable"
LINE = "expected `%name = op operand, ... {field=value} : type`"
END = "after the `return` comes `}`, and nothing else"
HEAD = "expected `graph @name(%input: type, ...) {`"

GRAPH = """// a comment
graph @f(%x: f32[n,3], var %w: f32[3], %i: i64[2], %p: i64[]) {
  %c = constant {value=dense[1, 2]} : i64[2]
  %b = broadcast %w {axes=[1]} : f32[n,3]
  %y = multiply %x, %b : f32[n,3]

  %z = add %y, 1.0f32 : f32[n,3] // more
  %k = take %w, %i {axis=0} : f32[2]
  %s = switch %p, %w : (f32[3]) {
    branches graph @one(%a: f32[3]) {
      %e = exp %a : f32[3]
      return %e
    }
  }
  %new = item %s {index=0} : f32[3]
  return %z, %k, %w <- %new
}
"""

# what is replaced, by what, the line of the error, its reason
GRAPHS = (
    ("graph @f(", "graff @f(", 2, HEAD),
    ("graph @f(", "graph f(", 2, HEAD),
    ("%x: f32[n,3], var %w", "%w: f32[n,3], var %w", 2, "%w is declared twice"),
    ("%x: f32[n,3],", "%x: f32[n,3], %q,", 2, "cannot read the input ', %q, '"),
    ("%p: i64[])", "%p: i64[], %q)", 2, "cannot read the input ', %q'"),
    ("%x: f32[n,3],", "x: f32[n,3],", 2, "cannot read the input 'x: f32[n,3], '"),
    ("%p: i64[])", "%p: i64[] i64)", 2, "cannot read the input ' i64'"),
    ("%p: i64[]", "%p: i65[]", 2, "'i65' is not an element type" + TYPES),
    ("%x: f32[n,3]", "%x: f32[n,-3]", 2, "f32[n,-3]: a size is negative"),
    ("%x: f32[n,3]", "%x: f32[n,]", 2, "'' is not a size" + SIZES),
    ("%x: f32[n,3]", "%x: f32[n+,3]", 2, "'n+' is not a size" + SIZES),
    ("%x: f32[n,3]", "%x: f32[n,3.5]", 2, "'3.5' is not a size" + SIZES),
    ("%x: f32[n,3]", "%x: f32[0//0,3]", 2, "'0//0' is not a size" + SIZES),
    ("var %w", "val %w", 2, "cannot read the input ', val '"),
    ("%y = multiply %x, %b : f32[n,3]", "%y = multiply %x, %b", 5, LINE),
    ("%y = multiply", "y = multiply", 5, LINE),
    ("%y = multiply", "%y multiply", 5, LINE),
    ("%y = multiply", "%x = multiply", 5, "%x is defined twice"),
    ("%y = multiply", "%b = multiply", 5, "%b is defined twice"),
    ("%y = multiply", "%y = multiplied", 5, "'multiplied' is not an op; `graphc ops` lists them"),
    ("multiply %x, %b", "multiply %x, %q", 5, "%q is not defined above"),
    ("multiply %x, %b",
     "multiply %x, b", 5,
     "'b' is neither a value (%name) nor a literal (0.5f32)"),
    ("multiply %x, %b", "multiply %x", 5, "multiply: takes 2 operands, got 1"),
    ("multiply %x, %b", "multiply %x, %b, %b", 5, "multiply: takes 2 operands, got 3"),
    ("multiply %x, %b", "multiply %x, %i", 5, "multiply: ranks differ: f32[n,3], i64[2]"),
    ("multiply %x, %b", "multiply %x, %w", 5, "multiply: ranks differ: f32[n,3], f32[3]"),
    ("%y = multiply %x, %b : f32[n,3]",
     "%y = multiply %x, %b : f32[n,4]", 5,
     "%y is declared f32[n,4] but multiply gives f32[n,3]"),
    ("%y = multiply %x, %b : f32[n,3]",
     "%y = multiply %x, %b : f64[n,3]", 5,
     "%y is declared f64[n,3] but multiply gives f32[n,3]"),
    ("%y = multiply %x, %b : f32[n,3]",
     "%y = multiply %x, %b : f32[m,3]", 5,
     "%y is declared f32[m,3] but multiply gives f32[n,3]"),
    ("%y = multiply %x, %b : f32[n,3]",
     "%y = multiply %x, %b : g32[n,3]", 5,
     "'g32' is not an element type" + TYPES),
    ("1.0f32", "1.0g32", 7, "'g32' is not an element type"),
    ("1.0f32", "1.0", 7, "'1.0' is neither a value (%name) nor a literal (0.5f32)"),
    ("1.0f32", "1.0i64", 7, "invalid literal for int() with base 10: '1.0'"),
    ("1.0f32",
     "1i64", 7,
     "add: operands have element types f32 and i64; expected the same. Use gc.astype to "
     "convert one"),
    ("1.0f32", "1.0.0f32", 7, "could not convert string to float: '1.0.0'"),
    ("1.0f32",
     "true", 7,
     "add: operand 1 has element type bool; expected one of i8, i16, i32, i64, u8, u16, "
     "u32, u64, f16, bf16, f32, f64. Use gc.astype to convert it"),
    ("1.0f32",
     "300u8", 7,
     "add: operands have element types f32 and u8; expected the same. Use gc.astype to "
     "convert one"),
    ("add %y, 1.0f32",
     "add %y, 300u8", 7,
     "add: operands have element types f32 and u8; expected the same. Use gc.astype to "
     "convert one"),
    ("take %w, %i {axis=0}",
     "take %w, 1i64 {axis=0}", 8,
     "'1i64' is neither a value (%name) nor a literal (0.5f32)"),
    ("{axis=0}", "{axes=0}", 8, "take has no field 'axes'; it has ['axis']"),
    ("{axis=0}", "", 8, "take: field 'axis' is missing"),
    ("{axis=0}", "{axis=7}", 8, "take: axis 7 is not an axis of f32[3]"),
    ("{axis=0}", "{axis=x}", 8, "take: field 'axis' is x; expected int"),
    ("{axis=0}", "{axis=-1}", 8, "take: axis -1 is not an axis of f32[3]"),
    ("{axis=0}", "{axis=true}", 8, "take: field 'axis' is true; expected int"),
    ("{axis=0}", "{axis}", 8, "take: field 'axis' has no value"),
    ("{axis=0}", "{axis=}", 8, "take: field 'axis' has no value"),
    ("{axis=0}", "{axis=0", 8, LINE),
    ("{axis=0}", "{axis=0, axis=0}", 8, "take: field 'axis' is given twice"),
    ("{axis=0}", "axis=0", 8, "take: field 'axis' is missing"),
    ("{axes=[1]}",
     "{axes=[1, 1]}", 4,
     "broadcast: axes (1, 1) do not place f32[3] in shape (n, 3)"),
    ("{axes=[1]}", "{axes=1}", 4, "broadcast: field 'axes' is 1; expected tuple[int, ...]"),
    ("{axes=[1]}", "{axes=[]}", 4, "broadcast: axes () do not place f32[3] in shape (n, 3)"),
    ("{axes=[1]}", "{axes=[5]}", 4, "broadcast: axes (5,) do not place f32[3] in shape (n, 3)"),
    ("{axes=[1]}", "{axes=[n]}", 4, "broadcast: field 'axes' is [n]; expected tuple[int, ...]"),
    ("{axes=[1]}",
     "{axes=[1], shape=[2,2]}", 4,
     "broadcast: sizes differ: 2 and 3, in operands f32[3]"),
    ("dense[1, 2]", "dense[1, 2, 3]", 3, "cannot reshape array of size 3 into shape (2,)"),
    ("dense[1, 2]", "dense[1, x]", 3, "these are not i64 elements: [1, x]"),
    ("dense[1, 2]", "…", 3, "the data was left out when this was printed; print it in full"),
    ("dense[1, 2]", 'base64"AAAA"', 3, "buffer size must be a multiple of element size"),
    ("dense[1, 2]", 'base64"A*=="', 3, "Only base64 data is allowed"),
    ("dense[1, 2]", "3", 3, "constant: field 'value' is 3; expected Data"),
    ("dense[1, 2]", "dense[1, 2.5]", 3, "these are not i64 elements: [1, 2.5]"),
    ("dense[1, 2]",
     "dense[1, 99999999999999999999]", 3,
     "Python int too large to convert to C long"),
    ("    branches graph", "    twigs graph", 9, "switch has no field 'twigs'"),
    ("    branches graph", "    graph", 10, HEAD),
    ("branches graph @one(", "branches grap @one(", 10, HEAD),
    ("%e = exp %a : f32[3]", "%e = exp %x : f32[3]", 11, "%x is not defined above"),
    ("%e = exp %a : f32[3]",
     "%e = exp %a : f32[4]", 11,
     "%e is declared f32[4] but exp gives f32[3]"),
    ("      return %e\n", "", 12, LINE),
    ("return %e", "return %x", 12, "%x is not defined"),
    ("%a: f32[3]", "%a: f32[4]", 11, "%e is declared f32[3] but exp gives f32[4]"),
    ("(f32[3]) {", "(f32[4]) {", 9, "%s is declared (f32[4]) but switch gives (f32[3])"),
    ("{index=0}", "{index=1}", 15, "item: (f32[3]) has no item 1"),
    ("{index=0} : f32[3]",
     "{index=0} : f32[4]", 15,
     "%new is declared f32[4] but item gives f32[3]"),
    ("  return %z, %k, %w <- %new\n", "", 16, LINE),
    ("return %z", "return %q", 16, "%q is not defined"),
    ("%w <- %new", "%q <- %new", 16, "%q is not defined"),
    ("%w <- %new", "%w <- %q", 16, "%q is not defined"),
    ("%w <- %new", "%x <- %new", 16, "%x <- %new" + UPDATE),
    ("%w <- %new", "%w <- %k", 16, "%w is f32[3] but %k is f32[2]"),
    ("%w <- %new", "%w <- %new, %w <- %new", 16, "%w <- %new" + UPDATE),
    ("%w <- %new", "%w <- %new <- %c", 16, "%w <- %new <- %c" + UPDATE),
    ("return %z, ", "return z, ", 16, "z is not defined"),
    ("%w <- %new\n}", "%w <- %new\n} more", 17, END),
    ("%w <- %new\n}", "%w <- %new\n%t = exp %q : f32[1]\n}", 17, END),
    ("%w <- %new\n}\n", "%w <- %new\n", 16, END),
)  # fmt: skip


def refused(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_graph(text)
    return caught.value


@pytest.mark.parametrize(("old", "new", "line", "reason"), GRAPHS)
def test_a_malformed_graph(old: str, new: str, line: int, reason: str) -> None:
    error = refused(GRAPH.replace(old, new, 1))
    assert (error.line, error.reason) == (line, reason)
    assert str(error) == f"line {line}: {reason}\n    {error.source}"


def test_the_text_is_right_before_anything_is_replaced() -> None:
    graph = parse_graph(GRAPH)
    assert [str(v.type) for v in graph.results] == ["f32[n,3]", "f32[2]", "f32[3]"]
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)
    assert [row for row in GRAPHS if row[0] not in GRAPH] == []


def test_a_text_that_ends_before_its_return() -> None:
    error = refused("graph @f(%x: f32[2]) {\n")
    assert (error.line, error.reason) == (1, "the graph has no `return`")


@pytest.mark.parametrize("text", ["", "// only a comment\n", "\n\n"])
def test_a_text_without_lines(text: str) -> None:
    error = refused(text)
    assert (error.line, error.source, error.reason) == (1, "", HEAD)


def test_only_the_beginning_of_a_long_line_is_shown() -> None:
    long = "%y = exp %x {" + "a" * 300 + "=1} : f32[n,3]"
    error = refused(GRAPH.replace("%y = multiply %x, %b : f32[n,3]", long))
    assert error.source == long[:200] + "..." and error.line == 5


def test_what_is_wrong_in_an_inner_graph_is_shown_alone() -> None:
    error = refused(GRAPH.replace("exp %a : f32[3]", "exp %a : f32[9]"))
    assert error.source == "%e = exp %a : f32[9]"
    outside = refused(GRAPH.replace("(f32[3]) {", "(f32[9]) {"))
    assert outside.source == "%s = switch %p, %w : (f32[9]) {"


# ---- data

DATA: tuple[tuple[str, str, str], ...] = (
    ("i64[2]", "dense[1]", "cannot reshape array of size 1 into shape \\(2,\\)"),
    ("i64[2]", "dense[1, 2.5]", "these are not i64 elements: \\[1, 2.5\\]"),
    ("i64[2]", "dense[1, 99999999999999999999]", "too large"),
    ("u8[2]", "dense[1, 256]", "256|these are not u8 elements"),
    ("u8[2]", "dense[1, -1]", "-1|these are not u8 elements"),
    ("bool[2]", "dense[true, 2]", "these are not bool elements"),
    ("f32[2]", "dense[true, x]", "these are not f32 elements"),
    ("i64[2]", 'base64"AAAA"', "buffer size must be a multiple"),
    ("i64[2]", 'base64"AAAAAAAAAAA="', "cannot reshape array of size 1"),
    ("u8[2]", 'base64"A*AB"', "Only base64 data is allowed"),
    ("i64[n]", "dense[1, 2]", "n"),
)


@pytest.mark.parametrize(("type", "value", "reason"), DATA)
def test_data_that_does_not_fit(type: str, value: str, reason: str) -> None:
    text = f"graph @f() {{\n  %c = constant {{value={value}}} : {type}\n  return %c\n}}"
    with pytest.raises(ParseError, match=f"^line 2: .*({reason})"):
        parse_graph(text)


BITS = {
    f64: np.array([0x7FF8000000000123, 0x8000000000000000, 1, 0x3FB999999999999A], np.uint64),
    f32: np.array([0x7FC00123, 0x80000000, 1, 0x3DCCCCCD], np.uint32),
    f16: np.array([0x7E12, 0x8000, 1, 0x2E66], np.uint16),
    bf16: np.array([0x7FC5, 0x8000, 1, 0x3DCD], np.uint16),
    i64: np.array([2**63, 2**64 - 1, 0, 1], np.uint64),
    u8: np.array([0, 255, 7, 8], np.uint8),
    bool_: np.array([0, 1, 1, 0], np.uint8),
}


@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_data_keeps_its_bits(dtype: DType) -> None:
    """NaN keeps its payload, -0.0 its sign, a subnormal its digits; few elements and many."""
    for repeats in (1, 9):
        array = np.tile(BITS[dtype], repeats).view(dtype.numpy)
        value = make(Constant(Data(array), dtype, array.shape), ())
        (found,) = parse_graph(print_graph(Graph("g", (), (value,)))).outputs
        assert isinstance(found.op, Constant)
        assert found.op.value.array.tobytes() == array.tobytes()


LITERALS = (
    ("1.0i64", "invalid literal"),
    ("1.0.0f32", "could not convert"),
    ("1.0", "neither a value"),
    ("f32", "neither a value"),
    ("truer", "neither a value"),
    ("1.0q7", "'q7' is not an element type"),
)


@pytest.mark.parametrize(("literal", "reason"), LITERALS)
def test_literals_that_are_none(literal: str, reason: str) -> None:
    text = f"graph @f(%x: f32[2]) {{\n  %y = add %x, {literal} : f32[2]\n  return %y\n}}"
    with pytest.raises(ParseError, match=f"^line 2: .*{reason}"):
        parse_graph(text)


def test_integers_are_read_exactly() -> None:
    text = """graph @f(%x: i64[2]) {
  %y = add %x, 9223372036854775807i64 : i64[2]
  %z = maximum %y, -9223372036854775807i64 : i64[2]
  return %z
}
"""
    assert print_graph(parse_graph(text)).count("9223372036854775807i64") == 2
