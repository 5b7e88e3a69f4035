"""What the asset suites share: the local CDN and object store, the tasks, the pool, and the limit beside it."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from core.flows.registry import ASSET_POOL
from scripts.bench import load, sink
from scripts.bench.cdn import Cdn, picture_url, running_cdn
from scripts.bench.mix import EXPIRED, clean_kind
from scripts.bench.place import ROOT, BenchError, Place
from scripts.bench.pool import Pool, running_pool

FLOW = "asset_upload_flow"
SLOTS = 100

FILL = """
insert into scrape_request_log (flow, platform, params)
select $1, 'INSTAGRAM', jsonb_build_object('entity_type', 'POST', 'entity_id', n::text,
    'asset_type', case when url like '%/mp4/%' then 'VIDEO' else 'IMAGE' end,
    'original_url', url, 'platform', 'INSTAGRAM', 'hash', n)
from unnest($2::bigint[], $3::text[]) t(n, url)"""
LEFT = """
select exists (select from scrape_request_log where flow = $1 and status = 'PENDING' and run_after is null)
    or exists (select from scrape_request_log where flow = $1 and status = 'PROCESSING')"""
WORKERS = "select pid from beat_worker where flow = $1"
EMPTY = "truncate scrape_request_log, asset, event_outbox, event_confirmed restart identity"


@dataclass(frozen=True, slots=True)
class Site:
    """A database, a CDN and an object store."""

    place: Place
    cdn: Cdn
    store_url: str

    def env(self, processes: int) -> dict[str, str]:
        """Environment of an asset pool here, through the pooler as in production."""
        store = {
            "S3_ENDPOINT_URL": self.store_url, "AWS_BUCKET": sink.BUCKET, "AWS_REGION": sink.REGION,
            "AWS_ACCESS_KEY": sink.ACCESS, "AWS_SECRET_ACCESS_KEY": sink.SECRET,
        }  # fmt: skip
        media = {
            "PROVIDER_SANDBOX_URL": self.cdn.url, "ASSET_SANDBOX_CDN": self.cdn.url,
            "ASSET_HOST_CONNECTIONS": str(SLOTS), "ASSET_STORE_CONNECTIONS": str(SLOTS), "ASSET_SLOTS": str(SLOTS),
            "ASSET_PROCESSES": str(processes), "ASSET_PROCESSES_PER_CORE": str(processes),
        }  # fmt: skip
        return {**self.place.env, "PGBOUNCER_URL": self.place.pooled_url, **store, **media}

    async def taken(self) -> dict[str, Any]:
        """What the object store has taken so far.

        Raises:
            BenchError: it has refused something: a signature, a length or a hash was wrong.
        """
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(self.store_url).read())  # noqa: S310
        found: dict[str, Any] = json.loads(answer)
        if found["refused"]:
            raise BenchError(f"the object store refused {len(found['refused'])} requests: {found['refused'][:3]}")
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """Uploads, the seconds they took, and CPU seconds of the uploaders and of their database sessions."""

    uploads: int
    seconds: float
    cpu_s: float
    server_s: float = 0.0

    def __add__(self, other: Run) -> Run:
        """Both, one after the other."""
        return Run(
            self.uploads + other.uploads,
            self.seconds + other.seconds,
            self.cpu_s + other.cpu_s,
            self.server_s + other.server_s,
        )

    @property
    def per_s(self) -> float:
        """Uploads a second."""
        return self.uploads / self.seconds

    @property
    def per_core(self) -> float:
        """Uploads a CPU second of the uploaders."""
        return self.uploads / self.cpu_s


@asynccontextmanager
async def site(place: Place) -> AsyncIterator[Site]:
    """CDN and object store, in processes of their own."""
    pipe = asyncio.subprocess.PIPE
    async with running_cdn() as cdn:
        command = [sys.executable, "-m", "scripts.bench.sink"]
        store = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        try:
            assert store.stdout is not None
            yield Site(place, cdn, f"http://127.0.0.1:{int(await store.stdout.readline())}")
        finally:
            await store.communicate(b"")


@asynccontextmanager
async def asset_pool(here: Site, processes: int) -> AsyncIterator[Pool]:
    """main_assets.py with so many processes."""
    async with running_pool(here.env(processes), "", program="main_assets.py") as pool:
        yield pool


async def warm_up(here: Site, count: int) -> None:
    """Open connections, fill caches."""
    await asyncio.sleep(1.0)
    await drained(here, clean_kind, count, range(count))


async def fill(pg: asyncpg.Connection, kind_of: Callable[[int], str], count: int) -> None:
    """Leave nothing but ``count`` uploads waiting. Nobody is woken: the pool finds them at its next look."""
    numbers = range(count)
    await pg.execute(EMPTY)
    await pg.execute("checkpoint")
    await pg.execute("set session_replication_role = replica")
    await pg.execute(FILL, FLOW, list(numbers), [url_of(kind_of(number), number) for number in numbers])
    await pg.execute("reset session_replication_role")
    await pg.execute("analyze scrape_request_log")


def url_of(kind: str, number: int) -> str:
    """The picture of this number."""
    return picture_url(kind, number, lives_s=-1.0) if kind == EXPIRED else picture_url(kind, number)


async def wait_until_tried(pg: asyncpg.Connection, within_s: float = 240.0) -> None:
    """Wait until every upload was tried once.

    Raises:
        BenchError: it takes too long.
    """
    await load.wait_while(pg, LEFT, FLOW, within_s=within_s)


async def uploaders(pg: asyncpg.Connection) -> list[int]:
    """Process ids of the pool's workers."""
    return [row["pid"] for row in await pg.fetch(WORKERS, ASSET_POOL)]


async def drained(here: Site, kind_of: Callable[[int], str], count: int, good: Sequence[int]) -> Run:
    """A running pool empties a full queue. What counts are the uploads of ``good`` numbers, which all must succeed."""
    pg = here.place.pg
    workers = await uploaders(pg)
    await fill(pg, kind_of, count)
    before = await load.read_meter(pg, workers)
    await wait_until_tried(pg)
    after = await load.read_meter(pg, workers)
    row = await pg.fetchrow(
        """select count(*) as uploads, extract(epoch from max(t.scraped_at) - min(t.picked_at))::float8 as seconds
        from scrape_request_log t join asset a on a.entity_id = t.params->>'entity_id'
        where t.flow = $1 and t.status = 'COMPLETE' and a.entity_id = any($2::text[])""",
        FLOW,
        [str(number) for number in good],
    )
    assert row is not None
    if row["uploads"] != len(good):
        raise BenchError(f"{row['uploads']} of {len(good)} uploads succeeded")
    return Run(row["uploads"], row["seconds"], after.client_s - before.client_s, after.server_s - before.server_s)


async def limit_run(here: Site, processes: int, count: int) -> Run:
    """The raw harness, in as many processes, with as many slots."""
    pipe, share, workers = asyncio.subprocess.PIPE, count // processes, []
    for number in range(processes):
        words = [here.cdn.url, here.store_url, str(SLOTS), str(number * share), str(share)]
        command = [sys.executable, "-m", "scripts.bench.media_limit", *words]
        workers.append(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe))
    for worker in workers:
        assert worker.stdout is not None
        if await worker.stdout.readline() != b"ready\n":
            raise BenchError("a process of the limit did not start")
    answers = [json.loads(out) for out, _ in await asyncio.gather(*(one.communicate(b"go\n") for one in workers))]
    seconds, cpu_s = max(one["seconds"] for one in answers), sum(one["cpu_s"] for one in answers)
    return Run(share * processes, seconds, cpu_s)
