"""What the pool's processes hold: memory, start-up time, threads, files open by accident (T20).

The limit of a child is one of as many bare fork server children with asyncpg, uvloop and one connection.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

from scripts.bench import proc
from scripts.bench.place import ROOT, BenchError, Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

SETTLE_S = 4.0
"""Every child has made its first claim and the supervisor its first rounds."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a tree of processes held."""

    ready_s: float
    processes: int
    pss_mb: float
    child_mb: float
    threads: int
    shared_files: int


@dataclass(frozen=True, slots=True)
class Size:
    """A pool to weigh. ``processes``: all flows packed into so many; by themselves when empty."""

    label: str
    module: str
    processes: str = ""


BUILT = Size("built flows", "")
ALL = Size("73 flows and 25 listeners (stand-ins where not built)", "scripts.bench.flows_all")
PACKED = Size("the same packed into 4 processes", "scripts.bench.flows_all", processes="4")


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Rows for the built flows, for the full table, and for a small host with the full table."""
    rows: list[Row] = []
    for size in (BUILT, ALL, PACKED):
        ours, limits = [], []
        for _ in range(1 if quick else 3):
            ours.append(await weigh_pool(place, size))
            limits.append(await weigh_bare(place, ours[-1].processes))
        rows += _rows(size, ours, limits)
    return rows


def _rows(size: Size, ours: list[Held], limits: list[Held]) -> list[Row]:
    full = size is ALL

    def metric(name: str, unit: str, target: Target | None = None) -> Metric:
        return Metric("memory", f"{name}, {size.label}", unit, target)

    ready = metric("ready in", "s", Target("<=", 10, of="value") if full else None)
    total = metric("PSS of all processes", "MB", Target("<=", 2000, of="value") if full else None)
    child = metric("T20 PSS per child", "MB", Target("<=", 15, of="value"))
    if size.processes:  # a child that serves many flows
        child = metric("PSS per child", "MB")
    files = metric("files shared by accident", "1", Target("<=", 0, of="value"))
    return [
        row_of(metric("processes", "1"), [held.processes for held in ours]),
        row_of(ready, [held.ready_s for held in ours], [held.ready_s for held in limits]),
        row_of(total, [held.pss_mb for held in ours], [held.pss_mb for held in limits]),
        row_of(child, [held.child_mb for held in ours], [held.child_mb for held in limits]),
        row_of(metric("threads per process", "1"), [held.threads / held.processes for held in ours]),
        row_of(files, [held.shared_files for held in ours]),
    ]


async def weigh_pool(place: Place, size: Size) -> Held:
    """Start the pool as production does, through the pooler, let it settle, weigh it."""
    env = {**place.env, "PGBOUNCER_URL": place.pooled_url}
    async with running_pool(env, size.module, WORKER_PROCESSES=size.processes) as pool:
        await asyncio.sleep(SETTLE_S)
        return weigh(pool.pid, pool.ready_s)


async def weigh_bare(place: Place, count: int) -> Held:
    """As many bare children."""
    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, "-c", "from scripts.bench.bare import main; main()", place.pooled_url, str(count)]
    started = time.monotonic()
    parent = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert parent.stdout is not None
    if await parent.stdout.readline() != b"ready\n":
        raise BenchError("the bare processes did not start")
    try:
        return weigh(parent.pid, time.monotonic() - started)
    finally:
        await parent.communicate(b"")  # ends its input


def weigh(parent: int, ready_s: float) -> Held:
    """``parent`` and everything below it; what is said of children is said of those that its fork server made."""
    _, children = proc.forked_by(parent)
    return Held(
        ready_s,
        len(children),
        sum(proc.pss_mb(pid) for pid in [parent, *proc.descendants(parent)]),
        sum(proc.pss_mb(pid) for pid in children) / len(children),
        sum(proc.threads(pid) for pid in children),
        len(proc.shared_files(parent)),
    )
