"""One kernel cache for the whole test session, and the options of the suite."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from support.run import kernel_cache


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graphc")
    group.addoption(
        "--update-golden", action="store_true", help="rewrite tests/golden from what is printed"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C is heard also where the shell told this process to ignore it (in `pytest ... &`)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def shared_kernel_cache() -> Iterator[None]:
    """Sessions of all tests keep their kernels in one place, so that each is compiled once."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GRAPHC_CACHE_DIR", str(kernel_cache()))
    yield
    patch.undo()
