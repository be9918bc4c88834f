"""The rows of the proof, in the order in which they are run."""

from __future__ import annotations

from proof.gradients import GRADIENT_ROW
from proof.graphs import GRAPH_ROWS
from proof.row import Row
from proof.suites import Suite
from proof.ulp import ULP_ROW

ROWS: tuple[Row, ...] = (*GRAPH_ROWS, ULP_ROW, GRADIENT_ROW)
SUITES: tuple[Suite, ...] = ()
