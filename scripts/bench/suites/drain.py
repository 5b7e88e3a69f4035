"""How fast the worker pool empties a full queue, beside raw asyncpg doing the same with no semantics (T1, T2, T4)."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from scripts.bench import core_step, counting, limit, load
from scripts.bench.limit import Drained
from scripts.bench.place import Place
from scripts.bench.pool import held_relay, running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

WARM_UP = 2_000
"""Jobs before the measured ones: with the first a process connects, has its statements planned and makes its slots."""

SETTLE_S = 2.6
"""A pause reaches the children with the supervisor's next look, at most 1.1 s later; twice that and some."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to drain: which flow, on how many processes of the four that it has, of how many slots."""

    label: str
    flow: str
    slots: int
    module: str = "scripts.bench.flows"
    processes: int = 4
    relay: bool = False


CORE = Shape("core alone, 4 x 100", "bench_bare", 100, "scripts.bench.flows_core")
ONE = Shape("core alone, 1 x 100", "bench_bare", 100, "scripts.bench.flows_core", processes=1)
FULL = Shape("events and results, relay stopped, 4 x 100", "bench_result", 100)
SMALL = Shape("events and results, relay stopped, 4 x 5", "bench_shape", 5)
RELAYED = Shape("events and results, relay running, 4 x 100", "bench_result", 100, relay=True)


async def drain(place: Place, shape: Shape, jobs: int) -> Drained:
    """One drain by a fresh pool; the queue is filled while the flow is paused, then the flow is resumed."""
    async with AsyncExitStack() as stack:
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="beat-bench-")))
        if not shape.relay:
            await stack.enter_async_context(held_relay(place.url))
        await place.pg.execute("truncate scrape_request_log, event_outbox, beat_flow")
        await core_step.make(place.pg)
        env = place.direct_env(**{counting.VARIABLE: str(counts)})
        size = str(shape.processes / 4)
        async with running_pool(env, shape.module, WORKER_FLOWS=shape.flow, WORKER_SCALE=size) as pool:
            await load.fill(place.pg, load.QUEUE, shape.flow, WARM_UP)
            await load.wait_until_done(place.pg, load.QUEUE)
            await place.pg.execute("insert into beat_flow (flow, paused) values ($1, true)", shape.flow)
            await asyncio.sleep(SETTLE_S)
            await load.fill(place.pg, load.QUEUE, shape.flow, jobs)
            before = await load.read_meter(place.pg, pool.processes())
            await place.pg.execute("update beat_flow set paused = false")
            await load.wait_until_done(place.pg, load.QUEUE)
            cost = (await load.read_meter(place.pg, pool.processes())).per_job_since(before, jobs)
        done = await load.span(place.pg, load.QUEUE, jobs)
        return Drained(done.per_s, counting.total(counts) / (WARM_UP + jobs), cost)


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Rows of T1, T2 and T4, and the drain as production does it."""
    jobs, small_jobs = (8_000, 3_000) if quick else (40_000, 10_000)
    runs: dict[str, list[Drained]] = {}

    async def limits(name: str, processes: int, batch: int, count: int, table: str = load.LIMIT) -> None:
        found = await limit.drain(place.pg, place.url, processes=processes, batch=batch, jobs=count, table=table)
        runs.setdefault(name, []).append(found)

    async def ours(name: str, shape: Shape, count: int) -> None:
        runs.setdefault(name, []).append(await drain(place, shape, count))

    for _ in range(1 if quick else 3):
        await limits("limit", 4, 100, jobs)
        await limits("bare", 4, 100, jobs, load.BARE)
        await ours("core", CORE, jobs)
        await ours("full", FULL, jobs)
        await limits("limit 1", 1, 100, jobs // 2)
        await ours("core 1", ONE, jobs // 2)
        await limits("limit 5", 4, 5, small_jobs)
        await ours("small", SMALL, small_jobs)
        await ours("relayed", RELAYED, small_jobs)
    return _rows(runs)


def _rows(runs: dict[str, list[Drained]]) -> list[Row]:
    def row(metric: Metric, pair: tuple[str, str], figure: Callable[[Drained], float]) -> Row:
        ours, limits = ([figure(run) for run in runs[name]] for name in pair)
        return row_of(metric, ours, limits)

    shapes = {"core": CORE, "core 1": ONE, "full": FULL, "small": SMALL, "relayed": RELAYED}
    beside = {"core": "limit", "core 1": "limit 1", "full": "limit", "small": "limit 5", "relayed": "limit"}
    asked = {"core": 0.85, "core 1": 0.8, "full": 0.4, "small": 0.6}
    rows = []
    for name, shape in shapes.items():
        rate = Metric("drain", shape.label, "jobs/s", Target(">=", asked[name]) if name in asked else None)
        rows.append(row(rate, (name, beside[name]), lambda run: run.jobs_per_s))
    bare = Metric("drain", f"{CORE.label}, beside a table without the queue's indexes", "jobs/s")
    rows.append(row(bare, ("core", "bare"), lambda run: run.jobs_per_s))
    statements = Metric("drain", "statements per job, core alone", "1", Target("<=", 0.02, of="value"))
    rows.append(row(statements, ("core", "limit"), lambda run: run.statements_per_job))
    for name in ("core", "full", "small"):
        pair, label = (name, beside[name]), shapes[name].label
        wal = Metric("drain", f"WAL per job, {label}", "bytes", Target("<=", 1.15) if name == "core" else None)
        rows += [
            row(wal, pair, lambda run: run.cost.wal_bytes),
            row(Metric("drain", f"worker CPU per job, {label}", "us"), pair, lambda run: run.cost.client_s),
            row(Metric("drain", f"server CPU per job, {label}", "us"), pair, lambda run: run.cost.server_s),
        ]
    return rows
