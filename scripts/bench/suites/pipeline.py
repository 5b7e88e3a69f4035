"""The main job: creators' profiles and posts from the provider simulator to the database, by the real pool.

Provider limits are lifted. The limit replays the same requests over the same HTTP client and stores the same rows with
one hand-written upsert a profile: no queue, no choice of sources, no parsing, no audit trail, no events.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config import Settings
from core.crawler.errors import ProviderError
from core.models.params import HandleParams
from core.runtime import FlowContext
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime, http_options
from instagram.flows.refresh_profile import refresh_profile_by_handle
from scripts.bench import load, replay
from scripts.bench import shares as stages
from scripts.bench.place import ROOT, BenchError, Place, redis_database, settings_of
from scripts.bench.pool import running_pool
from scripts.bench.replay import Call, Profile, Recorder
from scripts.bench.rows import Metric, Row, Target, row_of
from tests.support.sandbox import Sandbox, running_sandbox

FLOW = "refresh_profile_by_handle"
PROCESSES, SLOTS = 4, 5
LIFTED = "1000"
WARM = 40
"""Other creators before the clock runs: what a process does once in its life is not the price of a profile."""

FILL = """
insert into scrape_request_log (flow, platform, params)
select $1, 'INSTAGRAM', jsonb_build_object('handle', h) from unnest($2::text[]) h"""
SPAN = """
select extract(epoch from max(scraped_at) - min(picked_at))::float8 from scrape_request_log
where flow = $1 and id > $2"""
OUTCOMES = "select count(*) from scrape_request_log where flow = $1 and id > $2 and status = 'COMPLETE'"
LAST = "select coalesce(max(id), 0) from scrape_request_log"
ACCOUNT = "select to_jsonb(a)::text from instagram_account a where profile_id = $1"
POSTS = "select to_jsonb(p)::text as row from instagram_post p where profile_id = $1"
WORKERS = "select pid from beat_worker where flow = $1"
DATA_POINTS = """
select sum((select count(*) from jsonb_each(r.columns) e where e.value <> 'null' and e.key <> all($1::text[])))::bigint
from (select to_jsonb(a) as columns from instagram_account a union all select to_jsonb(p) from instagram_post p) r"""
OWN = ["id", "created_at", "updated_at", "refreshed_at"]
"""Columns that say when, not what: they are no data."""

EMPTY = """truncate scrape_request_log, event_outbox, event_confirmed, instagram_account, instagram_post, profile_log,
    post_log, handle_history, beat_worker, beat_flow, bench_account, bench_post restart identity cascade"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run over all creators; ``cpu_s`` is that of the workers, ``server_s`` that of the database sessions."""

    seconds: float
    cpu_s: float
    server_s: float = 0.0


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Profiles and data points a second and a CPU second."""
    count, runs = (60, 1) if quick else (250, 3)
    ours: list[Run] = []
    limits: list[Run] = []
    async with running_sandbox(limit_factor=float(LIFTED)) as sandbox:
        numbered = redis_database(place.env["REDIS_URL"])
        with tempfile.TemporaryDirectory(prefix="beat-bench-") as folder, numbered as redis:
            env = environment(place, sandbox.url, redis)
            handles = [sandbox.universe.creator(index).asked_handle for index in range(count)]
            warm = [sandbox.universe.creator(count + index).asked_handle for index in range(WARM)]
            tape = Path(folder, "tape.json")
            await place.pg.execute(replay.MAKE)
            write(tape, await record(place, settings_of(env), sandbox, handles))
            points = int(await place.pg.fetchval(DATA_POINTS, OWN))
            for _ in range(runs):
                await place.pg.execute(EMPTY)
                limits.append(await replayed(place, sandbox, tape))
                ours.append(await drained(place, env, warm, handles))
            await place.pg.execute(EMPTY)
            with tempfile.TemporaryDirectory(prefix="beat-bench-") as shares:
                apart = await drained(place, {**env, stages.VARIABLE: shares}, warm, handles, stages.__name__)
                spent = stages.total(Path(shares))
    return [*_rows(ours, limits, count, points), *_breakdown(apart, spent, count)]


def environment(place: Place, sandbox_url: str, redis_url: str) -> dict[str, str]:
    """Of a pool as in production, through the pooler, with the providers' limits lifted."""
    lifted = {"PROVIDER_SANDBOX_URL": sandbox_url, "DEMO_LIMIT_FACTOR": LIFTED, "PAGE_PAUSE_FACTOR": "0"}
    return {**place.env, **lifted, "PGBOUNCER_URL": place.pooled_url, "REDIS_URL": redis_url}


def write(tape: Path, profiles: list[Profile]) -> None:
    """One share of the profiles for each process of the limit."""
    for number in range(PROCESSES):
        share = [profile.as_json() for profile in profiles[number::PROCESSES]]
        tape.with_suffix(f".{number}").write_text(json.dumps(share), encoding="utf-8")


