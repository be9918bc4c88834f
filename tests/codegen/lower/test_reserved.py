"""Names that kernel text uses itself."""

from __future__ import annotations

import pytest

from graphc.codegen.cpu.intrinsics.namespace import NAMESPACE
from graphc.codegen.cuda.simulator import simulate
from graphc.codegen.lower import reserved as names
from graphc.codegen.lower.reserved import reserved


def test_no_value_is_called_as_what_a_cpu_kernel_calls() -> None:
    assert set(NAMESPACE) - reserved() == set()


def test_no_value_is_called_as_what_a_cuda_kernel_calls() -> None:
    """What the simulator knows is what numba-cuda knows (test_toolchain.py)."""
    pytest.importorskip("greenlet", reason="the simulator needs greenlet")
    assert simulate.names() - reserved() == set()


def test_each_name_is_listed_once() -> None:
    listed = [
        *names.CALLED_NAMES.split(),
        *names.LOCAL_NAMES.split(),
        *names.TILE_CALL_NAMES.split(),
    ]
    assert sorted(set(listed)) == sorted(listed)
