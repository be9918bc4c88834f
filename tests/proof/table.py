"""The rows of the proof, in the order in which they are run."""

from __future__ import annotations

from proof.graphs import GRAPH_ROWS
from proof.row import Row
from proof.suites import Suite

ROWS: tuple[Row, ...] = (*GRAPH_ROWS,)
SUITES: tuple[Suite, ...] = ()
