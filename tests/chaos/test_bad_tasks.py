"""Tasks that take their process along: killing it, blocking it, swallowing cancellation, sitting in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.support.consume import assert_completed_once
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses

LIMIT_S = 1
"""Time limit of the bad flows; the one that kills its process needs none."""

SLOTS = 5
BAD: Mapping[str, tuple[str, int]] = {
    "test_suicidal": ("WORKER_LOST", 2),
    "test_blocking": ("TIMEOUT", 1),
    "test_stubborn": ("TIMEOUT", 1),
    "test_in_transaction": ("TIMEOUT", 1),
}
"""The error of each, and the attempts that it gets: a lost process uses one up, a time limit is final."""

UNTOUCHED = "test_in_transaction"
"""Can be cancelled, so its process and the tasks beside it go on."""

MARKED = "select attempt, count(*) from task_mark where task_id = any($1) group by 1 order by 1"
OPEN = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
LATEST = """
select max(extract(epoch from scraped_at - picked_at)) from scrape_request_log
where status = 'FAILED' and error_code = 'TIMEOUT'"""


@pytest.mark.parametrize("late_s", [30, pytest.param(5, id="in time", marks=pytest.mark.soak)])
async def test_a_bad_task_costs_its_own_row_and_the_tasks_beside_it_run_again(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, late_s: int
) -> None:
    """One process for each kind of bad task, each with good tasks in its other slots."""
    async with AsyncExitStack() as stack:
        for flow in BAD:
            pool = running_pool(
                program_env, WORKER_FLOWS=f"test_mark,{flow}", SINGLE_WORKER="1", BEAT_HOST_ID=f"host of {flow}"
            )
            await (await stack.enter_async_context(pool)).wait_for_line("pool is ready")
        good = await queue_tasks(marks, "test_mark", SLOTS * len(BAD), low_ms=9_000, high_ms=9_000)
        await wait_for_statuses(marks, {"PROCESSING": len(good)})
        beside = await held_by_host(marks)
        assert {host: len(ids) for host, ids in beside.items()} == {f"host of {flow}": SLOTS for flow in BAD}
        await marks.execute("update scrape_request_log set params = '{}', max_retries = 10")
        bad = {flow: (await queue_tasks(marks, flow, 1, low_ms=60_000, high_ms=60_000))[0] for flow in BAD}
        await marks.execute("update scrape_request_log set max_retries = 2 where flow = 'test_suicidal'")
        await wait_for_statuses(marks, {"COMPLETE": len(good), "FAILED": len(bad)})
        await asserted_rows(marks, bad)
        for flow in ("test_blocking", UNTOUCHED):  # the slots are free again, in a process that works
            good += await queue_tasks(marks, flow, 1)
        await wait_for_statuses(marks, {"COMPLETE": len(good), "FAILED": len(bad)})
        await assert_completed_once(marks, rmq_url, good)
    assert await marks.fetchval(LATEST) <= LIMIT_S + late_s
    assert await marks.fetchval(OPEN) == 0
    untouched = beside.pop(f"host of {UNTOUCHED}")
    assert [tuple(row) for row in await marks.fetch(MARKED, untouched)] == [(1, SLOTS)]
    others = [task_id for ids in beside.values() for task_id in ids]
    runs = await marks.fetchval("select count(*) from task_mark where task_id = any($1)", others)
    assert 2 * len(others) <= runs <= 2 * len(others) + SLOTS  # the second death may take some along again
    assert await marks.fetchval("select count(*) from task_mark where attempt = 0") == 1  # of the good one


async def asserted_rows(pg: asyncpg.Connection, bad: Mapping[str, int]) -> None:
    """The rows of the bad tasks say what they did."""
    rows = await pg.fetch("select flow, error_code, retry_count, worker from scrape_request_log where status = 'FAILED'")
    assert {row["flow"]: (row["error_code"], row["retry_count"]) for row in rows} == BAD
    assert {row["worker"] for row in rows} == {None}
    said = await pg.fetch("select id, data from scrape_request_log where id = any($1)", list(bad.values()))
    words = {row["id"]: row["data"] for row in said}
    assert "worker lost" in words[bad["test_suicidal"]]
    assert all("timed out" in words[bad[flow]] for flow in BAD if flow != "test_suicidal")


async def held_by_host(pg: asyncpg.Connection) -> dict[str, list[int]]:
    """Ids of running tasks by host."""
    rows = await pg.fetch(
        "select w.host, array_agg(s.id) as ids from scrape_request_log s join beat_worker w on w.id = s.worker group by 1"
    )
    return {row["host"]: list(row["ids"]) for row in rows}


async def test_a_task_whose_flow_is_bad_for_ever_ends_and_its_flow_goes_on(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str
) -> None:
    """Five tasks that kill their process, at the registry's three attempts: the pool survives fifteen deaths."""
    async with running_pool(program_env, WORKER_FLOWS="test_suicidal,test_nap", WORKER_SCALE="0.1") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_suicidal", 5)
        good: list[int] = []
        for _ in range(10):
            good += await queue_tasks(marks, "test_nap", 5, high_ms=100)
            await asyncio.sleep(0.2)
        await wait_for_statuses(marks, {"COMPLETE": len(good), "FAILED": 5})
        await assert_completed_once(marks, rmq_url, good)
        rows = await marks.fetch("select error_code, retry_count from scrape_request_log where flow = 'test_suicidal'")
        assert {tuple(row) for row in rows} == {("WORKER_LOST", 3)}
        assert await pool.stop() == 0
