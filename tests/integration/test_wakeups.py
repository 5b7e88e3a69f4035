"""Who is woken, by what, and what catches a wake-up that got lost."""

from __future__ import annotations

from functools import partial

import asyncpg
import pytest

from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.relay import until

IDLE = {"WORKER_FLOWS": "test_nap", "WORKER_SCALE": "2.5"}
"""Ten processes of ten slots."""

FAILED = "select count(*) = $1 from scrape_request_log where status = 'FAILED'"
BUSY = """
select array_agg(n order by n) from (
    select count(*) as n from scrape_request_log where status = 'PROCESSING' group by worker) w"""
LISTENING = "select pid from pg_stat_activity where datname = current_database() and application_name = 'beat listen'"
UNHEARD = """
insert into scrape_request_log (flow, platform, params, status, priority, retry_count)
select 'test_nap', 'INSTAGRAM', '{}', 'PENDING', 1, 1 from generate_series(1, 3)"""


async def test_one_insert_of_a_thousand_rows_fills_ten_idle_processes(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, **IDLE) as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_nap", 1000, low_ms=60_000, high_ms=60_000)
        await until(lambda: pg.fetchval(f"select ({BUSY}) = $1::bigint[]", [10] * 10))
        pool.process.terminate()
        await pool.wait_for_line("pool is stopping")
        assert await pool.stop() == 0
    await wait_for_statuses(pg, {"PENDING": 1000}, within_s=1)


async def test_a_listening_session_that_is_killed_is_opened_again(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        first = await until(lambda: pg.fetchval(LISTENING))
        assert await pg.fetchval("select pg_terminate_backend($1)", first)
        await queue_tasks(pg, "test_nap", 5)
        await wait_for_statuses(pg, {"COMPLETE": 5})
        await until(lambda: pg.fetchval(f"select exists ({LISTENING}) and not $1 = any(array({LISTENING}))", first))
        assert len(await pg.fetch(LISTENING)) == 1
        assert any("listening was interrupted" in line for line in pool.lines)
        assert await pool.stop() == 0


@pytest.mark.parametrize("flows", ["test_nap", "test_nap,test_missing"])
async def test_work_that_nobody_was_told_of_is_found(
    pg: asyncpg.Connection, program_env: dict[str, str], flows: str
) -> None:
    """The rows come without the trigger that notifies, as if every notification were lost."""
    async with running_pool(program_env, WORKER_FLOWS=flows) as pool:
        await pool.wait_for_line("pool is ready")
        for round_number in (1, 2, 3):
            async with pg.transaction():
                await pg.execute("set local session_replication_role = replica")
                await pg.execute(UNHEARD)
            await wait_for_statuses(pg, {"COMPLETE": 3 * round_number})
        assert await pool.stop() == 0


async def test_a_flood_of_one_flow_holds_back_no_other(pg: asyncpg.Connection, program_env: dict[str, str]) -> None:
    """Each task of the other flow ends while the flood is far from its end, in its own process and in a shared one."""
    for shape in ({}, {"WORKER_PROCESSES": "2"}):
        await pg.execute("truncate scrape_request_log restart identity")
        async with running_pool(program_env, WORKER_FLOWS="test_nap,test_missing", **shape) as pool:
            await pool.wait_for_line("pool is ready")
            await queue_tasks(pg, "test_nap", 20_000, low_ms=20, high_ms=20)
            for number in range(1, 6):
                await queue_tasks(pg, "test_missing", 1)
                await until(partial(pg.fetchval, FAILED, number))
            left = await pg.fetchval("select count(*) from scrape_request_log where status = 'PENDING'")
            assert left > 1_000
            await pg.execute("delete from scrape_request_log where status = 'PENDING'")
            assert await pool.stop() == 0


@pytest.mark.soak
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_a_flood_of_100_000_tasks_delays_the_pick_up_of_others_by_50_ms_at_most(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    """The 99th percentile of 200 pick-ups beside a flood, less that of 200 without one. Run it on a quiet machine."""

    async def pickups() -> float:
        for _ in range(200):
            (task_id,) = await queue_tasks(pg, "test_missing", 1)
            await until(partial(pg.fetchval, "select status = 'FAILED' from scrape_request_log where id = $1", task_id))
        return float(
            await pg.fetchval(
                """select percentile_cont(0.99) within group (order by extract(epoch from picked_at - created_at))
                from (select * from scrape_request_log where flow = 'test_missing' order by id desc limit 200) t"""
            )
        )

    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_missing") as pool:
        await pool.wait_for_line("pool is ready")
        quiet = await pickups()
        await queue_tasks(pg, "test_nap", 100_000, low_ms=10, high_ms=10)
        beside = await pickups()
        print(f"99th percentile of pick-ups: {quiet * 1000:.1f} ms, beside a flood {beside * 1000:.1f} ms")
        assert await pg.fetchval("select exists (select from scrape_request_log where status = 'PENDING')")
        assert beside - quiet <= 0.05
        await pg.execute("delete from scrape_request_log where status = 'PENDING'")
        assert await pool.stop() == 0
