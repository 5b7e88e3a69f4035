"""The object store and the pooler restarted while uploads run: none fails, none is lost, no attempt is counted."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.own_stack import own_stack
from tests.support.pool import running_pool
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox
from tests.support.uploads import asset_env, file_number, objects, queue_uploads
from utils.db import connect

STATES = "select status, count(*) as count, max(retry_count) as attempts from scrape_request_log group by 1"


@pytest.mark.timeout(600)
async def test_a_store_and_a_pooler_that_restart_cost_no_upload_and_no_attempt(sandbox: Sandbox) -> None:
    async with own_stack() as stack:
        env = stack.env()
        bucket = S3Access(
            env["S3_ENDPOINT_URL"], env["AWS_ACCESS_KEY"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_REGION"],
            env["AWS_BUCKET"],
        )  # fmt: skip
        pg = await connect(env["PG_URL"], name="test")
        async with running_pool(asset_env(env, bucket, sandbox.url), program="main_assets.py") as pool:
            await pool.wait_for_line("pool is ready")
            queued = 0
            for victim in ("s3", "pgbouncer"):
                restart = asyncio.create_task(stack.command("restart", victim))
                while not restart.done():
                    await queue_uploads(pg, range(queued, queued + 10))
                    queued += 10
                    await asyncio.sleep(0.5)
                await restart
            deadline = time.monotonic() + 200
            while (rows := await pg.fetch(STATES)) and {row["status"] for row in rows} != {"COMPLETE"}:
                assert time.monotonic() < deadline, [tuple(row) for row in rows]
                await asyncio.sleep(0.5)
            assert [tuple(row) for row in rows] == [("COMPLETE", queued, 1)]
            assert any("object store is away" in line for line in pool.lines)
            assert await pool.stop() == 0
        assert await pg.fetchval("select count(*) from asset") == queued
        await pg.close()
        sizes = objects(bucket)
    assert sizes == {f"assets/posts/instagram/{number}.jpg": len(file_number(number)) for number in range(queued)}
