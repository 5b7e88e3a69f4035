"""What a host at rest costs: the whole table of flows and the listeners started, no task anywhere (T6, T7).

Once more with the same flows packed into four processes, as a small host runs them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg

from scripts.bench import load, proc
from scripts.bench.place import Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

SETTLE_S = 20.0
"""Past the first heartbeats, the first search for orphans and PostgreSQL's delayed counting of the start."""

# A statement without a name is two implicit transactions, one that parses it and one that runs it.
COMMITS_PER_STATEMENT = 2
COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"
LISTENERS = """
select count(*) from pg_stat_activity where datname = current_database() and application_name = 'beat listen'"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters at a moment; CPU in seconds."""

    at: float
    commits: int
    server_s: float
    worker_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """A host at rest, by windows: statements, server CPU and CPU of a worker process a minute."""

    processes: int
    sessions: int
    statements: list[float]
    server_s: list[float]
    worker_s: list[float]


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Statements, CPU and LISTEN sessions a minute of a host at rest."""
    whole = await rest(place, 20.0 if quick else 60.0, 1 if quick else 3)
    rows = [
        row_of(Metric("idle", "processes", "1"), [whole.processes]),
        row_of(Metric("idle", "T6 statements", "1/min", Target("<=", 150, of="value")), whole.statements),
        row_of(Metric("idle", "T6 server CPU", "s/min", Target("<=", 0.2, of="value")), whole.server_s),
        row_of(Metric("idle", "T6 LISTEN sessions", "1", Target("<=", 1, of="value")), [whole.sessions]),
        row_of(Metric("idle", "T7 CPU per worker process", "s/min", Target("<=", 0.01, of="value")), whole.worker_s),
    ]
    if quick:
        return rows
    packed = await rest(place, 60.0, 1, WORKER_PROCESSES="4")
    return [
        *rows,
        row_of(Metric("idle", "processes, packed", "1"), [packed.processes]),
        row_of(Metric("idle", "statements, packed", "1/min"), packed.statements),
        row_of(Metric("idle", "server CPU, packed", "s/min"), packed.server_s),
        row_of(Metric("idle", "CPU per worker process, packed", "s/min"), packed.worker_s),
    ]


async def rest(place: Place, window_s: float, windows: int, **settings: str) -> Rest:
    """Start the full pool and watch it do nothing."""
    statements, server_s, worker_s = [], [], []
    env = {**place.env, "PGBOUNCER_URL": place.pooled_url}
    async with running_pool(env, "scripts.bench.flows_all", **settings) as pool:
        await asyncio.sleep(SETTLE_S)
        workers = proc.forked_by(pool.pid)[1]
        sessions = int(await place.pg.fetchval(LISTENERS))
        for _ in range(windows):
            before = await read(place.pg, workers)
            await asyncio.sleep(window_s)
            after = await read(place.pg, workers)
            minutes = (after.at - before.at) / 60
            statements.append((after.commits - before.commits) / COMMITS_PER_STATEMENT / minutes)
            server_s.append((after.server_s - before.server_s) / minutes)
            worker_s.append((after.worker_s - before.worker_s) / minutes / len(workers))
    return Rest(len(workers), sessions, statements, server_s, worker_s)


async def read(pg: asyncpg.Connection, workers: list[int]) -> Reading:
    """The counters now. Sessions tell the server's counters of their work at most a second late while they work."""
    commits = int(await pg.fetchval(COMMITS))
    return Reading(time.monotonic(), commits, proc.cpu_s(await load.backends(pg)), proc.cpu_s(workers))
