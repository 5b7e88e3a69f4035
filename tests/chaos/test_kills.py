"""kill -9 of children, fork servers, supervisors and whole hosts under load: none lost, none completed twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.support.consume import assert_completed_once
from tests.support.pool import Host, RunningPool, fork_servers_of, kill, queue_tasks, running_pool

SHARES = {"child": 80, "fork server": 8, "supervisor": 6, "host": 6}
"""What is killed how often, in percent, after one of each. A host is supervisor, fork server and children at once."""

SLOTS = 5
PROCESSES = 6
POOL = {"WORKER_FLOWS": "test_mark", "WORKER_SCALE": "2", "WORKER_LEASE_S": "2", "HEARTBEAT_S": "0.4"}
FINISHED = "select count(*) from scrape_request_log where status = 'COMPLETE'"
ENOUGH = SLOTS * PROCESSES * 2
"""Tasks that keep two pools busy until the next look."""
VICTIM = "select pid from beat_worker where flow = 'test_mark' and pid > 0 order by random() limit 1"


class Storm:
    """Two pools under load, and what was killed of them."""

    def __init__(self, pg: asyncpg.Connection, start: Callable[[str], Awaitable[RunningPool]]) -> None:
        self._pg = pg
        self._start = start
        self.pools: dict[str, RunningPool] = {}
        self.kills = Counter[str]()
        self.may_rerun = 0

    async def strike(self) -> None:
        """Kill something; what has not been killed yet goes first."""
        host = random.choice(list(self.pools))
        untried = [kind for kind in SHARES if not self.kills[kind]]
        kind = untried[0] if untried else random.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "child":
            pid = await self._pg.fetchval(VICTIM)
            self._count(kind, SLOTS, happened=bool(pid) and kill(pid))
        elif kind == "fork server":
            self._count(kind, 0, happened=sum(map(kill, fork_servers_of(self.pools[host].pid))) > 0)
        else:
            pool = self.pools[host]
            doomed = [pool.pid] if kind == "supervisor" else Host.of(pool).all
            self._count(kind, PROCESSES * SLOTS, happened=sum(map(kill, doomed)) > 0)
            self.pools[host] = await self._start(host)

    def _count(self, kind: str, slots: int, *, happened: bool) -> None:
        self.kills[kind] += happened
        self.may_rerun += slots if happened else 0


async def load(pg: asyncpg.Connection, tasks: int) -> list[int]:
    """Queue tasks that no number of kills fails; their ids."""
    async with pg.transaction():
        ids = await queue_tasks(pg, "test_mark", tasks, high_ms=200)
        await pg.execute("update scrape_request_log set max_retries = 100 where max_retries is null")
    return ids


@pytest.mark.parametrize(
    ("tasks", "kills_wanted"),
    [pytest.param(900, 12, id="short"), pytest.param(100_000, 200, id="whole", marks=pytest.mark.soak)],
)
@pytest.mark.timeout(1800)
async def test_a_storm_of_kills_loses_nothing_and_completes_nothing_twice(
    marks: asyncpg.Connection, program_env: dict[str, str], rmq_url: str, tasks: int, kills_wanted: int
) -> None:
    ids = await load(marks, tasks)
    async with AsyncExitStack() as stack:

        async def start(host: str) -> RunningPool:
            return await stack.enter_async_context(running_pool(program_env, BEAT_HOST_ID=host, **POOL))

        storm = Storm(marks, start)
        storm.pools = {host: await start(host) for host in ("one", "two")}
        await asyncio.gather(*(pool.wait_for_line("pool is ready") for pool in storm.pools.values()))
        while (left := len(ids) - await marks.fetchval(FINISHED)) or storm.kills.total() < kills_wanted:
            await asyncio.sleep(random.uniform(0.05, 0.35))
            if storm.kills.total() < kills_wanted:
                ids += await load(marks, tasks // 3) if left < ENOUGH else []
                await storm.strike()
        assert min(storm.kills[kind] for kind in SHARES) > 0
        await assert_completed_once(marks, rmq_url, ids)
        assert [await pool.stop() for pool in storm.pools.values()] == [0, 0]
    assert len(ids) <= await marks.fetchval("select count(*) from task_mark") <= len(ids) + storm.may_rerun
