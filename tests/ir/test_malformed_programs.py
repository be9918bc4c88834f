"""Malformed programs as text, line by line: each is refused, with its line and the reason."""

from __future__ import annotations

import pytest

from graphc.errors import ParseError
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program

RESULT = " is no result: expected `%name: type @place` of a line of the body"
PLACES = ": expected out, var(%name), cpu or cpu(%name)"
LINE = "expected `%name = op operand, ... {field=value} : type`"
END = "after the `return` comes `}`, and nothing else"
SPACE = "expected {domain=[sizes], inner=[axes]}"
HEAD = "expected `program @name(%input: type, ...) {`"

PROGRAM = """program @main(%x: f32[n,3], var %w: f32[3], %p: i64[]) {
  arena cpu = 0 bytes (0 without reuse)
  %c = constant {value=dense[1, 2]} : i64[2]
  kernel %x {domain=[n, 3], inner=[1]} -> %h: f32[n] @cpu {
    %e ~ exp %x : f32[n,3]
    %h = reduce_sum %e {axes=[1]} : f32[n]
  }
  kernel %h, %x -> %g: f32[n,3] @cpu {
    %b ~ broadcast %h {axes=[0]} : f32[n,3]
    %g = multiply %x, %b : f32[n,3]
  }
  matmul %g, %x {ta=true} -> %m: f32[3,3] @out

  control %p, %w -> %t: f32[3] @cpu {
    %s = switch %p, %w : (f32[3]) {
      branches program @one(%a: f32[3]) {
        arena cpu = 0 bytes (0 without reuse)
        kernel %a -> %d: f32[3] @out {
          %d = exp %a : f32[3]
        }
        return %d
      }
    }
    %t = item %s {index=0} : f32[3]
  }
  commit kernel %w, %t -> %u: f32[3] @var(%w) {
    %u = add %w, %t : f32[3]
  }
  return %m, %w <- %u
}
"""

