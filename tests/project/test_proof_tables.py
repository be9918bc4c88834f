"""What `make proof` judges is all there is, and what it found is published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from proof.gradients import uncovered
from proof.publish import DOCUMENT
from proof.ulp import CASES, DTYPES
from proof.ulp_table import MEASURED

from graphc.codegen.mathlib.function_table import FUNCTIONS

LINE = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def published() -> dict[str, list[str]]:
    """The cells of each function's line in docs/reliability.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.index("<!-- ulp: ") : text.index("<!-- end of ulp -->")]
    return {name: cells.split(" | ") for name, cells in LINE.findall(table)}


def test_every_function_of_floats_is_measured() -> None:
    assert set(FUNCTIONS) <= set(MEASURED)
    assert {name for name, _ in CASES} == set(MEASURED)


@pytest.mark.parametrize("name", MEASURED)
def test_every_function_has_its_line(name: str) -> None:
    """And what was measured is within the bar that is stated now."""
    cells = published()[name]
    assert len(cells) == 4
    for dtype, cell in zip(("f32", "f64", "f16", "bf16"), cells, strict=True):
        worst = 0.0 if cell == "exact" else float(cell.split(" at ")[0])
        assert worst <= MEASURED[name].bar(dtype) + 0.005  # printed to two places


def test_no_line_is_left_over() -> None:
    assert set(published()) == set(MEASURED)
    assert set(DTYPES) <= {"f32", "f64", "f16", "bf16"}
    assert Path(DOCUMENT).name == "reliability.md"


def test_every_public_function_has_a_sample_call_or_a_reason() -> None:
    assert list(uncovered()) == []
