"""kill -9 of uploaders under load: every task recorded once, every object whole."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

import asyncpg
import pytest

from core.queue.children import YOUNG_S
from tests.support.consume import TASK_EVENTS, drain_queue, purge_queue, wait_for_empty_outbox
from tests.support.pool import kill, running_pool
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox
from tests.support.uploads import asset_env, file_number, objects, queue_uploads

SLOTS = 10

COUNT_WRITES = """
create table asset_write (entity_id text, hash numeric);
create function count_write() returns trigger language plpgsql as
    $$ begin insert into asset_write values (new.entity_id, new.hash); return null; end $$;
create trigger count_write after insert or update on asset for each row execute function count_write()"""
FORGET_WRITES = "drop trigger count_write on asset; drop function count_write; drop table asset_write"
LEFT = "select count(*) from scrape_request_log where status in ('PENDING', 'PROCESSING')"
UPLOADERS = "select pid from beat_worker where flow = 'asset pool' and pid > 0"


@dataclass(frozen=True, slots=True)
class Load:
    """``slow_s``: how long a download takes, so that every kill meets uploads under way. ``age_s``: of whom is killed:
    a supervisor waits before it replaces who died young, for half a minute after the seventh."""

    uploads: int
    kills: int
    processes: int
    slow_s: float
    age_s: float


SHORT = Load(uploads=240, kills=8, processes=2, slow_s=0.3, age_s=0.0)
WHOLE = Load(uploads=3000, kills=50, processes=4, slow_s=3.0, age_s=YOUNG_S + 0.5)


class Killer:
    """Kills one uploader after the other, as many as the load says."""

    def __init__(self, pg: asyncpg.Connection, load: Load) -> None:
        self._pg = pg
        self._load = load
        self._seen: dict[int, float] = {}
        self.killed = 0

    async def kill_one(self) -> None:
        """Kill one of those that are old enough, if any is."""
        now = time.monotonic()
        seen = {row["pid"]: self._seen.get(row["pid"], now) for row in await self._pg.fetch(UPLOADERS)}
        self._seen = seen
        old = [pid for pid, since in seen.items() if now - since >= self._load.age_s]
        if old and self.killed < self._load.kills:
            self.killed += bool(kill(random.choice(old)))


@pytest.fixture
def env(program_env: dict[str, str], s3: S3Access, sandbox: Sandbox) -> dict[str, str]:
    return asset_env(program_env, s3, sandbox.url) | {"ASSET_SLOTS": str(SLOTS)}


@pytest.mark.parametrize(
    "load", [pytest.param(SHORT, id="short"), pytest.param(WHOLE, id="whole", marks=pytest.mark.soak)]
)
@pytest.mark.timeout(600)
async def test_uploaders_that_are_killed_lose_nothing_and_record_nothing_twice(
    env: dict[str, str], pg: asyncpg.Connection, s3: S3Access, rmq_url: str, sandbox: Sandbox, load: Load
) -> None:
    uploads = load.uploads
    await sandbox.fault("cdn", "slow", seconds=load.slow_s)
    await pg.execute(COUNT_WRITES)
    await purge_queue(rmq_url, TASK_EVENTS)
    ids = await queue_uploads(pg, range(uploads))
    await pg.execute("update scrape_request_log set max_retries = 100")
    killer, size = Killer(pg, load), str(load.processes)
    sized = env | {"ASSET_PROCESSES": size, "ASSET_PROCESSES_PER_CORE": size}
    async with running_pool(sized, program="main_assets.py") as pool:
        await pool.wait_for_line("pool is ready")
        while await pg.fetchval(LEFT):
            await asyncio.sleep(random.uniform(0.1, 0.5))
            await killer.kill_one()
        await wait_for_empty_outbox(pg)
        assert await pool.stop() == 0
    assert killer.killed == load.kills, "the load ended before the kills"
    assert await pg.fetchval("select array_agg(distinct status) from scrape_request_log") == ["COMPLETE"]
    completed = Counter(
        event["scl_id"] for event in await drain_queue(rmq_url, TASK_EVENTS) if event["status"] == "COMPLETE"
    )
    assert completed == {str(one): 1 for one in ids}
    assert await pg.fetchval("select array_agg(hash::int order by hash) from asset") == list(range(uploads))
    writes = await pg.fetchval("select count(*) from asset_write")
    assert uploads <= writes <= uploads + load.kills  # a record that was under way when its process died may come after
    await pg.execute(FORGET_WRITES)
    sizes = objects(s3)
    client = s3.client()
    for number in range(uploads):
        key = f"assets/posts/instagram/{number}.jpg"
        assert sizes[key] == len(file_number(number))
        if number % 20 == 0:
            assert client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() == file_number(number)
    client.close()
