"""A worker's process is named in the database, whatever the database is doing at that moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from core.queue.pool import Pool
from core.queue.queue import QueueUnavailable


class AwayOnce:
    """Upkeep whose database is away the first time."""

    def __init__(self) -> None:
        self.asked = 0
        self.names: dict[int, int] = {}

    async def name_worker(self, worker: int, pid: int) -> None:
        self.asked += 1
        if self.asked == 1:
            raise QueueUnavailable
        self.names[worker] = pid


async def test_a_process_is_named_once_the_database_is_back() -> None:
    pool, upkeep = object.__new__(Pool), AwayOnce()
    pool._upkeep = cast("Any", upkeep)
    await pool._named(cast("Any", SimpleNamespace(worker=7, pid=4711)))
    assert upkeep.names == {7: 4711}
