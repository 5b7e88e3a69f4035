"""Connections for single statements, each a transaction of its own: no session, no BEGIN and COMMIT around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

RECYCLE_S = 1800.0
"""A connection older than this is replaced, so that a pooler that was moved is left one day."""


@dataclass(slots=True)
class _Kept:
    driver: asyncpg.Connection
    since: float


class StatementPool:
    """At most ``size`` connections, opened when they are wanted; of the idle ones the last used goes first.

    Works through a transaction pooler: statements have no names. A connection is wanted for one statement only, so
    that callers wait for each other and never in a circle, at most ``wait_s`` if that is given. ``show`` is told each
    statement without its parameters.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        connect: dict[str, Any],
        show: Callable[[str], None],
        wait_s: float | None = None,
    ) -> None:
        self._url = url
        self._wait_s = wait_s
        self._show = show
        self._connect = connect
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Kept] = []
        self._closed = False

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement and give its rows; parameters are ``$1``, ``$2``, ..., and jsonb is text.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: it failed. A connection that broke, or a caller that
                was cancelled, leaves it open whether the statement took effect.
            TimeoutError: no connection came free in time.
        """
        self._show(statement)
        async with asyncio.timeout(self._wait_s):
            await self._free.acquire()
        try:
            kept = self._take() or _Kept(await asyncpg.connect(self._url, **self._connect), time.monotonic())
            clean = False
            try:
                rows = await kept.driver.fetch(statement, *values)
                clean = True
            except asyncpg.PostgresError:
                clean = True  # the server has ended the transaction
                raise
            finally:
                self._give(kept, clean=clean)
            return rows
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Close what is idle, and what is in use when it comes back."""
        self._closed = True
        for kept in self._idle:
            kept.driver.terminate()
        self._idle.clear()

    def _take(self) -> _Kept | None:
        oldest = time.monotonic() - RECYCLE_S
        while self._idle:
            kept = self._idle.pop()
            if not kept.driver.is_closed() and kept.since > oldest:
                return kept
            kept.driver.terminate()
        return None

    def _give(self, kept: _Kept, *, clean: bool) -> None:
        if clean and not self._closed and not kept.driver.is_closed():
            self._idle.append(kept)
        else:
            kept.driver.terminate()  # what it has still to say is for nobody
