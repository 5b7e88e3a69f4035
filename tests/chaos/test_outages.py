"""RabbitMQ stopped and PostgreSQL restarted under load: events are late, not lost; every process recovers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS, drain_queue, wait_for_empty_outbox
from tests.support.own_stack import OwnStack, own_stack
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.postgres import empty_tables
from utils.db import connect

ORDER = ["PENDING", "PROCESSING", "COMPLETE"]


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[OwnStack]:
    async with own_stack("postgres", "pgbouncer", "redis", "rabbitmq") as stack:
        yield stack


async def emptied(stack: OwnStack) -> asyncpg.Connection:
    """A connection; no tasks are there, and no events of earlier ones with the same ids."""
    pg = await open_pg(stack)
    await empty_tables(pg)
    return pg


async def open_pg(stack: OwnStack) -> asyncpg.Connection:
    return await connect(stack.env()["PG_URL"], name="test")


async def assert_every_task_was_told_in_order(stack: OwnStack, ids: list[int]) -> None:
    told: dict[str, list[str]] = defaultdict(list)
    for event in await drain_queue(stack.env()["RMQ_URL"], TASK_EVENTS):
        told[event["scl_id"]].append(event["status"])
    assert set(told) == {str(task_id) for task_id in ids}
    for statuses in told.values():
        first_seen = list(dict.fromkeys(statuses))
        assert first_seen == ORDER
        assert statuses.count("COMPLETE") == 1


@pytest.mark.parametrize("down_s", [3, pytest.param(30, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
async def test_a_broker_that_is_down_delays_events_and_loses_none(stack: OwnStack, down_s: int) -> None:
    pg = await emptied(stack)
    async with running_pool(stack.env(), WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        ids = await queue_tasks(pg, "test_nap", 200)
        await wait_for_statuses(pg, {"COMPLETE": 200})
        await stack.command("stop", "rabbitmq")
        for _ in range(down_s):
            ids += await queue_tasks(pg, "test_nap", 50, high_ms=100)
            await asyncio.sleep(1)
        await wait_for_statuses(pg, {"COMPLETE": len(ids)})
        assert await pg.fetchval("select count(*) from event_outbox") >= down_s * 50 * 3
        await stack.command("start", "rabbitmq")
        await wait_for_empty_outbox(pg)
        assert await pool.stop() == 0
    await pg.close()
    await assert_every_task_was_told_in_order(stack, ids)


@pytest.mark.parametrize("restarts", [2, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
async def test_a_database_that_restarts_under_load_leaves_no_task_stuck(stack: OwnStack, restarts: int) -> None:
    pg = await emptied(stack)
    tasks = 1500 * restarts
    ids = await queue_tasks(pg, "test_nap", tasks, high_ms=100)
    await pg.close()
    async with running_pool(stack.env(), WORKER_FLOWS="test_nap", WORKER_LEASE_S="6", HEARTBEAT_S="1") as pool:
        await pool.wait_for_line("pool is ready")
        for _ in range(restarts):
            await asyncio.sleep(1.5)
            await stack.command("restart", "postgres")
        pg = await open_pg(stack)
        await wait_for_statuses(pg, {"COMPLETE": tasks})
        late = await queue_tasks(pg, "test_nap", 50)
        await wait_for_statuses(pg, {"COMPLETE": tasks + 50})
        await wait_for_empty_outbox(pg)
        assert await pg.fetchval("select max(retry_count) from scrape_request_log") == 1, pool.lines
        assert await pool.stop() == 0
    await pg.close()
    await assert_every_task_was_told_in_order(stack, [*ids, *late])
