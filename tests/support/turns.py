"""Whose turn it is when several processes share a run of the tests (pytest -n).

Ordinary tests run side by side; a test that is marked `alone` runs while no other one does, and those come last.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

ALONE = "alone"
STORMS = "tests/chaos"
"""One process takes them all, one after the other: each needs most of a small machine."""

LAST_FOLDERS = ("contract", "unit")
"""Many short tests: they come when the long ones have been given out, so that all processes end together."""


class Turns:
    """Two files that every process locks: the room is where tests run, and one who waits for all of it holds the door.

    Without the door a stream of ordinary tests, each coming before the last one leaves, would keep `alone` waiting.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._door = (directory / "turns.door").open("a")
        self._room = (directory / "turns.room").open("a")

    def close(self) -> None:
        """No more turns."""
        self._door.close()
        self._room.close()

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for this process's turn and keep it for the block; the kernel ends it when the process dies."""
        with _locked(self._door, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


@contextmanager
def _locked(file: IO[str], operation: int) -> Iterator[None]:
    fcntl.flock(file, operation)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests as several processes take them: long ones first, those that run alone last."""
    return sorted(items, key=_place)


def is_alone(item: pytest.Item) -> bool:
    """Whether nothing may run beside this test."""
    return item.get_closest_marker(ALONE) is not None


def share_of(test: str) -> str:
    """What goes to one process together: a file, whose fixtures are made once, or the storms. Takes a test's id."""
    return STORMS if test.startswith(f"{STORMS}/") else test.partition("::")[0]


def _place(item: pytest.Item) -> int:
    if is_alone(item):
        return len(LAST_FOLDERS) + 1
    folder = item.path.parent.name
    return LAST_FOLDERS.index(folder) + 1 if folder in LAST_FOLDERS else 0
