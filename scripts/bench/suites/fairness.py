"""Whether one flow's flood or one priority's stream leaves room for others (T18)."""

from __future__ import annotations

import asyncio

from scripts.bench import load
from scripts.bench.place import BenchError, Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of, shares
from scripts.bench.suites import pickup
from scripts.bench.suites.drain import SETTLE_S
from utils.db import connect

LOW, HIGH = 0, 9
STREAM = "bench_nap"
FILL = """
insert into scrape_request_log (flow, platform, params, priority)
select $1, 'INSTAGRAM', '{"ms": 20}', $3 from generate_series(1, $2::int)"""
SHARE = """
select count(*) filter (where priority = $1)::float8 / count(*) as low, count(*) as jobs
from scrape_request_log where status = 'COMPLETE'"""
WAITING = "select count(distinct priority) from scrape_request_log where status = 'PENDING'"

FLOOD = "bench_shape"
POUR = """
insert into scrape_request_log (flow, platform, params)
select $1, 'INSTAGRAM', jsonb_build_object('handle', 'creator_' || i) from generate_series(1, $2::int) i"""
WAITS = "select exists (select from scrape_request_log where flow = $1 and status = 'PENDING')"
WORST_MS = 50.0


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """The tail's share of the capacity, and pick-ups of an idle flow while another is flooded."""
    seconds, tasks, probes, runs = (3.0, 3_000, 60, 1) if quick else (10.0, 100_000, 400, 3)
    low = [await tail_share(place, seconds) for _ in range(runs)]
    idle: list[list[float]] = []
    flooded: list[list[float]] = []
    for _ in range(runs):
        before, during = await flood(place, tasks, probes)
        idle.append(before)
        flooded.append(during)
    tail = Metric(
        "fairness", "T18 share of the oldest low priority under endless high", "1", Target(">=", 0.08, of="value")
    )
    label = f"T18 pick-up p99 in a flood of {tasks:,} tasks of another flow"
    worst, best = shares(flooded, 0.99), shares(idle, 0.99)
    added = [busy - quiet for busy, quiet in zip(worst, best, strict=True)]
    return [
        row_of(tail, low),
        row_of(Metric("fairness", label, "ms"), worst, best),
        row_of(Metric("fairness", f"{label}, added", "ms", Target("<=", WORST_MS, of="value")), added),
    ]


async def tail_share(place: Place, seconds: float) -> float:
    """Completed tasks of low priority, all older, as a share of all that four processes of ten slots completed."""
    async with running_pool(place.direct_env(), "scripts.bench.flows", WORKER_FLOWS=STREAM):
        await load.fill(place.pg, load.QUEUE, STREAM, 0)
        await place.pg.execute("insert into beat_flow (flow, paused) values ($1, true)", STREAM)
        await asyncio.sleep(SETTLE_S)
        await place.pg.execute("set session_replication_role = replica")
        for priority, count in ((LOW, 0.3), (HIGH, 1.0)):
            await place.pg.execute(FILL, STREAM, int(seconds * 4 * 10 / 0.02 * count), priority)
        await place.pg.execute("reset session_replication_role")
        await place.pg.execute("vacuum analyze scrape_request_log")
        await place.pg.execute("delete from beat_flow")
        await asyncio.sleep(seconds)
        row = await place.pg.fetchrow(SHARE, LOW)
        waiting = await place.pg.fetchval(WAITING)
    if row is None or not row["jobs"] or waiting != 2:
        raise BenchError("the fairness suite ran out of tasks of one priority")
    return float(row["low"])


async def flood(place: Place, tasks: int, probes: int) -> tuple[list[float], list[float]]:
    """Milliseconds of pick-ups of an idle flow before and during a flood of no-op tasks, from its INSERT on."""
    await load.fill(place.pg, load.QUEUE, FLOOD, 0)
    env = place.direct_env(WORKER_FLOWS=f"{FLOOD},{pickup.FLOW}")
    async with running_pool(env, "scripts.bench.flows"):
        await asyncio.sleep(pickup.SETTLE_S)
        once = pickup.probe(place.pg, pickup.INSERT, pickup.ANSWER)
        idle = [(await once()).commit_ms for _ in range(probes)]
        other = await connect(place.url, name="beat bench flood", command_timeout_s=None)
        try:
            pour = asyncio.create_task(other.execute(POUR, FLOOD, tasks))
            flooded: list[float] = []
            while not pour.done() or (len(flooded) < probes and await place.pg.fetchval(WAITS, FLOOD)):
                flooded += [(await once()).commit_ms for _ in range(10)]
            await pour
        finally:
            await other.close()
        await place.pg.execute("truncate scrape_request_log, event_outbox")
    if len(flooded) < probes / 4:
        raise BenchError(f"the flood ended after {len(flooded)} pick-ups of another flow")
    return idle, flooded
