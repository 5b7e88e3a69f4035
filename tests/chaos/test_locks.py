"""A table that somebody locks for longer than a lease: everything waits, and nobody is declared lost."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from core.queue import session
from core.queue import statements as sql
from core.queue.queue import QueueUnavailable
from core.queue.session import ServerSession
from tests.support.pool import Host, queue_tasks, running_pool, wait_for_statuses
from utils.db import connect


@pytest.mark.timeout(300)
async def test_hosts_do_not_declare_each_other_lost_while_the_queue_is_locked(
    program_env: dict[str, str], marks: asyncpg.Connection, database: str
) -> None:
    """As by CREATE INDEX: rows can be read and not be written."""
    times = {"WORKER_FLOWS": "test_nap", "WORKER_LEASE_S": "3", "HEARTBEAT_S": "0.5"}
    async with running_pool(program_env, BEAT_HOST_ID="one", **times) as one:
        await one.wait_for_line("pool is ready")
        await asyncio.sleep(7)  # what they do every 15 s they do at different times
        async with running_pool(program_env, BEAT_HOST_ID="two", **times) as two:
            await two.wait_for_line("pool is ready")
            before = Host.of(one), Host.of(two)
            await asyncio.sleep(4)  # a lease of their own beats
            ids = await queue_tasks(marks, "test_nap", 20, low_ms=2000, high_ms=2000)
            await wait_for_statuses(marks, {"PROCESSING": 20})
            locker = await connect(database, name="tests")
            async with locker.transaction():
                await locker.execute("lock table scrape_request_log in share mode")
                await asyncio.sleep(22)  # what is looked for every 15 s waits, too
            await locker.close()
            await wait_for_statuses(marks, {"COMPLETE": len(ids)})
            assert (Host.of(one), Host.of(two)) == before, [*one.lines, *two.lines]
    assert await marks.fetchval("select max(retry_count) from scrape_request_log") == 1


async def test_a_supervisor_that_stalls_in_a_transaction_keeps_its_locks_for_seconds(
    clean_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that freezes between two statements would keep slots from all others for as long as TCP lets it."""
    monkeypatch.setattr(session, "STALLED_S", 0.5)
    frozen, other = (ServerSession(clean_db, f"beat supervisor {name}") for name in ("frozen", "other"))

    async def stall(conn: asyncpg.Connection) -> None:
        async with conn.transaction():
            await conn.execute(sql.LEASE_LOCK)
            await asyncio.sleep(3)

    async def take(conn: asyncpg.Connection) -> None:
        async with conn.transaction():
            await conn.execute(sql.LEASE_LOCK)

    stalled = asyncio.create_task(frozen.run(stall))
    await asyncio.sleep(0.3)
    async with asyncio.timeout(2):
        await other.run(take)
    with pytest.raises(QueueUnavailable):
        await stalled
    await frozen.run(take)  # on a new connection
    frozen.drop()
    other.drop()
