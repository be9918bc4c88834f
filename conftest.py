"""What holds for the tests and for the examples in docstrings."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

import graphc as gc

if importlib.util.find_spec("numba_cuda") is None:  # nothing can be said of these without it
    collect_ignore = [
        f"graphc/codegen/cuda/toolchain/{name}.py"
        for name in ("memory", "mma", "namespace", "scalars", "warp")
    ]


@pytest.fixture(autouse=True)
def _own_graph(request: pytest.FixtureRequest) -> Iterator[None]:
    """An example in a docstring declares in a graph of its own, whatever ran before it."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with gc.Graph().as_default():
        yield
