"""The benchmarks run: their figures are not judged here, their agreement is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import startup
from benchmarks.__main__ import line
from benchmarks.contractions import (
    MNIST,
    Case,
    Lying,
    Part,
    conv,
    convolution,
    gemm,
    layer,
    product,
)
from benchmarks.networks import cnn_step
from benchmarks.timing import ratio
from benchmarks.workloads import elementwise, mlp_step, noop, tiny

ROOT = Path(__file__).parents[2]


def test_contestants_agree() -> None:
    entries = tiny()
    first, *others = [np.asarray(call()) for call in entries.values()]
    assert len(others) == 3
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)
    assert noop()["graphc run"]() == []


def test_every_workload_can_be_built() -> None:
    assert set(mlp_step()) == {"graphc", "numpy"}
    assert np.isfinite(elementwise()["graphc"]()).all()
    assert 1.5 < cnn_step()["graphc"]()[0] < 3.5


def test_startup_reports_three_lines() -> None:
    imports, cold, warm = startup.report()
    assert "import graphc" in imports and "0 kernels compiled" in warm
    assert "0 kernels compiled" not in cold


CASES = [
    product(5, 64, 9),
    product(5, 64, 9, Lying.LEFT),
    product(5, 64, 9, Lying.RIGHT),
    product(5, 8, 9, batch=3),
    layer(5, 64, 9),
    *(convolution(2, 3, 9, 4, 3, 2, 1, part) for part in Part),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_contestants_of_a_table_agree(case: Case) -> None:
    found = {name: call() for name, call in case.make().items()}
    assert {"graphc nhwc", "numpy"} & set(found)
    first = found["graphc"]
    for name, y in found.items():
        y = np.asarray(y)
        last = name == "graphc nhwc" and "by weights" not in case.name
        np.testing.assert_allclose(
            y.transpose(0, 3, 1, 2) if last else y, first, rtol=1e-4, atol=1e-4, err_msg=name
        )


def test_tables_hold_the_networks_layers() -> None:
    names = [c.name for c in (*gemm(), *conv())]
    assert len(names) == len(set(names)) > 70
    assert "128 x 784 x 500, bias, relu" in names and "1 of 512 x 7² -> 512, 3²" in names
    flops = next(c.flops for c in conv() if c.name == "64 of 32 x 26² -> 64, 3²")
    assert flops == 2 * 64 * 24 * 24 * 64 * 32 * 9 and len(MNIST) == 2


def test_a_line_of_a_table_has_the_ratio_to_the_best_peer() -> None:
    rounds = {"graphc": [1.0, 2.0, 1.0], "numpy": [2.0, 3.0, 4.0]}
    assert ratio(rounds, "graphc", "numpy") == 2.0
    calls = {"graphc": lambda: sum(range(10)), "numpy": lambda: sum(range(100_000))}
    shown = line(Case("sums", 1e6, lambda: calls)).split()
    assert shown[0] == "sums" and float(shown[1]) > 10 and shown[2] == "graphc"


def test_an_import_leaves_the_environment_alone() -> None:
    """Tests import the benchmarks: the suite's sessions must keep their own number of threads."""
    script = (
        "import os; before = dict(os.environ); import benchmarks.check, benchmarks.__main__; "
        "assert dict(os.environ) == before"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_THREADS")}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=ROOT)
