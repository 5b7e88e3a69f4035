"""What the machine could do at best: raw asyncpg, batched claim and batched complete, default durability, no semantics.

``python -m scripts.bench.limit URL N TABLE`` is one such worker: it says "ready", waits for a line, drains, says how
many statements that took, and leaves when its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import asyncpg
import uvloop

from scripts.bench import load
from scripts.bench.place import ROOT, BenchError

CLAIM = """
update {table} set status = 'PROCESSING', picked_at = clock_timestamp()
where id = any(array(select id from {table} where flow = 'limit' and status = 'PENDING' and run_after is null
    order by priority desc, id limit $1 for update skip locked))
returning id, params"""
COMPLETE = "update {table} set status = 'COMPLETE', scraped_at = now() where id = any($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain of a table full of jobs."""

    jobs_per_s: float
    statements_per_job: float
    cost: load.Meter


async def drain(
    pg: asyncpg.Connection, url: str, *, processes: int, batch: int, jobs: int, table: str = load.LIMIT
) -> Drained:
    """Drain that many jobs with that many limit workers, from one of the two tables of ``load``."""
    await pg.execute(load.MAKE_LIMIT if table == load.LIMIT else load.MAKE_BARE)
    await load.fill(pg, table, "limit", jobs)
    workers = [await _start(url, batch, table) for _ in range(processes)]
    try:
        pids = [worker.pid for worker in workers]
        before = await load.read_meter(pg, pids)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"go\n")
        statements = sum(await asyncio.gather(*(_statements(worker) for worker in workers)))
        cost = (await load.read_meter(pg, pids)).per_job_since(before, jobs)
    finally:
        for worker in workers:
            await worker.communicate(b"")  # ends its input
    done = await load.span(pg, table, jobs)
    return Drained(done.per_s, statements / jobs, cost)


async def _start(url: str, batch: int, table: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, "-m", "scripts.bench.limit", url, str(batch), table]
    worker = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert worker.stdout is not None
    if await worker.stdout.readline() != b"ready\n":
        raise BenchError("a limit worker did not start")
    return worker


async def _statements(worker: asyncio.subprocess.Process) -> int:
    assert worker.stdout is not None
    line = await worker.stdout.readline()
    if not line:
        raise BenchError("a limit worker died")
    return int(line)


async def _work(url: str, batch: int, table: str) -> None:
    """One worker: claim a batch, complete it, until a claim comes back empty."""
    conn = await asyncpg.connect(url)
    claim, complete = CLAIM.format(table=table), COMPLETE.format(table=table)
    await conn.fetch(claim, 0)  # both are prepared before the clock runs
    await conn.execute(complete, [])
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    statements = 1
    while rows := await conn.fetch(claim, batch):
        await conn.execute(complete, [row["id"] for row in rows])
        statements += 2
    print(statements, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # its CPU time is being read
    await conn.close()


if __name__ == "__main__":
    uvloop.run(_work(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
