"""A direct connection of the supervisor's: one body at a time; one that was lost is opened again by the next body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from core.queue.queue import LOST, QueueUnavailable
from utils.db import connect

T = TypeVar("T")

STALLED_S = 10.0
"""A supervisor that is stopped or cut off between two statements of a transaction keeps its locks no longer."""

END_WHEN_STALLED = "select set_config('idle_in_transaction_session_timeout', $1, false)"


class ServerSession:
    """Opened when it is first wanted. ``name`` shows in pg_stat_activity."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._conn: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    async def fetch(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement.

        Raises:
            QueueUnavailable: as ``run``.
        """
        return list(await self.run(lambda conn: conn.fetch(statement, *args)))

    async def run(self, body: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run one body on the connection, when those before it have ended.

        Raises:
            QueueUnavailable: the database cannot be reached now.
        """
        async with self._lock:
            try:
                return await body(await self._opened())
            except LOST as error:
                self.drop()
                raise QueueUnavailable(type(error).__name__) from error
            except asyncpg.DeadlockDetectedError as error:
                raise QueueUnavailable(type(error).__name__) from error

    def drop(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.terminate()
            self._conn = None

    async def _opened(self) -> asyncpg.Connection:
        if self._conn is None or self._conn.is_closed():
            self._conn = await connect(self._url, name=self._name)
            await self._conn.execute(END_WHEN_STALLED, f"{round(STALLED_S * 1000)}ms")
        return self._conn
