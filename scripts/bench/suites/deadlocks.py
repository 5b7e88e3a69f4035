"""Whether processes that complete and claim in one statement ever wait for each other in a ring (T15)."""

from __future__ import annotations

import asyncio

from scripts.bench import load
from scripts.bench.place import Place
from scripts.bench.pool import held_relay, running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

FLOW, PROCESSES = "bench_result", 8
ROUND = 100_000
SETTLE_S = 2.0
"""Sessions tell the server's counters of their work at most a second late."""

# A mixture of priorities, so that claims by priority and by age meet.
FILL = """
insert into scrape_request_log (flow, platform, params, priority)
select $1, 'INSTAGRAM', jsonb_build_object('handle', 'creator_' || i), 1 + i % 3 from generate_series(1, $2::int) i"""
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Deadlocks that PostgreSQL has counted in the database."""
    jobs = 15_000 if quick else 1_000_000
    before = int(await place.pg.fetchval(DEADLOCKS))
    env = place.direct_env(WORKER_FLOWS=FLOW, WORKER_SCALE=str(PROCESSES / 4))
    async with held_relay(place.url), running_pool(env, "scripts.bench.flows"):
        for _ in range(0, jobs, ROUND):
            await load.fill(place.pg, load.QUEUE, FLOW, 0)
            await place.pg.execute("set session_replication_role = replica")
            await place.pg.execute(FILL, FLOW, min(jobs, ROUND))
            await place.pg.execute("reset session_replication_role")
            await place.pg.execute("vacuum analyze scrape_request_log")
            await load.wait_until_done(place.pg, load.QUEUE)
    await asyncio.sleep(SETTLE_S)
    found = int(await place.pg.fetchval(DEADLOCKS)) - before
    label = f"T15 deadlocks, {jobs:,} jobs with events and results, {PROCESSES} processes"
    return [row_of(Metric("rescue", label, "1", Target("<=", 0, of="value")), [found])]
