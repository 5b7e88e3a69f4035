"""What the wake-up and the event of an INSERT cost eight producers at once, with a backlog present (T8).

``python -m scripts.bench.suites.inserters URL SECONDS`` is half of them: four connections that insert single rows.
"""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg
import uvloop

from scripts.bench import load
from scripts.bench.place import ROOT, Place
from scripts.bench.rows import Metric, Row, Target, row_of

PROGRAMS, CONNECTIONS = 2, 4
INSERT = """insert into scrape_request_log (flow, platform, params)
values ('bench_nobody', 'INSTAGRAM', '{"handle": "creator"}')"""
BACKLOG = 1000

# The trigger's function as it stands, up to the event.
TRIGGER = "select pg_get_functiondef('srl_after_insert'::regproc)"
EVENT = "insert into event_outbox"


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Inserts a second with the wake-up alone and with the event too, beside those without triggers."""
    seconds = 2.0 if quick else 5.0
    whole = str(await place.pg.fetchval(TRIGGER))
    head, _, tail = whole.partition(EVENT)
    wake_only = head + tail[tail.index("return null") :]
    limits: list[float] = []
    wake: list[float] = []
    both: list[float] = []
    for _ in range(1 if quick else 3):
        await place.pg.execute("alter table scrape_request_log disable trigger user")
        limits.append(await rate(place, seconds))
        await place.pg.execute("alter table scrape_request_log enable trigger user")
        for function, rates in ((wake_only, wake), (whole, both)):
            await place.pg.execute(function)
            rates.append(await rate(place, seconds))
    return [
        row_of(Metric("inserters", "8 writers, wake-up", "rows/s", Target(">=", 0.7)), wake, limits),
        row_of(Metric("inserters", "8 writers, wake-up and event", "rows/s", Target(">=", 0.6)), both, limits),
    ]


async def rate(place: Place, seconds: float) -> float:
    """Rows a second that all writers together insert behind a backlog."""
    await load.fill(place.pg, load.QUEUE, "bench_nobody", BACKLOG)
    words = [sys.executable, "-m", "scripts.bench.suites.inserters", place.url, str(seconds)]
    pipe = asyncio.subprocess.PIPE
    writers = [await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(PROGRAMS)]
    for writer in writers:
        assert writer.stdout is not None
        await writer.stdout.readline()
    answers = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    return sum(int(out) for out, _ in answers) / seconds


async def _write(url: str, seconds: float) -> None:
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    inserts = [await conn.prepare(INSERT) for conn in connections]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    until, counts = time.monotonic() + seconds, [0] * CONNECTIONS

    async def writer(number: int) -> None:
        while time.monotonic() < until:
            await inserts[number].fetch()
            counts[number] += 1

    await asyncio.gather(*map(writer, range(CONNECTIONS)))
    print(sum(counts))


if __name__ == "__main__":
    uvloop.run(_write(sys.argv[1], float(sys.argv[2])))
