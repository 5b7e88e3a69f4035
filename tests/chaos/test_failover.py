"""A database that can only be read for a while, as a standby before it is promoted: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.support.pool import Host, queue_tasks, running_pool, wait_for_statuses
from tests.support.relay import until

TURN_AWAY = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name not in ('test', 'tests')"""

LISTENING = """
select exists (select from pg_stat_activity where datname = current_database() and application_name = 'beat listen')"""


@asynccontextmanager
async def only_read(pg: asyncpg.Connection) -> AsyncIterator[None]:
    """All sessions of Beat end, and new ones cannot write."""
    name = await pg.fetchval("select quote_ident(current_database())")
    await pg.execute(f"alter database {name} set default_transaction_read_only = on")
    try:
        await pg.execute(TURN_AWAY)
        yield
    finally:
        await pg.execute(f"alter database {name} reset default_transaction_read_only")
        for _ in range(5):  # one that was just beginning has read the old setting
            await pg.execute(TURN_AWAY)
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_a_database_that_can_only_be_read_for_a_while_costs_no_process(
    program_env: dict[str, str], marks: asyncpg.Connection
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap", WORKER_LEASE_S="4", HEARTBEAT_S="1") as pool:
        await pool.wait_for_line("pool is ready")
        before = Host.of(pool)
        await queue_tasks(marks, "test_nap", 200, high_ms=100)
        async with only_read(marks):
            await asyncio.sleep(6)
        await wait_for_statuses(marks, {"COMPLETE": 200})
        assert Host.of(pool) == before, pool.lines
        await until(lambda: marks.fetchval(LISTENING))
        assert await pool.stop() == 0
    assert await marks.fetchval("select max(retry_count) from scrape_request_log") == 1, pool.lines
