"""The benchmarks run: their figures are not judged here, their agreement is."""

from __future__ import annotations

import numpy as np

from benchmarks import startup
from benchmarks.networks import cnn_step
from benchmarks.workloads import elementwise, mlp_step, noop, tiny


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
