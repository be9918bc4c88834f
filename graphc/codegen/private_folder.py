"""A folder that only this user can write to: what lies there may be run.

All files are reached through the opened folder, after a look at its owner and mode, so that nobody
can put another folder in its place in between.  Files are written whole or not at all, for this
user alone.  `seal` is a checksum with a key that only this user can read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

KEY_FILE = "key"
KEY_BYTES = 32
SEAL_BYTES = 32
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
UNFINISHED = ".tmp"  # what a process that was killed may leave
MAX_AGE_OF_UNFINISHED = 3600.0  # seconds; then it is deleted
MARK_USE_AFTER = 86400.0  # seconds: how exactly a file's time tells when it was last used


class RefusedError(OSError):
    """A folder or file that others may have written."""


class PrivateFolder:
    """An open folder; made if it is not there and `make`.  Raises `OSError`, and `RefusedError`
    for a folder that is not this user's alone."""

    def __init__(self, path: Path, make: bool) -> None:
        if make:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _require_mine(str(path), os.fstat(self.fd))
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> PrivateFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)

    def read(self, name: str) -> bytes:
        """The bytes of a file.  Raises `OSError`, and `RefusedError` for another user's file."""
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        with os.fdopen(fd, "rb") as file:
            info = os.fstat(fd)
            _require_mine(str(self.path / name), info)
            if time.time() - info.st_mtime > MARK_USE_AFTER:
                os.utime(fd)
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all."""
        with self._unfinished(data) as temporary:
            os.replace(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    @contextlib.contextmanager
    def _unfinished(self, data: bytes) -> Iterator[str]:
        """A new file with this content, which does not outlive the block under its name."""
        name = f"{secrets.token_hex(8)}{UNFINISHED}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=self.fd)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):  # it has got its name
                os.unlink(name, dir_fd=self.fd)

    def seal(self, name: str, data: bytes) -> bytes:
        """A checksum of a file's name and content, which only this user can make.  Raises
        `FileNotFoundError` if there is no key yet, or a damaged one."""
        key = self.read(KEY_FILE)
        if len(key) != KEY_BYTES:
            raise FileNotFoundError(f"{self.path / KEY_FILE} is damaged")
        return _sealed(key, name, data)

    def seal_for_writing(self, name: str, data: bytes) -> bytes:
        """The same; makes the key if there is none, or a damaged one."""
        try:
            key, there = self.read(KEY_FILE), True
        except FileNotFoundError:
            key, there = b"", False
        if len(key) != KEY_BYTES:
            self._make_key(replace=there)
            key = self.read(KEY_FILE)
        return _sealed(key, name, data)

    def _make_key(self, replace: bool) -> None:
        with self._unfinished(secrets.token_bytes(KEY_BYTES)) as temporary:
            if replace:
                os.replace(temporary, KEY_FILE, src_dir_fd=self.fd, dst_dir_fd=self.fd)
                return
            with contextlib.suppress(FileExistsError):  # another process was faster: use its key
                os.link(temporary, KEY_FILE, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def shrink(self, suffix: str, most: int) -> None:
        """If the files of a suffix have more than `most` bytes, deletes the least recently used
        until a quarter of that is free.  Deletes old unfinished files, too."""
        kept, now = [], time.time()
        for entry in os.scandir(self.fd):
            with contextlib.suppress(FileNotFoundError):  # another process has deleted it
                info = entry.stat(follow_symlinks=False)
                if entry.name.endswith(suffix):
                    kept.append((info.st_mtime, info.st_size, entry.name))
                elif entry.name.endswith(UNFINISHED) and now - info.st_mtime > (
                    MAX_AGE_OF_UNFINISHED
                ):
                    os.unlink(entry.name, dir_fd=self.fd)
        total = sum(size for _, size, _ in kept)
        if total <= most:
            return
        for _, size, name in sorted(kept):
            if total <= most - most // 4:
                break
            total -= size
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.fd)


def _require_mine(path: str, info: os.stat_result) -> None:
    if info.st_uid != os.geteuid():
        raise RefusedError(f"{path} belongs to another user (uid {info.st_uid})")
    if info.st_mode & WRITABLE_BY_OTHERS:
        raise RefusedError(f"other users can write to {path}; forbid it: chmod go-w {path}")


def _sealed(key: bytes, name: str, data: bytes) -> bytes:
    return hashlib.blake2b(
        len(name).to_bytes(8, "little") + name.encode() + data, key=key, digest_size=SEAL_BYTES
    ).digest()
