"""What the tests of extension share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import graphc as gc
from graphc.ir.op import OPS


@pytest.fixture(autouse=True)
def own_ops() -> Iterator[None]:
    """The ops that a test declares are gone after it, and its tensors are in a graph of its own."""
    before = dict(OPS)
    with gc.Graph().as_default():
        yield
    OPS.clear()
    OPS.update(before)
