"""What an old snapshot (a dump, a forgotten transaction) costs a drain, whose dead rows it keeps (T11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scripts.bench.place import Place
from scripts.bench.rows import Metric, Row, Target, row_of
from scripts.bench.suites.drain import CORE, drain
from utils.db import connect

JOBS = 50_000


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Jobs a second with a snapshot held since before the first job was queued, beside the same without it."""
    jobs, runs = (6_000, 1) if quick else (JOBS, 3)
    held, free = [], []
    for _ in range(runs):
        free.append((await drain(place, CORE, jobs)).jobs_per_s)
        async with held_snapshot(place.url):
            held.append((await drain(place, CORE, jobs)).jobs_per_s)
    metric = Metric("snapshot", f"T11 {CORE.label}, old snapshot held", "jobs/s", Target(">=", 0.5))
    return [row_of(metric, held, free)]


@asynccontextmanager
async def held_snapshot(url: str) -> AsyncIterator[None]:
    """A transaction that has looked at nothing of the queue and holds vacuum back all the same."""
    conn = await connect(url, name="beat bench holds a snapshot", command_timeout_s=None)
    try:
        async with conn.transaction(isolation="repeatable_read"):
            await conn.fetchval("select 1")
            yield
    finally:
        await conn.close()
