"""Tasks that take their process along: killing it, blocking it, swallowing cancellation, sitting in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.support.consume import assert_completed_once
from tests.support.pool import queue_tasks, running_pool, wait_for_statuses
from tests.support.relay import until

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

CANCELLABLE = "test_in_transaction"
"""Its process and the tasks beside it go on."""

INSERT_BAD = """
insert into scrape_request_log (flow, platform, params, max_retries)
select flow, 'INSTAGRAM', '{"ms": 90000}', most from unnest($1::text[], $2::int[]) b(flow, most)"""
OPEN = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
LATEST = """
select max(extract(epoch from scraped_at - picked_at)) from scrape_request_log
where status = 'FAILED' and error_code = 'TIMEOUT'"""


@pytest.mark.parametrize("late_s", [30, pytest.param(5, id="in time", marks=[pytest.mark.soak, pytest.mark.alone])])
async def test_a_bad_task_costs_its_own_row_and_the_tasks_beside_it_run_again(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, late_s: int
) -> None:
    """One process for each kind of bad task, each with good tasks in its other slots."""
    async with AsyncExitStack() as stack:
        for flow in BAD:
            flows = f"{'test_nap' if flow == CANCELLABLE else 'test_mark'},{flow}"
            pool = running_pool(program_env, WORKER_FLOWS=flows, SINGLE_WORKER="1", BEAT_HOST_ID=f"host of {flow}")
            await (await stack.enter_async_context(pool)).wait_for_line("pool is ready")
        good = await queue_tasks(marks, "test_mark", SLOTS * (len(BAD) - 1), low_ms=90_000, high_ms=90_000)
        await wait_for_statuses(marks, {"PROCESSING": len(good)})
        await until(lambda: marks.fetchval("select count(*) = $1 from task_mark", len(good)))
        beside = await held_by_host(marks)
        assert {host: len(ids) for host, ids in beside.items()} == {
            f"host of {flow}": SLOTS for flow in BAD if flow != CANCELLABLE
        }
        await marks.execute("update scrape_request_log set params = '{}', max_retries = 10")
        good += await queue_tasks(marks, "test_nap", SLOTS, low_ms=4_000, high_ms=4_000)
        await marks.execute(INSERT_BAD, list(BAD), [attempts for _, attempts in BAD.values()])
        await wait_for_statuses(marks, {"COMPLETE": len(good), "FAILED": len(BAD)}, within_s=90)
        await asserted_rows(marks)
        for flow in ("test_blocking", CANCELLABLE):  # the slots are free again, in a process that works
            good += await queue_tasks(marks, flow, 1)
        await wait_for_statuses(marks, {"COMPLETE": len(good), "FAILED": len(BAD)})
        await assert_completed_once(marks, rmq_url, good)
    assert await marks.fetchval(LATEST) <= LIMIT_S + late_s
    assert await marks.fetchval(OPEN) == 0
    naps = await marks.fetch(
        "select retry_count, scraped_at - picked_at > '4 s' from scrape_request_log where flow = 'test_nap'"
    )
    assert [tuple(row) for row in naps] == [(1, True)] * SLOTS
    for host, ids in beside.items():
        runs = await marks.fetchval("select count(*) from task_mark where task_id = any($1)", ids)
        # the second death of the one that kills its process may take some along again
        assert 2 * SLOTS <= runs <= 3 * SLOTS, host
    assert await marks.fetchval("select count(*) from task_mark where attempt = 0") == 1  # of the good one


async def asserted_rows(pg: asyncpg.Connection) -> None:
    """The rows of the bad tasks say what they did."""
    rows = await pg.fetch("select * from scrape_request_log where status = 'FAILED'")
    assert {row["flow"]: (row["error_code"], row["retry_count"]) for row in rows} == BAD
    assert {row["worker"] for row in rows} == {None}
    for row in rows:
        assert ("worker lost" if row["flow"] == "test_suicidal" else "timed out") in row["data"]


async def held_by_host(pg: asyncpg.Connection) -> dict[str, list[int]]:
    """Ids of running tasks by host."""
    rows = await pg.fetch(
        """select w.host, array_agg(s.id) as ids
        from scrape_request_log s join beat_worker w on w.id = s.worker group by 1"""
    )
    return {row["host"]: list(row["ids"]) for row in rows}


@pytest.mark.soak
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
