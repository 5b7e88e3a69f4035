"""What operators write into beat_flow, on real pools: caps over all hosts, limits and pauses that hold at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg

from tests.support.pool import RunningPool, kill, queue_tasks, running_pool, wait_for_statuses

RUNNING = "select count(*) from scrape_request_log where status = 'PROCESSING'"
LEASED = "select coalesce(sum(slots), 0) from beat_slot where flow = 'test_nap'"
HOLDERS = "select count(*) from beat_slot where slots = 1"


async def most_running(pg: asyncpg.Connection, seconds: float) -> int:
    """The largest number of running tasks seen in a while."""
    most = 0
    for _ in range(int(seconds / 0.02)):
        most = max(most, await pg.fetchval(RUNNING))
        await asyncio.sleep(0.02)
    return most


async def wait_for(pg: asyncpg.Connection, query: str, value: object, within_s: float = 60.0) -> None:
    for _ in range(int(within_s / 0.05)):
        if await pg.fetchval(query) == value:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{query}: {await pg.fetchval(query)} is not {value}")


async def cap(pg: asyncpg.Connection, slots: int | None) -> None:
    await pg.execute(
        "insert into beat_flow (flow, slots) values ('test_nap', $1) on conflict (flow) do update set slots = $1", slots
    )


async def test_a_cap_holds_over_all_hosts_while_processes_come_and_go(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    await cap(pg, 3)
    tasks = await queue_tasks(pg, "test_nap", 3000, low_ms=100, high_ms=200)  # more than will be done
    async with running_pool(program_env, WORKER_FLOWS="test_nap", BEAT_HOST_ID="one") as one:
        await one.wait_for_line("pool is ready")
        await wait_for(pg, HOLDERS, 3)
        assert await most_running(pg, 1.0) == 3
        async with running_pool(program_env, WORKER_FLOWS="test_nap", BEAT_HOST_ID="two") as two:
            assert await most_while_joining(pg, two) == 3
            victim = await pg.fetchval("select w.pid from beat_slot s join beat_worker w on w.id = s.worker limit 1")
            assert kill(victim)
            assert await most_running(pg, 2.5) == 3
            assert await two.stop() == 0
        await wait_for(pg, LEASED, 3)
        await cap(pg, 40)
        await wait_for(pg, f"select ({RUNNING}) > 20", True)
        assert await one.stop() == 0
    assert await pg.fetchval("select count(*) from scrape_request_log") == len(tasks)
    assert await pg.fetchval(RUNNING) == 0
    assert await pg.fetchval(LEASED) == 0


async def most_while_joining(pg: asyncpg.Connection, pool: RunningPool) -> int:
    watched = asyncio.create_task(most_running(pg, 4.0))
    await pool.wait_for_line("pool is ready")
    return await watched


async def test_a_cap_set_at_run_time_lets_running_tasks_end_and_starts_no_more(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_nap", 20, low_ms=4000, high_ms=4000)
        await wait_for(pg, RUNNING, 20)
        await cap(pg, 0)
        await wait_for(pg, "select count(*) from beat_slot", 0)
        await asyncio.sleep(1.2)
        await queue_tasks(pg, "test_nap", 20)
        await wait_for_statuses(pg, {"COMPLETE": 20, "PENDING": 20})
        await asyncio.sleep(1.2)
        await wait_for_statuses(pg, {"COMPLETE": 20, "PENDING": 20}, within_s=1)
        await cap(pg, None)
        await wait_for_statuses(pg, {"COMPLETE": 40})
        assert await pool.stop() == 0


async def test_a_flow_paused_before_the_start_is_paused_from_the_first_moment(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    await pg.execute("insert into beat_flow (flow, paused) values ('test_nap', true)")
    await queue_tasks(pg, "test_nap", 5)
    (other,) = await queue_tasks(pg, "test_missing", 1)
    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_missing", SINGLE_WORKER="1") as pool:
        await pool.wait_for_line("pool is ready")
        await wait_for_statuses(pg, {"PENDING": 5, "FAILED": 1})
        assert await pg.fetchval("select status from scrape_request_log where id = $1", other) == "FAILED"
        await queue_tasks(pg, "test_nap", 1)
        await queue_tasks(pg, "test_missing", 1)
        await wait_for_statuses(pg, {"PENDING": 6, "FAILED": 2})
        await pg.execute("update beat_flow set paused = false")
        await wait_for_statuses(pg, {"COMPLETE": 6, "FAILED": 2})
        assert await pool.stop() == 0


async def test_tasks_with_the_usual_priority_get_their_flows(pg: asyncpg.Connection) -> None:
    await pg.execute("insert into beat_flow (flow, priority) values ('test_nap', 7)")
    insert = "insert into scrape_request_log (flow, platform, params, priority) values ($1, 'INSTAGRAM', '{}', $2)"
    for flow, priority in (("test_nap", 1), ("test_nap", None), ("test_nap", 3), ("test_mark", 1)):
        await pg.execute(insert, flow, priority)
    stored = await pg.fetch("select priority from scrape_request_log order by id")
    said = await pg.fetch("select (payload->>'priority')::int from event_outbox order by id")
    assert [row[0] for row in stored] == [7, 7, 3, 1] == [row[0] for row in said]


async def test_a_pause_under_load_lets_running_tasks_end_and_starts_no_more(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_missing") as pool:
        await pool.wait_for_line("pool is ready")
        tasks = await queue_tasks(pg, "test_nap", 800, low_ms=200, high_ms=400)
        await wait_for(pg, f"select ({RUNNING}) = 40", True)
        await pg.execute("insert into beat_flow (flow, paused) values ('test_nap', true)")
        await wait_for(pg, RUNNING, 0)
        waiting = await pg.fetchval("select count(*) from scrape_request_log where status = 'PENDING'")
        assert waiting > 0
        await queue_tasks(pg, "test_missing", 3)  # other flows go on
        await asyncio.sleep(2)
        await wait_for_statuses(pg, {"COMPLETE": 800 - waiting, "PENDING": waiting, "FAILED": 3}, within_s=5)
        await pg.execute("update beat_flow set paused = false")
        await wait_for_statuses(pg, {"COMPLETE": 800, "FAILED": 3}, within_s=60)
        assert await pool.stop() == 0
    assert await pg.fetchval("select max(retry_count) from scrape_request_log where id = any($1)", tasks) == 1


async def test_attempts_time_limit_and_retention_are_followed_at_run_time(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    settings = "insert into beat_flow (flow, {0}) values ($1, $2) on conflict (flow) do update set {0} = $2"
    async with running_pool(program_env, WORKER_FLOWS="test_nap,test_broken") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(pg, "test_broken", 1)
        await wait_for(pg, "select retry_count from scrape_request_log where flow = 'test_broken'", 2)
        await pg.execute(settings.format("max_retries"), "test_broken", 1)
        await queue_tasks(pg, "test_broken", 1)
        await wait_for(
            pg, "select retry_count from scrape_request_log where flow = 'test_broken' and status = 'FAILED'", 1
        )
        await pg.execute("delete from scrape_request_log")

        await pg.execute(settings.format("timeout_s"), "test_nap", 1)
        await asyncio.sleep(2.5)
        await queue_tasks(pg, "test_nap", 1, low_ms=60_000, high_ms=60_000)
        await wait_for(pg, "select error_code from scrape_request_log where status = 'FAILED'", "TIMEOUT")
        await queue_tasks(pg, "test_nap", 200)
        await wait_for_statuses(pg, {"FAILED": 1, "COMPLETE": 200})

        await asyncio.sleep(1.5)  # all of them have ended longer ago than they will be kept
        await pg.execute(settings.format("retain"), "test_nap", timedelta(seconds=1))
        (kept,) = await queue_tasks(pg, "test_broken", 1)
        await wait_for(pg, "select array_agg(id) from scrape_request_log", [kept], within_s=20)
        assert await pool.stop() == 0


async def test_urgent_tasks_go_before_those_that_wait_already(
    pg: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    """But for a tenth of the claims, which go by age alone."""
    await cap(pg, 1)
    usual = await queue_tasks(pg, "test_nap", 60, low_ms=5, high_ms=5)
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await wait_for(pg, f"select ({RUNNING}) + count(*) > 0 from scrape_request_log where status = 'COMPLETE'", True)
        await pg.execute("update beat_flow set priority = 5")
        urgent = await queue_tasks(pg, "test_nap", 30, low_ms=5, high_ms=5)
        await wait_for_statuses(pg, {"COMPLETE": 90})
        assert await pool.stop() == 0
    passed = await pg.fetchval(
        """select count(*) from scrape_request_log where id = any($2) and picked_at > (
            select min(created_at) from scrape_request_log where id = any($1)) and picked_at < (
            select max(picked_at) from scrape_request_log where id = any($1))""",
        urgent,
        usual,
    )
    assert passed <= 10, f"{passed} usual tasks went before the last urgent one"
