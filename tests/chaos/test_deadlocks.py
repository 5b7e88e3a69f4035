"""Eight processes that report, claim, fail and are rescued at once, while others insert: no deadlock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS
from tests.support.pool import kill, queue_tasks, running_pool
from tests.support.relay import open_channel, until
from utils.db import connect

DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
LEFT = "select count(*) from scrape_request_log where status in ('PENDING', 'PROCESSING') and flow <> 'test_limited'"
VICTIM = "select pid from beat_worker where flow = 'test_nap' and pid > 0 order by random() limit 1"
BATCH = 2_000


async def deadlocks(url: str) -> int:
    """The database's count, once the sessions that may have met one have ended and so reported it."""
    pg = await connect(url, name="test")
    try:
        return int(await pg.fetchval(DEADLOCKS))
    finally:
        await pg.close()


@asynccontextmanager
async def thrown_away(rmq_url: str) -> AsyncIterator[None]:
    """What reaches the queue of task events is dropped, so that it does not fill a disk."""

    async def drop() -> None:
        async with open_channel(rmq_url) as channel:
            queue = await channel.declare_queue(TASK_EVENTS, durable=True)
            while True:
                await queue.purge()
                await asyncio.sleep(1)

    task = asyncio.create_task(drop())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "tasks", [pytest.param(20_000, id="short"), pytest.param(1_000_000, id="whole", marks=pytest.mark.soak)]
)
@pytest.mark.timeout(3600)
async def test_many_processes_on_one_queue_meet_no_deadlock(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, database: str, tasks: int
) -> None:
    direct = {name: value for name, value in program_env.items() if name != "PGBOUNCER_URL"}
    before = await deadlocks(database)
    flows = "test_nap,test_missing,test_limited,test_in_transaction"
    settings = {"WORKER_FLOWS": flows, "WORKER_SCALE": "2", "LOG_LEVEL": "WARNING"}
    async with thrown_away(rmq_url), running_pool(direct, **settings) as pool:
        await until(lambda: marks.fetchval("select count(*) >= 8 from beat_worker where flow = 'test_nap'"))
        queued = 0
        while queued < tasks:
            await asyncio.gather(
                queue_tasks(marks, "test_nap", BATCH),
                *(inserted(database, flow, BATCH // 20) for flow in ("test_missing", "test_limited")),
            )
            queued += BATCH + BATCH // 10
            pid = await marks.fetchval(VICTIM)
            if pid and queued % (BATCH * 5) < BATCH:
                kill(pid)
        await until(lambda: marks.fetchval(f"select ({LEFT}) = 0"), within_s=600)
        assert await pool.stop() == 0
        assert not [line for line in pool.lines if "Deadlock" in line]
    assert await deadlocks(database) == before


async def inserted(url: str, flow: str, count: int) -> None:
    """Rows from a producer of its own."""
    pg = await connect(url, name="test")
    try:
        await queue_tasks(pg, flow, count)
    finally:
        await pg.close()


async def test_a_deadlock_would_be_counted(marks: asyncpg.Connection, database: str) -> None:
    first, second = await queue_tasks(marks, "test_nap", 2)
    before = await deadlocks(database)
    one, two = [await connect(database, name="test") for _ in range(2)]
    lock = "select from scrape_request_log where id = $1 for update"
    met = []

    async def cross(pg: asyncpg.Connection, task_id: int) -> None:
        try:
            await pg.execute(lock, task_id)
        except asyncpg.DeadlockDetectedError as error:
            met.append(error)
        await pg.execute("rollback")

    for pg, task_id in ((one, first), (two, second)):
        await pg.execute("begin")
        await pg.execute(lock, task_id)
    await asyncio.gather(cross(one, second), cross(two, first))
    await asyncio.gather(one.close(), two.close())
    assert len(met) == 1
    await until(lambda: _is(database, before + 1))


async def _is(url: str, count: int) -> bool:
    return await deadlocks(url) == count
