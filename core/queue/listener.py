"""The one LISTEN session of a host, which proves that it is alive by hearing itself."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable

import asyncpg
from loguru import logger

from utils.db import connect

SELF_CHANNEL = "beat_health"
SELF_S = 10.0
"""Seconds between notifications to itself; two missing ones reopen the connection."""


class QueueListener:
    """Calls ``on_work(flow)`` and ``on_cancel(worker, task_id)``; reconnects for ever, ``on_gap`` after each gap."""

    def __init__(
        self,
        url: str,
        on_work: Callable[[str], None],
        on_cancel: Callable[[int, int], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._url = url
        self._on_work = on_work
        self._on_cancel = on_cancel
        self._on_gap = on_gap
        self._me = uuid.uuid4().hex
        self._heard = True

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = 0.2
        while True:
            conn: asyncpg.Connection | None = None
            try:
                conn = await connect(self._url, name="beat listen")
                await self._subscribe(conn)
                self._on_gap()
                pause = 0.2
                await self._watch(conn)
            except Exception as error:  # noqa: BLE001 - a host that stopped listening would be late until its restart
                logger.bind(error=type(error).__name__, pause_s=pause).warning("listening was interrupted")
            finally:
                if conn is not None:
                    conn.terminate()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _subscribe(self, conn: asyncpg.Connection) -> None:
        await conn.add_listener("beat", lambda *args: self._on_work(args[3]))
        await conn.add_listener("beat_cancel", lambda *args: self._cancelled(args[3]))
        await conn.add_listener(SELF_CHANNEL, lambda *args: self._health(args[3]))

    async def _watch(self, conn: asyncpg.Connection) -> None:
        missed, self._heard = 0, True
        while missed < 2:
            missed = 0 if self._heard else missed + 1
            self._heard = False
            await conn.execute("select pg_notify($1, $2)", SELF_CHANNEL, self._me)
            await asyncio.sleep(SELF_S)
        logger.warning("listening went deaf: reconnecting")

    def _health(self, payload: str) -> None:
        self._heard = self._heard or payload == self._me

    def _cancelled(self, payload: str) -> None:
        worker, _, task_id = payload.partition(":")
        with contextlib.suppress(ValueError):
            self._on_cancel(int(worker), int(task_id))
