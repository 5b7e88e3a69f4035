"""Bodies on their way: small ones in memory, larger ones in files without a name, which end with the process."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections import deque
from pathlib import Path
from typing import IO

from core.client.sniff import ENOUGH

SMALL = 1 << 20
"""Bytes up to which a body stays in memory."""

_BATCH = 256 << 10


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
        self._file: IO[bytes] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._batch: list[bytes] = []
        self._batched = 0
        self._budget: DiskBudget | None = None
        self._room = 0

    @property
    def room(self) -> int:
        """Bytes on the disk that are taken for it."""
        return self._room

    def hold(self, budget: DiskBudget, size: int) -> None:
        """Room was taken for it: it is given back when the body is closed."""
        self._budget, self._room = budget, size

    def spill(self, folder: Path) -> None:
        """Go on in a file.

        Raises:
            OSError: the disk is full, or the directory cannot be written.
        """
        assert self.memory is not None
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - lives as long as the body
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
        if self._batched >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered.

        Raises:
            OSError: the disk is full.
        """
        if self._file is not None and self._batch:
            batch, self._batch, self._batched = self._batch, [], 0
            self._writing = asyncio.ensure_future(asyncio.to_thread(_write_all, self._file, batch))
            await asyncio.shield(self._writing)

    def open(self) -> IO[bytes]:
        """The bytes as a file to read; it belongs to the body."""
        return io.BytesIO(self.memory) if self._file is None else self._file

    def close(self) -> None:
        """Let go of file and room; again is no error."""
        self.memory = None
        self._batch = []
        if self._file is not None:
            self._close_file(self._file)
            self._file = None
        if self._budget is not None:
            self._budget.give(self._room)
            self._budget = None

    def _close_file(self, file: IO[bytes]) -> None:
        """A cancelled write goes on in its thread: a file closed under it could give its number to a socket."""
        if self._writing is None or self._writing.done():
            file.close()
        else:
            self._writing.add_done_callback(lambda done: (done.exception(), file.close()))


def _write_all(file: IO[bytes], parts: list[bytes]) -> None:
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[file.write(view) :]
