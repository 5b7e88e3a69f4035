"""Notes on the disk about uploads under way, for those who come after a process that was killed.

Each note is a file that its process keeps locked. A note whose lock can be had belongs to nobody any more; the kernel
sees to that, however the process ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SUFFIX = ".upload"


@dataclass(frozen=True, slots=True)
class Mark:
    """A note that this process has locked."""

    path: Path
    descriptor: int
    key: str
    upload_id: str

    def drop(self) -> None:
        """The upload is no more: it was completed or aborted."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)

    def leave(self) -> None:
        """The upload is left to whoever looks next."""
        os.close(self.descriptor)


class Marks:
    """The notes about one bucket (named with its server) in one directory."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self._folder = folder
        self._bucket = bucket

    def make(self, key: str, upload_id: str) -> Mark:
        """Note an upload.

        Raises:
            OSError: the disk is full.
        """
        path = self._folder / f"{uuid.uuid4().hex}{_SUFFIX}"
        early = path.with_suffix(".new")
        descriptor = os.open(early, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps({"bucket": self._bucket, "key": key, "upload_id": upload_id}).encode())
            early.rename(path)  # nobody sees it before it is locked
        except OSError:
            Mark(early, descriptor, key, upload_id).drop()
            raise
        return Mark(path, descriptor, key, upload_id)

    def orphans(self) -> Iterator[Mark]:
        """Notes of this bucket that nobody holds; each is locked for the caller, who drops or leaves it."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            mark = self._locked(path)
            if mark is not None:
                yield mark

    def _locked(self, path: Path) -> Mark | None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note = json.loads(os.read(descriptor, 1 << 14))
            if os.fstat(descriptor).st_nlink and note["bucket"] == self._bucket:
                return Mark(path, descriptor, note["key"], note["upload_id"])
        except (BlockingIOError, ValueError, KeyError):
            pass
        os.close(descriptor)
        return None
