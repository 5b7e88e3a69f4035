"""The plan of the insert trigger outlives the size that the table had then; what the bench takes out of the trigger."""

from __future__ import annotations

import asyncpg
import pytest

from scripts.bench.suites.inserters import TRIGGER, without_event
from utils.db import connect

FLOW = "refresh_profile_by_handle"
ONE = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{}')"
# Without triggers, and too fast for autovacuum: no statistics tell the planner of the rows.
GROW = """
insert into scrape_request_log (flow, platform, params, status)
select $1, 'INSTAGRAM', '{}', case when i % 3 = 0 then 'COMPLETE' else 'PENDING' end from generate_series(1, 30000) i"""
SCANS = "select pg_stat_get_xact_numscans('scrape_request_log'::regclass)"
STATISTICS = {
    "none": "select 1",
    "of a few rows": "analyze scrape_request_log",
    "of all": "analyze scrape_request_log",
}


async def grow(pg: asyncpg.Connection) -> None:
    async with pg.transaction():
        await pg.execute("set local session_replication_role = replica")
        await pg.execute(GROW, FLOW)


async def whole_reads(database: str, pg: asyncpg.Connection, statistics: str) -> int:
    """How often an INSERT into a table of 30,000 rows reads all of it, by a session that knew it nearly empty."""
    producer = await connect(database, name="producer", prepared=False)
    try:
        if statistics == "of a few rows":
            await pg.execute(ONE, FLOW)
            await pg.execute(STATISTICS[statistics])
        for _ in range(8):  # more often than PostgreSQL tries plans for the very values
            async with producer.transaction():
                await producer.execute(ONE, FLOW)
        await grow(pg)
        if statistics == "of all":
            await pg.execute(STATISTICS[statistics])
        async with producer.transaction():
            await producer.execute(ONE, FLOW)
            return int(await producer.fetchval(SCANS))
    finally:
        await producer.close()


@pytest.mark.parametrize("statistics", STATISTICS)
async def test_an_insert_never_reads_the_whole_table(database: str, pg: asyncpg.Connection, statistics: str) -> None:
    assert await whole_reads(database, pg, statistics) == 0


async def test_it_would_without_the_setting_of_the_triggers_function(database: str, pg: asyncpg.Connection) -> None:
    """So the test above can fail, and the setting is worth its microseconds."""
    await pg.execute("alter function srl_after_insert() reset enable_seqscan")
    try:
        assert await whole_reads(database, pg, "of a few rows") > 0
    finally:
        await pg.execute("alter function srl_after_insert() set enable_seqscan = off")


async def test_the_bench_measures_the_wake_up_without_the_event(pg: asyncpg.Connection) -> None:
    whole = await pg.fetchval(TRIGGER)
    heard: list[object] = []
    await pg.add_listener("beat", lambda *args: heard.append(args[3]))
    try:
        await pg.execute(without_event(whole))
        await pg.execute(ONE, FLOW)
        assert await pg.fetchval("select count(*) from event_outbox") == 0
        assert heard == [FLOW]
    finally:
        await pg.execute(whole)
    await pg.execute(ONE, FLOW)
    assert await pg.fetchval("select count(*) from event_outbox") == 1
