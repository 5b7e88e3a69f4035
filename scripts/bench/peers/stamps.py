"""When each job of a peer began: a file a process, mapped into memory, so that noting costs no system call.

Nothing here needs more than the standard library: it is read by Beat's bench and written in the peers' environment.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
import threading
import time
from pathlib import Path

VARIABLE = "BENCH_STAMPS"
CAPACITY = 500_000
_HEAD, _ENTRY = struct.Struct("q"), struct.Struct("qq")


class Stamps:
    """The file of this process: how many entries, then (number of the job, clock in nanoseconds) each."""

    def __init__(self, path: Path) -> None:
        with path.open("wb+") as file:
            file.truncate(_HEAD.size + _ENTRY.size * CAPACITY)
            self._map = mmap.mmap(file.fileno(), 0)
        self._count = 0
        self._lock = threading.Lock()  # some peers run jobs in threads

    def mark(self, job: int) -> None:
        """The job's first line is reached."""
        now = time.time_ns()
        with self._lock:
            _ENTRY.pack_into(self._map, _HEAD.size + _ENTRY.size * self._count, job, now)
            self._count += 1
            _HEAD.pack_into(self._map, 0, self._count)


_MAKING = threading.Lock()
"""The first jobs of a process may begin in several threads at once. A cache alone would let each make the file anew,
and what one had noted in it before the next truncated it would be missed for ever."""


@functools.cache
def _own(_pid: int) -> Stamps:
    return Stamps(Path(os.environ[VARIABLE], str(os.getpid())))


def mark(job: int) -> None:
    """Note the beginning of a job in this process's file."""
    with _MAKING:
        own = _own(os.getpid())
    own.mark(job)


def count(folder: Path) -> int:
    """Jobs begun so far, in all processes."""
    return sum(_count(path) for path in folder.iterdir())


def read(folder: Path) -> list[list[tuple[int, int]]]:
    """The entries of each process that began any."""
    found = []
    for path in folder.iterdir():
        data = path.read_bytes()[_HEAD.size : _HEAD.size + _ENTRY.size * _count(path)]
        found.append(list(_ENTRY.iter_unpack(data)))
    return [entries for entries in found if entries]


def _count(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
    return int(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else 0
