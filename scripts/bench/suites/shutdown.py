"""How a pool leaves when it is told to: what it leaves behind, and how long it takes (T19)."""

from __future__ import annotations

import asyncio
import signal
import time

from scripts.bench import load
from scripts.bench.place import BenchError, Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

FLOW, GRACE_S, SLACK_S = "bench_nap", 1.0, 0.2
LONG_MS, SHORT_MS = 60_000, 50
FILL = """
insert into scrape_request_log (flow, platform, params)
select $1, 'INSTAGRAM', jsonb_build_object('ms', $3::int) from generate_series(1, $2::int)"""
PROCESSING = "select count(*) from scrape_request_log where status = 'PROCESSING'"


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """SIGTERM amid jobs of 50 ms, which end in time, and amid jobs of a minute, which are handed back."""
    rows = []
    for nap_ms, what in ((SHORT_MS, "50 ms"), (LONG_MS, "a minute, handed back")):
        left, took = [], []
        for _ in range(1 if quick else 3):
            found = await leave(place, nap_ms)
            left.append(found[0])
            took.append(found[1])
        within = Target("<=", GRACE_S + SLACK_S, of="value")
        none = Target("<=", 0, of="value")
        rows += [
            row_of(Metric("rescue", f"T19 left PROCESSING after SIGTERM, jobs of {what}", "jobs", none), [max(left)]),
            row_of(Metric("rescue", f"T19 SIGTERM to exit, {GRACE_S:g} s of grace, jobs of {what}", "s", within), took),
        ]
    return rows


async def leave(place: Place, nap_ms: int) -> tuple[int, float]:
    """Stop a pool of four processes of ten slots in the middle of a backlog; rows left PROCESSING, seconds."""
    await load.fill(place.pg, load.QUEUE, FLOW, 0)
    env = place.direct_env(WORKER_FLOWS=FLOW, WORKER_GRACE_S=str(GRACE_S))
    async with running_pool(env, "scripts.bench.flows") as pool:
        await place.pg.execute(FILL, FLOW, 4_000, nap_ms)
        await asyncio.sleep(1.5)
        if int(await place.pg.fetchval(PROCESSING)) < 10:
            raise BenchError("the shutdown suite's pool did not work before it was stopped")
        told = time.monotonic()
        pool.process.send_signal(signal.SIGTERM)
        await pool.process.wait()
        took_s = time.monotonic() - told
    return int(await place.pg.fetchval(PROCESSING)), took_s
