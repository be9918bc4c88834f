"""The cache of machine code on disk, the hashes in its file names, and the statistics of builds.

A kernel's name is a hash of its text and of the files of graphc that decide what the text becomes
(`hash_of`).  So a change of such a file never meets machine code that the old file made.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import importlib.util
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphc.codegen.private_folder import SEAL_BYTES, PrivateFolder, RefusedError

PACKAGE = Path(__file__).parents[1]
MAGIC, OLD_MAGIC = b"graphc-object-2\n", b"graphc-object-1\n"
MAX_BYTES = 1 << 30  # of object files in one folder
SHRINK_ONE_IN = 16  # writes, chosen by the name: a look at all files is too much for each


def hash_of(sources: Sequence[str], *parts: str, root: Path = PACKAGE) -> bytes:
    """A hash of `parts` and of Python files: `sources` are files and whole folders below graphc/.
    Raises `FileNotFoundError` for a file or folder that is not there."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    for path in files_of(sources, root):
        name = path.relative_to(root).as_posix()
        digest.update(repr((name, path.read_bytes())).encode())
    return digest.digest()


def front_end() -> str:
    """What types a source and lowers it: numba of some version, from the byte code of some Python.
    A warm start imports neither numba nor `importlib.metadata`, so the version is read from the
    file where numba keeps it."""
    spec = importlib.util.find_spec("numba")
    numba = Path(spec.origin).parent / "_version.py" if spec and spec.origin else None
    if numba is not None and numba.is_file():
        version = numba.read_text(encoding="utf-8")
    else:
        from importlib import metadata

        version = metadata.version("numba")
    return repr((version, sys.implementation.cache_tag))


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
    """Object files in a private folder, one for each kernel.  A folder that others can write to is
    not used; a file that this user has not written, or that is damaged, is as if it were absent.
    Either gives a warning.  The oldest kernels go when there are more than `most` bytes of them."""

    directory: Path
    most: int = MAX_BYTES

    def read(self, symbol: str) -> bytes | None:
        """The object code, or None if it is absent, damaged or not to be trusted."""
        name = f"{symbol}.o"
        raw = self.kept(name)
        if raw is None or raw.startswith(OLD_MAGIC):
            return None
        head, data = raw[: len(MAGIC) + SEAL_BYTES], raw[len(MAGIC) + SEAL_BYTES :]
        try:
            with PrivateFolder(self.directory, make=False) as folder:
                if hmac.compare_digest(head, MAGIC + folder.seal(name, data)):
                    return data
        except RefusedError as error:
            _warn_once(f"the kernel cache is not used: {error}")
            return None
        except FileNotFoundError:  # no key, so nothing that this user wrote
            pass
        _warn(f"the cached kernel {self.directory / name} is damaged; compiling it again")
        return None

    def write(self, symbol: str, data: bytes) -> None:
        """Keeps object code under a symbol."""
        name = f"{symbol}.o"
        with self._warning(), PrivateFolder(self.directory, make=True) as folder:
            folder.write(name, MAGIC + folder.seal_for_writing(name, data) + data)
            if zlib.crc32(name.encode()) % SHRINK_ONE_IN == 0:
                folder.shrink(".o", self.most)

    def kept(self, name: str) -> bytes | None:
        """The content of a file; None if it cannot be read."""
        try:
            with PrivateFolder(self.directory, make=False) as folder:
                return folder.read(name)
        except RefusedError as error:
            _warn_once(f"the kernel cache is not used: {error}")
        except OSError:  # absent, most often; where the folder is at fault, writing says so
            pass
        return None

    def keep(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all; only warns if the cache cannot be written."""
        with self._warning(), PrivateFolder(self.directory, make=True) as folder:
            folder.write(name, data)

    @contextlib.contextmanager
    def _warning(self) -> Iterator[None]:
        """Within the block, an `OSError` becomes a warning: kernels are compiled in any case."""
        try:
            yield
        except RefusedError as error:
            _warn_once(f"the kernel cache is not used: {error}")
        except OSError as error:
            _warn(f"cannot write the kernel cache {self.directory}: {error}")


@functools.cache
def _warn_once(text: str) -> None:
    # Python's own memory of what it has shown does not last: numba's import clears it.
    _warn(text)


def _warn(text: str) -> None:
    warnings.warn(f"graphc: {text}", stacklevel=1)
