"""Machine code of a GPU, read by nvdisasm: a cubin's instructions and registers."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

import pytest

REGISTERS = re.compile(
    r"EIATTR_REGCOUNT.*?\.word\s+index@\((\S+)\)\s+/\*\w+\*/\s+\.word\s+0x(\w+)", re.DOTALL
)
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")


def nvdisasm() -> str:
    """The path of nvdisasm; the test is skipped if there is none."""
    found = shutil.which("nvdisasm")
    if found:
        return found
    try:
        files = metadata.files("nvidia-cuda-nvdisasm") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nvdisasm":
            return str(file.locate())
    pytest.skip("nvdisasm is not installed: pip install nvidia-cuda-nvdisasm")


def listing(cubin: bytes) -> str:
    """All that nvdisasm says of the code."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "kernel.cubin")
        path.write_bytes(cubin)
        return subprocess.run([nvdisasm(), path], capture_output=True, text=True, check=True).stdout


def instructions(cubin: bytes) -> list[str]:
    """The names of the instructions, `LDG.E.128.CONSTANT`, without padding."""
    return [name for name, _ in INSTRUCTION.findall(listing(cubin)) if name != "NOP"]


def registers(cubin: bytes) -> int:
    """How many registers a thread has: the most of any function of the cubin."""
    return max(int(count, 16) for _, count in REGISTERS.findall(listing(cubin)))
