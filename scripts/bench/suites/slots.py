"""How busy the slots are kept with jobs of 50 ms, on four processes of ten slots (T17)."""

from __future__ import annotations

import asyncio

from scripts.bench import load
from scripts.bench.place import Place
from scripts.bench.pool import running_pool
from scripts.bench.rows import Metric, Row, Target, row_of
from scripts.bench.suites.drain import SETTLE_S

FLOW, NAP_S, SLOTS = "bench_nap", 0.05, 4 * 10
FILL = """
insert into scrape_request_log (flow, platform, params)
select $1, 'INSTAGRAM', '{"ms": 50}' from generate_series(1, $2::int)"""

# The middle of the drain: at its end slots are empty because there is no job left for them.
RATE = """
with bounds as (
    select percentile_disc(array[0.05, 0.9]) within group (order by scraped_at) as at
    from scrape_request_log where status = 'COMPLETE'
)
select count(*) / extract(epoch from max(b.at[2]) - max(b.at[1]))::float8
from scrape_request_log t, bounds b where t.scraped_at > b.at[1] and t.scraped_at <= b.at[2]"""


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Jobs a second as a share of what the slots could do."""
    jobs = int(SLOTS / NAP_S * (3 if quick else 8))
    shares = []
    async with running_pool(place.direct_env(), "scripts.bench.flows", WORKER_FLOWS=FLOW):
        for _ in range(1 if quick else 3):
            await place.pg.execute("truncate scrape_request_log, event_outbox")
            await place.pg.execute("insert into beat_flow (flow, paused) values ($1, true)", FLOW)
            await asyncio.sleep(SETTLE_S)
            await place.pg.execute(FILL, FLOW, jobs)
            await place.pg.execute("delete from beat_flow")
            await load.wait_until_done(place.pg, load.QUEUE)
            await load.span(place.pg, load.QUEUE, jobs)  # all of them, or the rate says nothing
            shares.append(await place.pg.fetchval(RATE) * NAP_S / SLOTS)
    metric = Metric("slots", "T17 busy with 50 ms jobs, 4 x 10, relay running", "1", Target(">=", 0.95, of="value"))
    return [row_of(metric, shares)]
