"""Data sets for the examples: MNIST's idx files, else scikit-learn's bundled digits; mini-batches;
a text to learn.

    data = find()                                  # GRAPHC_DATA, else the digits
    for images, labels in batches(data.train_images, data.train_labels, 128, seed=epoch):
        ...

Invariant: nothing is downloaded, and nothing here knows about graphs.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np

from graphc.config import data_dir
from graphc.errors import GraphcError, user_location

__all__ = ["Digits", "batches", "digits", "find", "find_text", "load_mnist", "read_idx"]

Array = np.ndarray[Any, Any]

# The element types of the idx format (yann.lecun.com/exdb/mnist), most significant byte first.
IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_RANK = 32
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True, eq=False)
class Digits:
    """Images as f32 rows in [0, 1], labels as i64 in [0, 10)."""

    name: str
    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array

    @property
    def features(self) -> int:
        """The pixels of an image."""
        return int(self.train_images.shape[1])


def find(directory: str | Path | None = None) -> Digits:
    """MNIST from `directory` (default: what GRAPHC_DATA names), else the digits of scikit-learn.

    Raises `GraphcError` for a directory without the four idx files, and where neither is there.
    """
    chosen = Path(directory) if directory is not None else data_dir()
    return digits() if chosen is None else load_mnist(chosen)


def load_mnist(directory: str | Path) -> Digits:
    """MNIST from its four idx files, each plain or `.gz`.  Raises `GraphcError` with the file."""
    folder = Path(directory)
    train_images, train_labels, test_images, test_labels = (
        read_idx(_existing(folder, name)) for name in MNIST_FILES
    )
    return Digits(
        "MNIST",
        *_checked(folder / MNIST_FILES[0], train_images, train_labels),
        *_checked(folder / MNIST_FILES[2], test_images, test_labels),
    )


def digits() -> Digits:
    """The 1797 digits of 8 x 8 pixels that scikit-learn brings along: every fifth is for testing.

    >>> digits().features
    64
    """
    try:
        from sklearn.datasets import load_digits  # a second's import, and an optional package
    except ImportError:
        raise GraphcError(
            "data: there is no data set: give a directory with MNIST's idx files (--data DIR, or "
            "the environment variable GRAPHC_DATA), or pip install scikit-learn for its digits",
            user_location(),
        ) from None
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16.0).astype(np.float32)
    labels = labels.astype(np.int64)
    test = np.arange(len(images)) % 5 == 4
    return Digits("digits", images[~test], labels[~test], images[test], labels[test])


def find_text(path: str | Path | None = None) -> tuple[str, str]:
    """(name, text): a file, else tiny-shakespeare beside or below what GRAPHC_DATA names, else the
    manual of Python that Python brings along.  Raises `GraphcError` for a file it cannot read.

    >>> name, text = find_text()
    >>> len(text) > 100_000
    True
    """
    folder = data_dir()
    if path is not None:
        return Path(path).name, _content(Path(path)).decode(errors="replace")
    for near in [] if folder is None else [folder, folder.parent]:
        found = near / "tinyshakespeare" / "input.txt"
        if found.is_file():
            return "tiny-shakespeare", _content(found).decode(errors="replace")
    return "Python's manual", "\n".join(topics[name] for name in sorted(topics))


def batches(x: Array, y: Array, size: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """All rows of x and y once, shuffled by `seed`, `size` at a time; the last may be fewer.

    >>> [rows.tolist() for rows, _ in batches(np.arange(5), np.arange(5), 2, seed=0)]
    [[2, 4], [3, 0], [1]]
    """
    if size < 1:
        raise GraphcError(f"batches: size is {size}; expected at least 1", user_location())
    if len(x) != len(y):
        raise GraphcError(f"batches: x has {len(x)} rows, y has {len(y)}", user_location())
    return _batches(x, y, size, seed)


def _batches(x: Array, y: Array, size: int, seed: int) -> Iterator[tuple[Array, Array]]:
    order = np.random.default_rng(seed).permutation(len(x))
    for start in range(0, len(x), size):
        rows = order[start : start + size]
        yield x[rows], y[rows]


def read_idx(path: str | Path) -> Array:
    """The array of an idx file, decompressed if its name ends in `.gz`.  Raises `GraphcError`."""
    path = Path(path)
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        shown = content[:4].hex(" ") or "nothing"
        raise _bad(path, f"is no idx file: it starts with {shown}, expected 00 00 TYPE RANK")
    rank, dtype = content[3], np.dtype(IDX_TYPES[content[2]])
    start = 4 + 4 * rank
    if rank > MAX_RANK:
        raise _bad(path, f"has rank {rank}; expected at most {MAX_RANK}")
    if len(content) < start:
        problem = f"ends inside its header: {len(content)} bytes, its rank {rank} needs {start}"
        raise _bad(path, problem)
    shape = struct.unpack(f">{rank}I", content[4:start])
    needed, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if found != needed:
        raise _bad(path, f"holds {found} bytes of data; its shape {list(shape)} needs {needed}")
    array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise _bad(path, f"cannot be read: {reason}") from None


def _existing(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise GraphcError(
        f"data: {folder} has neither {name} nor {name}.gz; expected the four idx files of MNIST",
        user_location(),
    )


def _checked(path: Path, images: Array, labels: Array) -> tuple[Array, Array]:
    """Images as rows in [0, 1] and labels, if they belong together."""
    if images.ndim != 3 or labels.ndim != 1 or images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise _bad(
            path,
            f"and its labels have the types {_type(images)} and {_type(labels)}; "
            "expected u8[n,rows,columns] and u8[n]",
        )
    if len(images) != len(labels):
        raise _bad(path, f"holds {len(images)} images, but there are {len(labels)} labels")
    if labels.size and labels.max() > 9:
        raise _bad(path, f"is labelled with {labels.max()}; expected labels from 0 to 9")
    rows = images.reshape(len(images), math.prod(images.shape[1:]))
    return rows.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _type(array: Array) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _bad(path: Path, problem: str) -> GraphcError:
    return GraphcError(f"data: {path} {problem}", user_location())
