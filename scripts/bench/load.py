"""Fills and watches the tables that a bench drains."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from scripts.bench.place import BenchError
from scripts.bench.proc import cpu_s

LOOK_S = 0.25
"""Time between two looks whether a drain is over: each costs as much as dozens of jobs, and the limit's need none."""

QUEUE, LIMIT, BARE = "scrape_request_log", "bench_limit", "bench_bare_table"

_STORED = """with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0)"""
# The queue's own table without its triggers: the same columns, checks and indexes, so that the rest is Beat's doing.
MAKE_LIMIT = f"create table if not exists {LIMIT} (like {QUEUE} including all) {_STORED}"
# As wide, with no more than a primary key and the one index that a claim needs: what the queue's indexes cost.
MAKE_BARE = f"""
create table if not exists {BARE} (like {QUEUE} including defaults, primary key (id)) {_STORED};
create index if not exists bench_bare_claim on {BARE} (flow, priority desc, id) where status = 'PENDING'"""

FILL = """
insert into {table} (flow, platform, params)
select $1, 'INSTAGRAM', jsonb_build_object('handle', 'creator_' || i) from generate_series(1, $2::int) i"""

# By primary key first, because a scan for what is left would wade through the dead entries of a busy index.
LEFT = """
select case when (select status from {table} where id = $1) in ('PENDING', 'PROCESSING') then true
    else exists (select from {table} where status in ('PENDING', 'PROCESSING')) end"""

SPAN = """
select count(*) as jobs, extract(epoch from max(scraped_at) - min(picked_at))::float8 as seconds
from {table} where status = 'COMPLETE'"""

SESSIONS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Span:
    """Jobs done, and the seconds between the first claim and the last completion."""

    jobs: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


async def fill(pg: asyncpg.Connection, table: str, flow: str, jobs: int) -> None:
    """Leave the table with exactly these pending rows, vacuumed, just after a checkpoint, and an empty outbox.

    Triggers do not fire: nobody is woken and no event is written for the rows.
    """
    await pg.execute(f"truncate {table}")
    await pg.execute("truncate event_outbox")
    await pg.execute("checkpoint")  # so that no run pays for whole page images that another one was spared
    await pg.execute("set session_replication_role = replica")
    await pg.execute(FILL.format(table=table), flow, jobs)
    await pg.execute("reset session_replication_role")
    await pg.execute(f"vacuum analyze {table}")


async def wait_until_done(pg: asyncpg.Connection, table: str, within_s: float = 180.0) -> None:
    """Wait until no row is pending or running.

    Raises:
        BenchError: it takes too long.
    """
    last = await pg.fetchval(f"select max(id) from {table}")
    await wait_while(pg, LEFT.format(table=table), last, within_s=within_s)


async def wait_while(pg: asyncpg.Connection, question: str, *args: object, within_s: float) -> None:
    """Wait until the answer is no.

    Raises:
        BenchError: it takes too long.
    """
    for _ in range(int(within_s / LOOK_S)):
        if not await pg.fetchval(question, *args):
            return
        await asyncio.sleep(LOOK_S)
    raise BenchError(f"waited {within_s:g} s in vain for the end of: {question.strip()}")


async def span(pg: asyncpg.Connection, table: str, jobs: int) -> Span:
    """How long the drain of so many jobs took, by the database's clock.

    Raises:
        BenchError: not all were completed.
    """
    row = await pg.fetchrow(SPAN.format(table=table))
    if row is None or row["jobs"] != jobs or not row["seconds"]:
        raise BenchError(f"{row and row['jobs']} of {jobs} jobs were completed in {table}")
    return Span(row["jobs"], row["seconds"])


async def wal_position(pg: asyncpg.Connection) -> int:
    """Bytes of WAL written so far by the whole server."""
    return int(await pg.fetchval("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))


async def backends(pg: asyncpg.Connection) -> list[int]:
    """Process ids of the server's sessions in this database, without the asking one."""
    rows = await pg.fetch(SESSIONS)
    return [row["pid"] for row in rows]


@dataclass(frozen=True, slots=True)
class Meter:
    """What a drain has cost up to a moment: CPU of the clients and of their sessions, WAL of the whole server."""

    client_s: float
    server_s: float
    wal_bytes: int

    def per_job_since(self, before: Meter, jobs: int) -> Meter:
        """The cost of one job between two readings; CPU in microseconds."""
        return Meter(
            (self.client_s - before.client_s) * 1e6 / jobs,
            (self.server_s - before.server_s) * 1e6 / jobs,
            round((self.wal_bytes - before.wal_bytes) / jobs),
        )


async def read_meter(pg: asyncpg.Connection, clients: list[int]) -> Meter:
    """The readings now. ``clients``: process ids on Beat's or the harness's side."""
    return Meter(cpu_s(clients), cpu_s(await backends(pg)), await wal_position(pg))
