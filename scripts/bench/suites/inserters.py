"""What the wake-up and the event of an INSERT cost producers: eight at once behind a backlog (T8), and one whose every
INSERT notifies a host of 150 idle workers (T9).

``python -m scripts.bench.suites.inserters URL SECONDS CONNECTIONS [falling]`` is a program of so many connections that
insert single rows; with falling ids each row is the first of its flow's backlog, so that the trigger notifies.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence

import asyncpg
import uvloop

from core.flows.registry import ASSET_FLOWS, build_registry
from scripts.bench import load
from scripts.bench.place import ROOT, Place
from scripts.bench.pool import held_relay, running_pool
from scripts.bench.rows import Metric, Row, Target, row_of

EIGHT = ("4",), ("4",)
ONE = (("1", "falling"),)
"""Programs of writers by their arguments."""

FLOW = "bench_listener_5"
"""Known to the host of T9, which does not serve it: nothing is claimed."""

INSERT = f"""insert into scrape_request_log (flow, platform, params)
values ('{FLOW}', 'INSTAGRAM', '{{"handle": "creator"}}')"""
INSERT_FIRST = f"""insert into scrape_request_log (id, flow, platform, params)
values (-nextval('crawl_dump_id_seq'), '{FLOW}', 'INSTAGRAM', '{{"handle": "creator"}}')"""
MODULE = "scripts.bench.flows_all"
BACKLOG = 1000
IDLE_S = 5.0

TRIGGER = "select pg_get_functiondef('srl_after_insert'::regproc)"


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Inserts a second with the wake-up alone and with the event too, beside those without triggers, and with a host
    of idle workers beside those with none."""
    seconds = 2.0 if quick else 5.0
    whole = str(await place.pg.fetchval(TRIGGER))
    wake_only = without_event(whole)
    limits: list[float] = []
    wake: list[float] = []
    both: list[float] = []
    for _ in range(1 if quick else 3):
        await place.pg.execute("alter table scrape_request_log disable trigger user")
        limits.append(await rate(place, seconds, EIGHT))
        await place.pg.execute("alter table scrape_request_log enable trigger user")
        for function, rates in ((wake_only, wake), (whole, both)):
            await place.pg.execute(function)
            rates.append(await rate(place, seconds, EIGHT))
    alone, watched = await beside_idle_workers(place, seconds, 1 if quick else 3)
    one = Metric("inserters", "T9 1 writer, every INSERT notifies 150 idle workers", "rows/s", Target(">=", 0.75))
    return [
        row_of(Metric("inserters", "T8 8 writers, wake-up", "rows/s", Target(">=", 0.7)), wake, limits),
        row_of(Metric("inserters", "T8 8 writers, wake-up and event", "rows/s", Target(">=", 0.6)), both, limits),
        row_of(one, watched, alone),
    ]


def without_event(function: str) -> str:
    """The trigger's function with the wake-up alone: what it inserts is not written, nor made."""
    return re.sub(r"insert into event_outbox .*?(?=from inserted i)", "perform 1 ", function, flags=re.DOTALL)


async def beside_idle_workers(place: Place, seconds: float, runs: int) -> tuple[list[float], list[float]]:
    """Rows a second without any worker, and with the full pool at rest; its relay does not send each event, either."""
    env = {**place.env, "PGBOUNCER_URL": place.pooled_url}
    others = [flow.name for flow in build_registry(MODULE).values() if flow.target and flow.name != FLOW]
    served = ",".join(name for name in others if name not in ASSET_FLOWS)
    alone, watched = [], []
    for _ in range(runs):
        alone.append(await rate(place, seconds, ONE))
        async with held_relay(place.url), running_pool(env, MODULE, WORKER_FLOWS=served):
            await asyncio.sleep(IDLE_S)
            watched.append(await rate(place, seconds, ONE))
    return alone, watched


async def rate(place: Place, seconds: float, programs: Sequence[Sequence[str]]) -> float:
    """Rows a second that all writers together insert behind a backlog."""
    await load.fill(place.pg, load.QUEUE, FLOW, BACKLOG)
    words = [sys.executable, "-m", "scripts.bench.suites.inserters", place.url, str(seconds)]
    pipe = asyncio.subprocess.PIPE
    writers = [
        await asyncio.create_subprocess_exec(*words, *program, cwd=ROOT, stdin=pipe, stdout=pipe)
        for program in programs
    ]
    for writer in writers:
        assert writer.stdout is not None
        await writer.stdout.readline()
    answers = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    return sum(int(out) for out, _ in answers) / seconds


async def _write(url: str, seconds: float, count: int, statement: str) -> None:
    connections = [await asyncpg.connect(url) for _ in range(count)]
    inserts = [await conn.prepare(statement) for conn in connections]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    until, counts = time.monotonic() + seconds, [0] * count

    async def writer(number: int) -> None:
        while time.monotonic() < until:
            await inserts[number].fetch()
            counts[number] += 1

    await asyncio.gather(*map(writer, range(count)))
    print(sum(counts))


if __name__ == "__main__":
    uvloop.run(_write(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), INSERT_FIRST if sys.argv[4:] else INSERT))
