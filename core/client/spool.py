"""Bodies on their way: small ones in memory, larger ones in files without a name, which end with the process."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from pathlib import Path
from typing import IO, cast

from core.client.nameless import PIECE, NamelessFile, Pieces, Slice
from core.client.sniff import ENOUGH

SMALL = 1 << 20
"""Bytes up to which a body stays in memory."""


class DiskBudget:
    """Bytes that the large files of a process may take at a time; who finds no room waits in turn."""

    def __init__(self, total: int) -> None:
        self._left = self._total = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes in use."""
        return self._total - self._left

    def try_take(self, size: int) -> bool:
        """Take room if nobody waits and there is some."""
        if self._waiting or size > self._left:
            return False
        self._left -= size
        return True

    async def take(self, size: int) -> None:
        """Wait for room. ``size`` is at most the whole budget: the settings see to that."""
        if self.try_take(size):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self._serve()
            raise

    def give(self, size: int) -> None:
        """Return room."""
        self._left += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._left -= size
                turn.set_result(None)


class Body:
    """A file that has arrived, whole or in part. Close it: it may hold room on the disk."""

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self.memory: bytearray | None = bytearray()
        self._file: NamelessFile | None = None
        self._batch: list[bytes] = []
        self._batched = 0
        self._budget: DiskBudget | None = None
        self._room = 0

    @property
    def room(self) -> int:
        """Bytes on the disk that are taken for it."""
        return self._room

    @property
    def sha256(self) -> str:
        """Of a file, in hex: computed while it was written. Bodies in memory have it from being signed."""
        assert self._file is not None
        return self._file.sha256

    def hold(self, budget: DiskBudget, size: int) -> None:
        """Room was taken for it: it is given back when the body is closed."""
        self._budget, self._room = budget, size

    def spill(self, folder: Path) -> None:
        """Go on in a file.

        Raises:
            OSError: the directory cannot be written.
        """
        assert self.memory is not None
        self._file = NamelessFile(folder)
        self._batch, self._batched, self.memory = [bytes(self.memory)], self.size, None

    async def write(self, chunk: bytes) -> None:
        """Append.

        Raises:
            OSError: the disk is full.
        """
        if len(self.head) < ENOUGH:
            self.head += chunk[:ENOUGH]
        self.size += len(chunk)
        if self.memory is not None:
            self.memory += chunk
            return
        self._batch.append(chunk)
        self._batched += len(chunk)
        if self._batched >= PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered.

        Raises:
            OSError: the disk is full.
        """
        if self._file is not None and self._batch:
            batch, self._batch, self._batched = self._batch, [], 0
            await asyncio.to_thread(self._file.append, batch)

    def open(self, start: int = 0, length: int | None = None) -> IO[bytes]:
        """A part of the bytes, all by default, as a file to read, with a position of its own."""
        size = self.size - start if length is None else min(length, self.size - start)
        if self._file is not None:
            return cast(IO[bytes], Slice(self._file, start, size))
        return io.BytesIO(memoryview(self.memory or b"")[start : start + size])

    def pieces(self, start: int = 0, length: int | None = None) -> Pieces:
        """A part of the bytes of a file, all by default, to be sent."""
        assert self._file is not None
        return Pieces(self._file, start, self.size - start if length is None else min(length, self.size - start))

    def close(self) -> None:
        """Let go of file and room; again is no error."""
        self.memory = None
        self._batch = []
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._budget is not None:
            self._budget.give(self._room)
            self._budget = None