PROGRAMS = (
    ("program @main(", "graph @main(", 1, HEAD),
    ("%x: f32[n,3], var %w", "%w: f32[n,3], var %w", 1, "%w is declared twice"),
    ("  arena cpu",
     "  // arena cpu", 4,
     "a program with places says its arena first: `arena cpu = ...`"),
    ("arena cpu = 0 bytes (0 without reuse)\n  %c",
     "arena gpu = 0 bytes\n  %c", 4,
     "place 'cpu': expected out, var(%name), gpu or gpu(%name)"),
    ("arena cpu = 0", "arena cpu 0", 2, LINE),
    ("%c = constant {value=dense[1, 2]} : i64[2]",
     "%c = exp %w : f32[3]", 3,
     "outside of a kernel stand only constants and reshapes (`~`)"),
    ("kernel %x {", "kernal %x {", 4, "'kernal' is not an op; `graphc ops` lists them"),
    ("kernel %x {", "kernel x {", 4, "'kernel' is not an op; `graphc ops` lists them"),
    ("kernel %x {", "kernel %q {", 4, "'%q' is not defined above"),
    ("kernel %x {domain=[n, 3], inner=[1]} ->", "kernel %x {domain=[n, 3], inner=[1]}", 4, LINE),
    ("-> %h: f32[n] @cpu {",
     "-> %h: f32[n] @cpu", 4,
     "'kernel' is not an op; `graphc ops` lists them"),
    ("{domain=[n, 3], inner=[1]}", "{domain=[n, 3], inside=[1]}", 4, SPACE),
    ("{domain=[n, 3], inner=[1]}", "{inner=[1]}", 4, SPACE),
    ("{domain=[n, 3], inner=[1]}", "{domain=3, inner=[1]}", 4, SPACE),
    ("{domain=[n, 3], inner=[1]}",
     "{domain=[n, 3], inner=1}", 4,
     "inner=1 are not axes of the domain"),
    ("{domain=[n, 3], inner=[1]}",
     "{domain=[n, 3], inner=[2]}", 4,
     "inner=(2,) are not axes of the domain"),
    ("{domain=[n, 3], inner=[1]}",
     "{domain=[n, 3], inner=[-1]}", 4,
     "inner=(-1,) are not axes of the domain"),
    ("{domain=[n, 3], inner=[1]}",
     "{domain=[n, 3], inner=[1], domain=[3]}", 4,
     "domain is given twice"),
    ("{domain=[n, 3], inner=[1]} -> %h: f32[n] @cpu",
     "->", 4,
     "a kernel without results needs {domain=[...]}"),
    ("-> %h: f32[n] @cpu", "-> %h: f32[3] @cpu", 4, "%h is declared f32[3] but is f32[n]"),
    ("-> %h: f32[n] @cpu", "-> %h: f64[n] @cpu", 4, "%h is declared f64[n] but is f32[n]"),
    ("-> %h: f32[n] @cpu", "-> %q: f32[n] @cpu", 4, "'%q: f32[n] @cpu'" + RESULT),
    ("-> %h: f32[n] @cpu", "-> %e: f32[n,3] @cpu", 4, "'%e: f32[n,3] @cpu'" + RESULT),
    ("-> %h: f32[n] @cpu", "-> %x: f32[n,3] @cpu", 4, "'%x: f32[n,3] @cpu'" + RESULT),
    ("-> %h: f32[n] @cpu", "-> %h @cpu", 4, "'%h @cpu'" + RESULT),
    ("-> %h: f32[n] @cpu", "-> %h: f32[n]", 4, "place ''" + PLACES),
    ("f32[n] @cpu", "f32[n] @gpu", 4, "place 'gpu'" + PLACES),
    ("f32[n] @cpu", "f32[n] @out(", 4, "place 'out('" + PLACES),
    ("f32[n] @cpu", "f32[n] @cpu(%q)", 4, "'%q' is not defined above"),
    ("f32[n] @cpu", "f32[n] @cpu(%x", 4, "place 'cpu(%x'" + PLACES),
    ("f32[n] @cpu", "f32[n] @var(%q)", 4, "'%q' is not defined above"),
    ("f32[n] @cpu", "f32[n] @var", 4, "place 'var'" + PLACES),
    ("    %h = reduce_sum", "    %x = reduce_sum", 6, "%x is defined twice"),
    ("    %h = reduce_sum", "    %e = reduce_sum", 6, "%e is defined twice"),
    ("    %e ~ exp %x", "    %e ~ exp %q", 5, "%q is not defined above"),
    ("%h = reduce_sum %e {axes=[1]} : f32[n]",
     "%h = reduce_sum %e {axes=[1]} : f32[3]", 6,
     "%h is declared f32[3] but reduce_sum gives f32[n]"),
    ("%h = reduce_sum %e {axes=[1]} : f32[n]", "%h = reduce_sum %e {axes=[1]}", 6, LINE),
    ("    %b ~ broadcast %h {axes=[0]} : f32[n,3]",
     "    %e ~ broadcast %h {axes=[0]} : f32[n,3]", 9,
     "%e is defined twice"),
    ("    %b ~ broadcast %h {axes=[0]} : f32[n,3]",
     "    %e ~ exp %e : f32[n,3]", 9,
     "%e is defined twice"),
    ("    %b ~ broadcast %h {axes=[0]} : f32[n,3]",
     "    %e ~ tanh %x : f32[n,3]", 9,
     "%e is defined twice"),
    ("    %g = multiply %x, %b : f32[n,3]\n  }", "    %g = multiply %x, %b : f32[n,3]", 11, LINE),
    ("matmul %g, %x {ta=true} -> %m",
     "matmul %g, %x -> %m", 12,
     "%m is declared f32[3,3] but matmul gives f32[n,3]"),
    ("matmul %g, %x {ta=true} -> %m",
     "matmul %g, %q {ta=true} -> %m", 12,
     "%q is not defined above"),
    ("matmul %g, %x {ta=true} -> %m",
     "matmul %g, %x {ta=1} -> %m", 12,
     "matmul: field 'ta' is 1; expected bool"),
    ("matmul %g, %x {ta=true} -> %m: f32[3,3] @out",
     "exp %g -> %m: f32[n,3] @out", 12,
     "exp is no kernel of its own; write `kernel ... {`"),
    ("matmul %g, %x {ta=true} -> %m: f32[3,3] @out",
     "switch %p, %g -> %m: f32[n,3] @out", 12,
     "switch: field 'branches' is missing"),
    ("%m: f32[3,3] @out",
     "%m: f32[3,4] @out", 12,
     "%m is declared f32[3,4] but matmul gives f32[3,3]"),
    ("%m: f32[3,3] @out", "%h: f32[3,3] @out", 12, "%h is defined twice"),
    ("%m: f32[3,3] @out", "%m: f32[3,3] @elsewhere", 12, "place 'elsewhere'" + PLACES),
    ("  matmul %g", "  again %m\n  matmul %g", 12, "'%m' is not defined above"),
    ("  matmul %g", "  again %q\n  matmul %g", 12, "'%q' is not defined above"),
    ("branches program", "twigs program", 15, "switch has no field 'twigs'"),
    ("branches program", "branches prog", 16, HEAD),
    ("      branches program @one(%a: f32[3]) {\n        arena",
     "      branches program @one(%a: f32[3]) {\n\n        // x\n        arena cpu = 0 "
     "bytes\n        exp %q -> %k: f32[3] @out\n        arena", 20,
     "%q is not defined above"),
    ("%d = exp %a", "%d = exp %w", 19, "%w is not defined above"),
    ("kernel %a -> %d: f32[3] @out",
     "kernel %w -> %d: f32[3] @out", 18,
     "'%w' is not defined above"),
    ("        return %d\n", "", 21, LINE),
    ("        return %d\n",
     "        return %d, %d\n", 15,
     "%s is declared (f32[3]) but switch gives (f32[3], f32[3])"),
    ("{index=0}", "{index=1}", 24, "item: (f32[3]) has no item 1"),
    ("return %m", "return %q", 29, "%q is not defined"),
    ("%w <- %u\n", "%w <- %m\n", 29, "%w is f32[3] but %m is f32[3,3]"),
    ("  return %m, %w <- %u\n", "", 29, LINE),
    ("%w <- %u\n}", "%w <- %u\n", 29, END),
    ("%w <- %u\n}", "%w <- %u\n  again %g\n}", 30, END),
)  # fmt: skip


