"""What the connections through the pooler say of themselves: nothing that it would have to set before a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import pytest
from sqlalchemy import text

from core.assets.rows import AssetKey
from core.assets.store import AssetStore
from core.flows.registry import build_registry
from core.queue.queue import WorkerQueue
from utils.db import POOLED_NAME, connect, open_database

Ask = Callable[[], Awaitable[object]]
ROUNDS, TURNS = 15, 4
COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"


@pytest.fixture
async def clients(pg: asyncpg.Connection, pgbouncer_url: str) -> AsyncIterator[list[Ask]]:
    """Everything that connects through the pooler, with something to ask."""
    async with AsyncExitStack() as stack:
        queues = [WorkerQueue(pgbouncer_url, worker) for worker in (1, 2)]
        assets, database = AssetStore(pgbouncer_url, build_registry()), open_database(pgbouncer_url, pool_size=1)
        for close in (*(queue.aclose for queue in queues), assets.aclose, database.dispose):
            stack.push_async_callback(close)

        async def session() -> None:
            async with database.engine.connect() as connection:
                await connection.exec_driver_sql("select 1")

        find = partial(assets.find, AssetKey("1", "POST", "IMAGE", "INSTAGRAM"))
        yield [*(queue.held for queue in queues), find, partial(database.fetch, "select 1"), session]


async def commits(pg: asyncpg.Connection, pgbouncer_url: str, asks: Sequence[Ask]) -> int:
    """Transactions of the database while these are asked one after the other."""

    async def so_far() -> int:
        flusher = await connect(pgbouncer_url, name=POOLED_NAME)
        await flusher.execute("select pg_stat_force_next_flush()")
        await flusher.close()
        await pg.execute("select pg_stat_clear_snapshot()")
        return int(await pg.fetchval(COMMITS))

    before = await so_far()
    for ask in asks:
        await ask()
    return await so_far() - before


@pytest.mark.parametrize("named", [POOLED_NAME, "otherwise"])
async def test_clients_that_take_turns_cost_no_settings(
    pg: asyncpg.Connection, pgbouncer_url: str, clients: list[Ask], named: str
) -> None:
    """Each is one transaction; a client of another name shows that a setting would be noticed.

    Whatever else works in the database, an autovacuum for instance, only adds: the fewest of several turns count.
    """
    other = await connect(pgbouncer_url, name=named)
    try:
        asks: list[Ask] = [*clients, partial(other.fetch, "select 1")]
        await commits(pg, pgbouncer_url, asks)  # the first call of each connects
        turns = TURNS if named == POOLED_NAME else 1
        in_turns = min([await commits(pg, pgbouncer_url, asks * ROUNDS) for _ in range(turns)])
    finally:
        await other.close()
    one_each = in_turns < (len(asks) + 0.5) * ROUNDS
    assert one_each is (named == POOLED_NAME), in_turns


async def test_parameters_of_the_url_are_for_the_driver_in_sessions_too(pgbouncer_url: str) -> None:
    database = open_database(f"{pgbouncer_url}?sslmode=disable", pool_size=1)
    async with database.sessions() as session:
        assert await session.scalar(text("select 1")) == 1
    assert len(await database.fetch("select 1")) == 1
    await database.dispose()
