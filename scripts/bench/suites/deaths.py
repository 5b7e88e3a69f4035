"""How soon a lost task runs again: after kill -9 of its process, and after the loss of its host (T12)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

import asyncpg

from scripts.bench import load
from scripts.bench.place import BenchError, Place
from scripts.bench.pool import Pool, running_pool
from scripts.bench.rows import Metric, Row, Target, row_of, shares

FLOW, MODULE = "bench_second", "scripts.bench.flows"
INSERT = f"insert into scrape_request_log (flow, platform, params) values ('{FLOW}', 'INSTAGRAM', '{{}}') returning id"
HOLDER = """
select w.pid from scrape_request_log t join beat_worker w on w.id = t.worker
where t.id = $1 and t.status = 'PROCESSING' and w.pid > 0"""
ANSWER = "select result::text from scrape_request_log where id = $1 and status = 'COMPLETE'"
HELD = """
select count(*) from scrape_request_log t join beat_worker w on w.id = t.worker
where t.status = 'PROCESSING' and w.host = $1"""
LAST = """
select max((result #>> '{}')::bigint) from scrape_request_log
having count(*) = $1 and bool_and(status = 'COMPLETE')"""
TASKS = 20


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Milliseconds to the task's first line elsewhere after a death, seconds after that of a whole host."""
    kills, runs = (6, 1) if quick else (30, 3)
    deaths = []
    for _ in range(runs):
        async with running_pool(place.direct_env(WORKER_FLOWS=FLOW, WORKER_SCALE="5"), MODULE):
            deaths.append([await death(place.pg) for _ in range(kills)])
    hosts = await host_losses(place, runs, {"WORKER_LEASE_S": "5", "HEARTBEAT_S": "1"} if quick else {})
    within = Target("<=", 1000, of="value")
    return [
        row_of(Metric("rescue", "T12 kill -9 of a child, running elsewhere p50", "ms"), shares(deaths, 0.5)),
        row_of(Metric("rescue", "T12 kill -9 of a child, running elsewhere p99", "ms", within), shares(deaths, 0.99)),
        row_of(
            Metric("rescue", f"T12 host lost, all of {TASKS} running elsewhere", "s", Target("<=", 20, of="value")),
            hosts,
        ),
    ]


async def death(pg: asyncpg.Connection) -> float:
    """Kill the process that runs a task; milliseconds to the task's first line in another one."""
    task = await pg.fetchval(INSERT)
    pid = await eventually(pg, HOLDER, task)
    await asyncio.sleep(random.uniform(0.05, 0.3))
    killed = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    begun = int(await eventually(pg, ANSWER, task))
    return (begun - killed) / 1e6


async def host_losses(place: Place, count: int, lease: dict[str, str]) -> list[float]:
    """Lose one host after the other, each time to one that has been watching for a whole lease; seconds each."""
    settle_s = float(lease.get("WORKER_LEASE_S", 15)) + float(lease.get("HEARTBEAT_S", 5))
    times = []
    async with AsyncExitStack() as stack:

        async def start(number: int) -> Pool:
            env = place.direct_env(WORKER_FLOWS=FLOW, BEAT_HOST_ID=f"host-{number}", **lease)
            return await stack.enter_async_context(running_pool(env, MODULE))

        await load.fill(place.pg, load.QUEUE, FLOW, 0)
        victim = await start(0)
        for number in range(1, count + 1):
            await occupy(place.pg, f"host-{number - 1}")
            taker = await start(number)
            await asyncio.sleep(settle_s)
            lost = time.time_ns()
            await victim.kill_all()
            times.append((await eventually(place.pg, LAST, TASKS) - lost) / 1e9)
            await place.pg.execute("truncate scrape_request_log")
            victim = taker
    return times


async def occupy(pg: asyncpg.Connection, host: str) -> None:
    """Give the host all the tasks that it has slots for, each in its first attempt, and leave no others.

    Raises:
        BenchError: it does not take them within a minute.
    """
    for _ in range(60):
        waiting = int(await pg.fetchval("select count(*) from scrape_request_log where status = 'PENDING'"))
        held = int(await pg.fetchval(HELD, host))
        if held == TASKS:
            await pg.execute("delete from scrape_request_log where status <> 'PROCESSING'")
            return
        for _ in range(TASKS - held - waiting):
            await pg.execute(INSERT)
        await asyncio.sleep(1.0)
    raise BenchError(f"{host} took {held} of {TASKS} tasks within a minute")


async def eventually(pg: asyncpg.Connection, question: str, *args: object) -> Any:
    """The first answer that is not null.

    Raises:
        BenchError: there is none within a minute.
    """
    for _ in range(6000):
        if (answer := await pg.fetchval(question, *args)) is not None:
            return answer
        await asyncio.sleep(0.01)
    raise BenchError(f"waited a minute in vain for: {question.strip()}")
