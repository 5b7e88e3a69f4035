"""A real pool: tasks from SQL to COMPLETE, deaths and shutdowns that lose nothing. Worse deaths are in tests/chaos."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress

import asyncpg
import pytest

from core.enums import TaskStatus
from core.queue.tasks import update
from tests.support.flows import MARKS
from tests.support.pool import (
    PATIENCE_S,
    Host,
    children_of,
    fork_servers_of,
    kill,
    queue_tasks,
    running_pool,
    wait_for_statuses,
)
from tests.support.relay import until
from utils.db import open_database
from utils.garbage import COLLECT

INSERT = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', $2) returning id"
OPEN = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
RUNNING = "select count(*) from scrape_request_log where status = 'PROCESSING'"
FEW = "test_mark,test_nap,test_missing,test_broken,test_limited"


@pytest.fixture
async def marks(pg: asyncpg.Connection) -> asyncpg.Connection:
    await pg.execute(MARKS)
    await pg.execute("truncate task_mark")
    return pg


async def task(pg: asyncpg.Connection, task_id: int) -> asyncpg.Record:
    found = await pg.fetchrow("select * from scrape_request_log where id = $1", task_id)
    assert found is not None
    return found


async def test_each_way_a_task_can_end_is_told_in_its_row(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    pg = marks
    async with running_pool(program_env, WORKER_FLOWS=FEW) as pool:
        await pool.wait_for_line("pool is ready")
        (good,) = await queue_tasks(pg, "test_nap", 1)
        (gone,) = await queue_tasks(pg, "test_missing", 1)
        (bug,) = await queue_tasks(pg, "test_broken", 1)
        (later,) = await queue_tasks(pg, "test_limited", 1)
        bad = await pg.fetchval(INSERT, "test_nap", '{"ms": "x", "extra": 1}')
        unknown = await pg.fetchval(INSERT, "no_such_flow", "{}")
        await wait_for_statuses(pg, {"COMPLETE": 1, "FAILED": 3, "PENDING": 2})
        assert await pool.stop() == 0
        assert not [line for line in pool.lines if "EAABsecret" in line]
    done = await task(pg, good)
    assert (done["data"], json.loads(done["result"])) == ("None", {"slept_ms": 0})
    assert ((await task(pg, gone))["data"], (await task(pg, gone))["error_code"]) == (
        "(404, 'no such profile')",
        "NOT_FOUND",
    )
    wrong = await task(pg, bad)
    assert "params.ms" in wrong["data"]
    assert "params.extra" in wrong["data"]
    assert "no_such_flow" in (await task(pg, unknown))["data"]
    waiting = await task(pg, later)
    assert (waiting["data"], waiting["retry_count"]) == ("(429, 'slow down')", 1)
    failed = await task(pg, bug)
    assert (failed["error_code"], failed["retry_count"], failed["status"]) == ("KeyError", 2, "PENDING")
    assert "secret" not in failed["data"]


async def test_what_children_inherit_is_no_garbage(pg: asyncpg.Connection, program_env: dict[str, str]) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_heap"):
        (asked,) = await queue_tasks(pg, "test_heap", 1)
        await wait_for_statuses(pg, {"COMPLETE": 1})
    heap = json.loads((await task(pg, asked))["result"])
    assert heap["every"] == list(COLLECT)
    assert heap["frozen"] > 50_000


async def test_a_paused_flow_claims_nothing_and_loses_nothing(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    await marks.execute("insert into beat_flow (flow, paused) values ('test_nap', true)")
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_nap", 5)
        await asyncio.sleep(2.5)  # several looks at what waits
        await wait_for_statuses(marks, {"PENDING": 5}, within_s=1)
        await marks.execute("update beat_flow set paused = false")
        await wait_for_statuses(marks, {"COMPLETE": 5})
        assert await pool.stop() == 0


async def test_one_process_for_all_flows_claims_no_more_than_its_slots(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    settings = {"WORKER_FLOWS": "test_nap,test_mark", "SINGLE_WORKER": "1", "SCRAPE_LOG_MAX_CONCURRENCY_PER_LOOP": "6"}
    await queue_tasks(marks, "test_nap", 30, low_ms=300, high_ms=300)
    await queue_tasks(marks, "test_mark", 30, low_ms=300, high_ms=300)
    most = 0
    async with running_pool(program_env, **settings):
        while await marks.fetchval("select count(*) from scrape_request_log where status = 'COMPLETE'") < 60:
            most = max(most, await marks.fetchval(RUNNING))
            await asyncio.sleep(0.02)
        assert await marks.fetchval("select count(*) from beat_worker where flow = 'all flows'") == 1
    assert most == 6


async def test_a_task_that_is_cancelled_stops_running_and_frees_its_slot(
    marks: asyncpg.Connection, program_env: dict[str, str], database: str
) -> None:
    await marks.execute("insert into beat_flow (flow, timeout_s) values ('test_in_transaction', 600)")
    async with running_pool(program_env, WORKER_FLOWS="test_in_transaction") as pool:
        await pool.wait_for_line("pool is ready")
        (task_id,) = await queue_tasks(marks, "test_in_transaction", 1, low_ms=60_000, high_ms=60_000)
        await wait_for_statuses(marks, {"PROCESSING": 1})
        db = open_database(database)
        async with db.sessions.begin() as session:
            await update(session, task_id, TaskStatus.CANCELLED, 1)
        await db.dispose()
        await until(lambda: marks.fetchval(f"select ({OPEN}) = 0"))
    cancelled = await task(marks, task_id)
    assert (cancelled["status"], cancelled["worker"], cancelled["retry_count"]) == ("CANCELLED", None, 1)


async def test_sigterm_lets_tasks_finish_and_a_second_one_hands_them_back(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_nap", 3, low_ms=3000, high_ms=3000)
        await wait_for_statuses(marks, {"PROCESSING": 3})
        assert await pool.stop() == 0
    await wait_for_statuses(marks, {"COMPLETE": 3}, within_s=1)
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_nap", 3, low_ms=60_000, high_ms=60_000)
        await wait_for_statuses(marks, {"COMPLETE": 3, "PROCESSING": 3})
        pool.process.terminate()
        await pool.wait_for_line("pool is stopping")
        assert await pool.stop() == 0
    await wait_for_statuses(marks, {"COMPLETE": 3, "PENDING": 3}, within_s=1)
    assert await marks.fetchval("select max(retry_count) from scrape_request_log") == 1
    assert await marks.fetchval("select count(*) from beat_worker") == 0


@pytest.mark.usefixtures("hang_ups_count")
@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGINT], ids=["lost", "Ctrl-C"])
async def test_what_a_terminal_sends_to_all_processes_lets_tasks_finish_too(
    marks: asyncpg.Connection, program_env: dict[str, str], sign: signal.Signals
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_nap", 3, low_ms=2000, high_ms=2000)
        await wait_for_statuses(marks, {"PROCESSING": 3})
        for pid in Host.of(pool).all:  # as the kernel does: all that the terminal ran
            with suppress(ProcessLookupError):  # an idle one has left since the first was told
                os.kill(pid, sign)
        assert await asyncio.wait_for(pool.process.wait(), 120) == 0
    await wait_for_statuses(marks, {"COMPLETE": 3}, within_s=1)
    assert await marks.fetchval("select max(retry_count) from scrape_request_log") == 1


async def test_losing_the_fork_server_rescues_nothing_and_the_next_child_gets_a_new_one(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        (server,) = fork_servers_of(pool.pid)
        await queue_tasks(marks, "test_nap", 4, low_ms=4000, high_ms=4000)
        await wait_for_statuses(marks, {"PROCESSING": 4})
        before = await marks.fetch("select id, worker, picked_at from scrape_request_log order by id")
        assert kill(server)
        await asyncio.sleep(0.5)
        assert await marks.fetch("select id, worker, picked_at from scrape_request_log order by id") == before
        await wait_for_statuses(marks, {"COMPLETE": 4})
        (victim,) = await marks.fetch("select pid from beat_worker where flow = 'test_nap' and pid > 0 limit 1")
        kill(victim["pid"])
        await pool.wait_for_line("child died")
        await queue_tasks(marks, "test_nap", 40, low_ms=1000, high_ms=1000)
        await wait_for_statuses(marks, {"COMPLETE": 44})
        assert await marks.fetchval("select count(*) from beat_worker where flow = 'test_nap'") == 4


async def test_a_process_that_another_host_declared_lost_is_replaced(
    marks: asyncpg.Connection, program_env: dict[str, str]
) -> None:
    named = "select array_agg(pid) from beat_worker where flow = 'test_suicidal' and pid > 0"
    async with running_pool(program_env, WORKER_FLOWS="test_suicidal", HEARTBEAT_S="0.5") as pool:
        await pool.wait_for_line("pool is ready")
        (lost,) = await until(lambda: marks.fetchval(named))
        await marks.execute("delete from beat_worker where pid = $1", lost)
        await until(lambda: marks.fetchval(named))
        assert not pid_alive(lost)
        assert await pool.stop() == 0


@pytest.mark.parametrize("flow", ["test_nap", "test_stubborn"])
async def test_a_process_whose_queue_gives_an_error_dies_with_its_tasks_and_they_run_again(
    marks: asyncpg.Connection, program_env: dict[str, str], flow: str
) -> None:
    """Also when one of them swallows its cancellation: a process that lived on would keep them for ever."""
    rename = "alter function {} rename to {}"
    gone = "select not exists (select from beat_worker where id = $1)"
    await marks.execute("insert into beat_flow (flow, timeout_s) values ('test_stubborn', 600)")
    async with running_pool(program_env, WORKER_FLOWS=f"{flow},test_mark", SINGLE_WORKER="1") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, flow, 1, low_ms=60_000, high_ms=60_000)
        await wait_for_statuses(marks, {"PROCESSING": 1})
        victim = await marks.fetchval("select worker from scrape_request_log")
        await marks.execute(rename.format("worker_step", "no_step"))
        try:
            await queue_tasks(marks, "test_mark", 1)
            await until(lambda: marks.fetchval(gone, victim))
            await marks.execute("update scrape_request_log set flow = 'test_mark', params = '{}'")
        finally:
            await marks.execute(rename.format("no_step", "worker_step"))
        await wait_for_statuses(marks, {"COMPLETE": 2})
        assert await pool.stop() == 0


@pytest.mark.parametrize("flow", ["test_nap", "test_stubborn"])
async def test_children_leave_and_hand_back_when_their_supervisor_is_killed(
    marks: asyncpg.Connection, program_env: dict[str, str], flow: str
) -> None:
    """Also when a task of theirs swallows every cancellation."""
    await marks.execute("insert into beat_flow (flow, timeout_s) values ('test_stubborn', 600)")
    async with running_pool(program_env, WORKER_FLOWS=flow) as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, flow, 3, low_ms=60_000, high_ms=60_000)
        await wait_for_statuses(marks, {"PROCESSING": 3})
        (server,) = fork_servers_of(pool.pid)
        orphans = children_of(server)
        kill(pool.pid)
        await wait_for_statuses(marks, {"PENDING": 3})
        async with asyncio.timeout(PATIENCE_S):
            while any(pid_alive(pid) for pid in orphans):
                await asyncio.sleep(0.1)


def pid_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  one read
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
