"""The cache of machine code on disk, the hashes in its file names, and the statistics of builds.

A kernel's name is a hash of its text and of the files of graphc that decide what the text becomes
(`hash_of`).  So a change of such a file never meets machine code that the old file made.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
MAGIC = b"graphc-object-1\n"


def hash_of(sources: Sequence[str], *parts: str, root: Path = PACKAGE) -> bytes:
    """A hash of `parts` and of Python files: `sources` are files and whole folders below graphc/.
    Raises `FileNotFoundError` for a file or folder that is not there."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    for path in files_of(sources, root):
        name = path.relative_to(root).as_posix()
        digest.update(repr((name, path.read_bytes())).encode())
    return digest.digest()


def files_of(sources: Sequence[str], root: Path = PACKAGE) -> Iterator[Path]:
    """The files that `hash_of` reads."""
    for source in sources:
        path = root / source
        inside = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"graphc: {path} holds no Python files")
        yield from inside


@dataclass
class Built:
    """Counts what building did."""

    compilations: int = 0
    cache_hits: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Cache:
    """Object files in a directory, one for each kernel: checked when read, written atomically."""

    directory: Path

    def read(self, symbol: str) -> bytes | None:
        """The object code, or None if it is absent or damaged (then a warning says so)."""
        path = self.directory / f"{symbol}.o"
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        head, data = raw[: len(MAGIC) + 16], raw[len(MAGIC) + 16 :]
        if head != MAGIC + _checksum(data):
            warnings.warn(
                f"graphc: the cached kernel {path} is damaged; compiling it again", stacklevel=2
            )
            return None
        return data

    def write(self, symbol: str, data: bytes) -> None:
        """Keeps object code under a symbol."""
        self.keep(f"{symbol}.o", MAGIC + _checksum(data) + data)

    def keep(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all; only warns if the cache cannot be written."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self.directory, suffix=".tmp")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, self.directory / name)
        except OSError as error:
            warnings.warn(
                f"graphc: cannot write the kernel cache {self.directory}: {error}", stacklevel=3
            )


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
