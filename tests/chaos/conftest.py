"""What the tests of crashes share: a table where tasks leave marks, and a queue of events that holds only their own."""

from __future__ import annotations

import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS, purge_queue
from tests.support.flows import MARKS


@pytest.fixture
async def marks(pg: asyncpg.Connection, rmq_url: str) -> asyncpg.Connection:
    """A connection; no marks are there, and no events of earlier tasks with the same ids."""
    await purge_queue(rmq_url, TASK_EVENTS)
    await pg.execute(MARKS)
    await pg.execute("truncate task_mark")
    return pg
