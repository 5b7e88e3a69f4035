"""kill -9 of children, fork servers and supervisors under load: nothing lost, nothing completed twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS, drain_queue, wait_for_empty_outbox
from tests.support.flows import MARKS
from tests.support.pool import RunningPool, fork_servers_of, kill, queue_tasks, running_pool, wait_for_statuses

SHARES = {"child": 84, "fork server": 8, "supervisor": 8}
"""What is killed how often, in percent, after one of each."""

LEASE = {"WORKER_LEASE_S": "3", "HEARTBEAT_S": "0.5"}
POOL = {"WORKER_FLOWS": "test_mark", "WORKER_SCALE": "2", **LEASE}


@pytest.fixture
async def marks(pg: asyncpg.Connection) -> asyncpg.Connection:
    await pg.execute(MARKS)
    await pg.execute("truncate task_mark")
    return pg


async def in_flight(pg: asyncpg.Connection, host: str | None = None, pid: int | None = None) -> int:
    count = await pg.fetchval(
        """select count(*) from scrape_request_log s join beat_worker w on w.id = s.worker
        where s.status = 'PROCESSING' and ($1::text is null or w.host = $1) and ($2::int is null or w.pid = $2)""",
        host,
        pid,
    )
    return int(count)


async def kill_a_child(pg: asyncpg.Connection) -> int:
    """Kill a random worker; how many tasks it may have taken with it (its slots)."""
    pid = await pg.fetchval(
        "select pid from beat_worker where flow = 'test_mark' and pid > 0 order by random() limit 1"
    )
    return 5 if pid and kill(pid) else 0


async def finished(pg: asyncpg.Connection) -> int:
    return int(await pg.fetchval("select count(*) from scrape_request_log where status = 'COMPLETE'"))


@pytest.mark.parametrize(
    ("tasks", "kills_wanted"),
    [pytest.param(1_500, 12, id="short"), pytest.param(10_000, 55, id="whole", marks=pytest.mark.soak)],
)
@pytest.mark.timeout(600)
async def test_a_storm_of_kills_loses_nothing_and_completes_nothing_twice(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, tasks: int, kills_wanted: int
) -> None:
    pg = marks
    ids = await queue_tasks(pg, "test_mark", tasks, high_ms=200)
    await pg.execute("update scrape_request_log set max_retries = 100")
    may_rerun, kills = 0, Counter[str]()
    async with AsyncExitStack() as stack:

        async def start(host: str) -> RunningPool:
            return await stack.enter_async_context(running_pool(program_env, BEAT_HOST_ID=host, **POOL))

        pools = {host: await start(host) for host in ("one", "two")}
        await asyncio.gather(*(pool.wait_for_line("pool is ready") for pool in pools.values()))
        while await finished(pg) < tasks:
            await asyncio.sleep(random.uniform(0.05, 0.35))
            if sum(kills.values()) >= kills_wanted:
                continue
            host = random.choice(list(pools))
            untried = [kind for kind in SHARES if not kills[kind]]
            kind = untried[0] if untried else random.choices(list(SHARES), list(SHARES.values()))[0]
            if kind == "child":
                slots = await kill_a_child(pg)
                may_rerun, kills["child"] = may_rerun + slots, kills["child"] + bool(slots)
            elif kind == "fork server":
                kills["fork server"] += sum(kill(server) for server in fork_servers_of(pools[host].pid))
            else:
                may_rerun += 30
                kills["supervisor"] += kill(pools[host].pid)
                pools[host] = await start(host)
        assert sum(kills.values()) >= kills_wanted, f"the load ended before the kills: {kills}"
        assert min(kills[kind] for kind in SHARES) > 0
        await wait_for_empty_outbox(pg)
        assert [await pool.stop() for pool in pools.values()] == [0, 0]
    statuses = await pg.fetch("select status, count(*) from scrape_request_log group by 1")
    assert [tuple(row) for row in statuses] == [("COMPLETE", tasks)]
    events = await drain_queue(rmq_url, TASK_EVENTS)
    completed = Counter(event["scl_id"] for event in events if event["status"] == "COMPLETE")
    assert set(completed) == {str(task_id) for task_id in ids}
    assert set(completed.values()) == {1}
    runs = await pg.fetchval("select count(*) from task_mark")
    assert tasks <= runs <= tasks + may_rerun


@pytest.mark.parametrize(
    ("flows", "fenced"), [("tests.support.flows", True), ("tests.support.flows_without_fence", False)]
)
async def test_a_frozen_host_completes_nothing_that_was_given_to_another(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, flows: str, fenced: bool
) -> None:
    """Without the fence the same run does complete tasks twice, so the test can see the difference."""
    pg = marks
    ids = await queue_tasks(pg, "test_mark", 60, low_ms=20_000, high_ms=20_000)
    settings = {**POOL, "BEAT_EXTRA_FLOWS": flows, "WORKER_SCALE": "4"}
    async with AsyncExitStack() as stack:

        async def start(host: str, **more: str) -> RunningPool:
            pool = await stack.enter_async_context(running_pool(program_env, BEAT_HOST_ID=host, **settings | more))
            await pool.wait_for_line("pool is ready")
            return pool

        watcher = await start("watcher", WORKER_FLOWS="test_nap")
        frozen = await start("frozen")
        while await in_flight(pg, "frozen") < len(ids):
            await asyncio.sleep(0.05)
        claimed_at = time.monotonic()
        os.kill(frozen.pid, signal.SIGSTOP)
        await wait_for_statuses(pg, {"PENDING": len(ids)})
        await pg.execute("update scrape_request_log set params = '{}'")
        taker = await start("taker")
        await wait_for_statuses(pg, {"COMPLETE": len(ids)})
        assert time.monotonic() < claimed_at + 19, "the frozen host's tasks ended before they were run elsewhere"
        await asyncio.sleep(claimed_at + 23 - time.monotonic())
        os.kill(frozen.pid, signal.SIGCONT)
        await wait_for_empty_outbox(pg)
        assert [await pool.stop() for pool in (watcher, taker)] == [0, 0]
        await frozen.stop()
    events = await drain_queue(rmq_url, TASK_EVENTS)
    completed = Counter(event["scl_id"] for event in events if event["status"] == "COMPLETE")
    assert set(completed) == {str(task_id) for task_id in ids}
    assert (set(completed.values()) == {1}) is fenced
