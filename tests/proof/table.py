"""The rows of the proof, in the order in which they are run."""

from __future__ import annotations

from proof.graphs import GRAPH_ROWS
from proof.row import Row
from proof.suites import Suite
from proof.torch_rows import TORCH_ROWS

ROWS: tuple[Row, ...] = (*GRAPH_ROWS, *TORCH_ROWS)
SUITES: tuple[Suite, ...] = ()
