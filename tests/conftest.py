"""One kernel cache for the whole test session, and the options of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.run import kernel_cache


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graphc")
    group.addoption(
        "--fuzz", type=int, default=2000, help="random graphs a run (compiled: 3/20 of them)"
    )
    group.addoption("--fuzz-seed", type=int, default=0, help="the first seed of random graphs")
    group.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden from what is printed"
    )


@pytest.fixture(scope="session", autouse=True)
def shared_kernel_cache() -> Iterator[None]:
    """Sessions of all tests keep their kernels in one place, so that each is compiled once."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GRAPHC_CACHE_DIR", str(kernel_cache()))
    yield
    patch.undo()
