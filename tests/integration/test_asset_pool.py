"""main_assets.py and main.py: who runs the asset flows, and what becomes of their tasks."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS, drain_queue, purge_queue, wait_for_empty_outbox
from tests.support.media import media_client
from tests.support.pool import PATIENCE_S, ROOT, RunningPool, kill, queue_tasks, running_pool, wait_for_statuses
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox
from tests.support.uploads import asset_env, queue_uploads
from utils.open_files import MOST

OTHERS = "main.py"
HOLDERS = """
select coalesce(array_agg(distinct w.flow), '{}') from scrape_request_log t join beat_worker w on w.id = t.worker
where t.status = 'PROCESSING'"""


@pytest.fixture
def env(program_env: dict[str, str], s3: S3Access, sandbox: Sandbox) -> dict[str, str]:
    return asset_env(program_env, s3, sandbox.url)


@asynccontextmanager
async def assets(env: dict[str, str], **settings: str) -> AsyncIterator[RunningPool]:
    async with running_pool(env, program="main_assets.py", **settings) as pool:
        await pool.wait_for_line("pool is ready")
        yield pool


@asynccontextmanager
async def others(env: dict[str, str], **settings: str) -> AsyncIterator[RunningPool]:
    chosen = {"WORKER_FLOWS": "asset_upload_flow,asset_upload_flow_stories,test_nap", "WORKER_PROCESSES": "2"}
    async with running_pool(env, **chosen | settings) as pool:
        await pool.wait_for_line("pool is ready")
        yield pool


async def run_by(pg: asyncpg.Connection, first: int, count: int = 8, within_s: float = PATIENCE_S) -> set[str]:
    """Queue uploads that take a second each, and say what processes held them until all were done."""
    holders: set[str] = set()
    ids = await queue_uploads(pg, range(first, first + count))
    for _ in range(int(within_s / 0.05)):
        holders.update(await pg.fetchval(HOLDERS))
        done = "select count(*) from scrape_request_log where id = any($1::bigint[]) and status = 'COMPLETE'"
        if await pg.fetchval(done, ids) == count:
            return {"asset pool" if holder == "asset pool" else OTHERS for holder in holders}
        await asyncio.sleep(0.05)
    raise AssertionError(f"not done: {await pg.fetch('select id, status, data, worker from scrape_request_log')}")


async def comes_to(pg: asyncpg.Connection, owner: str, first: int) -> None:
    """Wait until uploads are run by this program alone: the others see who is there with a look a second."""
    held: set[str] = set()
    for number in range(first, first + 80, 8):
        held = await run_by(pg, number)
        if held == {owner}:
            return
    raise AssertionError(f"run by {held}")


async def test_the_asset_pool_alone_runs_uploads_and_publishes_their_events(
    env: dict[str, str], pg: asyncpg.Connection, rmq_url: str
) -> None:
    await purge_queue(rmq_url, TASK_EVENTS)
    ids = await queue_uploads(pg, range(5))
    ids += await queue_uploads(pg, range(5, 8), "asset_upload_flow_stories")
    async with assets(env) as pool:
        await wait_for_statuses(pg, {"COMPLETE": 8})
        await wait_for_empty_outbox(pg)
        assert await pool.stop() == 0
    assert await pg.fetchval("select count(*) from asset_log") == 8
    assert await pg.fetchval("select count(*) from beat_worker") == 0
    told: dict[str, list[str]] = {}
    for event in await drain_queue(rmq_url, TASK_EVENTS):
        told.setdefault(event["scl_id"], []).append(event["status"])
    assert told == {str(one): ["PENDING", "PROCESSING", "COMPLETE"] for one in ids}


async def test_one_program_at_a_time_owns_the_asset_flows(
    env: dict[str, str], pg: asyncpg.Connection, sandbox: Sandbox
) -> None:
    await sandbox.fault("cdn", "slow", seconds=1.0)
    async with others(env) as rest:
        assert await run_by(pg, 0) == {OTHERS}  # nobody else is there
        async with assets(env) as pool:
            await comes_to(pg, "asset pool", 100)
            assert await run_by(pg, 200) == {"asset pool"}
            await pool.stop()
        assert await run_by(pg, 300) == {OTHERS}  # a graceful end is noticed at once
        async with assets(env) as pool:
            await comes_to(pg, "asset pool", 400)
            assert kill(pool.pid)
            await comes_to(pg, OTHERS, 500)  # a lost one is noticed when its lease ends
        assert await rest.stop() == 0


async def test_the_other_flows_go_on_while_the_asset_flows_are_left_to_their_pool(
    env: dict[str, str], pg: asyncpg.Connection
) -> None:
    async with assets(env), others(env):
        await queue_tasks(pg, "test_nap", 1)
        await wait_for_statuses(pg, {"COMPLETE": 1})


async def test_a_cap_on_uploads_is_shared_by_those_who_run_them(
    env: dict[str, str], pg: asyncpg.Connection, sandbox: Sandbox
) -> None:
    await sandbox.fault("cdn", "slow", seconds=0.5)
    await pg.execute("insert into beat_flow (flow, slots) values ('asset_upload_flow', 4)")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(others(env))
        await stack.enter_async_context(assets(env))
        await comes_to(pg, "asset pool", 100)
        await pg.execute("delete from scrape_request_log")
        await queue_uploads(pg, range(24))
        most = 0
        while await pg.fetchval("select count(*) < 24 from scrape_request_log where status = 'COMPLETE'"):
            row = await pg.fetchrow(
                """select count(*) as all, count(*) filter (where w.flow = 'asset pool') as assets
                from scrape_request_log t join beat_worker w on w.id = t.worker where t.status = 'PROCESSING'"""
            )
            assert row is not None
            assert row["all"] == row["assets"] <= 4
            most = max(most, row["assets"])
            await asyncio.sleep(0.05)
        assert most == 4  # processes that leave the flow to others hold no slots of it


async def test_a_dead_url_fails_its_task_at_once_and_says_so(env: dict[str, str], pg: asyncpg.Connection) -> None:
    await pg.execute(
        """insert into scrape_request_log (flow, platform, params) values ('asset_upload_flow', 'INSTAGRAM',
        '{"entity_type": "POST", "entity_id": "Cx1", "asset_type": "IMAGE", "platform": "INSTAGRAM", "hash": 1,
          "original_url": "https://scontent-xyz1-1.cdninstagram.com/v/t51/1_n.jpg?oh=00_1&oe=5F000000"}')"""
    )
    async with assets(env):
        await wait_for_statuses(pg, {"FAILED": 1, "PENDING": 1})
    task = await pg.fetchrow("select * from scrape_request_log where flow = 'asset_upload_flow'")
    assert task is not None
    assert (task["error_code"], task["retry_count"]) == ("URL_EXPIRED", 1)
    assert "run out" in task["data"]
    assert await pg.fetchval("select flow from scrape_request_log where status = 'PENDING'") == (
        "refresh_post_by_shortcode"
    )


