"""The rows of the proof, in the order in which they are run."""

from __future__ import annotations

from proof.gradients import GRADIENT_ROW
from proof.graphs import GRAPH_ROWS
from proof.hostile_text import TEXT_ROWS
from proof.row import Row
from proof.sessions import SESSION_ROWS
from proof.suites import Suite
from proof.torch_rows import TORCH_ROWS
from proof.ulp import ULP_ROW

ROWS: tuple[Row, ...] = (
    *GRAPH_ROWS,
    *TEXT_ROWS,
    *SESSION_ROWS,
    *TORCH_ROWS,
    ULP_ROW,
    GRADIENT_ROW,
)
SUITES: tuple[Suite, ...] = (
    Suite(
        "odd-calls",
        "public functions with every argument wrong in turn: typed errors that name it",
        ("abuse",),
    ),
    Suite(
        "failures",
        "the k-th allocation, lock, file operation, callback fails; signals, forks, damaged caches",
        (
            "session/test_turns.py",
            "session/test_memory.py",
            "session/test_variables.py",
            "session/test_transactions.py",
            "runtime/test_threads.py",
            "codegen/test_workers.py",
            "codegen/cpu/test_cache.py",
            "codegen/cpu/test_cache_keys.py",
            "ir/test_hostile_text.py",
        ),
    ),
    Suite(
        "planted",
        "mistakes planted in passes, rules, lowering, planner, bounds, driver, cache are found",
        ("fuzz",),
        ("-k", "mutant"),
        "mistakes",
    ),
)
