"""Events about requests to data providers, one for each exchange on the wire, secrets masked."""

from __future__ import annotations

import random
import socket
from datetime import datetime
from typing import TYPE_CHECKING

from loguru import logger

from core.amqp import outbox
from core.amqp.events import trace_event
from utils.one_at_a_time import OneAtATime
from utils.paced import Paced
from utils.times import utc_now

if TYPE_CHECKING:
    from utils.db import Database
    from utils.request import Exchange

HAND_ON_S = 1.0
MOST_WAITING = 5_000
"""Beyond these, while the database is slow, further ones are dropped."""

SETTLE_S = 5.0
"""Longest that the end of the process waits for the database."""


class TraceLog:
    """Puts a part of all exchanges, ``share`` from 0 to 1, into the outbox, those of a second at a time.

    Observes only: no task waits for it and none fails with it. What it holds is lost when the process is killed or the
    database is away.
    """

    def __init__(self, database: Database, share: float) -> None:
        self._database = database
        self._share = share
        self._host = socket.gethostname()
        self._waiting: list[tuple[datetime, Exchange]] = []
        self._dropped = 0
        self._soon = Paced(self._begin, every_s=HAND_ON_S, delay_s=HAND_ON_S)
        self._sending = OneAtATime(self._send)

    def __call__(self, exchange: Exchange) -> None:
        """Note an exchange that has just ended."""
        if random.random() >= self._share:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append((utc_now(), exchange))
        self._soon.ask()

    async def settle(self) -> None:
        """Hand on what is left."""
        try:
            await self._sending.finish(within_s=SETTLE_S)
        except TimeoutError:
            logger.warning("traces of requests were not handed on in time")

    async def aclose(self) -> None:
        """Hand on what is left, and take no more."""
        await self.settle()
        self._share = 0.0

    def _begin(self) -> None:
        if not self._sending.begin():
            self._soon.ask()

    async def _send(self) -> None:
        taken, self._waiting = self._waiting, []
        dropped, self._dropped = self._dropped, 0
        try:
            if taken:
                events = [trace_event(exchange, ended_at, self._host) for ended_at, exchange in taken]
                async with self._database.sessions.begin() as session:
                    await outbox.add(session, events)
        except Exception as failure:  # noqa: BLE001 - whoever watches must harm no task
            logger.bind(traces=len(taken), error=type(failure).__name__).warning("traces of requests were lost")
        if dropped:
            logger.bind(traces=dropped).warning("traces of requests were dropped: the database is slow")
