"""What the tests of crashes share: a table where tasks leave marks, and a queue of events that holds only their own."""

from __future__ import annotations

import aio_pika
import asyncpg
import pytest

from tests.support.consume import TASK_EVENTS
from tests.support.flows import MARKS
from tests.support.relay import open_channel


@pytest.fixture
async def marks(pg: asyncpg.Connection, rmq_url: str) -> asyncpg.Connection:
    """A connection; no marks are there, and no events of earlier tasks with the same ids."""
    async with open_channel(rmq_url) as channel:
        try:
            await channel.declare_queue(TASK_EVENTS, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            pass
        else:
            await (await channel.get_queue(TASK_EVENTS, ensure=False)).purge()
    await pg.execute(MARKS)
    await pg.execute("truncate task_mark")
    return pg
