"""The options of test sessions: one thread, and one kernel cache for all tests."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from graphc.config import Options


def kernel_cache() -> Path:
    """A directory that lasts: kernels are named by a hash of everything that makes them.

    Each Python has its own, so that each compiles what it tests.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(tempfile.gettempdir()) / f"graphc-test-kernels-{os.getuid()}-{python}"


def options(**changes: Any) -> Options:
    """Options with the test session's kernel cache."""
    base = Options(threads=1, progress=False, cache_dir=kernel_cache())
    return dataclasses.replace(base, **changes)