def _rows(ours: list[Run], limits: list[Run], profiles: int, points: int) -> list[Row]:
    rows = []
    for what, amount in (("profiles", profiles), ("data points", points)):
        wall = Metric("pipeline", what, "1/s")
        rows.append(row_of(wall, [amount / run.seconds for run in ours], [amount / run.seconds for run in limits]))
        cpu = Metric("pipeline", f"{what} per worker CPU second", "1/s", Target(">=", 0.5))
        rows.append(row_of(cpu, [amount / run.cpu_s for run in ours], [amount / run.cpu_s for run in limits]))
    worker = Metric("pipeline", "worker CPU per profile", "ms")
    used = [[run.cpu_s * 1000 / profiles for run in runs] for runs in (ours, limits)]
    server = Metric("pipeline", "database CPU per profile", "ms")
    return [*rows, row_of(worker, *used), row_of(server, [run.server_s * 1000 / profiles for run in ours])]


def _breakdown(run: Run, spent: Mapping[str, float], profiles: int) -> list[Row]:
    """Of a run of its own, whose processes kept account; ``rest`` is the event loop, the queue and what has no name."""
    parts = {**spent, "rest": run.cpu_s - sum(spent.values())}
    return [
        row_of(Metric("pipeline", f"worker CPU per profile, {stage}", "ms"), [seconds * 1000 / profiles])
        for stage, seconds in parts.items()
    ]


async def record(place: Place, settings: Settings, sandbox: Sandbox, handles: list[str]) -> list[Profile]:
    """Register the credentials, run the flow once for each handle in this process, keep what it asked and stored."""
    runtime = build_runtime(settings, pool_size=5)
    assert isinstance(runtime.credentials, CredentialManager)
    for source, credentials in sandbox.credentials.items():
        for credential in credentials:
            await runtime.credentials.insert_creds(source, credential.credentials, handle=credential.handle)
    await runtime.http.aclose()
    recorder = runtime.http = Recorder(http_options(settings))
    room = asyncio.Semaphore(8)

    async def one(handle: str) -> Profile:
        async with room:
            with recorder.recording() as calls:
                return await _stored(place, calls, handle, FlowContext(runtime, None, datetime.now(UTC)))

    profiles = await asyncio.gather(*map(one, handles))
    await runtime.aclose()
    return profiles


_one_at_a_time = asyncio.Lock()


async def _stored(place: Place, calls: list[Call], handle: str, ctx: FlowContext) -> Profile:
    """Run the flow; the rows it stored, none for an account that cannot be had."""
    result = None
    with suppress(ProviderError):
        result = await refresh_profile_by_handle(HandleParams(handle=handle), ctx)
    if result is None:
        return Profile(calls, None, [])
    async with _one_at_a_time:
        key = result["profile_id"]
        account = await place.pg.fetchval(ACCOUNT, key)
        posts = await place.pg.fetch(POSTS, key)
    return Profile(calls, json.loads(account), [json.loads(post["row"]) for post in posts])


async def replayed(place: Place, sandbox: Sandbox, tape: Path) -> Run:
    """The limit, in as many processes and slots as the pool has, each with its share of the profiles."""
    pipe = asyncio.subprocess.PIPE
    workers = []
    for number in range(PROCESSES):
        share = str(tape.with_suffix(f".{number}"))
        words = [sys.executable, "-m", "scripts.bench.replay", place.url, sandbox.url, share, str(SLOTS)]
        workers.append(await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe))
    for worker in workers:
        assert worker.stdout is not None
        if await worker.stdout.readline() != b"ready\n":
            raise BenchError("a replay worker did not start")
    answers = [json.loads(out) for out, _ in await asyncio.gather(*(worker.communicate(b"go\n") for worker in workers))]
    return Run(max(answer["seconds"] for answer in answers), sum(answer["cpu_s"] for answer in answers))


async def drained(place: Place, env: dict[str, str], warm: list[str], handles: list[str], extra: str = "") -> Run:
    """The warm pool, from the first claim to the last report; ``extra`` is a module that its processes load."""
    async with running_pool(env, extra, WORKER_FLOWS=FLOW, WORKER_SCALE=str(PROCESSES / 10)):
        await asyncio.sleep(1.0)
        await _drain(place, warm)
        last = await place.pg.fetchval(LAST)
        pids = [row["pid"] for row in await place.pg.fetch(WORKERS, FLOW)]
        for pid in pids if extra else ():
            os.kill(pid, signal.SIGUSR1)
        before = await load.read_meter(place.pg, pids)
        await _drain(place, handles)
        after = await load.read_meter(place.pg, pids)
    if not await place.pg.fetchval(OUTCOMES, FLOW, last):
        raise BenchError("no profile was completed")
    used = (after.client_s - before.client_s, after.server_s - before.server_s)
    return Run(float(await place.pg.fetchval(SPAN, FLOW, last)), *used)


async def _drain(place: Place, handles: list[str]) -> None:
    await place.pg.execute(FILL, FLOW, handles)
    await load.wait_until_done(place.pg, load.QUEUE)
