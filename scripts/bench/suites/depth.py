"""What history and backlog cost a claim, and what 100,000 tasks that expire at once do (T10).

Claims are made one task at a time, each with the report of the one before, by the worker's own statement on a direct
connection: what a worker with one free slot does.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg

from core.queue.queue import Claim, Done, WorkerQueue
from scripts.bench import load
from scripts.bench.place import BenchError, Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of, shares

FLOW, OTHER, WORKER = "bench_bare", "bench_nap", 1_000_000
WARM_UP = 50
PACE_S = 0.005
FILL_S, MARGIN_S = 10.0, 0.3
"""Longest that laying down a backlog takes, and what is left free before it expires."""

FINISHED = """
insert into scrape_request_log (flow, platform, params, status, created_at, picked_at, scraped_at, data, result)
select $1, 'INSTAGRAM', jsonb_build_object('handle', 'creator_' || i), 'COMPLETE', now(), now(), now(), 'ok', '{}'
from generate_series(1, $2::int) i"""
PENDING = """
insert into scrape_request_log (flow, platform, params, expires_at)
select $1, 'INSTAGRAM', jsonb_build_object('handle', 'creator_' || i), now() + $3::float8 * interval '1 second'
from generate_series(1, $2::int) i"""
EXPIRING = """
select count(*) from scrape_request_log where status = 'PENDING' and expires_at is not null and expires_at <= now()"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of what is in the table."""

    finished: int
    pending: int
    claims: int
    expiring: int


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Claims in a deep table beside those in an empty one, and while a backlog expires beside those before."""
    size = Size(20_000, 2_000, 300, 5_000) if quick else Size(1_000_000, 20_000, 3_000, 100_000)
    empty: list[list[float]] = []
    deep: list[list[float]] = []
    before: list[list[float]] = []
    during: list[list[float]] = []
    for _ in range(1 if quick else 3):
        await fill(place.pg, 0, size.claims + WARM_UP)
        empty.append(await claims(place, size.claims))
        await fill(place.pg, size.finished, size.pending)
        deep.append(await claims(place, size.claims))
        quiet, busy = await expiry(place, size)
        before.append(quiet)
        during.append(busy)
    rows = []
    for name, share, bounds in (("p50", 0.5, None), ("p99", 0.99, (1.5, 2.0))):
        history, expired = (Target("<=", bound) for bound in bounds) if bounds else (None, None)
        label = f"T10 claim {name}, {size.finished:,} finished and {size.pending:,} pending"
        rows.append(row_of(Metric("depth", label, "ms", history), shares(deep, share), shares(empty, share)))
        label = f"T10 claim {name} while {size.expiring:,} rows expire"
        rows.append(row_of(Metric("depth", label, "ms", expired), shares(during, share), shares(before, share)))
    return rows


async def fill(pg: asyncpg.Connection, finished: int, pending: int) -> None:
    """Leave the table with these rows, vacuumed."""
    await load.fill(pg, load.QUEUE, FLOW, 0)
    await pg.execute("set session_replication_role = replica")
    if finished:
        await pg.execute(FINISHED, FLOW, finished)
    await pg.execute(load.FILL.format(table=load.QUEUE), FLOW, pending)
    await pg.execute("reset session_replication_role")
    await pg.execute("vacuum analyze scrape_request_log")
    await pg.execute("checkpoint")


class Claimer:
    """One worker with one slot."""

    def __init__(self, url: str) -> None:
        self._queue = WorkerQueue(url, WORKER, direct=True)
        self._held: list[Claim] = []

    async def once(self) -> float:
        """Report the last task and claim the next; milliseconds.

        Raises:
            BenchError: there was none to claim.
        """
        done = [Done(claim, "ok", None) for claim in self._held]
        started = time.perf_counter()
        self._held, _ = await self._queue.step({FLOW: 1}, done, oldest_first=False)
        took_ms = (time.perf_counter() - started) * 1000
        if not self._held:
            raise BenchError("the claims of the depth suite ran out of tasks")
        return took_ms

    async def aclose(self) -> None:
        """Close the connection."""
        await self._queue.aclose()


async def claims(place: Place, count: int) -> list[float]:
    """Milliseconds of so many claims one after the other."""
    claimer = Claimer(place.url)
    try:
        for _ in range(WARM_UP):
            await claimer.once()
        return [await claimer.once() for _ in range(count)]
    finally:
        await claimer.aclose()


async def expiry(place: Place, size: Size) -> tuple[list[float], list[float]]:
    """Milliseconds of paced claims before and while rows expire that stand first in the line of the claimed flow.

    A supervisor of another flow does the upkeep. The second list ends when no expired row is left.
    """
    quiet_s = size.claims * PACE_S / 2
    async with running_pool(place.direct_env(), "scripts.bench.flows", WORKER_FLOWS=OTHER):
        await load.fill(place.pg, load.QUEUE, FLOW, 0)
        due = time.perf_counter() + FILL_S + quiet_s
        await place.pg.execute("set session_replication_role = replica")
        await place.pg.execute(PENDING, FLOW, size.expiring, FILL_S + quiet_s)
        await place.pg.execute(load.FILL.format(table=load.QUEUE), FLOW, size.pending + size.claims)
        await place.pg.execute("reset session_replication_role")
        await place.pg.execute("vacuum analyze scrape_request_log")
        claimer = Claimer(place.url)
        try:
            await paced(claimer, due - quiet_s - time.perf_counter() - MARGIN_S)
            quiet = await paced(claimer, quiet_s)
            await asyncio.sleep(due - time.perf_counter())
            busy: list[float] = []
            for _ in range(120):
                busy += await paced(claimer, 0.5)
                if not await place.pg.fetchval(EXPIRING):
                    return quiet, busy
        finally:
            await claimer.aclose()
    raise BenchError("expired rows were still pending after a minute")


async def paced(claimer: Claimer, seconds: float) -> list[float]:
    """Milliseconds of claims that begin every 5 ms, or later when one takes longer."""
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        times.append(await claimer.once())
        await asyncio.sleep(max(0.0, PACE_S - times[-1] / 1000))
    return times
