"""The relay: outbox to broker, at least once, in order per key.

One relay works for all hosts, whoever holds the advisory lock; the others stand by. A row is deleted after the
broker's confirm, so a crash between the two sends it again, with the same message id. Within a key (exchange, routing
key, entity key) a row goes out only after the one before it was confirmed; a message that is refused holds back its
key, one that no queue wants its route, one without an exchange that exchange. A broker that is away pauses everything.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import asyncpg
from loguru import logger

from core.amqp import outbox
from core.amqp.backoff import pause_s
from core.amqp.holds import Holds
from core.amqp.publisher import BrokerAwayError, HeldBackError, Publisher
from utils.db import connect
from utils.waiting import wait_any

if TYPE_CHECKING:
    from config import Settings
    from core.amqp.outbox import Row, Scope

RELAY_LOCK = 0x62656174_72656C61  # 'beatrela': the session lock of the one that works
STANDBY_S = 1.0
LINGER_S = 0.2  # longest wait with a confirmed row not yet deleted
STOP_S = 5.0
LAG_EVERY_S, LAG_ALARM_S = 15.0, 60.0


async def run_relay(settings: Settings, *, woken: asyncio.Event, stopping: asyncio.Event) -> None:
    """Send what the outbox holds until ``stopping`` is set; ``woken`` says that there may be something new.

    Survives the loss of the database and of the broker. On stopping, messages in flight get five seconds for their
    confirms.
    """
    publisher = Publisher(settings.broker.rmq_url.get_secret_value())
    relay = Relay(settings, publisher, woken, stopping)
    failures = 0
    try:
        while not stopping.is_set():
            try:
                conn = await connect(settings.database.pg_url, name="beat relay")
                try:
                    await outbox.prepare(conn)
                    if await _elected(conn, stopping):
                        failures = 0
                        await relay.serve(conn)
                finally:
                    conn.terminate()
            except Exception as error:  # noqa: BLE001 - the relay outlives whatever happens to its database
                failures += 1
                logger.warning("relay lost its database: {error}", error=str(error) or type(error).__name__)
                await wait_any(stopping, timeout_s=pause_s(failures))
    finally:
        await publisher.close()


async def _elected(conn: asyncpg.Connection, stopping: asyncio.Event) -> bool:
    """Wait for the lock by asking: a statement that waits would hold back vacuum as long."""
    standing_by = False
    while not stopping.is_set():
        if await conn.fetchval("select pg_try_advisory_lock($1)", RELAY_LOCK):
            logger.info("relay took over" if standing_by else "relay started")
            return True
        if not standing_by:
            logger.info("relay stands by")
            standing_by = True
        await wait_any(stopping, timeout_s=STANDBY_S * random.uniform(0.8, 1.2))
    return False


class Relay:
    """Rows in hand: one lane per key. Senders, a few tasks, send one lane after the other while there are any."""

    def __init__(self, settings: Settings, publisher: Publisher, woken: asyncio.Event, stopping: asyncio.Event) -> None:
        self._window = settings.broker.relay_batch
        self._poll_s = settings.broker.relay_poll_s
        self._publisher = publisher
        self._woken, self._stopping, self._progress = woken, stopping, asyncio.Event()
        self._most_senders = settings.broker.relay_in_flight
        self._holds = Holds()
        self._lanes: dict[Scope, deque[Row]] = {}
        self._waiting: deque[Scope] = deque()  # lanes that no sender has begun
        self._senders: set[asyncio.Task[Any]] = set()
        self._in_hand: set[int] = set()  # read and not yet deleted
        self._confirmed: list[int] = []
        self._dropped: set[Scope] = set()  # keys whose lane broke off since the last read began
        self._halted = False
        self._lag_due = 0.0

    async def serve(self, conn: asyncpg.Connection) -> None:
        """Work until stopping.

        Raises:
            Exception: the database is lost; what was confirmed is remembered and deleted when it is back.
        """
        self._halted = False
        failures = 0
        try:
            while not self._stopping.is_set():
                await self._watch_lag(conn)
                if self._publisher.up:
                    failures = 0
                    await self._step(conn)
                else:
                    failures = await self._reopen(conn, failures)
        finally:
            await self._halt()
        await self._flush(conn)

    async def _step(self, conn: asyncpg.Connection) -> None:
        """Delete what was confirmed, read what fits, wait for news."""
        self._woken.clear()
        self._progress.clear()
        await self._flush(conn)
        room = self._window - len(self._in_hand)
        found = 0
        if room >= self._window // 2:
            self._dropped.clear()
            rows = await outbox.unsent(conn, besides=self._in_hand, held=self._holds.now(), limit=room)
            found = len(rows)
            self._start(rows)
        if self._lanes:
            if found < room and room >= self._window // 2:  # all is in hand
                await wait_any(self._progress, self._woken, self._stopping, timeout_s=LINGER_S)
            else:
                await wait_any(self._progress, self._stopping, timeout_s=LINGER_S)
        elif not (self._confirmed or found or self._dropped):
            patience_s = self._holds.next_s()
            await wait_any(self._woken, self._stopping, timeout_s=min(self._poll_s, patience_s or self._poll_s))

    def _start(self, rows: list[Row]) -> None:
        for row in rows:
            key = row.key
            if key in self._dropped or self._holds.covers(row):
                continue  # an earlier row of the key failed while these were read
            self._in_hand.add(row.id)
            lane = self._lanes.get(key)
            if lane is None:
                self._lanes[key] = deque([row])
                self._waiting.append(key)
            else:
                lane.append(row)
        for _ in range(min(len(self._waiting), self._most_senders - len(self._senders))):
            self._senders.add(asyncio.create_task(self._send_waiting()))

    async def _send_waiting(self) -> None:
        """Send lanes until all are begun."""
        try:
            while self._waiting:
                await self._send_lane(self._waiting.popleft())
        finally:
            if (me := asyncio.current_task()) is not None:
                self._senders.discard(me)  # at once: the next rows may need another one

    async def _send_lane(self, key: Scope) -> None:
        """Send the rows of a key one by one; a failure gives back the rest, to be read again from the oldest on."""
        lane = self._lanes[key]
        try:
            while lane and not self._halted:
                row = lane[0]
                if not self._publisher.up or self._holds.covers(row):
                    break
                await self._publisher.publish(row)
                self._holds.clear(row)
                self._confirmed.append(row.id)
                lane.popleft()
                if len(self._confirmed) >= self._window // 4:
                    self._progress.set()
        except HeldBackError as verdict:
            self._holds.add(verdict.scope, str(verdict))
        except BrokerAwayError:
            self._progress.set()
        finally:
            if lane:
                self._dropped.add(key)
                self._in_hand.difference_update(row.id for row in lane)
            del self._lanes[key]
            if not self._lanes:
                self._progress.set()

    async def _flush(self, conn: asyncpg.Connection) -> None:
        """Delete and count what was confirmed; repeating it after a failure does no harm."""
        done = self._confirmed[:]
        await outbox.forget(conn, done)
        del self._confirmed[: len(done)]
        self._in_hand.difference_update(done)

    async def _reopen(self, conn: asyncpg.Connection, failures: int) -> int:
        """One attempt to reach the broker; returns the failures in a row."""
        if self._senders:
            await asyncio.wait(self._senders)
        await self._flush(conn)
        started = time.monotonic()
        pause = pause_s(failures + 1)
        try:
            await self._publisher.open(pause)
        except BrokerAwayError as error:
            logger.warning("broker is away: {error}", error=str(error), failures=failures + 1)
            await wait_any(self._stopping, timeout_s=max(0.0, pause - (time.monotonic() - started)))
            return failures + 1
        logger.info("broker is connected")
        return 0

    async def _halt(self) -> None:
        """Let the messages in flight be confirmed, for a while, and send no further ones."""
        self._halted = True
        if self._senders:
            _, late = await asyncio.wait(self._senders, timeout=STOP_S)
            for sender in late:
                sender.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._send_waiting()  # which gives back what the cancelled had not begun

    async def _watch_lag(self, conn: asyncpg.Connection) -> None:
        if time.monotonic() < self._lag_due:
            return
        self._lag_due = time.monotonic() + LAG_EVERY_S
        lag = await outbox.outbox_lag(conn.fetch)
        if lag.oldest_s > LAG_ALARM_S:
            routes = {key: f"{route.rows} rows, {route.oldest_s:.0f} s" for key, route in lag.routes.items()}
            logger.warning("events are late", rows=lag.rows, oldest_s=round(lag.oldest_s), routes=routes)
