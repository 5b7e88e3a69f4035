"""Uploads: what one costs, how long one takes at half load, and what bad sources do to the others.

The limit is a raw aiohttp GET and a signed PUT of the same bytes in as many processes, before and after Beat's run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from core.flows.registry import ASSET_POOL
from scripts.bench.mix import TURN, clean_kind, faulty_kind, is_good
from scripts.bench.place import BenchError, Place
from scripts.bench.rows import Metric, Row, Target, quantile, row_of
from scripts.bench.uploads import (
    EMPTY,
    FILL,
    FLOW,
    Run,
    Site,
    asset_pool,
    drained,
    limit_run,
    site,
    url_of,
    wait_until_tried,
    warm_up,
)
from utils.cores import usable_cores

A_DAY = 86400.0
WARM = 2000

TOOK = """
select extract(epoch from a.updated_at - t.created_at)::float8 * 1000 as ms
from scrape_request_log t join asset a on a.entity_id = t.params->>'entity_id'
where t.status = 'COMPLETE' and a.entity_id = any($1::text[])"""


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Throughput per core, latency at half load, throughput among bad sources."""
    count, runs, seconds = (1000, 1, 3) if quick else (12_000, 3, 20)
    processes = 2 * usable_cores()
    ours: list[Run] = []
    limits, mixed, took, took_mixed = [], [], [], []
    async with site(place) as here:
        for _ in range(runs):
            before = await limit_run(here, processes, count)
            async with asset_pool(here, processes):
                await warm_up(here, min(count, WARM))
                ours.append(await drained(here, clean_kind, count, range(count)))
            limits.append(before + await limit_run(here, processes, count))
            async with asset_pool(here, processes):
                await warm_up(here, min(count, WARM))
                good = [number for number in range(count) if is_good(number)]
                mixed.append(await drained(here, faulty_kind, count, good))
                half = ours[-1].per_s / 2
                took.append(await at_load(here, half, seconds, lambda _: True))
                took_mixed.append(await at_load(here, half, seconds, is_good))
        await here.taken()
    return [*_costs(ours, limits), *_times(took, took_mixed), *_among_bad(mixed, ours)]


def _costs(ours: list[Run], limits: list[Run]) -> list[Row]:
    per_core = Metric("assets", "uploads_per_core", "1/s", Target(">=", 0.7))
    rows = [row_of(per_core, [run.per_core for run in ours], [run.per_core for run in limits])]
    for name, millions in (("8 million a day", 8), ("80 million a day", 80)):
        metric = Metric("assets", f"uploader cores for {name}", "cores")
        wanted = millions * 1e6 / A_DAY
        rows.append(row_of(metric, [wanted / run.per_core for run in ours], [wanted / run.per_core for run in limits]))
    wall = Metric("assets", "uploads, this machine", "1/s")
    server = Metric("assets", "database CPU per upload", "µs")
    return [
        *rows,
        row_of(wall, [run.per_s for run in ours], [run.per_s for run in limits]),
        row_of(server, [run.server_s * 1e6 / run.uploads for run in ours]),
    ]


def _times(took: list[list[float]], mixed: list[list[float]]) -> list[Row]:
    rows = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        alone = [quantile(one, share) for one in took]
        label = "task queued to asset recorded, half load"
        rows.append(row_of(Metric("assets", f"{label}, {name}", "ms"), alone))
        beside = Metric("assets", f"{label} of good ones beside bad ones, {name}", "ms")
        rows.append(row_of(beside, [quantile(one, share) for one in mixed], alone))
    return rows


def _among_bad(mixed: list[Run], ours: list[Run]) -> list[Row]:
    metric = Metric("assets", "good uploads beside 20 % expired, 5 % 5xx, 5 % slow", "1/s", Target(">=", 0.8))
    return [row_of(metric, [run.per_s for run in mixed], [run.per_s for run in ours])]


async def at_load(here: Site, rate: float, seconds: float, wanted: Callable[[int], bool]) -> list[float]:
    """Milliseconds from the INSERT of a task to the record of its asset, tasks coming one by one: so many a second of
    the ``wanted`` numbers, whose files come, and what ``faulty_kind`` has between these, if not all are wanted."""
    pg = here.place.pg
    kind_of = clean_kind if all(map(wanted, range(TURN))) else faulty_kind
    rate *= TURN / sum(map(wanted, range(TURN)))
    await pg.execute(EMPTY)
    started, sent = time.monotonic(), 0
    while (now := time.monotonic() - started) < seconds:
        due = int(now * rate)
        for number in range(sent, due):
            await pg.execute(FILL, FLOW, [number], [url_of(kind_of(number), number)])
        sent = due
        await asyncio.sleep(0.002)
    await wait_until_tried(pg)
    names = [str(number) for number in range(sent) if wanted(number)]
    took = [row["ms"] for row in await pg.fetch(TOOK, names)]
    if len(took) != len(names):
        raise BenchError(f"{len(took)} of {len(names)} uploads of the {ASSET_POOL} succeeded")
    return took
