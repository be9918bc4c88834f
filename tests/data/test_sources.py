"""Data files: what is read, how wrong ones are reported, how batches are drawn."""

from __future__ import annotations

import builtins
import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import data
from graphc.data import sources
from graphc.errors import GraphcError


def idx(array: Any, code: int = 0x08) -> bytes:
    """An idx file's bytes."""
    array = np.asarray(array)
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + shape + array.tobytes()


def write_mnist(folder: Path, packed: bool, train: int = 6, test: int = 2) -> None:
    rng = np.random.default_rng(0)
    for name, count in zip(sources.MNIST_FILES, (train, train, test, test), strict=True):
        shape = (count, 4, 3) if "images" in name else (count,)
        content = idx(rng.integers(0, 10, shape).astype(np.uint8))
        path = folder / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_plain_or_compressed(tmp_path: Path, packed: bool) -> None:
    write_mnist(tmp_path, packed)
    found = data.find(tmp_path)
    assert found.name == "MNIST" and found.features == 12
    assert found.train_images.shape == (6, 12) and found.test_images.shape == (2, 12)
    assert found.train_images.dtype == np.float32 and found.train_labels.dtype == np.int64
    raw = data.read_idx(tmp_path / (sources.MNIST_FILES[0] + (".gz" if packed else "")))
    np.testing.assert_array_equal(found.train_images, raw.reshape(6, 12) / np.float32(255))


@pytest.mark.parametrize(
    "code, dtype",
    [
        (8, "u1"),
        (9, "i1"),
        (11, ">i2"),
        (12, ">i4"),
        (13, ">f4"),
        (14, ">f8"),
    ],
)
def test_idx_types(tmp_path: Path, code: int, dtype: str) -> None:
    array = np.arange(-3, 3).reshape(2, 3).astype(dtype)
    path = tmp_path / "x"
    path.write_bytes(idx(array, code))
    found = data.read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative


GOOD = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "no idx file: it starts with nothing"),
        (b"\0\0", "no idx file: it starts with 00 00"),
        (b"PK\3\4rest", "no idx file: it starts with 50 4b 03 04"),
        (b"\0\0\x07\1\0\0\0\1a", "no idx file"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"a", "has rank 255; expected at most 32"),
        (GOOD[:9], "ends inside its header: 9 bytes, its rank 2 needs 12"),
        (GOOD[:-1], r"holds 5 bytes of data; its shape \[2, 3\] needs 6"),
        (GOOD + b"x", r"holds 7 bytes of data; its shape \[2, 3\] needs 6"),
        (b"\0\0\x08\3" + b"\xff" * 12, "holds 0 bytes of data"),
    ],
)
def test_malformed_idx_names_file_and_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "broken-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(GraphcError, match="broken-idx3-ubyte.*" + problem):
        data.read_idx(path)


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        b"",
        gzip.compress(GOOD, mtime=0)[:-9],
        gzip.compress(GOOD, mtime=0)[:12],
        gzip.compress(GOOD, mtime=0)[:14] + b"\xff" * 20,
    ],
)
def test_malformed_gzip_names_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(GraphcError, match=r"broken\.gz"):
        data.read_idx(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(GraphcError, match="has neither train-images-idx3-ubyte nor"):
        data.load_mnist(tmp_path)
    with pytest.raises(GraphcError, match="nothing-here cannot be read: No such file"):
        data.read_idx(tmp_path / "nothing-here")


def test_images_and_labels_must_belong_together(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=False)
    labels = tmp_path / sources.MNIST_FILES[1]
    labels.write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(GraphcError, match="holds 6 images, but there are 5 labels"):
        data.load_mnist(tmp_path)
    labels.write_bytes(idx(np.full(6, 11, np.uint8)))
    with pytest.raises(GraphcError, match="is labelled with 11"):
        data.load_mnist(tmp_path)
    labels.write_bytes(idx(np.zeros((6, 1), np.uint8)))
    with pytest.raises(GraphcError, match=r"expected u8\[n,rows,columns\] and u8\[n\]"):
        data.load_mnist(tmp_path)


def test_digits_split() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn brings the digits")
    found = data.digits()
    assert found.features == 64 and len(found.train_images) + len(found.test_images) == 1797
    assert found.train_images.min() == 0.0 and found.train_images.max() == 1.0
    assert set(found.test_labels.tolist()) == set(range(10))


def test_find_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, packed=True)
    monkeypatch.setenv("GRAPHC_DATA", str(tmp_path))
    assert data.find().name == "MNIST"
    monkeypatch.setenv("GRAPHC_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(GraphcError, match="elsewhere has neither"):
        data.find()


def test_without_sklearn_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_sklearn(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delenv("GRAPHC_DATA", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_sklearn)
    with pytest.raises(GraphcError, match=r"--data DIR.*GRAPHC_DATA.*pip install scikit-learn"):
        data.find()


def test_batches_hold_every_row_once_in_an_order_of_the_seed() -> None:
    x = np.arange(103, dtype=np.float32)[:, None]
    y = np.arange(103)
    made = list(data.batches(x, y, 25, seed=3))
    assert [len(rows) for rows, _ in made] == [25, 25, 25, 25, 3]
    assert all((rows[:, 0] == labels).all() for rows, labels in made)
    order = np.concatenate([labels for _, labels in made])
    np.testing.assert_array_equal(np.sort(order), y)
    again = np.concatenate([labels for _, labels in data.batches(x, y, 25, seed=3)])
    other = np.concatenate([labels for _, labels in data.batches(x, y, 25, seed=4)])
    np.testing.assert_array_equal(order, again)
    assert (order != other).any()


def test_batches_check_their_arguments_at_once() -> None:
    x = np.zeros((4, 2))
    with pytest.raises(GraphcError, match="size is 0"):
        data.batches(x, np.zeros(4), 0, seed=0)
    with pytest.raises(GraphcError, match="x has 4 rows, y has 3"):
        data.batches(x, np.zeros(3), 2, seed=0)
    assert list(data.batches(x[:0], np.zeros(0), 2, seed=0)) == []
