"""One kernel cache for the whole test session, and the options of the suite."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import support_run


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graphc")
    group.addoption(
        "--fuzz", type=int, default=2000, help="random graphs a run (compiled: 3/20 of them)"
    )
    group.addoption("--fuzz-seed", type=int, default=0, help="the first seed of random graphs")
    group.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden from what is printed"
    )


def kernel_cache() -> Path:
    """A directory that lasts: kernels are named by a hash of everything that makes them."""
    return Path(tempfile.gettempdir()) / f"graphc-test-kernels-{os.getuid()}"


support_run.CACHE[:] = [kernel_cache()]


@pytest.fixture(scope="session", autouse=True)
def shared_kernel_cache() -> Iterator[None]:
    """Sessions of all tests keep their kernels in one place, so that each is compiled once."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GRAPHC_CACHE_DIR", str(kernel_cache()))
    yield
    patch.undo()
