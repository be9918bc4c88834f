"""Copies between NumPy arrays and a GPU, by way of pinned memory, which is kept.

The GPU reads and writes pinned memory by itself, at the link's speed.  There are two pieces: while
the one is on its way, the other is filled or emptied.  Not yet run on a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.runtime.cuda_driver import Toolkit
from graphc.runtime.device import Span

LEAST, MOST = 1 << 16, 32 << 20  # bytes of a piece: it grows from the one to the other


class Piece:
    """Pinned memory, and the event after which it is free."""

    def __init__(self, resource: Any, nbytes: int, device: Any) -> None:
        self.buffer = resource.allocate(nbytes)
        self.address, self.nbytes = int(self.buffer.handle), nbytes
        self.free = device.create_event()
        self.bytes: Array = np.ctypeslib.as_array(
            (ctypes.c_uint8 * nbytes).from_address(self.address)
        )


class Staging:
    """Two pinned pieces of one device and stream."""

    def __init__(self, toolkit: Toolkit, device: Any, stream: Any) -> None:
        self.toolkit, self.device, self.stream = toolkit, device, stream
        # not the stream-ordered PinnedMemoryResource: its host pools are not on every system
        self.resource = toolkit.core.LegacyPinnedMemoryResource()
        self.pieces: list[Piece] = []

    def upload(self, target: Span, source: Array) -> None:
        """Copies an array's bytes; the array may change when it returns."""
        data = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
        for number, (start, stop) in enumerate(self._parts(target.nbytes)):
            piece = self.pieces[number % 2]
            piece.free.sync()
            piece.bytes[: stop - start] = data[start:stop]
            self._move(target.address + start, piece.address, stop - start)
            self.stream.record(piece.free)

    def download(self, target: Array, source: Span) -> None:
        """Copies bytes into a contiguous array; they are there when it returns."""
        data = target.reshape(-1).view(np.uint8)
        waiting: Callable[[], None] | None = None
        for number, (start, stop) in enumerate(self._parts(source.nbytes)):
            piece = self.pieces[number % 2]
            piece.free.sync()  # the last upload may still read it
            self._move(piece.address, source.address + start, stop - start)
            self.stream.record(piece.free)
            if waiting is not None:
                waiting()
            waiting = _emptying(piece, data[start:stop])
        if waiting is not None:
            waiting()

    def _parts(self, nbytes: int) -> list[tuple[int, int]]:
        """The bytes cut to pieces, which are made large enough."""
        if not nbytes:
            return []
        wanted = min(MOST, max(LEAST, 1 << (nbytes - 1).bit_length()))
        if not self.pieces or self.pieces[0].nbytes < wanted:
            for piece in self.pieces:
                piece.free.sync()
            self.pieces = [Piece(self.resource, wanted, self.device) for _ in range(2)]
        size = self.pieces[0].nbytes
        return [(k, min(k + size, nbytes)) for k in range(0, nbytes, size)]

    def _move(self, target: int, source: int, nbytes: int) -> None:
        views = [self.toolkit.core.Buffer.from_handle(at, nbytes) for at in (target, source)]
        views[0].copy_from(views[1], stream=self.stream)


def _emptying(piece: Piece, into: Array) -> Callable[[], None]:
    def empty() -> None:
        piece.free.sync()
        into[...] = piece.bytes[: len(into)]

    return empty