async def test_a_store_that_is_away_sends_tasks_back_without_counting_an_attempt(
    env: dict[str, str], pg: asyncpg.Connection
) -> None:
    await queue_uploads(pg, range(3))
    async with assets(env, S3_ENDPOINT_URL="http://127.0.0.1:9", ASSET_SLOTS="1", ASSET_PROCESSES="1"):
        for _ in range(1200):
            rows = await pg.fetch("select * from scrape_request_log where run_after is not null")
            if rows:
                break
            await asyncio.sleep(0.1)
    assert {(row["status"], row["retry_count"], row["error_code"]) for row in rows} == {("PENDING", 1, "STORE_DOWN")}
    assert await pg.fetchval("select count(*) from scrape_request_log where status = 'FAILED'") == 0


@pytest.mark.parametrize("program", [assets, others])
async def test_whoever_copies_media_may_open_more_files_than_a_shell_lets_it(
    env: dict[str, str], pg: asyncpg.Connection, program: Callable[..., AbstractAsyncContextManager[RunningPool]]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        async with program(env):
            pids = [row["pid"] for row in await pg.fetch("select pid from beat_worker where pid > 0")]
            limits = {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limits == {(MOST if hard == resource.RLIM_INFINITY else min(hard, MOST), hard)}


@pytest.mark.parametrize("program", [assets, others])
async def test_whoever_copies_media_aborts_what_a_killed_process_left(
    env: dict[str, str], s3: S3Access, tmp_path: Path, program: Callable[..., AbstractAsyncContextManager[RunningPool]]
) -> None:
    client, key = s3.client(), "assets/posts/instagram/left.mp4"
    upload = client.create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    async with media_client(s3, ASSET_SPOOL_DIR=str(tmp_path)) as media:
        media._large._marks.make(key, upload).leave()
    async with program(env, ASSET_SPOOL_DIR=str(tmp_path)) as pool:
        async with asyncio.timeout(PATIENCE_S):
            while client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads"):
                await asyncio.sleep(0.1)
        assert await pool.stop() == 0
    client.close()


async def test_an_asset_pool_without_a_bucket_names_the_setting(program_env: dict[str, str]) -> None:
    env = {**program_env, "AWS_BUCKET": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "main_assets.py", cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "AWS_BUCKET" in said.decode()
