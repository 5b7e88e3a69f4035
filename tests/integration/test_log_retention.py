"""Rows of the logs without partitions go once they were last seen before the months that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from config import load_settings
from core.flows.registry import build_registry
from core.queue import retention
from core.queue.retention import LOG_DUE, LOGS, PRUNE_LOG, UNHURRIED, prune_logs
from core.queue.upkeep import FlowControl, Look, Upkeep
from scripts.migrate import migrate
from tests.integration.test_queue_plans import explain, rows_of
from tests.support.scratch import scratch_database
from utils.db import connect

KEPT_FROM = "(date_trunc('month', now() at time zone 'UTC') - interval '2 months') at time zone 'UTC'"
OLD = f"{KEPT_FROM} - interval '1 second'"
FOREVER_S = 60.0
NOTHING_DUE = Look((), FlowControl(), *(False,) * 5)

INSERT = {
    "profile_relationship_log": """insert into profile_relationship_log
        (relationship_type, platform, source_profile_id, target_profile_id, target_metrics, timestamp)
        select 'FOLLOWER', 'INSTAGRAM', i::text, '7', '[{{"key": "followers", "value": 1}}]', {seen}""",
    "post_activity_log": """insert into post_activity_log
        (activity_type, platform, platform_post_id, actor_profile_id, metrics, timestamp)
        select 'LIKE', 'INSTAGRAM', 'C1', i::text, '[{{"key": "likes", "value": 1}}]', {seen}""",
}
each_log = pytest.mark.parametrize("log", LOGS)


async def insert(pg: asyncpg.Connection, log: str, seen: str, first: int, last: int) -> None:
    """Rows with these ids; they have no others yet."""
    await pg.execute(f"{INSERT[log].format(seen=seen)} from generate_series($1::int, $2::int) i", first, last)


async def left(pg: asyncpg.Connection, log: str) -> list[int]:
    return [row["id"] for row in await pg.fetch(f"select id from {log} order by id")]


async def pruned_to(pg: asyncpg.Connection, log: str) -> int | None:
    found: int | None = await pg.fetchval("select pruned_to from log_retention where log = $1", log)
    return found


@each_log
async def test_what_was_seen_within_the_whole_months_that_are_kept_stays(pg: asyncpg.Connection, log: str) -> None:
    for number, seen in enumerate((OLD, KEPT_FROM, "now()", "'2001-01-01'"), start=1):
        await insert(pg, log, seen, number, number)
    for months, kept in ((3, [1, 2, 3]), (2, [2, 3]), (10_000, [2, 3]), (1, [3])):
        assert not await prune_logs(pg, months, FOREVER_S)
        assert await left(pg, log) == kept


@each_log
async def test_both_logs_go_in_slices_and_another_supervisor_resumes(
    pg: asyncpg.Connection, clean_db: str, log: str
) -> None:
    await insert(pg, log, OLD, 1, 2_500)
    assert await prune_logs(pg, 2, 0)
    while not await pg.fetchval("select exists (select from log_retention where log = $1)", log):
        assert await prune_logs(pg, 2, 0)
    assert (await left(pg, log))[0] == 1_001
    assert await pruned_to(pg, log) == 1_000
    other = await connect(clean_db, name="other supervisor")
    async with other.transaction():
        assert await other.fetchval(retention.LOCK)
        assert not await prune_logs(pg, 2, 0), "one at a time"
        assert len(await left(pg, log)) == 1_500
    assert await prune_logs(other, 2, 0)
    assert await pruned_to(pg, log) == 2_000
    assert not await prune_logs(other, 2, FOREVER_S)
    assert await left(pg, log) == []
    assert await pruned_to(pg, log) is None
    await other.close()


@each_log
async def test_a_log_is_looked_through_once_a_month(pg: asyncpg.Connection, log: str) -> None:
    await insert(pg, log, "now()", 1, 1)
    assert not await prune_logs(pg, 2, FOREVER_S)
    await insert(pg, log, OLD, 2, 3)
    assert await pg.fetch(LOG_DUE, 2, list(LOGS)) == []
    assert not await prune_logs(pg, 2, FOREVER_S)
    assert await left(pg, log) == [1, 2, 3]
    await pg.execute("update log_retention set keep_from = keep_from - interval '1 day'")  # as if a month had ended
    assert not await prune_logs(pg, 2, FOREVER_S)
    assert await left(pg, log) == [1]


@each_log
async def test_a_row_that_somebody_stores_again_just_now_is_neither_waited_for_nor_deleted(
    pg: asyncpg.Connection, clean_db: str, log: str
) -> None:
    await insert(pg, log, OLD, 1, 3)
    other = await connect(clean_db, name="flow")
    async with other.transaction():
        await other.execute(f"update {log} set timestamp = now() where id = 2")
        async with asyncio.timeout(20):
            assert not await prune_logs(pg, 2, FOREVER_S)
    await other.close()
    assert await left(pg, log) == [2]


@pytest.fixture
async def upkeep(clean_db: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Upkeep]:
    """Of a supervisor that keeps two months."""
    monkeypatch.setenv("PG_URL", clean_db)
    monkeypatch.setenv("LOG_RETENTION_MONTHS", "2")
    one = Upkeep(load_settings(), build_registry(), "here")
    yield one
    await one.aclose()


async def test_a_supervisor_deletes_them_and_waits_for_nobody_who_has_locked_a_log(
    pg: asyncpg.Connection, clean_db: str, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCKED_REST_S", 0.0)
    for log in LOGS:
        await insert(pg, log, OLD, 1, 3)
    other = await connect(clean_db, name="a long change")
    async with other.transaction():
        await other.execute(f"lock table {LOGS[0]}")
        async with asyncio.timeout(20):
            await upkeep.work(NOTHING_DUE)
    await other.close()
    assert len(await left(pg, LOGS[0])) == 3
    async with asyncio.timeout(60):
        while [await left(pg, log) for log in LOGS] != [[], []]:
            await upkeep.work(NOTHING_DUE)


async def test_all_are_kept_without_the_setting(
    pg: asyncpg.Connection, clean_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_URL", clean_db)
    for log in LOGS:
        await insert(pg, log, OLD, 1, 3)
    upkeep = Upkeep(load_settings(), build_registry(), "here")
    await upkeep.work(NOTHING_DUE)
    await upkeep.aclose()
    assert [await left(pg, log) for log in LOGS] == [[1, 2, 3]] * 2


ROWS = 300_000


@pytest.fixture(scope="module")
async def large(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """Logs of which every third row is old."""
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        connection = await connect(url, name="plans", command_timeout_s=None)
        await connection.execute("set synchronous_commit = off")
        for log in LOGS:
            await insert(connection, log, f"case when i % 3 = 0 then {OLD} else now() end", 1, ROWS)
        await connection.execute("vacuum analyze")
        yield connection
        await connection.close()


async def indexes_read(large: asyncpg.Connection, log: str, after: int, at: str) -> tuple[set[str], int]:
    """Indexes by which one slice finds its rows, or the kind of a scan without one; and how many rows it reads."""
    keep_from = await large.fetchval(f"select {KEPT_FROM}")
    await large.execute(f"prepare slice (bigint, timestamptz) as {PRUNE_LOG.format(log=log)}")
    plan = await explain(large, f"execute slice ({after}, '{keep_from}')", at=f"{UNHURRIED}; {at}")
    await large.execute("deallocate slice")
    scans = [*plan.of(log), *(scan for scan in plan.scans if scan["Node Type"] == "Bitmap Index Scan")]
    names = {scan.get("Index Name", scan["Node Type"]) for scan in scans} - {"Bitmap Heap Scan"}
    return names, sum(map(rows_of, plan.of(log)))


@each_log
@pytest.mark.parametrize("after", [0, ROWS // 2, ROWS - 500])
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_slice_of_a_large_log_is_read_by_its_primary_key(
    large: asyncpg.Connection, log: str, after: int, mode: str
) -> None:
    names, rows = await indexes_read(large, log, after, f"set local plan_cache_mode = {mode}")
    assert names == {f"{log}_pkey"}
    assert 0 < rows <= 1_000 + 2 * 334, "once to look, and twice what is old: to lock it and to delete it"


@each_log
async def test_a_missing_primary_key_is_noticed(large: asyncpg.Connection, log: str) -> None:
    names, _ = await indexes_read(large, log, 0, f"alter table {log} drop constraint {log}_pkey")
    assert names == {"Seq Scan"}
