"""Copies between NumPy arrays and a GPU, through pinned memory, which is kept for later copies.

The GPU reads and writes pinned memory by itself, at the link's speed.  Several pieces are used in
turn: while some are being copied, the host fills or empties the next, and the feeds of a run need
not wait for the run before.  Not yet run on a GPU.
"""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.runtime.cuda.driver import Toolkit
from graphc.runtime.device.protocol import MemorySpan

PIECE_COUNT = 8  # pieces of pinned memory, used in turn
MIN_PIECE_BYTES = 1 << 16  # pieces grow from here, as copies need it
MAX_PIECE_BYTES = 8 << 20


class PinnedPiece:
    """A piece of pinned memory, and the event after which it is free."""

    def __init__(self, resource: Any, nbytes: int, device: Any) -> None:
        self.buffer = resource.allocate(nbytes)
        self.address, self.nbytes = int(self.buffer.handle), nbytes
        self.free = device.create_event()
        self.bytes: Array = np.ctypeslib.as_array(
            (ctypes.c_uint8 * nbytes).from_address(self.address)
        )


class Staging:
    """The pinned pieces of one device and stream."""

    def __init__(self, toolkit: Toolkit, device: Any, stream: Any) -> None:
        self.toolkit, self.device, self.stream = toolkit, device, stream
        # not the stream-ordered PinnedMemoryResource: its host pools are not on every system
        self.resource = toolkit.core.LegacyPinnedMemoryResource()
        self.pieces: deque[PinnedPiece] = deque()

    def upload(self, target: MemorySpan, source: Array) -> None:
        """Copies an array's bytes; the array may change when it returns."""
        data = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
        for start, stop in self._parts(target.nbytes):
            piece = self._next()
            piece.bytes[: stop - start] = data[start:stop]
            self._move(target.address + start, piece.address, stop - start)
            self.stream.record(piece.free)

    def download(self, target: Array, source: MemorySpan) -> None:
        """Copies bytes into a contiguous array, and waits for them."""
        data = target.reshape(-1).view(np.uint8)
        pending: deque[tuple[PinnedPiece, Array]] = deque()
        for start, stop in self._parts(source.nbytes):
            if len(pending) == PIECE_COUNT:
                _arrive(*pending.popleft())
            piece = self._next()
            self._move(piece.address, source.address + start, stop - start)
            self.stream.record(piece.free)
            pending.append((piece, data[start:stop]))
        while pending:
            _arrive(*pending.popleft())

    def _parts(self, nbytes: int) -> list[tuple[int, int]]:
        """The ranges of bytes that pieces take; replaces pieces that are too small."""
        if not nbytes:
            return []
        wanted = min(MAX_PIECE_BYTES, max(MIN_PIECE_BYTES, 1 << (nbytes - 1).bit_length()))
        if not self.pieces or self.pieces[0].nbytes < wanted:
            for piece in self.pieces:
                piece.free.sync()
            pieces = [PinnedPiece(self.resource, wanted, self.device) for _ in range(PIECE_COUNT)]
            self.pieces = deque(pieces)
        size = self.pieces[0].nbytes
        return [(k, min(k + size, nbytes)) for k in range(0, nbytes, size)]

    def _next(self) -> PinnedPiece:
        """The least recently used piece; waits until it is free."""
        piece = self.pieces[0]
        self.pieces.rotate(-1)
        piece.free.sync()
        return piece

    def _move(self, target: int, source: int, nbytes: int) -> None:
        views = [self.toolkit.core.Buffer.from_handle(at, nbytes) for at in (target, source)]
        views[0].copy_from(views[1], stream=self.stream)


def _arrive(piece: PinnedPiece, into: Array) -> None:
    """Waits for a piece's copy, then takes its bytes out."""
    piece.free.sync()
    into[...] = piece.bytes[: len(into)]
