"""A temporary file without a name, and the ways in which it is read: as a file, and in pieces by whoever sends it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

PIECE = 512 << 10
"""Bytes that a thread reads or writes at a time: to hand over to one costs as much as to copy them."""

_MOST_PARTS = 512


class NamelessFile:
    """A temporary file for several threads: one that is still reading when it is closed gets an error, and not the
    bytes of whatever has its descriptor next."""

    def __init__(self, folder: Path) -> None:
        if not folder.exists():  # temporary directories are tidied up
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by the body
        self._lock = threading.Lock()
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was appended, in hex."""
        return self._digest.hexdigest()

    def append(self, parts: list[bytes]) -> None:
        """Write at the end.

        Raises:
            OSError: the disk is full.
        """
        left = [memoryview(part) for part in parts if part]
        with self._lock:
            while left:
                _skip(left, os.writev(self._file.fileno(), list(islice(left, _MOST_PARTS))))
        for part in parts:
            self._digest.update(part)

    def read(self, size: int, at: int) -> bytes:
        """Up to ``size`` bytes from this position on."""
        with self._lock:
            return os.pread(self._file.fileno(), size, at)

    def close(self) -> None:
        """Let go of the disk's room."""
        with self._lock:
            self._file.close()


def _skip(parts: list[memoryview], count: int) -> None:
    """Take ``count`` bytes off the front."""
    while parts and count >= len(parts[0]):
        count -= len(parts.pop(0))
    if count:
        parts[0] = parts[0][count:]


class Slice(io.RawIOBase):
    """A part of a file as a file, with a position of its own."""

    def __init__(self, file: NamelessFile, start: int, size: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position, from the start of the part."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position within the part."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes from the position on, all by default; ``RawIOBase`` would copy them twice."""
        left = self._size - self._at
        found = self._file.read(left if size is None or size < 0 else min(size, left), self._start + self._at)
        self._at += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, as far as the part goes."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class Pieces:
    """A part of a file for the SDK: it reads it as a file to hash it, and sends what the iteration gives.

    No ``IOBase``: of those aiohttp has 64 KiB at a time read by a thread, which costs more than to send them.
    """

    def __init__(self, file: NamelessFile, start: int, size: int) -> None:
        self._part = Slice(file, start, size)
        self._file = file
        self._start = start
        self._size = size

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from the position on, all by default."""
        return self._part.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position within the part."""
        return self._part.seek(offset, whence)

    def tell(self) -> int:
        """The position, from the start of the part."""
        return self._part.tell()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All of it, whatever the position."""
        for at in range(0, self._size, PIECE):
            yield await asyncio.to_thread(self._file.read, min(PIECE, self._size - at), self._start + at)