def refused(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_program(text)
    return caught.value


@pytest.mark.parametrize(("old", "new", "line", "reason"), PROGRAMS)
def test_a_malformed_program(old: str, new: str, line: int, reason: str) -> None:
    error = refused(PROGRAM.replace(old, new, 1))
    assert (error.line, error.reason) == (line, reason)


def test_the_text_is_right_before_anything_is_replaced() -> None:
    program = parse_program(PROGRAM)
    assert len(program.kernels) == 5 and len(program.kernels[3].programs) == 1
    assert print_program(parse_program(print_program(program))) == print_program(program)
    assert [row for row in PROGRAMS if row[0] not in PROGRAM] == []


def test_a_text_that_ends_before_its_return() -> None:
    error = refused("program @f(%x: f32[2]) {\n")
    assert (error.line, error.reason) == (1, "the program has no `return`")


@pytest.mark.parametrize("text", ["", "// only a comment\n", "\n\n"])
def test_a_text_without_lines(text: str) -> None:
    error = refused(text)
    assert (error.line, error.source, error.reason) == (1, "", HEAD)


def test_a_scan_kernel_holds_a_graph_whose_lines_count_too() -> None:
    text = """program @f(%n: i64[], %c: f32[3]) {
  scan %n, %c -> %t: f32[3] {
    %s = loop %n, %c {carries=1, slices=0, length=9} : (i64[], f32[3]) {
      body graph @body(%a: f32[3]) {
        %e = exp %a : f32[3]

        %h = tanh %q : f32[3]
        return %h
      }
    }
    %t = item %s {index=1} : f32[3]
  }
  return %t
}
"""
    error = refused(text)
    assert (error.line, error.reason) == (7, "%q is not defined above")
    assert parse_program(text.replace("%q", "%e")).kernels[0].programs == ()


def test_a_line_that_goes_on_keeps_its_number() -> None:
    text = """program @f(%x: f32[3]) {
  kernel %x ->
      %a: f32[3],
      %b: f32[4] {
    %a = exp %x : f32[3]
    %b = tanh %x : f32[3]
  }
  return %a, %b
}
"""
    error = refused(text)
    assert (error.line, error.reason) == (2, "%b is declared f32[4] but is f32[3]")
    assert len(parse_program(text.replace("f32[4]", "f32[3]")).kernels[0].writes) == 2
