"""The checked build of a kernel written by hand: finds what lies outside, and what is not written.

    out[i] = a0[i + 1]     ->     held0_ = element(a0, inside(0, i + 1, count_a0, 71, status))
                                  place0_ = inside(0, i, count_out, 72, status)
                                  if place0_ >= 0:
                                      out[place0_] = held0_
                                      written[place0_ - start_of_share] = True

Each access of a buffer is checked against its number of elements; an op that `KnowsPlaces` checks
each index against its axis.  A flag for each element of the result tells whether it was written: a
read before that is a fault, and so is an element without its flag when the kernel returns.  The
first fault ends the run.  A result that the kernel gives to a routine has no flags.
"""

from __future__ import annotations

import ast
import itertools
import textwrap
from typing import Any

from graphc.errors import Location
from graphc.ir.site import Site

INDENT = "    "
FLAGS_SLOT = 60  # tells the flags' accesses apart from those of the arguments
UNWRITTEN = "element {element} of the result is not written"
PLACES = ("inside", "own_row", "written_at")  # calls whose result is a place


class CheckedText:
    """The text of a kernel with checks, and the sites of those that it added."""

    def __init__(
        self,
        text: str,
        kernel: str,
        loc: Location | None,
        counts: dict[str, str],
        share: tuple[str, str] | None,
    ) -> None:
        (function,) = ast.parse(text).body
        assert isinstance(function, ast.FunctionDef)
        self.kernel, self.loc, self.counts = kernel, loc, counts
        self.sites: dict[int, Site] = {}
        self.places = 0
        first, count = share or ("0", counts["out"])
        head = list(itertools.takewhile(self.opens, function.body))
        body = function.body[len(head) :]
        self.flagged = not any(_takes_address(s) for s in body)
        start = []
        if self.flagged:
            start = parsed(
                f"start_of_share = {first}\nwritten = bool_scratch({count}, {FLAGS_SLOT})\n"
                f"for unwritten in range({count}):\n    written[unwritten] = False"
            )
            unwritten = self.site(UNWRITTEN)
            self.ending = (
                f"for unwritten in range({count}):\n    if not written[unwritten]:\n"
                f"        fail(start_of_share + unwritten, {counts['out']}, {unwritten}, status)\n"
                "        break\nfree_scratch(written)\n"
            )
            self.stop = "free_scratch(written)\nreturn"
        else:
            self.ending, self.stop = "", "return"
        function.body = [*head, *start, *self.block(body), *parsed(self.ending)]
        self.text = ast.unparse(ast.fix_missing_locations(function)) + "\n"

    def opens(self, s: ast.stmt) -> bool:
        """Whether a statement reads an argument; a buffer that is opened a second time, under
        another name, is no longer known by its elements."""
        if not isinstance(s, ast.Assign):
            return False
        if isinstance(s.value, ast.Call):
            return _name(s.targets[0]) in self.counts
        return isinstance(s.value, ast.Subscript) and _name(s.value.value) == "args"

    def site(self, fault: str) -> int:
        """The code of a new site."""
        site = Site(self.kernel, fault, self.loc)
        self.sites[site.code] = site
        return site.code

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Statements, with checks."""
        return [new for s in body for new in self.statement(s)]

    def statement(self, s: ast.stmt) -> list[ast.stmt]:
        """A statement, with checks."""
        match s:
            case ast.Return():
                return parsed(f"{self.ending}return")
            case ast.For(iter=over, body=body) | ast.While(test=over, body=body):
                field = "iter" if isinstance(s, ast.For) else "test"
                setattr(s, field, self.expression(over))
                check = parsed(f"if stopped(status):\n{textwrap.indent(self.stop, INDENT)}")
                s.body = [*check, *self.block(body)]
                s.orelse = self.block(s.orelse)
                return [s]
            case ast.If(test=test, body=body, orelse=orelse):
                s.test, s.body, s.orelse = (
                    self.expression(test),
                    self.block(body),
                    self.block(orelse),
                )
                return [s]
            case ast.Assign(targets=targets, value=value):
                stores: list[ast.stmt] = []
                s.value = self.expression(value)
                s.targets = [self.target(t, stores) for t in targets]
                return [s, *stores]
            case ast.AugAssign(target=target, op=op, value=value):
                read = ast.parse(ast.unparse(target), mode="eval").body
                whole = ast.Assign([target], ast.BinOp(read, op, value))
                return self.statement(ast.copy_location(whole, s))
            case ast.Expr(value=value):
                s.value = self.expression(value)
        return [s]

    def target(self, t: ast.expr, stores: list[ast.stmt]) -> ast.expr:
        """What an assignment sets; what it sets in a buffer is stored afterwards, by `stores`."""
        if isinstance(t, ast.Tuple):
            return ast.Tuple([self.target(e, stores) for e in t.elts], ast.Store())
        buffer = self.buffer(t)
        if buffer is None:
            return t
        assert isinstance(t, ast.Subscript)
        number = self.places
        self.places += 1
        place, held = f"place{number}_", f"held{number}_"
        at = ast.unparse(self.place(t, buffer, "writes"))
        flag = f"\n    written[{place} - start_of_share] = True" * (
            self.flagged and buffer == "out"
        )
        stores += parsed(f"{place} = {at}\nif {place} >= 0:\n    {buffer}[{place}] = {held}{flag}")
        return ast.Name(held, ast.Store())

    def expression(self, e: ast.expr) -> ast.expr:
        """An expression, with checks."""
        return _Reads(self).visit(e)  # type: ignore[no-any-return]

    def buffer(self, e: ast.AST) -> str | None:
        """The buffer whose element an expression is."""
        named = isinstance(e, ast.Subscript) and isinstance(e.value, ast.Name)
        name = e.value.id if named else ""  # type: ignore[attr-defined]
        return name if name in self.counts else None

    def place(self, e: ast.Subscript, buffer: str, verb: str) -> ast.expr:
        """The checked place of an element."""
        shown, index = ast.unparse(e), self.expression(e.slice)
        if isinstance(index, ast.Call) and _name(index.func) in PLACES:
            return index
        site = self.site(f"{verb} {shown}: index {{index}} is out of range for {{size}} elements")
        text = f"inside(0, {ast.unparse(index)}, {self.counts[buffer]}, {site}, status)"
        if verb == "reads" and buffer == "out" and self.flagged:
            site = self.site(f"reads {shown} before it is written, element {{element}}")
            text = f"written_at({text}, written, start_of_share, {site}, status)"
        return ast.parse(text, mode="eval").body


class _Reads(ast.NodeTransformer):
    """Checks what an expression reads."""

    def __init__(self, work: CheckedText) -> None:
        self.work = work

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        buffer = self.work.buffer(node)
        if buffer is None:
            return self.generic_visit(node)
        place = self.work.place(node, buffer, "reads")
        return ast.Call(ast.Name("element", ast.Load()), [ast.Name(buffer, ast.Load()), place], [])


def parsed(text: str) -> list[ast.stmt]:
    """Statements; `return` may be among them."""
    (function,) = ast.parse(f"def f():\n{textwrap.indent(text or 'pass', INDENT)}").body
    assert isinstance(function, ast.FunctionDef)
    return function.body if text else []


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _takes_address(s: ast.stmt) -> bool:
    """Whether a statement uses the result, or the arguments, otherwise than by its elements."""
    owners = [n.value for n in ast.walk(s) if isinstance(n, ast.Subscript)]
    return any(_name(n) == "args" or (_name(n) == "out" and n not in owners) for n in ast.walk(s))
