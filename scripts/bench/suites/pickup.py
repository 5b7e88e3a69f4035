"""How soon an idle pool starts a job: from the producer's COMMIT to the job's first line (T5).

The clock starts when COMMIT is sent. The server wakes those who listen before it confirms the commit, so a clock that
waits for the confirmation starts while the job is on its way, and leaves out what both have in common; what it shows is
given too. The limit is one process with one connection that LISTENs and claims with one statement, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import NamedTuple

import asyncpg
import uvloop

from scripts.bench import load
from scripts.bench.place import ROOT, BenchError, Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of, shares

FLOW = "bench_clock"
CHANNEL = "bench_limit"
SETTLE_S = 1.5
WARM_UP = 20
"""Jobs that are not counted: the first one of each process costs some milliseconds (connection, plans, imports)."""

# One statement that inserts and wakes, as the queue's trigger does.
INSERT_LIMIT = f"""
with new as (insert into {load.LIMIT} (flow, platform, params) values ('limit', 'INSTAGRAM', '{{}}') returning id)
select id, pg_notify('{CHANNEL}', '') from new"""
CLAIM_LIMIT = f"""
update {load.LIMIT} set status = 'PROCESSING', picked_at = clock_timestamp()
where id = (select id from {load.LIMIT} where flow = 'limit' and status = 'PENDING' and run_after is null
    order by priority desc, id limit 1 for update skip locked)
returning id, params"""
END_LIMIT = f"update {load.LIMIT} set status = 'COMPLETE', scraped_at = now(), data = $2 where id = $1"

INSERT = f"insert into scrape_request_log (flow, platform, params) values ('{FLOW}', 'INSTAGRAM', '{{}}') returning id"
ANSWER = "select result::text from scrape_request_log where id = $1 and status = 'COMPLETE'"
ANSWER_LIMIT = f"select data from {load.LIMIT} where id = $1 and status = 'COMPLETE'"


class Pickup(NamedTuple):
    """Milliseconds to a job's first line, since COMMIT was sent and since it was confirmed."""

    commit_ms: float
    confirmed_ms: float


Probe = Callable[[], Awaitable[Pickup]]


def probe(pg: asyncpg.Connection, insert: str, answer: str) -> Probe:
    """One job into an idle queue."""

    async def once() -> Pickup:
        async with pg.transaction():
            job = await pg.fetchval(insert)
            sent = time.time_ns()
        confirmed = time.time_ns()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if (text := await pg.fetchval(answer, job)) is not None:
                await asyncio.sleep(random.uniform(0.005, 0.02))
                begun = json.loads(text)
                return Pickup((begun - sent) / 1e6, (begun - confirmed) / 1e6)
        raise BenchError("a job was not picked up within 10 s")

    return once


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """p50 and p99 of idle pick-ups, blocks of ours and of the limit's taking turns."""
    block, blocks, runs = (25, 2, 1) if quick else (50, 4, 3)
    ours: list[list[Pickup]] = []
    limits: list[list[Pickup]] = []
    await place.pg.execute(load.MAKE_LIMIT)
    env = place.direct_env(WORKER_FLOWS=FLOW)
    async with running_pool(env, "scripts.bench.flows"), limit_listener(place.url):
        await asyncio.sleep(SETTLE_S)
        probes = (probe(place.pg, INSERT, ANSWER), probe(place.pg, INSERT_LIMIT, ANSWER_LIMIT))
        for _ in range(WARM_UP):
            await probes[0]()
        for _ in range(runs):
            taken: tuple[list[Pickup], list[Pickup]] = ([], [])
            for _ in range(blocks):
                for one, times in zip(probes, taken, strict=True):
                    times += [await one() for _ in range(block)]
            ours.append(taken[0])
            limits.append(taken[1])

    def row(metric: Metric, share: float, clock: Callable[[Pickup], float]) -> Row:
        times = ([[clock(one) for one in run] for run in runs] for runs in (ours, limits))
        return row_of(metric, *(shares(one, share) for one in times))

    commit, confirmed = attrgetter("commit_ms"), attrgetter("confirmed_ms")
    return [
        row(Metric("pickup", "T5 idle pick-up p50", "ms", Target("<=", 1.5)), 0.5, commit),
        row(Metric("pickup", "T5 idle pick-up p99", "ms", Target("<=", 3.0)), 0.99, commit),
        row(Metric("pickup", "idle pick-up p50, since the commit was confirmed", "ms"), 0.5, confirmed),
    ]


async def pickups(place: Place, count: int) -> list[Pickup]:
    """So many pick-ups by a warm, idle pool whose workers connect as the place says."""
    async with running_pool(place.direct_env(WORKER_FLOWS=FLOW), "scripts.bench.flows"):
        await asyncio.sleep(SETTLE_S)
        once = probe(place.pg, INSERT, ANSWER)
        return [await once() for _ in range(WARM_UP + count)][WARM_UP:]


@asynccontextmanager
async def limit_listener(url: str) -> AsyncIterator[None]:
    """The harness process, ready."""
    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, "-m", "scripts.bench.suites.pickup", url]
    worker = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert worker.stdout is not None
    if await worker.stdout.readline() != b"ready\n":
        raise BenchError("the LISTEN harness did not start")
    try:
        yield
    finally:
        await worker.communicate(b"")  # ends its input


async def _listen(url: str) -> None:
    conn = await asyncpg.connect(url)
    woken = asyncio.Event()
    await conn.add_listener(CHANNEL, lambda *_: woken.set())
    print("ready", flush=True)
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    over.add_done_callback(lambda _: woken.set())
    while not over.done():
        while row := await conn.fetchrow(CLAIM_LIMIT):
            await conn.execute(END_LIMIT, row["id"], str(time.time_ns()))
        await woken.wait()
        woken.clear()
    await conn.close()


if __name__ == "__main__":
    uvloop.run(_listen(sys.argv[1]))
