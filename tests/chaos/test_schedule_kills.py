"""Supervisors that run schedules: two at once, and one that is killed in mid-run. Every task exists once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

import asyncpg

from core.schedules.cron import latest
from core.schedules.schedule import Schedule
from tests.support.pool import kill, running_pool
from tests.support.schedules import MANY, YEARLY, counted, plant, row
from utils.db import connect
from utils.times import utc_now

TOTAL, STOPS_AT = 9000, 5000
WAITS = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid')"""
INSERT = """
insert into scrape_request_log (flow, platform, params, idempotency_key)
values ('test_nap', 'INSTAGRAM', jsonb_build_object('ms', $1::int), $2)"""
NONE_TWICE = """
select count(*) = count(distinct params->>'ms') and count(*) = count(distinct idempotency_key)
from scrape_request_log"""


async def until(pg: asyncpg.Connection, condition: str, within_s: float = 120.0) -> None:
    for _ in range(int(within_s / 0.05)):
        if await pg.fetchval(condition):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"never true: {condition}")


def key_of(ms: int, due: datetime) -> str:
    """The idempotency key that the run due then gives this candidate."""
    return Schedule("s", YEARLY, "test_nap", {}).key({}, {"ms": ms}, due)


async def test_a_supervisor_killed_in_mid_run_leaves_a_run_that_the_next_one_completes(
    pg: asyncpg.Connection, clean_db: str, program_env: dict[str, str]
) -> None:
    await plant(pg, candidates=MANY.format(TOTAL))
    other = await connect(clean_db, name="another producer")
    transaction = other.transaction()
    await transaction.start()
    await other.execute(INSERT, STOPS_AT, key_of(STOPS_AT, latest(YEARLY, utc_now())))  # the run waits for its end
    async with running_pool(program_env, WORKER_FLOWS="test_missing") as pool:
        await until(pg, WAITS)
        assert kill(pool.pid)
    killed = await row(pg)
    assert (killed["begun_for"], killed["attempts"], killed["last_outcome"]) == (latest(YEARLY, utc_now()), 1, None)
    done = await pg.fetchval("select count(*) from scrape_request_log")
    assert 0 < done < TOTAL
    await transaction.rollback()
    await other.close()
    async with running_pool(program_env, WORKER_FLOWS="test_missing") as pool:
        await until(pg, "select last_outcome is not null from scrape_schedule")
        assert await pool.stop() == 0
    assert await counted(pg) == ("ok", TOTAL - done, done, 0)
    assert await pg.fetchval("select count(*) from scrape_request_log") == TOTAL
    assert await pg.fetchval(NONE_TWICE)
    events = "select count(*) = count(distinct entity_key) from event_outbox where payload->>'status' = 'PENDING'"
    assert await pg.fetchval(events)
    ended = await row(pg)
    assert (ended["begun_for"], ended["attempts"], ended["later"]) == (None, 0, True)


async def test_of_two_supervisors_one_makes_each_run(pg: asyncpg.Connection, program_env: dict[str, str]) -> None:
    names = [f"s{number}" for number in range(12)]
    few = {"WORKER_FLOWS": "test_missing"}
    async with (
        running_pool(program_env, BEAT_HOST_ID="a", **few) as a,
        running_pool(program_env, BEAT_HOST_ID="b", **few) as b,
    ):
        await a.wait_for_line("pool is ready")
        await b.wait_for_line("pool is ready")
        for one in names:
            await plant(pg, one, candidates=MANY.format(200))
        await until(pg, "select count(last_outcome) = 12 from scrape_schedule")
        await asyncio.sleep(2.5)  # two more looks of both
        lines = [json.loads(line) for line in (*a.lines, *b.lines) if '"schedule was run"' in line]
        assert await a.stop() == 0
        assert await b.stop() == 0
    assert sorted(line["schedule"] for line in lines) == sorted(names)
    assert [await counted(pg, one) for one in names] == [("ok", 200, 0, 0)] * 12
    assert await pg.fetchval("select count(*) from scrape_request_log") == 12 * 200
