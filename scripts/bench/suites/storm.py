"""kill -9 of random children and supervisors under load: what is lost, stuck or done twice (T14).

Two hosts of eight processes run tasks of up to 200 ms that note their beginning in a file. A victim is stopped first,
so that what it holds can be counted, and then killed. The children of a killed supervisor hand back what they hold.
"""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench import flows, load, proc
from scripts.bench.place import Place
from scripts.bench.pool import Pool, held_relay, running_pool, signal_all
from scripts.bench.rows import Metric, Row, Target, row_of

FLOW, MODULE = "bench_mark", "scripts.bench.flows"
SUPERVISORS = 0.1
"""Their share of the killed."""

FILL = f"""
insert into scrape_request_log (flow, platform, params, max_retries)
select '{FLOW}', 'INSTAGRAM', jsonb_build_object('ms', floor(random() * 201)::int), 100
from generate_series(1, $1::int)"""
WORKERS = "select pid from beat_worker where host = $1 and flow = $2 and pid > 0"
HELD = """
select count(*) from scrape_request_log t join beat_worker w on w.id = t.worker
where t.status = 'PROCESSING' and w.pid = any($1::int[])"""
ENDED = "select count(*) from scrape_request_log where status not in ('PENDING', 'PROCESSING')"
STATUSES = "select status, count(*) from scrape_request_log group by 1"
TWICE = """
select count(*) from (select entity_key from event_outbox where payload ->> 'status' = 'COMPLETE'
    group by 1 having count(*) > 1) e"""


@dataclass
class Storm:
    """What happens while it rages."""

    place: Place
    env: dict[str, str]
    stack: AsyncExitStack
    pools: dict[str, Pool] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0

    async def start(self, host: str) -> None:
        """Start a host, or start it again."""
        self.pools[host] = await self.stack.enter_async_context(running_pool(self.env, MODULE, BEAT_HOST_ID=host))

    async def kill_one(self) -> None:
        """Kill a child of a random host, or its supervisor, which is started again."""
        host = random.choice(list(self.pools))
        pool = self.pools[host]
        if random.random() < SUPERVISORS or not self.kills["supervisor"]:
            everyone = pool.processes()
            signal_all(everyone, signal.SIGSTOP)
            await self._count(everyone)
            signal_all([pool.pid], signal.SIGKILL)
            signal_all(everyone, signal.SIGCONT)
            self.kills["supervisor"] += 1
            await self.start(host)
            return
        mine = set(proc.descendants(pool.pid))
        workers = [row["pid"] for row in await self.place.pg.fetch(WORKERS, host, FLOW) if row["pid"] in mine]
        if workers:
            victim = random.choice(workers)
            signal_all([victim], signal.SIGSTOP)
            await self._count([victim])
            self.kills["child"] += signal_all([victim], signal.SIGKILL)

    async def _count(self, pids: list[int]) -> None:
        await asyncio.sleep(0.05)  # a statement that is under way ends by itself
        self.in_flight += int(await self.place.pg.fetchval(HELD, pids))


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """What became of the tasks."""
    tasks, kills = (2_500, 8) if quick else (100_000, 200)
    with tempfile.TemporaryDirectory(prefix="beat-bench-") as folder:
        async with held_relay(place.url), AsyncExitStack() as stack:
            env = place.direct_env(WORKER_FLOWS=FLOW, WORKER_SCALE="2", **{flows.MARKS: folder})
            storm = Storm(place, env, stack)
            for host in ("one", "two"):
                await storm.start(host)
            await place.pg.execute(FILL, tasks)
            await rage(storm, tasks, kills)
            await load.wait_until_done(place.pg, load.QUEUE, within_s=900)
        marks = read_marks(Path(folder))
    statuses = Counter({row["status"]: row["count"] for row in await place.pg.fetch(STATUSES)})
    twice = int(await place.pg.fetchval(TWICE))
    label = f"{tasks:,} jobs, {storm.kills['child']} children and {storm.kills['supervisor']} supervisors killed"
    lost = tasks - min(len(set(marks)), statuses["COMPLETE"])
    none = Target("<=", 0, of="value")
    return [
        row_of(Metric("rescue", f"T14 lost, {label}", "jobs", none), [lost]),
        row_of(Metric("rescue", f"T14 left PROCESSING, {label}", "jobs", none), [statuses["PROCESSING"]]),
        row_of(Metric("rescue", f"T14 completed twice, {label}", "jobs", none), [twice]),
        row_of(
            Metric("rescue", "T14 run again, beside those in flight at a kill", "jobs", Target("<=", 1)),
            [len(marks) - len(set(marks))],
            [storm.in_flight],
        ),
    ]


async def rage(storm: Storm, tasks: int, kills: int) -> None:
    """Spread the kills evenly over the work, at random moments."""
    for number in range(1, kills + 1):
        due = tasks * number / (kills + 2)
        while int(await storm.place.pg.fetchval(ENDED)) < due:  # noqa: ASYNC110  only the database knows
            await asyncio.sleep(random.uniform(0.02, 0.1))
        await storm.kill_one()


def read_marks(folder: Path) -> list[str]:
    """Ids of the tasks that have begun, once for each time."""
    return [line for file in folder.iterdir() for line in file.read_text("ascii").split()]
