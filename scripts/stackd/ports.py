"""Blocks of twenty ports: one a checkout, remembered between runs, taken under a lock that all checkouts share."""

from __future__ import annotations

import fcntl
import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.stackd.errors import StackError
from scripts.stackd.layout import Layout

FIRST, LAST, SIZE = 20000, 31999, 20  # below 32768, where the kernel's ephemeral ports start
NAMES = ("postgres", "pgbouncer", "redis", "amqp", "dist", "epmd", "s3", "s3_account", "s3_container", "s3_object")
RESERVATIONS = Path("/tmp/beat-ports")  # noqa: S108 - shared by every user's checkouts on purpose


@dataclass(frozen=True)
class Ports:
    """A block of ports starting at `base`."""

    base: int

    def __getitem__(self, name: str) -> int:
        """Port of a server by its name in NAMES."""
        return self.base + NAMES.index(name)

    @property
    def spare(self) -> tuple[int, int]:
        """First and last port of the rest of the block, for short-lived Erlang tools."""
        return self.base + len(NAMES), self.base + SIZE - 1


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def remembered(layout: Layout) -> Ports | None:
    """The block this checkout used last."""
    try:
        return Ports(int((layout.home / "ports").read_text()))
    except (OSError, ValueError):
        return None


def reserve(layout: Layout) -> Ports:
    """Take a free block and remember it; a block stays taken while its checkout's `.stack/` exists."""
    blocks = range(FIRST, LAST + 1, SIZE)
    start = zlib.crc32(str(layout.home).encode()) % len(blocks)
    with _shared_lock():
        release(layout)
        for base in (*blocks[start:], *blocks[:start]):
            if _claimable(RESERVATIONS / str(base)) and all(map(is_free, range(base, base + SIZE))):
                (RESERVATIONS / str(base)).write_text(str(layout.home))
                (layout.home / "ports").write_text(str(base))
                return Ports(base)
    raise StackError(f"no free block of {SIZE} ports between {FIRST} and {LAST}")


def release(layout: Layout) -> None:
    """Give the block back and avoid it this time: somebody else sits on it, or the data is purged."""
    known = remembered(layout)
    if known is not None:
        mark = RESERVATIONS / str(known.base)
        with suppress(OSError):
            if mark.read_text() == str(layout.home):
                mark.unlink()
        (layout.home / "ports").unlink()


def _claimable(mark: Path) -> bool:
    """Whether a block is unreserved, or its checkout is gone and its mark can be removed."""
    try:
        if Path(mark.read_text()).exists():
            return False
        mark.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _shared_lock() -> Iterator[None]:
    """Hold the lock that checkouts of all users share (an existing lock of another user is opened without O_CREAT:
    the kernel forbids creating over foreign files in sticky directories)."""
    with suppress(FileExistsError):
        RESERVATIONS.mkdir(mode=0o777)
        RESERVATIONS.chmod(0o1777)
    path = RESERVATIONS / "lock"
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o644))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
