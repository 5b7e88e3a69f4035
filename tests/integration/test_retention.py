"""What is deleted by age and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from config import load_settings
from core.flows.registry import build_registry
from core.queue import retention
from core.queue import upkeep as module
from core.queue.retention import prune
from core.queue.upkeep import FlowControl, Look, Upkeep
from scripts.migrate import migrate
from tests.support.postgres import SOMEONE_WAITS
from tests.support.scratch import scratch_database
from utils.db import connect

OLD = "now() - interval '40 days'"


async def insert(pg: asyncpg.Connection, flow: str, status: str, ended: str, created: str, count: int = 1) -> None:
    await pg.execute(
        f"""insert into scrape_request_log (flow, platform, params, status, scraped_at, created_at)
        select $1, 'INSTAGRAM', '{{}}', $2, {ended}, {created} from generate_series(1, $3::int)""",
        flow,
        status,
        count,
    )


async def left(pg: asyncpg.Connection) -> list[int]:
    return [row["id"] for row in await pg.fetch("select id from scrape_request_log order by id")]


async def pruned_to(pg: asyncpg.Connection) -> int:
    return int(await pg.fetchval("select pruned_to from beat_flow where flow = 'a'"))


@pytest.mark.parametrize("ages", ["200000 years", "100000000 years"])
async def test_what_is_kept_for_ages_keeps_no_other_flow_from_being_pruned(pg: asyncpg.Connection, ages: str) -> None:
    await pg.execute("insert into beat_flow (flow, retain) values ('a', $1::text::interval), ('b', '1 day')", ages)
    await insert(pg, "a", "COMPLETE", OLD, OLD)
    await insert(pg, "b", "COMPLETE", OLD, OLD)
    assert not await prune(pg)
    assert await left(pg) == [1]


async def test_only_finished_rows_of_the_flow_that_are_old_enough_go(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, retain) values ('a', interval '30 days'), ('b', null)")
    await insert(pg, "a", "COMPLETE", OLD, OLD)
    await insert(pg, "b", "COMPLETE", OLD, OLD)
    await insert(pg, "a", "PENDING", "null", OLD)
    await insert(pg, "a", "FAILED", OLD, OLD)
    await insert(pg, "a", "COMPLETE", "now()", OLD)
    await insert(pg, "a", "EXPIRED", OLD, OLD)
    await insert(pg, "a", "COMPLETE", "now()", "now()")
    await insert(pg, "a", "COMPLETE", OLD, OLD)
    assert not await prune(pg)
    assert await left(pg) == [2, 3, 5, 7, 8]
    assert await pruned_to(pg) == 6, "stops at the first young row"
    await pg.execute("update scrape_request_log set created_at = now() - interval '31 days' where id = 7")
    await prune(pg)
    assert await left(pg) == [2, 3, 5, 7]
    await pg.execute(f"update scrape_request_log set scraped_at = {OLD} where id = 5")
    await prune(pg)
    assert await left(pg) == [2, 3, 5, 7], "what was passed is left for the daily look"
    await pg.execute(retention.START_OVER)
    await prune(pg)
    assert await left(pg) == [2, 3, 7]


async def test_a_row_that_was_created_in_the_future_does_not_end_the_walk(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, retain) values ('a', interval '30 days')")
    for created in ("'infinity'", "now() + interval '1 day'", OLD):
        await insert(pg, "a", "COMPLETE", "now()" if created != OLD else OLD, created)
    await prune(pg)
    assert await left(pg) == [1, 2]


async def test_a_row_that_is_queued_again_this_moment_stays(pg: asyncpg.Connection, clean_db: str) -> None:
    """The walk has seen it ended, and finds it waiting once it has its lock."""
    await insert(pg, "a", "COMPLETE", OLD, OLD)
    slowly = "array(select old.id from old cross join pg_advisory_xact_lock(1))"
    statement = retention.PRUNE.replace("array(select id from old)", slowly)
    assert statement != retention.PRUNE
    other = await connect(clean_db, name="producer")
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock(1)")
        pruning = asyncio.create_task(pg.fetch(statement, ["a"], timedelta(days=30), 0))
        while not await other.fetchval(SOMEONE_WAITS):
            await other.execute("select pg_stat_clear_snapshot()")
        await other.execute("update scrape_request_log set status = 'PENDING'")
    await pruning
    await other.close()
    assert await left(pg) == [1]


async def test_a_row_that_ended_long_after_its_neighbours_goes_with_the_daily_look(
    pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(retention, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    await pg.execute("insert into beat_flow (flow, retain) values ('a', interval '30 days')")
    await insert(pg, "a", "COMPLETE", "now()", OLD)
    keeper = retention.Retention(lambda body: body(pg), None)
    await keeper.prune()
    await pg.execute(f"update scrape_request_log set scraped_at = {OLD}")
    for later_s, ids in ((retention.REST_S + 1, [1]), (retention.AGAIN_S, [])):
        clock[0] += later_s
        await keeper.prune()
        assert await left(pg) == ids


async def test_many_rows_go_in_slices_of_time_and_nobody_else_prunes_meanwhile(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    await pg.execute("insert into beat_flow (flow, retain) values ('a', interval '1 day')")
    await pg.execute("set session_replication_role = replica")
    await insert(pg, "a", "COMPLETE", OLD, OLD, 12_000)
    await pg.execute("reset session_replication_role")
    assert await prune(pg, budget_s=0)
    assert (len(await left(pg)), await pruned_to(pg)) == (7_000, 5_000)
    other = await connect(clean_db, name="other supervisor")
    async with other.transaction():
        assert await other.fetchval(retention.LOCK)
        assert not await prune(pg)
        assert len(await left(pg)) == 7_000
    await other.close()
    assert not await prune(pg, budget_s=60)
    assert await left(pg) == []


async def test_a_flow_that_somebody_is_changing_is_pruned_and_not_waited_for(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    await pg.execute("insert into beat_flow (flow, retain) values ('a', interval '1 day'), ('b', interval '1 day')")
    await insert(pg, "a", "COMPLETE", OLD, OLD, 3)
    other = await connect(clean_db, name="operator")
    async with other.transaction():
        await other.execute("update beat_flow set paused = true where flow = 'a'")
        async with asyncio.timeout(10):
            await prune(pg)
            await pg.execute(retention.START_OVER)
            await prune(pg)
        assert await left(pg) == []
        assert await pg.fetchval("select pruned_to from beat_flow where flow = 'a'") is None
    await other.close()
    await insert(pg, "a", "COMPLETE", OLD, OLD, 3)
    await prune(pg)
    assert await pruned_to(pg) == 6


@pytest.fixture
async def scratch(stack_env: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        connection = await connect(url, name="retention tests")
        yield connection
        await connection.close()


async def test_months_of_logs_beyond_the_setting_are_dropped(scratch: asyncpg.Connection) -> None:
    month = "to_char(date_trunc('month', now()) - interval '{} months', 'YYYY_MM')"
    names = []
    for ago in (1, 2, 3, 14):
        name = "profile_log_" + await scratch.fetchval("select " + month.format(ago))
        start = f"date_trunc('month', now()) - interval '{ago} months'"
        first, last = [
            await scratch.fetchval(f"select ({one})::text") for one in (start, f"{start} + interval '1 month'")
        ]
        await scratch.execute(f"create table {name} partition of profile_log for values from ('{first}') to ('{last}')")
        names.append(name)
    dropped = [row[0] for row in await scratch.fetch(retention.DROP_PARTITIONS, 2)]
    assert sorted(dropped) == sorted(names[2:])
    assert await scratch.fetch(retention.DROP_PARTITIONS, 2) == []
    kept = await scratch.fetchval("select count(*) from pg_inherits where inhparent = 'profile_log'::regclass")
    assert kept == 2 + 4 + 1


async def test_a_locked_log_does_not_end_the_upkeep_and_gets_its_partitions_later(
    stack_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARTITIONS_AGAIN_S", 0.0)
    nothing_due = Look((), FlowControl(), *(False,) * 5)
    missing = "select count(*) from pg_inherits where inhparent = 'post_log'::regclass"
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        monkeypatch.setenv("PG_URL", url)
        upkeep = Upkeep(load_settings(), build_registry(), "here")
        pg, other = [await connect(url, name=name) for name in ("tests", "a long export")]
        last = await pg.fetchval(
            "select max(inhrelid::regclass::text) from pg_inherits "
            "where inhparent = 'post_log'::regclass and inhrelid::regclass::text ~ '[0-9]$'"
        )
        await pg.execute(f"drop table {last}")
        before = await pg.fetchval(missing)
        await other.execute("begin")
        await other.execute("select from post_log_default")
        await upkeep.work(nothing_due)
        assert await pg.fetchval(missing) == before
        await other.execute("rollback")
        await upkeep.work(nothing_due)
        assert await pg.fetchval(missing) == before + 1
        await upkeep.aclose()
        await pg.close()
        await other.close()
