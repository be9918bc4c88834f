"""Scripts in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = """
import os, signal, sys, threading, time
import numpy as np
import graphc as gc
"""


def script(body: str, *arguments: str, timeout: float = 240) -> str:
    """The output of a Python process, which must end well and in time."""
    done = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(body), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
