"""The pytest plug-in: random graphs with a user's ops in them, as many as `--graphc-fuzz` says.

A project enables it with `pytest_plugins = ["graphc.testing.plugin"]` in its top conftest.py
(or with `-p graphc.testing.plugin`), and writes a test:

    def test_softsign_in_random_graphs(graphc_fuzz):
        graphc_fuzz(Softsign)

The plug-in is no entry point, because pytest would then import graphc in every project on the
machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graphc.testing.judge import check_graph
from graphc.testing.random_graphs import random_graph

DEFAULT_GRAPHS = 50  # of a run that does not say how many
GRAPHS_PER_TEST = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--graphc-fuzz N` and `--graphc-fuzz-seed S`."""
    group = parser.getgroup("graphc")
    group.addoption(
        "--graphc-fuzz", type=count, metavar="N", help="how many random graphs tests are made of"
    )
    group.addoption(
        "--graphc-fuzz-seed", type=count, default=0, metavar="S", help="the first graph's seed"
    )


def count(text: str) -> int:
    """An argument that counts something."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test for each chunk of seeds of a test with the fixture `graphc_fuzz`."""
    if "graphc_fuzz" not in metafunc.fixturenames:
        return
    given, first = (metafunc.config.getoption(f"graphc_fuzz{x}") for x in ("", "_seed"))
    end = first + (DEFAULT_GRAPHS if given is None else given)
    chunks = [
        range(at, min(at + GRAPHS_PER_TEST, end)) for at in range(first, end, GRAPHS_PER_TEST)
    ]
    names = [f"seeds-{c.start}-{c.stop - 1}" for c in chunks]
    metafunc.parametrize("graphc_fuzz", chunks, indirect=True, ids=names)


@pytest.fixture
def graphc_fuzz(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A function that judges random graphs with the given ops (`graphc.testing.check_graph`)."""

    def fuzz(*ops: Any) -> None:
        for seed in request.param:
            check_graph(random_graph(seed, ops=ops), seed)

    return fuzz
