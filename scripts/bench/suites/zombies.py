"""Whether a host that was frozen past its lease can still complete what was given to another (T13).

Two supervisors with host ids of their own serve one flow; the watcher's lease is 0.3 s. Both run tasks, the other one
is stopped with SIGSTOP, its tasks fall due in its sleep and are given to the watcher, and SIGCONT lets it report them.
A trial is one such report. The watcher lives on, the frozen host is a new one each time.
"""

from __future__ import annotations

import asyncio
import signal

import asyncpg

from scripts.bench import load, proc
from scripts.bench.place import BenchError, Place
from scripts.bench.pool import Pool, held_relay, running_pool, signal_all
from scripts.bench.rows import Metric, Row, Target, row_of
from scripts.bench.suites.deaths import HELD, eventually

FLOW, MODULE = "bench_attempt", "scripts.bench.flows"
SLOTS, NAP_MS = 4 * 100, 1000
OPTIONS = ("trials",)
TRIALS = 10_000
REFUSED = "report was refused: the claim was lost"

FILL = f"""
insert into scrape_request_log (flow, platform, params, max_retries)
select '{FLOW}', 'INSTAGRAM', jsonb_build_object('ms', {NAP_MS}), 100 from generate_series(1, $1::int)"""
TAKEN = f"select true where ({HELD}) = 0"
# A task that was taken away is in a later attempt than the one that the frozen host reports; and it completes once.
ACCEPTED = """
with said as (
    select entity_key, count(*) as times from event_outbox where payload ->> 'status' = 'COMPLETE' group by 1)
select count(*) from scrape_request_log t left join said on said.entity_key = t.id::text
where t.status = 'COMPLETE' and ((t.result #>> '{}')::int <> t.retry_count or said.times > 1)"""


async def suite(place: Place, *, quick: bool, trials: int | None = None) -> list[Row]:
    """Reports of claims that had been taken away: how many were made, and how many the queue believed."""
    wanted = trials or (300 if quick else TRIALS)
    made = accepted = freezes = 0
    watcher = place.direct_env(WORKER_FLOWS=FLOW, BEAT_HOST_ID="watcher", WORKER_LEASE_S="0.3", HEARTBEAT_S="0.1")
    async with held_relay(place.url), running_pool(watcher, MODULE):
        while made < wanted:
            refused, believed = await freeze(place, f"frozen-{freezes}")
            made, accepted, freezes = made + refused + believed, accepted + believed, freezes + 1
            if freezes > 10 + 4 * wanted / SLOTS:
                raise BenchError(f"only {made} zombie reports in {freezes} freezes")
    label = f"T13 zombie reports accepted, of {made:,} in {freezes} freezes of a host of 4 processes"
    return [row_of(Metric("rescue", label, "1", Target("<=", 0, of="value")), [accepted])]


async def freeze(place: Place, host: str) -> tuple[int, int]:
    """Freeze a new host until its tasks are another's, then let it report; refused and accepted reports."""
    await load.fill(place.pg, load.QUEUE, FLOW, 0)
    env = place.direct_env(WORKER_FLOWS=FLOW, BEAT_HOST_ID=host, WORKER_LEASE_S="5", HEARTBEAT_S="0.1")
    async with running_pool(env, MODULE) as pool:
        await place.pg.execute(FILL, 2 * SLOTS)
        await _until_busy(place.pg, host)
        everyone = pool.processes()
        zombies = proc.forked_by(pool.pid)[1]
        signal_all(everyone, signal.SIGSTOP)
        held = int(await place.pg.fetchval(HELD, host))
        await eventually(place.pg, TAKEN, host)
        signal_all(zombies, signal.SIGCONT)  # the supervisor sleeps on: it would kill them before they report
        refused = await _reports(pool, held)
        signal_all(everyone, signal.SIGCONT)
        await pool.kill_all()
    await load.wait_until_done(place.pg, load.QUEUE)
    return refused, int(await place.pg.fetchval(ACCEPTED))


async def _until_busy(pg: asyncpg.Connection, host: str) -> None:
    """Wait until the host has claimed what it will before its first tasks end."""
    before = -1
    for _ in range(8):
        held = int(await pg.fetchval(HELD, host))
        if held == SLOTS or held == before > 0:
            return
        before = held
        await asyncio.sleep(NAP_MS / 1000 / 10)


async def _reports(pool: Pool, held: int) -> int:
    """Refused reports, once they are as many as the host held, or no more come."""
    before = -1
    for _ in range(40):
        refused = pool.events[REFUSED]
        if refused >= held or (refused == before and refused > 0):
            break
        before = refused
        await asyncio.sleep(0.25)
    return pool.events[REFUSED]
