"""Plans that a session made while a table was small, and keeps: they touch few rows once it has grown."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest

from core.assets import statements as assets
from core.queue import queue
from core.queue import statements as sql
from utils.db import connect

FLOW = "test_nap"
FEW, MANY = 100, 30_000
MOST = 5_000
"""Entries that any of them may read for a hundred or a thousand rows: some for each, not all there are."""
TOKEN = datetime(2026, 1, 1, tzinfo=UTC)
IDS, TOKENS, TEXTS, NULLS = [*range(1, FEW + 1)], [TOKEN] * FEW, ["x"] * FEW, [None] * FEW

INSERT = """
insert into scrape_request_log (flow, platform, params) select $1, 'INSTAGRAM', '{}' from generate_series(1, $2::int)"""
# Too fast for autovacuum, and without triggers: nothing tells the session's plans of these rows.
GROW = f"""
insert into scrape_request_log (id, flow, platform, params, status, worker, picked_at)
select i, $1, 'INSTAGRAM', '{{}}', case when i <= $2 then 'PROCESSING' else 'PENDING' end,
    case when i <= $2 then 1 end, $3
from generate_series(1, {MANY}) i"""
GROW_ASSETS = f"""
insert into asset (entity_id, entity_type, asset_type, platform, asset_url, hash)
select i::text, 'POST', 'IMAGE', 'INSTAGRAM', 'assets/posts/instagram/' || i || '.jpg', i
from generate_series(1, {MANY}) i"""
TOUCHED = """
select sum(pg_stat_get_xact_tuples_returned(relation))::bigint from (
    select $1::regclass::oid as relation union all select indexrelid from pg_index where indrelid = $1::regclass) r"""

SCANS = "select pg_stat_get_xact_numscans('scrape_request_log'::regclass)"
LOOKS = "select pg_stat_get_xact_numscans('srl_fifo'::regclass)"

QUEUE, ASSET = "scrape_request_log", "asset"
FULL = "analysed when full"
STATES = {
    "never analysed": [],
    "analysed when empty": ["analyze {table}"],
    "analysed with one row": ["{one row}", "analyze {table}"],
    "vacuumed with one row": ["{one row}", "vacuum analyze {table}"],
    "vacuumed when emptied": ["{one row}", "delete from {table}", "vacuum analyze {table}"],
    FULL: [],
}
ONE_ROW: dict[str, tuple[Any, ...]] = {QUEUE: (INSERT, FLOW, 1), ASSET: (f"{GROW_ASSETS} limit 1",)}
MANY_ROWS: dict[str, tuple[Any, ...]] = {QUEUE: (GROW, FLOW, FEW, TOKEN), ASSET: (GROW_ASSETS,)}
REPORT = (IDS, TOKENS, TEXTS, NULLS)
ENTITIES = [*map(str, IDS)]
KEYS = (ENTITIES, ["POST"] * FEW, ["IMAGE"] * FEW, ["INSTAGRAM"] * FEW)
STATEMENTS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "handing back": (QUEUE, sql.RELEASE, (1, IDS, TOKENS)),
    "look": (QUEUE, sql.TICK, ([FLOW], 15.0)),
    "search for unknown flows": (QUEUE, sql.FAIL_UNKNOWN, ([FLOW], [])),
    "finding copies": (ASSET, assets.FIND, KEYS),
    "recording copies": (ASSET, assets.RECORD, (*KEYS, TEXTS, TEXTS, ["1"] * FEW, *[NULLS] * 6)),
}
FUNCTIONS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "step": (QUEUE, queue.STEP, ([FLOW], [FEW], 1, *REPORT, False)),
    "step by age": (QUEUE, queue.STEP, ([FLOW], [FEW], 1, *REPORT, True)),
    "failing": (QUEUE, queue.FAIL, (1, *REPORT, TEXTS, ["NEVER"] * FEW, [1.0] * FEW, [3] * FEW)),
} | {
    f"function of {name}": (table, call, args)
    for name, (table, text, args) in STATEMENTS.items()
    if (call := assets.CALLS.get(text)) is not None
}


async def prepare(pg: asyncpg.Connection, table: str, state: str) -> None:
    for statement in STATES[state]:
        await pg.execute(*(ONE_ROW[table] if statement == "{one row}" else (statement.format(table=table),)))


async def grow(pg: asyncpg.Connection, table: str, state: str) -> None:
    async with pg.transaction():
        await pg.execute("set local session_replication_role = replica")
        await pg.execute(f"delete from {table}")
        await pg.execute(*MANY_ROWS[table])
    if state == FULL:
        await pg.execute(f"analyze {table}")


async def counted(session: asyncpg.Connection, count: tuple[str, ...], statement: str, *args: Any) -> int:
    """What ``count`` gives after a statement, which is rolled back."""
    transaction = session.transaction()
    await transaction.start()
    try:
        await session.fetch(statement, *args)
        return int(await session.fetchval(*count))
    finally:
        await transaction.rollback()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", [*STATEMENTS, *FUNCTIONS])
async def test_a_statement(database: str, pg: asyncpg.Connection, state: str, name: str) -> None:
    """Prepared, as on direct connections, or as a call of its function, as through a pooler; some are run both ways."""
    table, statement, args = (STATEMENTS | FUNCTIONS)[name]
    await prepare(pg, table, state)
    session = await connect(database, name="worker", prepared=name in STATEMENTS)
    reads = partial(counted, session, (TOUCHED, table))
    try:
        for _ in range(6):  # more often than PostgreSQL tries plans for the very values
            await reads(statement, *args)
        await grow(pg, table, state)
        assert 0 < await reads(statement, *args) <= MOST
    finally:
        await session.close()


async def counted_of_an_insert(database: str, pg: asyncpg.Connection, state: str, rows: int, *count: str) -> int:
    """What ``count`` gives after an INSERT, in a session that has inserted some while the table was small."""
    await prepare(pg, QUEUE, state)
    session = await connect(database, name="producer")
    try:
        for _ in range(8):
            await counted(session, count, INSERT, FLOW, 1)
        await grow(pg, QUEUE, state)
        await pg.execute(f"select setval('crawl_dump_id_seq', {MANY})")
        return await counted(session, count, INSERT, FLOW, rows)
    finally:
        await session.close()


@pytest.mark.parametrize("state", STATES)
async def test_an_insert_never_reads_the_whole_table(database: str, pg: asyncpg.Connection, state: str) -> None:
    assert await counted_of_an_insert(database, pg, state, 1, SCANS) == 0


SET_PRIORITY = "insert into beat_flow (flow, priority) values ($1, 7)"


@pytest.mark.parametrize("priority", [False, True], ids=["usual priority", "flow's priority"])
@pytest.mark.parametrize("state", STATES)
async def test_an_insert_of_many(database: str, pg: asyncpg.Connection, state: str, priority: bool) -> None:
    if priority:
        await pg.execute(SET_PRIORITY, FLOW)
    assert await counted_of_an_insert(database, pg, state, 10 * FEW, TOUCHED, QUEUE) <= MOST


@pytest.mark.parametrize("rows", [1, 10 * FEW])
async def test_an_insert_looks_once_for_the_first_waiting_row_of_a_flow(pg: asyncpg.Connection, rows: int) -> None:
    """Not once per row: each look passes over whatever dead entries an old snapshot keeps."""
    await prepare(pg, QUEUE, FULL)
    await grow(pg, QUEUE, FULL)
    await pg.execute(f"select setval('crawl_dump_id_seq', {MANY})")
    async with pg.transaction():  # which keeps its counts to itself until it ends
        before = await pg.fetchval(LOOKS)
        await pg.execute(INSERT, FLOW, rows)
        assert await pg.fetchval(LOOKS) - before == 1


@pytest.mark.parametrize("setting", ["enable_sort", "enable_seqscan"])
async def test_an_insert_would_read_all_without_the_settings(
    database: str, pg: asyncpg.Connection, setting: str
) -> None:
    """So the test above can fail, and the settings of the trigger's function are worth their microseconds."""
    await pg.execute(SET_PRIORITY, FLOW)
    await pg.execute(f"alter function srl_after_insert() reset {setting}")
    await pg.execute(f"alter table {QUEUE} set (autovacuum_enabled = off)")  # what it counts makes plans anew
    try:
        assert await counted_of_an_insert(database, pg, "vacuumed with one row", 10, TOUCHED, QUEUE) > MOST
    finally:
        await pg.execute(f"alter function srl_after_insert() set {setting} = off")
        await pg.execute(f"alter table {QUEUE} reset (autovacuum_enabled)")
