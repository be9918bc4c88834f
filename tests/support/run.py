"""The options of test sessions: one thread, and one kernel cache for all tests."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from graphc.config import Options


def kernel_cache() -> Path:
    """A folder of this user's that lasts: kernels are named by a hash of everything that makes
    them.  A name in the temporary folder that others can guess, others can take.

    Each Python has its own, so that each compiles what it tests.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / f"graphc-tests-{python}"


def options(**changes: Any) -> Options:
    """Options with the test session's kernel cache."""
    base = Options(threads=1, progress=False, cache_dir=kernel_cache())
    return dataclasses.replace(base, **changes)
