"""A supervisor that stands still while its workers go on: afterwards they hear of work as before."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.support.pool import pause, queue_tasks, resume, running_pool, wait_for_statuses

PENDING = "select count(*) from scrape_request_log where status = 'PENDING'"


@pytest.mark.timeout(300)
async def test_workers_that_ended_their_backlog_unheard_are_woken_again(
    program_env: dict[str, str], marks: asyncpg.Connection
) -> None:
    """Their sockets are full by then: what they said last was lost."""
    async with running_pool(program_env, WORKER_FLOWS="test_nap") as pool:
        await pool.wait_for_line("pool is ready")
        await queue_tasks(marks, "test_nap", 8000, low_ms=50, high_ms=50)
        await asyncio.sleep(1)
        pause([pool.pid])
        await wait_for_statuses(marks, {"COMPLETE": 8000})
        resume([pool.pid])
        await asyncio.sleep(2)
        for more in range(1, 9):  # each child in turn
            await queue_tasks(marks, "test_nap", 10)
            await wait_for_statuses(marks, {"COMPLETE": 8000 + 10 * more}, within_s=10)
        assert await pool.stop() == 0
