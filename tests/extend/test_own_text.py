"""What users declare reads back from its text: the fields of own ops, and names of sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError, ParseError
from graphc.extend import Pointwise
from graphc.frontend.stage import stage
from graphc.ir.graph import Graph
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.passes.fusion.fuse import Fuse

WORDS = {
    "a comma": "a, b",
    "an open bracket": "[1, (2",
    "quotes": 'it\'s a "b"',
    "lines": "a\nb\r\u2028c\x00",
    "a backslash": "\\n \\u0041",
    "a comment": "a // b",
    "braces": "} : f32[2] {",
    "a field": ', scale=2"',
    "letters": "\u00e9\u4e2d",
    "nothing": "",
    "a truth value": "true",
}


def labelled(**fields: Any) -> Graph:
    @dataclass(frozen=True)
    class Labelled(Pointwise):
        label: str = "-"
        scale: float = 1.0
        most: int | None = 3
        arity, accepts, spelling = 1, (gc.float32,), "({0} * f32(2.0))"

        def reference(self, x: Any) -> Any:
            return x * 2

    x = gc.placeholder(gc.float32, ["n"], name="x")
    return stage([Labelled(**fields)(x)]).graph


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_a_text_in_a_field_reads_back(word: str) -> None:
    graph = labelled(label=word, scale=0.5)
    text = print_graph(graph)
    assert len(text.splitlines()) == 4
    (node,) = parse_graph(text).nodes()
    assert (node.op.label, node.op.scale) == (word, 0.5)  # type: ignore[attr-defined]
    assert print_graph(parse_graph(text)) == text
    program = print_program(Fuse()(graph))
    assert print_program(parse_program(program)) == program


def test_none_in_a_field_reads_back() -> None:
    (node,) = parse_graph(print_graph(labelled(most=None))).nodes()
    assert node.op.most is None  # type: ignore[attr-defined]
    with pytest.raises(ParseError, match="'scale' is None; expected float"):
        parse_graph(print_graph(labelled(scale=2.0)).replace("2.0", "None"))


@pytest.mark.parametrize("text", ['"', '"a', '"a"b"', "'a\"", '"a" "b"', ""])
def test_a_text_without_its_end_is_refused(text: str) -> None:
    printed = print_graph(labelled(label="LABEL"))
    with pytest.raises(ParseError, match="line 2: "):
        parse_graph(printed.replace('"LABEL"', text))


def test_a_size_has_a_name_that_reads_back() -> None:
    for name in ("None", "True", "in", "lambda"):
        with pytest.raises(GraphError, match="is not an identifier"):
            gc.placeholder(gc.float32, [name])
    for name in ("min", "inf", "true", "f32", "match"):
        x = gc.placeholder(gc.float32, [name, 2], name="x")
        graph = stage([gc.reshape(x, (-1,)), gc.arange(x.shape[0])]).graph
        text = print_graph(graph)
        assert print_graph(parse_graph(text)) == text
        with gc.Session() as session:
            found = session.run(gc.mean(x, axis=0), {x: np.ones((3, 2))})
        np.testing.assert_array_equal(found, [1, 1])
